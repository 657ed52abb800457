// Rules, owners, certificates and ages: tables of who may do what.

import Admission
import Contract
import Testing

private func caller(
    _ client: String = "app", scopes: [String] = ["infer:*"], claims: [String: [String]] = [:]
) -> Identity {
    Identity(
        issuer: "main", client: client, subject: "s-\(client)", scopes: scopes, validFor: nil,
        claims: claims)
}

private func rule(_ name: String, _ change: (inout PolicyRule) -> Void) -> PolicyRule {
    var rule = PolicyRule()
    rule.name = name
    change(&rule)
    return rule
}

private func policy(_ rules: PolicyRule...) -> AccessPolicy {
    var policy = AccessPolicy()
    policy.rules = rules
    return policy
}

extension AccessPolicy {
    fileprivate func judge(
        _ identity: Identity, _ model: String, _ method: Contract.Method = .infer,
        certificate: String = ""
    ) -> Grants.Judgement {
        grants(for: identity, vocabulary: .local, certificate: certificate)
            .judge(method, model: model)
    }
}

@Suite struct AccessPolicyTests {
    @Test func theFirstRuleThatAllowsNamesThePlan() {
        let policy = policy(
            rule("gold") {
                $0.client = TextPattern("team-*")
                $0.models = [ModelPattern("fraud-*")].compactMap { $0 }
                $0.plan = "gold"
            },
            rule("rest") { $0.scope = TextPattern("infer:*") })
        let team = caller("team-a")
        #expect(policy.judge(team, "fraud-1") == .allowed(rule: "gold", plan: "gold"))
        #expect(policy.judge(team, "iris") == .allowed(rule: "rest"))
        #expect(policy.judge(caller("x"), "fraud-1") == .allowed(rule: "rest"))
    }

    @Test func withoutARuleNothingIsAllowed() {
        let policy = policy(rule("only") { $0.client = TextPattern("other") })
        #expect(policy.judge(caller(), "iris") == .missing(scope: ""))
        #expect(policy.judge(caller(scopes: ["admin"]), "iris") == .missing(scope: ""))
        #expect(policy.judge(caller(), "", .healthWatch) == .allowed())
    }

    @Test func claimsGrantWhatTheRuleAllows() {
        let policy = policy(
            rule("fraud") {
                $0.claims = ["groups": TextPattern("fraud")]
                $0.allow = [Scope("infer:fraud-*")].compactMap { $0 }
            })
        let member = caller(scopes: [], claims: ["groups": ["staff", "fraud"]])
        #expect(policy.judge(member, "fraud-1") == .allowed(rule: "fraud"))
        #expect(policy.judge(member, "iris") == .hidden(rule: "auth.policy"))
        let other = caller(claims: ["groups": ["fraudster"]])
        #expect(policy.judge(other, "fraud-1") == .missing(scope: ""))
    }

    @Test func aRuleForModelsBoundsEveryRight() {
        let policy = policy(
            rule("ops") {
                $0.allow = [.modelsAdmin]
                $0.models = [ModelPattern("a*")].compactMap { $0 }
            })
        #expect(policy.judge(caller(), "a1", .repositoryUnload) == .allowed(rule: "ops"))
        #expect(
            policy.judge(caller(), "b1", .repositoryUnload) == .hidden(rule: "auth.policy"))
        // Without a model it would be all of them.
        #expect(policy.judge(caller(), "", .modelControl) == .missing(scope: "models:admin"))
        let grants = policy.grants(for: caller(), vocabulary: .local)
        #expect(grants.maySee("a1") && !grants.maySee("b1") && grants.mayRead("a2"))
    }

    @Test func onlyOwnersAndAdminSeeAnOwnedModel() {
        var policy = AccessPolicy()
        guard let pattern = ModelPattern("fraud-*") else { return }
        var list = Ownership(models: pattern)
        list.clients = [TextPattern("team-a")]
        list.subjects = [TextPattern("s-boss")]
        policy.owners = [list]
        for (name, may) in [("team-a", true), ("boss", true), ("team-b", false)] {
            let expected: Grants.Judgement = may ? .allowed() : .hidden(rule: "auth.owners")
            #expect(policy.judge(caller(name), "fraud-1") == expected, "\(name)")
            #expect(policy.judge(caller(name), "iris") == .allowed())
            let grants = policy.grants(for: caller(name), vocabulary: .local)
            #expect(grants.maySee("fraud-1") == may)
        }
        #expect(policy.judge(caller("root", scopes: ["admin"]), "fraud-1") == .allowed())
        // Who may run nothing learns nothing from the list.
        let reader = caller("team-b", scopes: ["models:read"])
        #expect(policy.judge(reader, "fraud-1") == policy.judge(reader, "iris"))
    }

    @Test func aRuleMayAskForTheSessionsCertificate() {
        let policy = policy(rule("tls") { $0.certificate = TextPattern("CN=app*") })
        #expect(policy.judge(caller(), "iris") == .missing(scope: ""))
        #expect(policy.judge(caller(), "iris", certificate: "CN=app1") == .allowed(rule: "tls"))
    }

    @Test func agesAreForCallsThatNeedTheScope() {
        guard let fraud = Scope("infer:fraud-*") else { return }
        let ages = ScopeAges([.modelsAdmin: .zero, fraud: .seconds(1)])
        #expect(ages.ageMax(CallNeed(method: .repositoryUnload, model: "m")) == .zero)
        #expect(ages.ageMax(CallNeed(method: .infer, model: "fraud-1")) == .seconds(1))
        #expect(ages.ageMax(CallNeed(method: .infer, model: "iris")) == nil)
    }
}
