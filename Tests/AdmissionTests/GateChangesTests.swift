// What changes while it runs (purges, other issuers), who is known by a certificate, and why a caller may.

import Admission
import Contract
import Testing

/// Says of `a1` that it is client `a`'s, whose subject is `a1`.
private func byName(_ scopes: String = "infer:*") -> FakeVerifier {
    FakeVerifier { token in
        .success(
            .active(
                Identity(
                    issuer: "", client: String(token.prefix(1)), subject: token,
                    scopes: scopes.split(separator: " ").map(String.init),
                    validFor: .seconds(3_600))))
    }
}

@Suite struct PurgeTests {
    /// Which of `a1`, `a2` and `b1` are asked about again after it.
    private func forgotten(
        _ selector: PurgeSelector, count: Int
    ) async throws -> [String] {
        let verifier = byName()
        let house = try House(verifier)
        let tokens = ["a1", "a2", "b1"]
        try await house.open { () async throws in
            var held: [Credential] = []
            for token in tokens { held.append(try await house.credential(token)) }
            #expect(house.keeper.purge(selector) == count)
            #expect(house.keeper.statistics.counts.purged == UInt64(count))
            #expect(house.keeper.statistics.activeEntries == 3 - count)
            // What connections hold is looked up again before its next call.
            for credential in held {
                #expect(!house.keeper.isFresh(credential, now: house.clock.now))
            }
            for token in tokens {
                let credential = try await house.credential(token)
                #expect(house.keeper.isFresh(credential, now: house.clock.now))
            }
        }
        return Array(verifier.asked.dropFirst(3))
    }

    @Test func bySubject() async throws {
        #expect(try await forgotten(.subject("a2"), count: 1) == ["a2"])
    }

    @Test func byClient() async throws {
        #expect(try await forgotten(.client("a"), count: 2) == ["a1", "a2"])
    }

    @Test func byToken() async throws {
        #expect(try await forgotten(.token(Secret("b1")), count: 1) == ["b1"])
        #expect(try await forgotten(.token(Secret("c1")), count: 0) == [])
    }

    @Test func everything() async throws {
        #expect(try await forgotten(.everything, count: 3) == ["a1", "a2", "b1"])
    }

    /// Answers that were being fetched are told to who waits, and remembered unless they are what was purged.
    @Test func whatIsBeingAskedIsNotRemembered() async throws {
        let selectors: [(PurgeSelector, again: [String])] = [
            (.token(Secret("b1")), []), (.token(Secret("a1")), ["a1"]), (.subject("?"), ["a1"]),
        ]
        for (selector, again) in selectors {
            let verifier = byName()
            verifier.hold()
            let house = try House(verifier)
            try await house.open { () async throws in
                async let waiting = house.credential("a1")
                #expect(await eventually { verifier.asked == ["a1"] })
                house.keeper.purge(selector)
                verifier.release()
                _ = try await waiting
                _ = try await house.credential("a1")
            }
            #expect(verifier.asked == ["a1"] + again, "\(selector)")
        }
    }

    @Test func aNoIsForgottenWithItsToken() async throws {
        let verifier = FakeVerifier { _ in .success(.inactive) }
        let house = try House(verifier)
        try await house.open { () async throws in
            #expect(try await house.answer("token").reason == .tokenInactive)
            verifier.answer(FakeVerifier.active())
            #expect(try await house.answer("token").reason == .tokenInactive)
            #expect(house.keeper.purge(.token(Secret("token"))) == 0)
            #expect(try await house.answer("token").credential != nil)
        }
    }
}

@Suite struct OtherIssuersTests {
    private func issuer(_ name: String, _ verifier: any TokenVerifier, prefix: String)
        -> TrustedIssuer
    {
        TrustedIssuer(name: name, verifier: verifier, vocabulary: .local, tokenPrefix: prefix)
    }

    @Test func answersOfAnUnchangedIssuerStay() async throws {
        let (kept, old, new) = (byName(), byName(), byName("infer:iris"))
        let first = issuer("first", kept, prefix: "a")
        let house = try House([first, issuer("second", old, prefix: "b")])
        try await house.open { () async throws in
            let held = try await house.credential("a1")
            _ = try await house.credential("b1")
            try house.keeper.reload(issuers: [first, issuer("second", new, prefix: "b")])
            #expect(!house.keeper.isFresh(held, now: house.clock.now))
            let again = try #require(try await house.show("a1").credential)
            #expect(house.keeper.isFresh(again, now: house.clock.now))
            #expect(again.account === held.account)
            // The same name and prefix, opened anew: what the old one said counts no more.
            let anew = try await house.credential("b1")
            #expect(anew.mayUse("iris") && !anew.mayUse("digits"))
            #expect(kept.asked == ["a1"] && old.asked == ["b1"] && new.asked == ["b1"])
            // One that is gone is asked nothing, and its tokens mean nothing.
            try house.keeper.reload(issuers: [first])
            #expect(try await house.answer("b1").reason == .tokenInactive)
            #expect(Array(house.keeper.statistics.breakers.keys) == ["first"])
        }
    }

    @Test func whatCannotBeToldApartIsRefusedWhole() async throws {
        let verifier = byName()
        let first = issuer("first", verifier, prefix: "a")
        let house = try House([first])
        try await house.open { () async throws in
            let held = try await house.credential("a1")
            #expect(throws: GatewayError.self) {
                try house.keeper.reload(issuers: [first, issuer("other", verifier, prefix: "a")])
            }
            #expect(throws: GatewayError.self) { try house.keeper.reload(issuers: []) }
            #expect(house.keeper.isFresh(held, now: house.clock.now))
        }
    }
}

@Suite struct CertificateIdentityTests {
    private func policy() -> AccessPolicy {
        var known = CertificateIdentity()
        known.subject = "CN=app1,O=Example"
        known.client = "edge"
        known.scopes = ["infer:iris"]
        var policy = AccessPolicy()
        policy.certificates = [known]
        return policy
    }
    private func peer(_ subject: String, digest: [UInt8] = []) -> Peer {
        Peer(address: "::1", certificateDigest: digest, certificateSubject: subject)
    }
    private func house(_ verifier: any TokenVerifier) throws -> House {
        try House(
            [TrustedIssuer(name: "main", verifier: verifier, vocabulary: .local)], policy: policy())
    }

    @Test func aMappedCertificateNeedsNoTokenAndNoIssuer() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active())
        let house = try house(verifier)
        let mine = peer("CN=app1,O=Example")
        let credential = try #require(try await house.show(nil, peer: mine).credential)
        #expect(credential.identity.issuer == "certificate")
        #expect(credential.identity.client == "edge")
        #expect(credential.mayUse("iris") && !credential.mayUse("digits"))
        #expect(house.keeper.isFresh(credential, now: house.clock.now))
        let pass = try house.keeper.admit(
            credential, method: .infer, model: "iris", now: house.clock.now)
        #expect(credential.account.count == 1)
        _ = consume pass
        // The same client, however many sessions.
        let second = try #require(try await house.show("", peer: mine).credential)
        #expect(second.account === credential.account)
        // Taken out of the settings: at its next call it is nobody.
        house.keeper.reload(policy: AccessPolicy())
        #expect(!house.keeper.isFresh(credential, now: house.clock.now))
        #expect(try await house.show(nil, peer: mine).failure?.reason == .tokenMissing)
        #expect(verifier.asked.isEmpty)
    }

    @Test(arguments: [
        "", "CN=app2,O=Example", "CN=app1", "cn=app1,O=Example", "CN=app1,O=Example ",
        "CN=app1,O=Example,C=DE",
    ])
    func anyOtherCertificateIsNobody(subject: String) async throws {
        let house = try house(FakeVerifier(answer: FakeVerifier.active()))
        let failure = try await house.show(nil, peer: peer(subject)).failure
        #expect(failure?.reason == .tokenMissing && failure?.code == .unauthenticated)
    }

    @Test func aTokenCountsMoreThanACertificate() async throws {
        let verifier = FakeVerifier(answer: FakeVerifier.active("infer:digits"))
        let house = try house(verifier)
        let mine = peer("CN=app1,O=Example")
        try await house.open { () async throws in
            let credential = try await house.answer("token", peer: mine).get()
            #expect(credential.identity.issuer == "main" && credential.mayUse("digits"))
            #expect(!credential.mayUse("iris"))
            // A bad token is refused: nobody is somebody else because of it.
            verifier.answer { _ in .success(.inactive) }
            #expect(try await house.answer("bad", peer: mine).reason == .tokenInactive)
            #expect(try await house.answer("b d", peer: mine).reason == .tokenMalformed)
        }
    }

    @Test func aBoundTokenIsWorthNothingElsewhere() async throws {
        let digest = [UInt8](repeating: 7, count: 32)
        let verifier = FakeVerifier(answer: FakeVerifier.active(digest: digest))
        let house = try house(verifier)
        try await house.open { () async throws in
            let mine = peer("CN=app2", digest: digest)
            #expect(try await house.answer("token", peer: mine).credential != nil)
            let thiefs = [
                Peer(address: "::1"),
                peer("CN=app1,O=Example", digest: [UInt8](repeating: 8, count: 32)),
                peer("CN=app2", digest: Array(digest.dropLast())),
            ]
            for thief in thiefs {
                #expect(try await house.answer("token", peer: thief).reason == .tokenInactive)
            }
            #expect(verifier.asked.count == 1)
        }
    }
}

@Suite struct ExplainTests {
    private func explain(
        _ policy: AccessPolicy, scopes: String, _ method: Contract.Method, _ model: String
    ) async throws -> AccessExplanation {
        let house = try House(
            [TrustedIssuer(name: "main", verifier: byName(scopes), vocabulary: .local)],
            policy: policy)
        let told = Box<AccessExplanation>()
        try await house.open { () async throws in
            let credential = try await house.credential("a1")
            told.put(house.keeper.explain(credential, method: method, model: model))
        }
        return try #require(told.value)
    }

    private func gold() -> AccessPolicy {
        var rule = PolicyRule()
        rule.name = "team"
        rule.client = TextPattern("a*")
        rule.models = [ModelPattern("fraud-*")].compactMap { $0 }
        rule.plan = "gold"
        var operators = PolicyRule()
        operators.name = "operators"
        operators.subject = TextPattern("a1")
        operators.allow = [.modelsRead]
        var policy = AccessPolicy()
        policy.rules = [rule, operators]
        return policy
    }

    @Test func itNamesTheScopeWithoutAPolicy() async throws {
        let said = try await explain(
            AccessPolicy(), scopes: "models:read infer:iris", .infer, "iris")
        #expect(said.isAllowed && said.rule.isEmpty && said.plan.isEmpty)
        #expect(said.scope == "infer:iris" && said.why.contains("'infer:iris'"))
    }

    @Test func itNamesRulePlanAndScope() async throws {
        let said = try await explain(gold(), scopes: "infer:*", .infer, "fraud-1")
        #expect(said.isAllowed && said.rule == "team" && said.plan == "gold")
        #expect(said.scope == "infer:*" && said.why.contains("'team'"))
        let read = try await explain(gold(), scopes: "infer:*", .modelMetadata, "iris")
        #expect(read.isAllowed && read.rule == "operators" && read.plan.isEmpty)
        #expect(read.scope.isEmpty, "the rule's own allow gives it")
    }

    @Test func itNamesWhatIsMissing() async throws {
        let scope = try await explain(AccessPolicy(), scopes: "infer:*", .repositoryLoad, "iris")
        #expect(!scope.isAllowed && scope.why == "the token lacks the scope models:admin")
        let rules = try await explain(gold(), scopes: "infer:*", .repositoryLoad, "iris")
        #expect(!rules.isAllowed && rules.why.contains("'team', 'operators'"))
        #expect(rules.why.contains("models:admin"))
        var nobody = AccessPolicy()
        var rule = PolicyRule()
        rule.name = "others"
        rule.client = TextPattern("b")
        nobody.rules = [rule]
        let none = try await explain(nobody, scopes: "admin", .infer, "iris")
        #expect(!none.isAllowed && none.why == "no rule of auth.policy fits this caller")
    }

    /// Nobody learns from the words which names exist, belong to others or are in the rules.
    @Test func modelsThatAreNotGrantedAreAllAlike() async throws {
        var owned = gold()
        let pattern = try #require(ModelPattern("fraud-secret*"))
        var list = Ownership(models: pattern)
        list.clients = [TextPattern("z")]
        owned.owners = [list]
        var words = Set<String>()
        for model in ["iris", "fraud-secret", "fraud-secret2", "nonexistent", "x"] {
            let said = try await explain(owned, scopes: "infer:*", .infer, model)
            #expect(!said.isAllowed && said.rule.isEmpty && !said.why.contains(model))
            words.insert(said.why)
        }
        #expect(words.count == 1, "\(words)")
        let mine = try await explain(owned, scopes: "infer:*", .infer, "fraud-1")
        #expect(mine.isAllowed)
    }
}
