// How long an issuer's word counts: refreshed ahead, believed a little longer while the issuer is away, asked for anew where
// the settings say so, not asked at all while its breaker is open.

import Admission
import Contract
import Synchronization
import Testing

private let down = CallFailure(.unavailable, .issuerUnavailable, "down")
private let notAccepted = CallFailure(.unavailable, .issuerRefused, "401")

private func issuer(_ verifier: any TokenVerifier, stale: Nanoseconds = .zero) -> TrustedIssuer {
    TrustedIssuer(name: "main", verifier: verifier, vocabulary: .local, stale: stale)
}

/// What the log would say.
private final class Journal: GateObserver {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func breaker(of issuer: String, became phase: Breaker.Phase) {
        lines.withLock { $0.append("\(issuer) \(phase.rawValue)") }
    }
    func staleAnswer(from issuer: String) { lines.withLock { $0.append("\(issuer) stale") } }
}

/// Fails five look-ups of other tokens, so that the breaker opens.
private func exhaust(_ house: House) async throws {
    for number in 0..<Breaker.failuresInRowMax {
        #expect(try await house.answer("other\(number)").credential == nil)
    }
    #expect(house.keeper.statistics.breakers["main"] == .open)
}

@Suite struct RefreshAheadTests {
    @Test func atEightyPercentTheIssuerIsAskedOnceAndNobodyWaits() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House([issuer(verifier)])
        try await house.open { () async throws in
            let first = try await house.credential()
            #expect(try await house.answer("unused").credential != nil)
            house.clock.advance(.milliseconds(23_999))
            #expect(try await house.show("token").credential === first)
            #expect(house.keeper.isFresh(first, now: house.clock.now))
            house.clock.advance(.milliseconds(1))
            verifier.hold()
            // The connection that asks first is sent to the cache, all others go on.
            #expect(!house.keeper.isFresh(first, now: house.clock.now))
            #expect(house.keeper.isFresh(first, now: house.clock.now))
            for _ in 0..<100 { #expect(try await house.show("token").credential === first) }
            #expect(await eventually { verifier.asked.count == 3 })
            verifier.release()
            #expect(await eventually { house.keeper.statistics.lookupsInProgress == 0 })
            let second = try #require(try await house.show("token").credential)
            #expect(second.freshUntil == house.clock.now + .seconds(30))
            #expect(house.told.count == 2, "nobody has waited since")
            // Nobody has shown the other one: its issuer is not asked for it.
            #expect(verifier.asked == ["token", "unused", "token"])
            #expect(house.keeper.statistics.counts.refreshes == 1)
        }
    }

    @Test func aRefreshThatFailsTakesNothingAway() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House([issuer(verifier, stale: .seconds(60))])
        try await house.open { () async throws in
            let first = try await house.credential()
            house.clock.advance(.seconds(25))
            verifier.answer { _ in .failure(down) }
            #expect(try await house.show("token").credential === first)
            #expect(await eventually { house.keeper.statistics.counts.failed == 1 })
            #expect(await eventually { house.keeper.statistics.lookupsInProgress == 0 })
            let again = try #require(try await house.show("token").credential)
            #expect(!again.isStale && house.keeper.statistics.counts.staleAnswers == 0)
            house.clock.advance(.seconds(5))
            #expect(!house.keeper.isFresh(first, now: house.clock.now))
        }
    }

    @Test func aRefreshThatSaysInactiveCountsAtOnce() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House([issuer(verifier)])
        try await house.open { () async throws in
            let first = try await house.credential()
            house.clock.advance(.seconds(25))
            verifier.answer { _ in .success(.inactive) }
            #expect(try await house.show("token").credential === first)
            #expect(await eventually { house.keeper.statistics.counts.inactive == 1 })
            #expect(!house.keeper.isFresh(first, now: house.clock.now))
            #expect(try await house.show("token").failure?.reason == .tokenInactive)
        }
    }
}

@Suite struct StaleAnswerTests {
    @Test func anAnswerIsBelievedForASetTimeWhileTheIssuerIsAway() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let journal = Journal()
        let house = try House([issuer(verifier, stale: .seconds(60))], observer: journal)
        try await house.open { () async throws in
            _ = try await house.credential()
            verifier.answer { _ in .failure(down) }
            house.clock.advance(.seconds(31))
            let first = try await house.credential()
            #expect(first.isStale && first.mayUse("iris"))
            #expect(house.keeper.statistics.counts.staleAnswers == 1)
            // It is asked for again at every chance, never believed for long at once.
            #expect(first.freshUntil == house.clock.now + .milliseconds(250))
            #expect(try await house.show("token").credential?.isStale == true)
            #expect(house.keeper.statistics.counts.staleAnswers == 2)
            house.clock.advance(.milliseconds(58_999))
            #expect(try await house.answer("token").credential?.isStale == true)
            #expect(journal.all == ["main stale", "main stale", "main stale"])
            // 90 s after the question.
            house.clock.advance(.milliseconds(1))
            #expect(try await house.answer("token").reason == .issuerUnavailable)
            #expect(house.keeper.statistics.counts.staleAnswers == 3)
            // And back again.
            verifier.answer(FakeVerifier.active())
            house.clock.advance(.seconds(1))
            #expect(try await house.answer("token").credential?.isStale == false)
        }
    }

    @Test func theOpenBreakerLetsThemBeGivenWithoutAsking() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let journal = Journal()
        let house = try House([issuer(verifier, stale: .seconds(60))], observer: journal)
        try await house.open { () async throws in
            _ = try await house.credential()
            verifier.answer { _ in .failure(down) }
            house.clock.advance(.seconds(31))
            try await exhaust(house)
            let asked = verifier.asked.count
            #expect(try await house.show("token").credential?.isStale == true)
            let failure = try await house.show("new").failure
            #expect(failure?.reason == .issuerUnavailable && failure?.retryAfter != nil)
            #expect(verifier.asked.count == asked)
            #expect(journal.all == ["main open", "main stale"])
        }
    }

    @Test func nobodyGetsOneWhoIsNotEntitledToIt() async throws {
        struct Case {
            var stale = Nanoseconds.seconds(60)
            var validFor: Nanoseconds? = .seconds(3_600)
            var failure = down
            var need: CallNeed?
        }
        let cases: [(String, Case)] = [
            ("not asked for in the settings", Case(stale: .zero)),
            ("the token has ended", Case(validFor: .seconds(31))),
            ("nobody knows when it ends", Case(validFor: nil)),
            ("the issuer was reached", Case(failure: notAccepted)),
            (
                "the call wants a young answer",
                Case(need: CallNeed(method: .modelControl, model: "m"))
            ),
        ]
        for (why, test) in cases {
            let verifier = FakeVerifier { _ in
                .success(
                    .active(
                        Identity(
                            issuer: "", client: "app", subject: "", scopes: ["models:admin"],
                            validFor: test.validFor)))
            }
            var policy = AccessPolicy()
            policy.ages = ScopeAges([.modelsAdmin: .seconds(5)])
            let house = try House([issuer(verifier, stale: test.stale)], policy: policy)
            try await house.open { () async throws in
                _ = try await house.credential()
                verifier.answer { _ in .failure(test.failure) }
                house.clock.advance(.seconds(31))
                for _ in 0..<2 {
                    let answer = try await house.answer("token", need: test.need)
                    #expect(answer.reason == test.failure.reason, "\(why)")
                }
                if test.need == nil {
                    #expect(house.keeper.statistics.counts.staleAnswers == 0, "\(why)")
                }
            }
        }
    }

    @Test func neverAfterTheIssuerHasSaidNo() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House([issuer(verifier, stale: .seconds(60))])
        try await house.open { () async throws in
            _ = try await house.credential()
            verifier.answer { _ in .success(.inactive) }
            house.clock.advance(.seconds(31))
            #expect(try await house.answer("token").reason == .tokenInactive)
            verifier.answer { _ in .failure(down) }
            house.clock.advance(.seconds(5))
            #expect(try await house.answer("token").reason == .issuerUnavailable)
            // A purge is a no of the operator.
            verifier.answer(FakeVerifier.active())
            house.clock.advance(.seconds(1))
            #expect(try await house.answer("token").credential != nil)
            house.keeper.purge(.everything)
            verifier.answer { _ in .failure(down) }
            #expect(try await house.answer("token").reason == .issuerUnavailable)
            #expect(house.keeper.statistics.counts.staleAnswers == 0)
        }
    }

    @Test func aMinuteIsTheMost() {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        #expect(issuer(verifier, stale: .seconds(600)).stale == .seconds(60))
    }
}

@Suite struct RestingIssuerTests {
    @Test func anIssuerThatRefusesUsIsNotCalledUnreachable() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let journal = Journal()
        let house = try House([issuer(verifier, stale: .seconds(60))], observer: journal)
        try await house.open { () async throws in
            _ = try await house.credential()
            verifier.answer { _ in .failure(notAccepted) }
            house.clock.advance(.seconds(31))
            try await exhaust(house)
            let asked = verifier.asked.count
            for token in ["token", "new"] {
                let failure = try #require(try await house.show(token).failure)
                #expect(failure.reason == .issuerRefused && failure.code == .unavailable)
                #expect(failure.notStarted && failure.retryAfter == .milliseconds(500))
            }
            #expect(verifier.asked.count == asked)
            #expect(house.keeper.statistics.counts.refusedByBreaker == 2)
            // The probe finds it gone: from then on that is what is said, and the old answer may be given.
            verifier.answer { _ in .failure(down) }
            house.clock.advance(.milliseconds(500))
            #expect(try await house.answer("probe").reason == .issuerUnavailable)
            #expect(try await house.show("new").failure?.reason == .issuerUnavailable)
            #expect(try await house.show("token").credential?.isStale == true)
            // And the next one finds it well.
            verifier.answer(FakeVerifier.active())
            house.clock.advance(.seconds(1))
            #expect(try await house.answer("token").credential?.isStale == false)
            #expect(journal.all == ["main open", "main open", "main stale", "main closed"])
        }
    }

    @Test func anIssuerThatIsNotAskedForTokensHasNoBreaker() async throws {
        let verifier = FakeVerifier { _ in .failure(down) }
        let house = try House([
            TrustedIssuer(
                name: "keys", verifier: verifier, vocabulary: .local, asksPerToken: false)
        ])
        try await house.open { () async throws in
            for number in 0..<20 {
                #expect(try await house.answer("made-up\(number)").reason == .issuerUnavailable)
            }
            verifier.answer(FakeVerifier.active())
            #expect(try await house.answer("good").credential != nil)
            #expect(verifier.asked.count == 21)
        }
    }
}

@Suite struct AgeByScopeTests {
    @Test func zeroAsksForEachCall() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active("models:admin infer:*"))
        var policy = AccessPolicy()
        policy.ages = ScopeAges([.modelsAdmin: .zero])
        let house = try House([issuer(verifier)], policy: policy)
        let unload = CallNeed(method: .repositoryUnload, model: "iris")
        let infer = CallNeed(method: .infer, model: "iris")
        try await house.open { () async throws in
            for number in 1...3 {
                let credential = try #require(
                    try await house.answer("token", need: unload).credential)
                #expect(verifier.asked.count == number)
                #expect(!house.keeper.isFresh(credential, need: unload, now: house.clock.now))
                #expect(house.keeper.isFresh(credential, need: infer, now: house.clock.now))
                #expect(try await house.show("token", need: infer).credential === credential)
            }
            #expect(verifier.asked.count == 3)
            // A revocation counts for such calls at once.
            verifier.answer { _ in .success(.inactive) }
            #expect(try await house.answer("token", need: unload).reason == .tokenInactive)
        }
    }

    @Test func aSecondIsASecond() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        var policy = AccessPolicy()
        let fraud = try #require(Scope("infer:fraud-*"))
        policy.ages = ScopeAges([fraud: .seconds(1)])
        let house = try House([issuer(verifier)], policy: policy)
        let need = CallNeed(method: .infer, model: "fraud-1")
        try await house.open { () async throws in
            _ = try await house.answer("token", need: need).get()
            house.clock.advance(.milliseconds(999))
            #expect(try await house.show("token", need: need).credential != nil)
            #expect(verifier.asked.count == 1)
            house.clock.advance(.milliseconds(1))
            #expect(try await house.answer("token", need: need).credential != nil)
            #expect(verifier.asked.count == 2)
        }
    }
}
