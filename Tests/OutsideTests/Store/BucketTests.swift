// A bucket's models from the listing to files on disk, against a store in process that does wrong what can be done wrong.

import Catalogue
import Contract
import Foundation
import Logging
import Outside
import Testing

@Suite struct BucketTests {
    private static let large = 700_000

    // MARK: Listing

    @Test func onlyManifestsAreReadAndOnce() async throws {
        try await BucketBench.with { bench in
            bench.publish("iris")
            bench.publish("wine", 2)
            bench.fake.put("p/half/1/model.onnx", [1, 2, 3])
            let scan = try await bench.repository.look()
            #expect(scan.models.map { "\($0.name)/\($0.version)" } == ["iris/1", "wine/2"])
            #expect(scan.models.allSatisfy { $0.fault == nil })
            #expect(scan.notes == ["'half/1' is passed over: it has no manifest.json"])
            #expect(bench.fake.asked("model.onnx").isEmpty)
            #expect(bench.fake.asked("manifest.json").count == 2)
            let again = try await bench.repository.look()
            #expect(again.models == scan.models)
            #expect(bench.fake.asked("manifest.json").count == 2)
            bench.publish("wine", 2, seed: 9)
            bench.publish("wine", 3)
            let third = try await bench.repository.look()
            #expect(third.models.map(\.version.number) == [1, 2, 3])
            #expect(third.models[1] != scan.models[1] && third.models[0] == scan.models[0])
            #expect(bench.fake.asked("manifest.json").count == 4)
            bench.fake.remove("p/iris/1/manifest.json")
            #expect(try await bench.repository.look().models.map(\.name.text) == ["wine", "wine"])
        }
    }

    @Test func listingsHavePages() async throws {
        try await BucketBench.with { bench in
            for number in 1...25 { bench.publish("m\(number)") }
            bench.fake.pages(of: 7)
            #expect(try await bench.repository.look().models.count == 25)
            let listings = bench.fake.questions.filter { $0.key.isEmpty }
            #expect(listings.count == 8)
            let first = try #require(listings.first)
            #expect(first.uri == "/models?list-type=2&prefix=p%2F")
            #expect(
                first.headers["authorization"]?.hasPrefix("AWS4-HMAC-SHA256 Credential=key/")
                    == true)
            #expect(bench.fake.questions.allSatisfy { !"\($0)".contains("hush") })
        }
    }

    @Test(
        "A manifest that is wrong is that version's fault alone",
        arguments: [
            ("not json", "JSON"), ("{\"format\":99}", "newer sluice"),
            (#"{"format":1,"name":"other","version":1,"files":[]}"#, "missing"),
        ])
    func brokenManifests(text: String, word: String) async throws {
        try await BucketBench.with { bench in
            bench.publish("iris")
            bench.fake.put("p/bad/1/manifest.json", Array(text.utf8))
            let models = try await bench.repository.look().models
            #expect(models.map(\.name.text) == ["bad", "iris"])
            #expect(models[0].fault?.contains(word) == true, "\(models[0].fault ?? "")")
            #expect(models[1].fault == nil)
        }
    }

    @Test func aManifestIsComparedWithTheListing() async throws {
        try await BucketBench.with { bench in
            bench.publish("short")
            bench.fake.put("p/short/1/model.onnx", [1])
            bench.publish("gone")
            bench.fake.remove("p/gone/1/model.onnx")
            bench.fake.put(
                "p/moved/1/manifest.json", BucketBench.manifest("elsewhere", 1, [1]))
            let models = try await bench.repository.look().models
            #expect(models.map(\.name.text) == ["gone", "moved", "short"])
            #expect(models[0].fault?.contains("'model.onnx' of manifest.json is missing") == true)
            #expect(models[1].fault?.contains("is for 'elsewhere' version 1") == true)
            #expect(models[2].fault?.contains("has 1 bytes, manifest.json says 1000") == true)
        }
    }

    @Test(
        "A store that fails",
        arguments: [
            (Mischief.status(403, code: "SignatureDoesNotMatch"), "check the secret key", false, 1),
            (.status(404, code: "NoSuchBucket"), "NoSuchBucket", false, 1),
            (.status(500, code: "InternalError"), "500", true, 4),
            (.silence, "sends nothing", true, 4),
        ])
    func failingStore(mischief: Mischief, word: String, passes: Bool, tries: Int) async throws {
        try await BucketBench.with { bench in
            bench.publish("iris")
            bench.fake.misbehave(always: mischief, for: "")
            let trouble = await #expect(throws: StoreTrouble.self) {
                try await bench.repository.look()
            }
            #expect(trouble?.why.contains(word) == true, "\(trouble?.why ?? "")")
            #expect(trouble?.passes == passes)
            #expect(bench.fake.questions.count == tries)
            bench.fake.misbehave()
            let scan = try await bench.repository.look()
            #expect(scan.models.count == 1)
        }
    }

    /// A gateway that starts while the store is down knows what the one before knew, and serves what it fetched.
    @Test func whatWasKnownOutlivesTheStore() async throws {
        try await BucketBench.withFolder { folder in
            let fake = try await FakeStore.start()
            try await BucketBench.running(fake, in: folder) { bench in
                bench.publish("iris")
                bench.publish("wine")
                let ear = try await bench.fetch(try await bench.entry("iris"))
                #expect(ear.hold != nil)
            }
            try await fake.stop()
            try await BucketBench.running(fake, in: folder) { bench in
                let scan = try #require(await bench.repository.remembered())
                #expect(scan.models.map(\.name.text) == ["iris", "wine"])
                let (iris, wine) = (
                    ModelEntry(index: 0, scan.models[0]), ModelEntry(index: 1, scan.models[1])
                )
                #expect(!bench.isAbsent(iris) && bench.isAbsent(wine))
                let trouble = await #expect(throws: StoreTrouble.self) {
                    try await bench.repository.look()
                }
                #expect(trouble?.passes == true)
                let failure = try #require(try await bench.fetch(wine).failure)
                #expect(failure.failure.code == .unavailable && !failure.isLasting)
                #expect(failure.failure.reason == .storeUnavailable)
                #expect(failure.failure.message.contains("store cannot be reached"))
            }
        }
    }

    // MARK: Fetching

    @Test func filesComeInWindowsVerifiedAndReadOnly() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris", bytes: Self.large)
            let entry = try await bench.entry("iris")
            #expect(bench.isAbsent(entry))
            let ear = try await bench.fetch(entry)
            #expect(ear.failure == nil && ear.hold != nil)
            #expect(try bench.fetched(entry) == model)
            let questions = bench.fake.asked("model.onnx")
            #expect(questions.count == 11 && questions.allSatisfy { $0.range != nil })
            #expect(questions.last?.headers["if-match"] == FakeStore.tag(model))
            let facts = try FileManager.default.attributesOfItem(atPath: entry.modelPath)
            #expect(facts[.posixPermissions] as? Int == 0o444)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: entry.directory).sorted()
                    == ["manifest.json", "model.onnx"])
            #expect(
                try FileManager.default.contentsOfDirectory(
                    atPath: bench.cache.path + "/fetching"
                ).isEmpty)
            #expect(!bench.isAbsent(entry))
            // Its hash is known from the way here.
            _ = try bench.inspector.inspect(entry)
            #expect(bench.inspector.counts.filesRead == 1)
        }
    }

    @Test func manyWhoWaitCostOneFetch() async throws {
        try await BucketBench.with { bench in
            bench.publish("iris", bytes: Self.large)
            let entry = try await bench.entry("iris")
            let ears = (0..<20).map { _ in FetchEar() }
            for ear in ears { bench.fetcher.fetch(entry, for: ear) }
            try await BucketBench.eventually { ears.allSatisfy(\.hasEnded) }
            #expect(ears.allSatisfy { $0.hold != nil })
            #expect(bench.fake.asked("model.onnx").count == 11)
        }
    }

    @Test func cutsAreGoneOnWith() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris", bytes: Self.large)
            let entry = try await bench.entry("iris")
            bench.fake.misbehave(
                once: [
                    .cutAfter(20_000), .cutAfter(0), .hangAfter(30_000),
                    .status(503, code: "SlowDown"), .cutAfter(1),
                ])
            let ear = try await bench.fetch(entry)
            #expect(ear.hold != nil, "\(String(describing: ear.failure))")
            #expect(try bench.fetched(entry) == model)
            #expect(
                bench.fake.asked("model.onnx").contains {
                    ($0.range?.lowerBound ?? 0) % 65_536 != 0
                })
        }
    }

    @Test(
        "A store that does not get better",
        arguments: [
            (Mischief.cutAfter(0), "ends the connection"), (.hangAfter(0), "sends nothing"),
            (.silence, "sends nothing"), (.status(500, code: "InternalError"), "status 500"),
            (.status(403, code: "AccessDenied"), "refuses this gateway"),
            (.otherTag, "was replaced"),
        ])
    func badStores(mischief: Mischief, word: String) async throws {
        try await BucketBench.with { bench in
            bench.publish("iris", bytes: Self.large)
            bench.publish("wine")
            let entry = try await bench.entry("iris")
            bench.fake.misbehave(
                once: mischief.needsARightAnswerFirst ? [.cutAfter(100)] : [], always: mischief,
                for: "iris/1/model.onnx")
            let failure = try #require(try await bench.fetch(entry).failure)
            #expect(failure.failure.code == .unavailable && !failure.isLasting)
            #expect(failure.failure.message.contains(word), "\(failure.failure.message)")
            #expect(bench.isAbsent(entry))
            // Another model is not disturbed, and this one comes when the store is well again.
            bench.fake.misbehave()
            #expect(try await bench.fetch(try await bench.entry("wine")).hold != nil)
            #expect(try await bench.fetch(entry).hold != nil)
        }
    }

    @Test func aStoreThatIgnoresRangeIsNoticed() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris", bytes: Self.large)
            bench.publish("wine", bytes: Self.large, seed: 5)
            let iris = try await bench.entry("iris")
            bench.fake.misbehave(once: [], always: .whole)
            #expect(try await bench.fetch(iris).hold != nil)
            #expect(try bench.fetched(iris) == model)
            #expect(bench.store.ignoresRanges)
            bench.fake.forget()
            #expect(try await bench.fetch(try await bench.entry("wine")).hold != nil)
            let questions = bench.fake.asked("model.onnx")
            #expect(questions.count == 1 && questions.first?.range == nil)
        }
    }

    @Test(
        "Content that is not the manifest's",
        arguments: [
            (Mischief.otherBytes, "has SHA-256"), (.longer, "has 700001 bytes"),
            (.status(404, code: "NoSuchKey"), "is missing"),
        ])
    func wrongContent(mischief: Mischief, word: String) async throws {
        try await BucketBench.with { bench in
            bench.publish("iris", bytes: Self.large)
            let entry = try await bench.entry("iris")
            bench.fake.misbehave(once: [], always: mischief)
            let failure = try #require(try await bench.fetch(entry).failure)
            #expect(failure.failure.code == .failedPrecondition && failure.isLasting)
            #expect(failure.failure.message.contains(word), "\(failure.failure.message)")
            #expect(failure.failure.message.contains("'model.onnx'"))
            #expect(bench.isAbsent(entry))
            bench.fake.misbehave()
            #expect(try await bench.fetch(entry).hold != nil)
        }
    }

    @Test func nobodyWaitsAnyMore() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris", bytes: Self.large)
            let entry = try await bench.entry("iris")
            bench.fake.misbehave(once: [
                .hangAfter(50_000), .hangAfter(0), .hangAfter(0), .hangAfter(0),
            ])
            let ear = FetchEar()
            bench.fetcher.fetch(entry, for: ear)
            try await BucketBench.eventually { !ear.fractions.isEmpty }
            ear.leave()
            try await BucketBench.eventually { ear.hasEnded }
            #expect(ear.failure?.failure.reason == .modelLoading)
            #expect(ear.failure?.isLasting == false)
            #expect(try await bench.fetch(entry).hold != nil)
            #expect(try bench.fetched(entry) == model)
        }
    }

    /// As after kill -9: what was verified is not asked for again, and what was half written is not believed.
    @Test func anotherProcessGoesOn() async throws {
        try await BucketBench.withFolder { folder in
            let fake = try await FakeStore.start()
            try await BucketBench.running(fake, in: folder) { bench in
                bench.publish("iris", bytes: Self.large)
                let entry = try await bench.entry("iris")
                #expect(try await bench.fetch(entry).hold != nil)
            }
            // Put the version back to where it was in the middle of it.
            let cache = folder.path + "/cache"
            let key = try #require(
                try FileManager.default.contentsOfDirectory(atPath: cache + "/versions").first)
            let parts = "\(cache)/fetching/\(key)/parts"
            try FileManager.default.createDirectory(
                atPath: parts, withIntermediateDirectories: true)
            var model = try Data(
                contentsOf: URL(filePath: "\(cache)/versions/\(key)/model.onnx"))
            try FileManager.default.removeItem(atPath: "\(cache)/versions/\(key)")
            let verified = 300_000
            model.replaceSubrange(verified..<model.count, with: Data(count: 100_000))
            try model.write(to: URL(filePath: parts + "/0"))
            let noted = (0..<8).map { UInt8(truncatingIfNeeded: verified >> (56 - 8 * $0)) }
            try Data(noted).write(to: URL(filePath: parts + "/0.done"))
            try Data([1]).write(to: URL(filePath: cache + "/fetching/stray.new"))
            fake.forget()
            try await BucketBench.running(fake, in: folder) { bench in
                #expect(!FileManager.default.fileExists(atPath: cache + "/fetching/stray.new"))
                #expect(bench.cache.usedBytes == 400_008)
                let entry = try await bench.entry("iris")
                #expect(bench.isAbsent(entry))
                #expect(try await bench.fetch(entry).hold != nil)
                #expect(
                    fake.asked("model.onnx").compactMap(\.range?.lowerBound).min() == verified)
            }
            // And when what was kept is not what it should be, it comes anew.
            try FileManager.default.removeItem(atPath: "\(cache)/versions/\(key)")
            try FileManager.default.createDirectory(
                atPath: parts, withIntermediateDirectories: true)
            try Data(count: verified).write(to: URL(filePath: parts + "/0"))
            try Data(noted).write(to: URL(filePath: parts + "/0.done"))
            fake.forget()
            try await BucketBench.running(fake, in: folder) { bench in
                let entry = try await bench.entry("iris")
                #expect(try await bench.fetch(entry).hold != nil)
                #expect(fake.asked("model.onnx").compactMap(\.range?.lowerBound).min() == 0)
            }
            try await fake.stop()
        }
    }

    // MARK: The cache

    @Test func theCacheKeepsItsBudget() async throws {
        var options = BucketBench.Options()
        options.budget = 2_500
        try await BucketBench.with(options) { bench in
            for (number, name) in ["a", "b", "c"].enumerated() {
                bench.publish(name, seed: UInt64(number))
            }
            bench.publish("huge", bytes: 3_000)
            let (a, b, c) = (
                try await bench.entry("a"), try await bench.entry("b"), try await bench.entry("c")
            )
            let first = try await bench.fetch(a)
            let second = try await bench.fetch(b)
            #expect(first.hold != nil && second.hold != nil)
            // Both are in use.
            let full = try #require(try await bench.fetch(c).failure)
            #expect(full.failure.code == .resourceExhausted)
            #expect(full.failure.message.contains("models.cache.bytes"))
            second.drop()
            #expect(try await bench.fetch(c).hold != nil)
            #expect(bench.isAbsent(b) && !bench.isAbsent(a) && !bench.isAbsent(c))
            #expect(!FileManager.default.fileExists(atPath: b.directory))
            let huge = try #require(try await bench.fetch(try await bench.entry("huge")).failure)
            #expect(huge.failure.code == .resourceExhausted)
            #expect(huge.failure.message.contains("models.cache.bytes"))
            #expect(huge.failure.message.contains("'huge'"))
        }
    }

    @Test func aCacheThatCannotBeWritten() async throws {
        var options = BucketBench.Options()
        // A file where a folder should be: nobody can write there, root neither.
        options.cachePath = "/dev/null/cache"
        try await BucketBench.with(options) { bench in
            bench.publish("iris")
            let entry = try await bench.entry("iris")
            let failure = try #require(try await bench.fetch(entry).failure)
            #expect(failure.failure.code == .unavailable && !failure.isLasting)
            #expect(failure.failure.message.contains("models.cache.path"))
            #expect(!failure.failure.message.contains("/dev/null"))
        }
    }

    @Test func twoGatewaysDoNotShareACache() async throws {
        try await BucketBench.with { bench in
            let error = #expect(throws: GatewayError.self) {
                try CacheFolder(
                    path: bench.cache.path, budget: 1 << 30, logger: .init(label: "second"),
                    wallClock: { 0 })
            }
            #expect(error?.description.contains("models.cache.path") == true)
        }
    }

    @Test func aRemovedVersionIsFetchedAgain() async throws {
        try await BucketBench.with { bench in
            bench.publish("iris")
            let entry = try await bench.entry("iris")
            let ear = try await bench.fetch(entry)
            ear.drop()
            try FileManager.default.removeItem(atPath: entry.directory)
            _ = try await bench.repository.look()
            #expect(bench.isAbsent(entry))
            #expect(try await bench.fetch(entry).hold != nil)
        }
    }

    /// A model made ready to be mapped is mapped, wherever it comes from.
    @Test func aManifestSaysTheSameInABucketAsInAFolder() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris")
            let text = String(decoding: BucketBench.manifest("iris", 1, model), as: UTF8.self)
                .replacing(
                    "\"format\":1",
                    with: """
                        "format":1,"load":"mapped","limits":{"timeout_ms":5},"measured":{"load_us":7}
                        """
                )
                .replacing("\"shape\":[-1]", with: "\"shape\":[-1,2],\"labels\":[\"a\",\"b\"]")
            bench.fake.put("p/iris/1/manifest.json", Array(text.utf8))
            let entry = try await bench.entry("iris")
            #expect(entry.load == .mapped)
            #expect(entry.labels == ["y": ["a", "b"]])
            #expect(entry.limits.timeout == .milliseconds(5))
            #expect(entry.measured.load == .microseconds(7))
        }
    }

    /// New limits in a manifest are no new content: nothing is fetched, and the manifest beside the files follows.
    @Test func aNewManifestForTheSameFiles() async throws {
        try await BucketBench.with { bench in
            let model = bench.publish("iris")
            let before = try await bench.entry("iris")
            _ = try await bench.fetch(before)
            let text = String(
                decoding: BucketBench.manifest("iris", 1, model), as: UTF8.self
            )
            .replacing("\"format\":1", with: "\"format\":1,\"limits\":{\"timeout_ms\":5}")
            bench.fake.put("p/iris/1/manifest.json", Array(text.utf8))
            let after = try await bench.entry("iris")
            #expect(after.directory == before.directory && after.limits != before.limits)
            #expect(!bench.isAbsent(after))
            #expect(
                try String(contentsOfFile: after.directory + "/manifest.json", encoding: .utf8)
                    == text)
        }
    }

    // MARK: Writing to the bucket

    @Test func objectsAreStoredAndRemoved() async throws {
        try await BucketBench.with { bench in
            try await bench.store.put(Array("{}".utf8), key: "p/x/1/manifest.json")
            #expect(bench.fake.object("p/x/1/manifest.json") == Array("{}".utf8))
            let file = bench.folder.path + "/big"
            let bytes = [UInt8](repeating: 7, count: 3 << 20)
            try Data(bytes).write(to: URL(filePath: file))
            try await bench.store.put(
                file: file, key: "p/x/1/model file.onnx", sha256: String(repeating: "0", count: 64))
            #expect(bench.fake.object("p/x/1/model file.onnx") == bytes)
            let put = try #require(bench.fake.questions.last)
            #expect(put.headers["x-amz-content-sha256"] == String(repeating: "0", count: 64))
            #expect(put.headers["content-length"] == "\(3 << 20)")
            #expect(try await bench.store.list(prefix: "p/x/").map(\.byteCount) == [2, 3 << 20])
            try await bench.store.delete("p/x/1/manifest.json")
            try await bench.store.delete("p/x/1/manifest.json")
            #expect(bench.fake.object("p/x/1/manifest.json") == nil)
        }
    }
}

extension Mischief {
    /// Only noticed against an earlier answer.
    fileprivate var needsARightAnswerFirst: Bool {
        if case .otherTag = self { true } else { false }
    }
}
