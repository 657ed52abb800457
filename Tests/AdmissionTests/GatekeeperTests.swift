// The gate with fake issuers, a fake clock and testing event loops: no I/O, no waiting.

import Admission
import Contract
import NIOCore
import NIOEmbedded
import Testing

/// What callers see of it is `unknown`; the rule is for the audit log.
private func hidden(_ model: String) -> CallFailure {
    var failure = House.unknown(model)
    failure.rule = "auth.scopes"
    return failure
}

@Suite struct IdentifyTests {
    @Test func aThousandFirstUsesAtOnceAskExactlyOnce() async throws {
        let verifier = FakeVerifier(holding: true, answer: FakeVerifier.active())
        let house = try House(verifier)
        let loops = [NIOAsyncTestingEventLoop(), NIOAsyncTestingEventLoop(), house.loop]
        try await house.open {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<1_000 {
                    group.addTask { try await house.show("token", on: loops[index % 3]) }
                }
                try await group.waitForAll()
            }
            #expect(await eventually { verifier.asked.count == 1 })
            #expect(house.told.count == 0)
            verifier.release()
            #expect(await eventually { house.told.count == 1_000 })
            #expect(house.told.credentials.count == 1_000)
            #expect(verifier.asked == ["token"])
            let again = try await house.show("token")
            #expect(again.credential?.identity.client == "app")
            #expect(again.credential?.identity.issuer == "main")
            #expect(verifier.asked.count == 1)
        }
    }

    @Test func aTokenIsAskedAgainWhenItsAnswerHasLapsed() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House(verifier)
        try await house.open {
            let credential = try await house.credential()
            #expect(house.keeper.isFresh(credential, now: house.clock.now))
            house.clock.advance(.seconds(30))
            #expect(!house.keeper.isFresh(credential, now: house.clock.now))
            verifier.answer { _ in .success(.inactive) }
            try await house.show("token")
            #expect(await eventually { house.told.failures.count == 1 })
            #expect(house.told.failures.first?.reason == .tokenInactive)
            #expect(try await house.show("token").failure?.reason == .tokenInactive)
            #expect(verifier.asked.count == 2)
        }
    }

    @Test(arguments: [
        (nil, Reason.tokenMissing), ("", .tokenMissing), ("a b", .tokenMalformed),
        ("x&client_id=evil", .tokenMalformed), ("a\r\nb", .tokenMalformed),
        (String(repeating: "a", count: 16_385), .tokenMalformed),
    ])
    func nobodyIsAskedAboutWhatIsNoToken(token: String?, reason: Reason) async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try House(verifier)
        try await house.open {
            let failure = try await house.show(token).failure
            #expect(failure?.code == .unauthenticated && failure?.reason == reason)
        }
        #expect(verifier.asked.isEmpty)
    }

    @Test func anIssuerThatIsDownIsNotAVerdict() async throws {
        let verifier = FakeVerifier { _ in
            .failure(CallFailure(.unavailable, .issuerUnavailable, "down"))
        }
        let house = try House(verifier)
        try await house.open {
            try await house.show("token")
            #expect(await eventually { house.told.count == 1 })
            let failure = try #require(house.told.failures.first)
            #expect(failure.code == .unavailable && failure.retryAfter != nil)
            // Back again: served at once.
            verifier.answer(FakeVerifier.active())
            house.clock.advance(.milliseconds(250))
            try await house.show("token")
            #expect(await eventually { house.told.credentials.count == 1 })
        }
    }

    @Test func eachWaiterHasItsOwnDeadline() async throws {
        let verifier = FakeVerifier(holding: true, answer: FakeVerifier.active())
        let house = try House(verifier)
        try await house.open {
            let now = house.clock.now.nanoseconds
            await house.loop.advanceTime(to: .uptimeNanoseconds(now))
            try await house.show("token", patience: .seconds(1))
            try await house.show("token", patience: .seconds(3))
            await house.loop.advanceTime(to: .uptimeNanoseconds(now + 1_000_000_000))
            await house.loop.run()
            #expect(house.told.failures.map(\.code) == [.deadlineExceeded])
            verifier.release()
            #expect(await eventually { house.told.credentials.count == 1 })
            // The timer of the one that was served is gone.
            await house.loop.advanceTime(to: .uptimeNanoseconds(now + 9_000_000_000))
            #expect(house.told.count == 2)
        }
    }

    @Test func oneWhoLeavesIsToldNothingAndHoldsUpNobody() async throws {
        let verifier = FakeVerifier(holding: true, answer: FakeVerifier.active())
        let house = try House(verifier)
        try await house.open {
            guard case .asked(let first) = try await house.show("token") else {
                Issue.record("the issuer must be asked")
                return
            }
            try await house.show("token")
            house.keeper.cancel(first)
            verifier.release()
            #expect(await eventually { house.told.count == 1 })
            await house.loop.run()
            #expect(house.told.count == 1 && house.told.credentials.count == 1)
        }
    }

    @Test func aVerifierThatNeverReturnsHoldsUpItsSlotOnly() async throws {
        let stuck = FakeVerifier(holding: true, answer: FakeVerifier.active())
        var limits = AdmissionLimits()
        limits.lookups = 2
        limits.lookupsForKnown = 0
        limits.queuedLookups = 0
        let house = try House(stuck, limits: limits, overdueAtOnce: true)
        try await house.open {
            for token in ["a", "b"] { try await house.show(token) }
            #expect(await eventually { house.told.failures.count == 2 })
            #expect(house.told.failures.allSatisfy { $0.reason == .issuerUnavailable })
            // Both slots are taken until the verifier returns.
            #expect(try await house.show("c").failure?.code == .resourceExhausted)
            stuck.release()
            #expect(
                await eventually { stuck.asked.count == 2 })
        }
    }

    @Test func whoWaitsWhenTheGateClosesIsTold() async throws {
        let verifier = FakeVerifier(holding: true, answer: FakeVerifier.active())
        let house = try House(verifier)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await house.keeper.run() }
            try await house.show("token")
            #expect(await eventually { verifier.asked.count == 1 })
            group.cancelAll()
            #expect(await eventually { house.told.failures.count == 1 })
            verifier.release()
        }
        #expect(house.told.failures.first?.reason == .stopping)
        #expect(try await house.show("other").failure?.reason == .stopping)
    }

    @Test func theSameTokenOfTwoIssuersIsTwoThings() async throws {
        let first = FakeVerifier(answer: FakeVerifier.active("infer:a"))
        let second = FakeVerifier(answer: FakeVerifier.active("infer:b"))
        let house = try House([
            TrustedIssuer(
                name: "one", verifier: first, vocabulary: .local, serverNames: ["one.test"]),
            TrustedIssuer(
                name: "two", verifier: second, vocabulary: .local, serverNames: ["two.test"]),
        ])
        try await house.open {
            try await house.show("same", peer: Peer(address: "", serverName: "one.test"))
            #expect(await eventually { house.told.count == 1 })
            try await house.show("same", peer: Peer(address: "", serverName: "two.test"))
            #expect(await eventually { house.told.count == 2 })
            #expect(house.told.credentials.map { $0.mayUse("a") } == [true, false])
            #expect(house.told.credentials.map(\.identity.issuer) == ["one", "two"])
            let nobody = try await house.show("same", peer: Peer(address: "", serverName: "x"))
            #expect(nobody.failure?.reason == .tokenInactive)
        }
        #expect(first.asked.count == 1 && second.asked.count == 1)
    }

    @Test func aBoundTokenCountsOnItsSessionOnly() async throws {
        let digest = [UInt8](repeating: 7, count: 32)
        let verifier = FakeVerifier(answer: FakeVerifier.active(digest: digest))
        let house = try House(verifier)
        let mine = Peer(address: "", certificateDigest: digest)
        let other = Peer(address: "", certificateDigest: [UInt8](repeating: 8, count: 32))
        try await house.open {
            try await house.show("token", peer: other)
            #expect(await eventually { house.told.failures.count == 1 })
            #expect(house.told.failures.first?.code == .unauthenticated)
            #expect(try await house.show("token", peer: mine).credential != nil)
            #expect(try await house.show("token", peer: Peer(address: "")).failure != nil)
        }
        #expect(verifier.asked.count == 1)
    }

    @Test func newSettingsJudgeAnew() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active("role"))
        let house = try House(verifier)
        try await house.open {
            let before = try await house.credential()
            #expect(!before.mayUse("iris"))
            house.keeper.reload(
                policy: AccessPolicy(scopes: try ScopePolicy(foreign: ["role": ["infer:iris"]])))
            #expect(!house.keeper.isFresh(before, now: house.clock.now))
            // Judged anew from what the issuer said: it is not asked again.
            let last = try #require(try await house.show("token").credential)
            #expect(last.mayUse("iris") && verifier.asked.count == 1)
            #expect(house.keeper.isFresh(last, now: house.clock.now))
            house.keeper.forgetEverything()
            #expect(!house.keeper.isFresh(last, now: house.clock.now))
        }
    }

    @Test func aTokenIsNeverSaid() async throws {
        let canary = "canary-4b1d-token"
        let verifier = FakeVerifier { _ in .success(.inactive) }
        let house = try House(verifier)
        var said: [String] = []
        try await house.open { try await house.show(canary) }
        said += house.told.failures.map { String(reflecting: $0) }
        said.append(String(reflecting: try await house.show(canary)))
        said.append(String(reflecting: try await house.show(canary + "&")))
        said.append("\(try await house.show(canary + " "))")
        var dumped = ""
        dump(house.keeper, to: &dumped)
        said.append(dumped)
        #expect(!said.joined().contains("4b1d"))
    }
}

@Suite struct AdmitTests {
    private func admitted(
        _ house: House, _ credential: Credential, _ method: Contract.Method, _ model: String
    ) -> CallFailure? {
        do throws(CallFailure) {
            _ = try house.keeper.admit(
                credential, method: method, model: model, now: house.clock.now)
            return nil
        } catch {
            return error
        }
    }

    @Test func scopesDecide() async throws {
        let house = try House(FakeVerifier(answer: FakeVerifier.active("infer:iris")))
        try await house.open {
            let credential = try await house.credential()
            #expect(admitted(house, credential, .infer, "iris") == nil)
            #expect(admitted(house, credential, .repositoryIndex, "") == nil)
            // A forbidden model answers exactly like one that does not exist.
            #expect(admitted(house, credential, .infer, "digits") == hidden("digits"))
            #expect(admitted(house, credential, .modelMetadata, "digits") == hidden("digits"))
            let load = admitted(house, credential, .repositoryLoad, "iris")
            #expect(load?.code == .permissionDenied && load?.reason == .scopeMissing)
            #expect(load?.message.contains("models:admin") == true)
            #expect(load == admitted(house, credential, .repositoryLoad, "nonexistent"))
        }
    }

    @Test func anExpiredTokenIsNotAdmitted() async throws {
        let house = try House(FakeVerifier(answer: FakeVerifier.active()))
        try await house.open {
            let credential = try await house.credential()
            house.clock.advance(.seconds(3_600))
            let failure = admitted(house, credential, .infer, "iris")
            #expect(failure?.code == .unauthenticated && failure?.reason == .tokenExpired)
        }
    }

    @Test func slotsAreHeldUntilThePassIsGone() async throws {
        var limits = AdmissionLimits()
        limits.callsPerClient = 2
        let house = try House(FakeVerifier(answer: FakeVerifier.active()), limits: limits)
        try await house.open {
            let credential = try await house.credential()
            let other = try await house.credential("other-token-of-the-same-client")
            let now = house.clock.now
            func pass(_ credential: Credential) throws -> Pass {
                try house.keeper.admit(credential, method: .infer, model: "m", now: now)
            }
            let first = try pass(credential)
            do {
                let second = try pass(other)
                #expect(house.keeper.callsInProgress == 2)
                let failure = admitted(house, credential, .infer, "m")
                #expect(failure?.code == .resourceExhausted && failure?.reason == .tooManyCalls)
                #expect(failure?.retryAfter != nil && failure?.message.contains("2") == true)
                #expect(house.keeper.callsInProgress == 2)
                _ = second
            }
            #expect(house.keeper.callsInProgress == 1)
            #expect(admitted(house, credential, .infer, "m") == nil)
            _ = first
        }
        #expect(house.keeper.callsInProgress == 0)
    }

    @Test func callsAreBoundedInAll() async throws {
        var limits = AdmissionLimits()
        limits.calls = 1
        let house = try House(FakeVerifier(answer: FakeVerifier.active()), limits: limits)
        try await house.open {
            let credential = try await house.credential()
            let pass = try house.keeper.admit(
                credential, method: .infer, model: "m", now: house.clock.now)
            #expect(admitted(house, credential, .infer, "m")?.reason == .tooManyCalls)
            #expect(credential.account.count == 1)
            // New settings hold for the next call.
            house.keeper.apply(calls: 3, callsPerClient: 2, tokenBytes: 4)
            #expect(admitted(house, credential, .infer, "m") == nil)
            let second = try house.keeper.admit(
                credential, method: .infer, model: "m", now: house.clock.now)
            let refused = admitted(house, credential, .infer, "m")
            #expect(refused?.message.contains("calls_per_client") == true)
            await #expect(throws: CallFailure.self) { try await house.credential("longer") }
            _ = second
            _ = pass
        }
        #expect(house.keeper.callsInProgress == 0)
    }

    @Test func aRefusedCallTakesNoSlot() async throws {
        let house = try House(FakeVerifier(answer: FakeVerifier.active("infer:iris")))
        try await house.open {
            let credential = try await house.credential()
            for _ in 0..<1_000 {
                #expect(admitted(house, credential, .infer, "other") != nil)
                #expect(admitted(house, credential, .repositoryLoad, "iris") != nil)
            }
            #expect(house.keeper.callsInProgress == 0 && credential.account.count == 0)
        }
    }
}
