// What is decided without I/O: addresses, keys' files, windows, retries, and who leaves the cache.

import Catalogue
import Contract
import Outside
import Testing

@Suite struct StoreValuesTests {
    // MARK: Addresses

    @Test func bucketsAreNamed() throws {
        let deep = try #require(BucketLocation("s3://models/team/prod/"))
        #expect(deep.bucket == "models" && deep.prefix == "team/prod")
        #expect(deep.key("iris/1/manifest.json") == "team/prod/iris/1/manifest.json")
        #expect(deep.description == "s3://models/team/prod")
        #expect(BucketLocation("s3://models")?.key("a") == "a")
        for wrong in [
            "s3://", "s3:/models", "models", "s3://a", "s3://mod els/x", "s3://models//x",
            "s3://models/../x", "s3://models/./x", "s3://.models/x", "S3://models",
        ] {
            #expect(BucketLocation(wrong) == nil, "\(wrong)")
        }
    }

    @Test func endpointsBecomePlaces() throws {
        let store = try #require(StoreEndpoint("http://Store.example:9000/"))
        #expect(
            store.place(of: "a b/c", in: "models", usesPathStyle: true)
                == ("store.example:9000", "/models/a%20b/c"))
        #expect(
            store.place(of: "a", in: "models", usesPathStyle: false)
                == ("models.store.example:9000", "/a"))
        #expect(
            store.place(of: "", in: "models", usesPathStyle: true)
                == ("store.example:9000", "/models"))
        #expect(
            store.place(of: "", in: "models", usesPathStyle: false)
                == ("models.store.example:9000", "/"))
        let behind = try #require(StoreEndpoint("https://gate.example:443/s3"))
        #expect(
            behind.place(of: "k", in: "m-1", usesPathStyle: true) == ("gate.example", "/s3/m-1/k"))
        #expect(
            StoreEndpoint.amazon(region: "eu-central-1")?.host == "s3.eu-central-1.amazonaws.com")
        for wrong in [
            "", "store:9000", "ftp://x", "https://", "https://u:p@x", "https://x?a", "https://[",
            "https://x/a b",
        ] {
            #expect(StoreEndpoint(wrong) == nil, "\(wrong)")
        }
    }

    @Test func sectionsOfTheSharedFile() {
        let text = """
            # work
            [default]
            aws_access_key_id = AKIA1
            AWS_SECRET_ACCESS_KEY=s/e=c
            [ other ]
            aws_access_key_id=AKIA2
            ; no more
            """
        #expect(
            CredentialSource.section("default", of: text)
                == ["aws_access_key_id": "AKIA1", "aws_secret_access_key": "s/e=c"])
        #expect(CredentialSource.section("other", of: text) == ["aws_access_key_id": "AKIA2"])
        #expect(CredentialSource.section("none", of: text).isEmpty)
    }

    @Test func keysComeFromTheEnvironment() throws {
        let source = CredentialSource(
            CredentialPlaces(),
            environment: [
                "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hush",
                "AWS_SESSION_TOKEN": "tok",
            ])
        let keys = try source.credentials()
        #expect(keys.accessKey == "AKIA")
        #expect(keys.secretKey.matches(Secret("hush")))
        #expect(keys.sessionToken?.matches(Secret("tok")) == true)
        #expect(!"\(keys)".contains("hush") && !"\(keys)".contains("tok"))
        let none = CredentialSource(CredentialPlaces(), environment: ["HOME": "/nowhere"])
        let error = #expect(throws: GatewayError.self) { try none.credentials() }
        #expect(error?.description.contains("AWS_ACCESS_KEY_ID") == true)
        #expect(error?.description.contains("models.s3.access_key_file") == true)
    }

    @Test func contentRangesAreRead() throws {
        let range = try #require(ContentRange("bytes 0-9/100"))
        #expect(range.range == 0..<10 && range.total == 100)
        #expect(ContentRange("bytes 5-5/*")?.total == nil)
        for wrong in ["", "bytes 9-0/100", "bytes 0-100/100", "0-9/100", "bytes 0-9", "bytes -9/9"]
        {
            #expect(ContentRange(wrong) == nil, "\(wrong)")
        }
    }

    // MARK: Windows

    @Test func windowsComeInAnyOrder() {
        var plan = RangePlan(byteCount: 25, from: 0, windowBytes: 10, windowsMax: 2)
        #expect(plan.begin() == 0..<10)
        #expect(plan.begin() == 10..<20)
        #expect(plan.begin() == nil, "two are under way")
        plan.came(10..<20, to: 15)
        #expect(plan.reached == 0)
        plan.finished(10..<20)
        plan.came(0..<10, to: 7)
        #expect(plan.prefix == 0 && plan.reached == 7)
        #expect(plan.begin() == 20..<25)
        #expect(plan.begin() == nil)
        plan.finished(0..<10)
        #expect(plan.prefix == 20 && plan.reached == 20 && !plan.isFinished)
        plan.finished(20..<25)
        #expect(plan.isFinished && plan.underWay == 0)
    }

    @Test func aFetchGoesOnWhereItEnded() {
        var plan = RangePlan(byteCount: 25, from: 12, windowBytes: 10, windowsMax: 4)
        #expect(plan.begin() == 12..<22)
        #expect(plan.begin() == 22..<25)
        #expect(RangePlan(byteCount: 25, from: 99, windowBytes: 10, windowsMax: 4).isFinished)
        #expect(RangePlan(byteCount: 0, from: 0, windowBytes: 10, windowsMax: 4).isFinished)
    }

    @Test func aSlowWindowHoldsTheOthersBack() {
        var plan = RangePlan(byteCount: 1_000, from: 0, windowBytes: 10, windowsMax: 2)
        #expect(plan.begin() == 0..<10)
        var ahead = 0
        while let window = plan.begin() {
            plan.finished(window)
            ahead += 1
        }
        #expect(ahead == Int(RangePlan.windowsAheadMax) - 1)
        plan.finished(0..<10)
        #expect(plan.prefix == RangePlan.windowsAheadMax * 10)
    }

    @Test func everyByteIsAskedForOnce() {
        let seed = UInt64.random(in: 0 ... .max)
        var dice = Dice(seed: seed)
        for _ in 0..<500 {
            let size = UInt64.random(in: 0...5_000, using: &dice)
            var plan = RangePlan(
                byteCount: size, from: UInt64.random(in: 0...size, using: &dice),
                windowBytes: UInt64.random(in: 1...600, using: &dice),
                windowsMax: Int.random(in: 1...8, using: &dice))
            let from = plan.prefix
            var under: [Range<UInt64>] = []
            var all: UInt64 = 0
            while !plan.isFinished {
                while let window = plan.begin() { under.append(window) }
                let index = Int.random(in: 0..<under.count, using: &dice)
                let window = under.remove(at: index)
                all += UInt64(window.count)
                plan.finished(window)
            }
            #expect(all == size - from && under.isEmpty, "seed \(seed)")
        }
    }

    // MARK: Retries

    @Test func triesEndUnlessSomethingComes() {
        var plan = RetryPlan(triesMax: 4, first: .milliseconds(100), longest: .seconds(2))
        #expect(plan.failed(hasProgressed: false, chance: 0) == .milliseconds(50))
        #expect(plan.failed(hasProgressed: false, chance: 0.999_999)! > .milliseconds(199))
        #expect(plan.failed(hasProgressed: true, chance: 0) == .milliseconds(50))
        #expect(plan.failed(hasProgressed: false, chance: 0) != nil)
        #expect(plan.failed(hasProgressed: false, chance: 0) != nil)
        #expect(plan.failed(hasProgressed: false, chance: 0) == nil)
        var endless = RetryPlan(triesMax: 4, first: .milliseconds(1), longest: .seconds(2))
        var tries = 0
        while endless.failed(hasProgressed: true, chance: 0.5) != nil { tries += 1 }
        #expect(tries == RetryPlan.failuresMax - 1)
        #expect(
            RetryPlan.wait(failures: 60, first: .seconds(1), longest: .seconds(60), chance: 1)
                == .seconds(60))
    }

    // MARK: The cache

    private func ledger(_ budget: UInt64, _ items: [(String, UInt64, Int64)]) -> CacheLedger {
        var ledger = CacheLedger(budget: budget)
        for (key, bytes, use) in items {
            ledger.found(key, bytes: bytes, isComplete: true, lastUse: use)
        }
        return ledger
    }

    @Test func theLongestUnusedGoes() {
        var cache = ledger(100, [("a", 40, 3), ("b", 30, 1), ("c", 20, 2)])
        #expect(cache.reserve("d", bytes: 30, now: 4) == .granted(evict: ["b"]))
        #expect(cache.used == 90)
        cache.completed("d", now: 5)
        #expect(cache.reserve("e", bytes: 50, now: 6) == .granted(evict: ["c", "a"]))
    }

    @Test func whatIsHeldStays() {
        var cache = ledger(100, [("a", 40, 1), ("b", 40, 2)])
        #expect(cache.hold("a", now: 3) && !cache.hold("x", now: 3))
        #expect(cache.reserve("c", bytes: 50, now: 4) == .granted(evict: ["b"]))
        // A fetch is in use too.
        #expect(cache.reserve("d", bytes: 20, now: 5) == .full(inUse: 90))
        cache.release("a")
        #expect(cache.reserve("d", bytes: 20, now: 6) == .granted(evict: ["a"]))
    }

    @Test func whatIsTooLargeChangesNothing() {
        var cache = ledger(100, [("a", 40, 1)])
        #expect(cache.reserve("b", bytes: 101, now: 2) == .tooLarge)
        #expect(cache.used == 40)
        #expect(cache.reserve("b", bytes: 100, now: 2) == .granted(evict: ["a"]))
    }

    @Test func aPartCountsAndIsGoneOnWith() {
        var cache = ledger(100, [])
        #expect(cache.reserve("a", bytes: 80, now: 1) == .granted(evict: []))
        cache.abandoned("a", bytes: 30)
        #expect(cache.used == 30 && !cache.hold("a", now: 2))
        #expect(cache.reserve("a", bytes: 80, now: 3) == .granted(evict: []))
        cache.abandoned("a", bytes: 30)
        #expect(cache.reserve("b", bytes: 90, now: 4) == .granted(evict: ["a"]))
        cache.abandoned("b", bytes: 0)
        #expect(cache.used == 0)
    }

    @Test func aSmallerBudgetIsKept() {
        var cache = ledger(50, [("a", 40, 1), ("b", 30, 2), ("c", 10, 3)])
        #expect(cache.overdrawn() == ["a"])
        #expect(cache.used == 40)
        cache.forget("b")
        #expect(cache.used == 10)
    }

    @Test func theBudgetHoldsWhateverHappens() {
        let seed = UInt64.random(in: 0 ... .max)
        var dice = Dice(seed: seed)
        var cache = CacheLedger(budget: 1_000)
        var holds: [String] = []
        var fetching: Set<String> = []
        for now in Int64(0)..<5_000 {
            let key = "k\(Int.random(in: 0..<30, using: &dice))"
            switch Int.random(in: 0..<4, using: &dice) {
            case 0 where cache.hold(key, now: now): holds.append(key)
            case 1 where !holds.isEmpty:
                cache.release(holds.remove(at: Int.random(in: 0..<holds.count, using: &dice)))
            case 2 where !fetching.contains(key) && cache.items[key]?.holds ?? 0 == 0:
                let room = cache.reserve(
                    key, bytes: UInt64.random(in: 1...400, using: &dice), now: now)
                guard case .granted(let evicted) = room else { continue }
                fetching.insert(key)
                for gone in evicted {
                    #expect(!holds.contains(gone) && !fetching.contains(gone), "seed \(seed)")
                }
            default:
                guard let done = fetching.popFirst() else { continue }
                if Bool.random(using: &dice) {
                    cache.completed(done, now: now)
                    holds.append(done)
                } else {
                    cache.abandoned(done, bytes: 0)
                }
            }
            #expect(cache.used <= 1_000, "seed \(seed)")
        }
    }

    // MARK: The kept listing

    @Test func aListingComesBack() throws {
        let name = try #require(ModelName("iris"))
        let version = try #require(ModelVersion("12"))
        let known = KnownVersion(
            name: name, version: version, token: ChangeToken([.max, 3]),
            sha256: String(repeating: "a", count: 64))
        let bytes = KnownListing.text([known], source: "http://x s3://b")
        #expect(KnownListing.parse(bytes, source: "http://x s3://b") == [known])
        #expect(KnownListing.parse(bytes, source: "http://x s3://c") == nil)
        #expect(KnownListing.parse(Array("x".utf8), source: "") == nil)
        #expect(
            KnownListing.parse(bytes + Array("iris 0 1 aa\n".utf8), source: "http://x s3://b")
                == nil)
    }

    @Test func aSurveySortsObjects() {
        var survey = BucketSurvey(prefix: "p/")
        func see(_ key: String, _ tag: String = "\"1\"") {
            survey.visit(ListedObject(key: key, byteCount: 5, tag: tag))
        }
        see("p/iris/2/manifest.json")
        see("p/iris/2/weights/a.bin")
        see("p/iris/1/model.onnx")
        see("p/iris/0/manifest.json")
        see("p/iris/abc/manifest.json")
        see("p/../3/manifest.json")
        see("p/iris/2/")
        see("p/readme.md")
        see("q/iris/1/manifest.json")
        #expect(survey.versions.map { "\($0.name)/\($0.version)" } == ["iris/1", "iris/2"])
        #expect(survey.versions.map(\.hasManifest) == [false, true])
        #expect(survey.versions.last?.files == ["manifest.json": 5, "weights/a.bin": 5])
        #expect(survey.notes.count == 1)
        let before = survey.versions.last?.token
        var again = BucketSurvey(prefix: "p/")
        again.visit(ListedObject(key: "p/iris/2/manifest.json", byteCount: 5, tag: "\"1\""))
        again.visit(ListedObject(key: "p/iris/2/weights/a.bin", byteCount: 5, tag: "\"2\""))
        #expect(again.versions.last?.token != before)
    }

    // MARK: Troubles

    @Test func troublesAreToldApart() {
        func trouble(_ status: UInt, _ code: String) -> StoreTrouble {
            StoreTrouble(
                status: status,
                body: Array("<Error><Code>\(code)</Code><Message>m</Message></Error>".utf8))
        }
        #expect(!trouble(403, "SignatureDoesNotMatch").passes)
        #expect(trouble(403, "SignatureDoesNotMatch").why.contains("check the secret key"))
        #expect(trouble(400, "AuthorizationHeaderMalformed").why.contains("models.s3.region"))
        #expect(trouble(404, "NoSuchKey") == .missing(code: "NoSuchKey"))
        #expect(trouble(412, "PreconditionFailed") == .changed)
        #expect(
            trouble(503, "SlowDown").passes && trouble(500, "").passes && trouble(429, "").passes)
        #expect(!trouble(301, "PermanentRedirect").passes)
        #expect(StoreTrouble(status: 502, body: Array("<html>".utf8)).why == "it fails: 502")
    }
}
