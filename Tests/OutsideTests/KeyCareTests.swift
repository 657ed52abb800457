// When keys are fetched: as readable transcripts over a made clock, and against a server with faults.

import Contract
import Logging
import Outside
import Synchronization
import Testing

@Suite struct KeyCareTests {
    private func set(_ kid: String) throws -> KeySet {
        try KeySet.read(Array(#"{"keys":[{\#(TestKeys.ecJWK),"kid":"\#(kid)"}]}"#.utf8))
    }

    private func at(_ seconds: UInt64) -> Instant {
        Instant(nanoseconds: (1_000_000 + seconds) * 1_000_000_000)
    }

    private func ask(_ care: inout KeyCare, _ kid: String, _ seconds: UInt64) -> String {
        switch care.ask(id: kid, algorithm: .es256, now: at(seconds)) {
        case .use(_, let fetch): fetch ? "use, fetch" : "use"
        case .wait(let fetch): fetch ? "fetch" : "wait"
        case .unknown: "unknown"
        case .unavailable: "unavailable"
        }
    }

    @Test func keysAreFetchedOnceAndAgainAfterTheirAge() throws {
        var care = KeyCare()
        #expect(ask(&care, "a", 0) == "fetch")
        #expect(ask(&care, "a", 0) == "wait", "one fetch at a time")
        care.fetched(try set("a"), maxAge: .seconds(600), now: at(1))
        #expect(ask(&care, "a", 1) == "use" && ask(&care, "a", 600) == "use")
        #expect(ask(&care, "a", 602) == "use, fetch")
        #expect(ask(&care, "a", 603) == "use", "the fetch is under way")
        #expect(ask(&care, "a", 662) == "wait", "but not for ever")
        care.fetched(try set("b"), maxAge: nil, now: at(663))
        #expect(ask(&care, "b", 663) == "use")
        #expect(ask(&care, "a", 663) == "fetch", "gone, so it may be newer still")
    }

    @Test(arguments: [(0, 300), (7, 300), (400, 400), (86_400, 86_400), (1 << 31, 86_400)])
    func theAgeIsBounded(said: UInt64, counts: UInt64) throws {
        var care = KeyCare()
        _ = ask(&care, "a", 0)
        care.fetched(try set("a"), maxAge: .seconds(said), now: at(0))
        #expect(ask(&care, "a", counts - 1) == "use")
        #expect(ask(&care, "a", counts) != "use")
    }

    @Test func namesThatAreMadeUpCauseFewFetches() throws {
        var care = KeyCare()
        _ = ask(&care, "a", 0)
        care.fetched(try set("a"), maxAge: .seconds(86_400), now: at(0))
        var fetches = 0
        for second in 1...3_600 as ClosedRange<UInt64> {
            for name in 0..<5 where ask(&care, "made up \(name)", second) == "fetch" {
                fetches += 1
                care.fetched(try set("a"), maxAge: .seconds(86_400), now: at(second))
            }
            #expect(ask(&care, "a", second) == "use")
        }
        #expect(fetches >= 10 && fetches <= 17, "10 s, 20 s ... 300 s apart: \(fetches)")
    }

    @Test func aNewKeyIsFoundAtOnce() throws {
        var care = KeyCare()
        _ = ask(&care, "a", 0)
        care.fetched(try set("a"), maxAge: nil, now: at(0))
        #expect(ask(&care, "b", 5) == "fetch")
        care.fetched(try set("b"), maxAge: nil, now: at(5))
        #expect(ask(&care, "b", 5) == "use")
        #expect(ask(&care, "c", 6) == "unknown", "ten seconds later at the earliest")
        #expect(ask(&care, "c", 15) == "fetch")
    }

    @Test func whileFetchesFailTheOldKeysStayForADay() throws {
        var care = KeyCare()
        #expect(ask(&care, "a", 0) == "fetch")
        care.failed(now: at(0))
        #expect(ask(&care, "a", 0) == "unavailable")
        #expect(ask(&care, "a", 1) == "fetch", "with nothing at hand the pause is short")
        care.fetched(try set("a"), maxAge: .seconds(300), now: at(1))
        #expect(ask(&care, "a", 400) == "fetch")
        care.failed(now: at(402))
        #expect(ask(&care, "a", 402) == "use" && ask(&care, "b", 402) == "unavailable")
        #expect(ask(&care, "a", 412) == "fetch", "10 s later")
        care.failed(now: at(412))
        #expect(ask(&care, "a", 431) == "use" && ask(&care, "a", 432) == "fetch", "20 s later")
        care.failed(now: at(432))
        #expect(ask(&care, "a", 86_401) == "fetch", "too old now")
        care.failed(now: at(86_401))
        #expect(ask(&care, "a", 86_402) == "unavailable")
    }
}

#if JWT
    @Suite struct KeyFetchTests {
        private let now: Int64 = 1_800_000_000

        private func token(_ kid: String, _ issuer: String, key: String = TestKeys.ec) async throws
            -> String
        {
            try await mint(
                #"{"iss":"\#(issuer)","aud":"gw","exp":1800000100}"#,
                header: #"{"alg":"ES256","kid":"\#(kid)"}"#, key: key)
        }

        private func settings(_ issuer: String, _ source: KeySource) -> JWKSSettings {
            var settings = JWKSSettings(
                expectation: TokenExpectation(
                    issuerName: "main", issuer: issuer, audiences: ["gw"]),
                signatures: SignatureSettings(source: source))
            settings.allowsPlaintextOnLoopback = true
            settings.timeout = .milliseconds(500)
            return settings
        }

        private func keys(_ kid: String, _ jwk: String = TestKeys.ecJWK) -> Fault {
            .answer(body: #"{"keys":[{\#(jwk),"kid":"\#(kid)"}]}"#)
        }

        @Test func aThousandFirstTokensCauseOneFetch() async throws {
            let server = try await FaultyServer.start(keys("a"))
            let token = try await token("a", "https://as")
            try await withVerifier(
                settings("https://as", .address(server.base + "/jwks")), wallClock: now
            ) { verifier in
                await withTaskGroup(of: String.self) { group in
                    for _ in 0..<1_000 { group.addTask { await word(verifier, token) } }
                    for await said in group { #expect(said == "active") }
                }
            }
            #expect(server.count("/jwks") == 1)
            let question = try #require(server.questions.first)
            #expect(question.method == "GET" && question.headers["authorization"] == nil)
            try await server.stop()
        }

        @Test func aRotationIsFollowed() async throws {
            let server = try await FaultyServer.start(keys("a"))
            let time = Mutex<UInt64>(1_000_000_000_000)
            let (old, new) = (
                try await token("a", "https://as"),
                try await token("b", "https://as", key: TestKeys.other)
            )
            try await withVerifier(
                settings("https://as", .address(server.base + "/jwks")), wallClock: now,
                clock: { Instant(nanoseconds: time.withLock { $0 }) }
            ) { verifier in
                #expect(await word(verifier, old) == "active")
                server.answer(keys("b", TestKeys.otherJWK))
                #expect(await word(verifier, new) == "active", "an unknown kid refreshes at once")
                #expect(await word(verifier, old) == "inactive", "and the old key is gone")
                #expect(server.count("/jwks") == 2)
                server.answer(.answer(status: 500, body: ""))
                time.withLock { $0 += 3_700_000_000_000 }
                #expect(await word(verifier, new) == "active", "kept while the issuer is down")
                #expect(await word(verifier, old) == "ISSUER_UNAVAILABLE")
                #expect(server.count("/jwks") == 3)
            }
            try await server.stop()
        }

        static let faults: [(String, Fault)] = [
            ("redirect", .answer(status: 302, body: "", headers: [("Location", "/other")])),
            ("10 MB", .endless(bytes: 10 << 20)), ("silence", .silence),
            ("head only", .headThenSilence), ("hang up", .hangUp),
            ("garbage", .garbage("x\r\n\r\n")),
            ("html", .answer(type: "text/html", body: "<h1>no</h1>")),
            ("broken", .answer(body: #"{"keys":["#)), ("empty", .answer(body: "")),
            ("no keys", .answer(body: #"{"keys":[]}"#)),
            ("duplicate", .answer(body: #"{"keys":[],"keys":[]}"#)),
            ("401", .answer(status: 401, body: "")), ("500", .answer(status: 500, body: "")),
            (
                "small RSA",
                .answer(body: #"{"keys":[{\#(TestKeys.smallJWK),"kid":"a"}]}"#)
            ),
        ]

        @Test(arguments: faults.indices) func withoutKeysNobodyIsLetIn(_ index: Int) async throws {
            let (name, fault) = Self.faults[index]
            let server = try await FaultyServer.start(keys("a"))
            server.answer("/jwks", fault)
            let book = LogBook()
            let token = try await token("a", "https://as")
            try await withVerifier(
                settings("https://as", .address(server.base + "/jwks")), book: book, wallClock: now
            ) { verifier in
                #expect(await word(verifier, token) == "ISSUER_UNAVAILABLE", "\(name)")
                #expect(await word(verifier, token) == "ISSUER_UNAVAILABLE", "\(name), again")
            }
            #expect(server.count("/jwks") == 1, "\(name): a pause before the next")
            #expect(server.count("/other") == 0)
            #expect(book.all.map(\.level) == [.warning], "\(name): \(book.all)")
            try await server.stop()
        }

        @Test func discoveryIsBelievedOnlyOfItsOwnIssuer() async throws {
            let server = try await FaultyServer.start(.answer(status: 404, body: ""))
            let issuer = server.base + "/tenant/"
            server.answer("/jwks", keys("a"))
            let path = "/tenant/.well-known/openid-configuration"
            let token = try await token("a", issuer)
            for (document, expected) in [
                (#"{"issuer":"\#(issuer)","jwks_uri":"\#(server.base)/jwks"}"#, "active"),
                (
                    #"{"issuer":"https://evil","jwks_uri":"\#(server.base)/jwks"}"#,
                    "ISSUER_UNAVAILABLE"
                ),
                (
                    #"{"issuer":"\#(issuer)","jwks_uri":"http://as.example/jwks"}"#,
                    "ISSUER_UNAVAILABLE"
                ),
                (#"{"issuer":"\#(issuer)"}"#, "ISSUER_UNAVAILABLE"),
                ("<html>", "ISSUER_UNAVAILABLE"),
            ] {
                server.answer(path, .answer(body: document))
                try await withVerifier(
                    settings(issuer, .discovery(issuer: issuer)), wallClock: now
                ) { verifier in
                    #expect(await word(verifier, token) == expected, "\(document)")
                }
            }
            try await server.stop()
        }

        @Test(arguments: ["http://as.example/jwks", "https://u:p@as/jwks", "ftp://as", ""])
        func addressesOfKeysAreChecked(url: String) async throws {
            let error = await #expect(throws: GatewayError.self) {
                try await withVerifier(settings("https://as", .address(url))) { _ in }
            }
            #expect(error?.kind == .configuration && error?.message.contains("jwks_url") == true)
        }
    }
#endif
