// `auth.policy` and its neighbours in the settings: what is read, and what every mistake is told.

import Admission
import Contract
import Foundation
import Gateway
import Testing

@Suite struct AccessSettingsTests {
    private func evaluate(_ yaml: String) -> (settings: Settings, faults: [SettingsFault]) {
        Settings.evaluate(yaml: yaml, environment: [:], flags: [:], opensFiles: false)
    }

    @Test func everythingIsRead() throws {
        let (settings, faults) = evaluate(
            """
            tls: { client_certificates: optional, client_ca: ca.pem }
            plans: [{ name: gold, rate: 5/s }]
            auth:
              cache: { bytes: 1MiB, negative_bytes: 128KiB }
              lookups: { per_address: 3/m, per_address_burst: 7, in_all: 0 }
              max_ttl_by_scope: { "models:admin": 0s, "infer:fraud-*": 5s, "infer:a.b": 1s }
              policy:
                - name: team
                  issuer: local
                  client: app-*
                  subject: s
                  scope: read
                  certificate: CN=a
                  claims: { groups: fraud, "https://claims.example/role": admin* }
                  models: [fraud-*, iris]
                  allow: ["infer:*", "models:read"]
                  plan: gold
                - name: rest
              owners:
                - { models: "fraud-*", clients: [team-a], subjects: [bob*] }
              certificates:
                - { subject: "CN=app1,O=Example", client: app1, scopes: ["infer:iris"] }
            """)
        #expect(faults.isEmpty, "\(faults)")
        let policy = try settings.auth.policy()
        try #require(policy.rules.count == 2)
        let rule = policy.rules[0]
        #expect(rule.name == "team" && rule.plan == "gold" && rule.subject == TextPattern("s"))
        #expect(rule.issuer == TextPattern("local") && rule.client == TextPattern("app-*"))
        #expect(rule.scope == TextPattern("read") && rule.certificate == TextPattern("CN=a"))
        #expect(
            rule.claims == [
                "groups": TextPattern("fraud"),
                "https://claims.example/role": TextPattern("admin*"),
            ])
        #expect(rule.models.count == 2 && rule.allow?.count == 2)
        #expect(policy.rules[1].allow == nil && policy.rules[1].models.isEmpty)
        #expect(policy.owners.count == 1 && policy.owners[0].clients == [TextPattern("team-a")])
        #expect(policy.owners[0].subjects == [TextPattern("bob*")])
        #expect(policy.certificates.map(\.subject) == ["CN=app1,O=Example"])
        #expect(policy.certificates[0].client == "app1")
        let need = CallNeed(method: .infer, model: "fraud-1")
        #expect(policy.ages.ageMax(need) == .seconds(5))
        #expect(policy.ages.ageMax(CallNeed(method: .modelAlias, model: "x")) == .zero)
        #expect(policy.ages.ageMax(CallNeed(method: .infer, model: "a.b")) == .seconds(1))
        let gate = settings.auth.gate
        #expect(gate.cacheBytes == 1 << 20 && gate.negativeBytes == 128 << 10)
        #expect(gate.perAddress == "3/m" && gate.perAddressBurst == 7 && gate.inAll == "0")
    }

    /// The commented rule, owner and certificate of the example work once their comments are taken away.
    @Test func theExampleIsRight() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appendingPathComponent("sluice.example.yaml"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasPrefix("  policy: []") })
        let end = try #require(lines.firstIndex { $0.hasPrefix("  server: ") })
        let yaml = """
            tls: { client_certificates: optional, client_ca: ca.pem }
            plans: [{ name: gold, rate: 5/s }]
            auth:
              issuers: [{ name: main, kind: embedded }]

            """
            + lines[start..<end].map { line in
                line.hasPrefix("#   ")
                    ? " " + line.dropFirst() : line.replacing("[]", with: "")
            }.joined(separator: "\n")
        let (settings, faults) = evaluate(yaml)
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings.auth.rules.map(\.name) == ["fraud-team"])
        #expect(settings.auth.owners.count == 1 && settings.auth.certificates.count == 1)
    }

    @Test(arguments: [
        ("policy: [{ client: a }]", "auth.policy.0.name"),
        ("policy: [{ name: a }, { name: a }]", "another rule"),
        ("policy: [{ name: a, plan: gold }]", "none of plans"),
        ("policy: [{ name: a, issuer: nobody }]", "none of auth.issuers"),
        ("policy: [{ name: a, allow: [everything] }]", "auth.policy.0.allow"),
        ("policy: [{ name: a, models: [\"../x\"] }]", "auth.policy.0.models"),
        ("policy: [{ name: a, modles: [x] }]", "did you mean"),
        ("policy: [{ name: a, claims: { g: [x, y] } }]", "auth.policy.0.claims"),
        ("policy: [{ name: a, claims: x }]", "claims"),
        ("policy: everyone", "auth.policy"),
        ("policy: [a, b]", "auth.policy"),
        ("owners: [{ models: \"fraud-*\" }]", "has no owner"),
        ("owners: [{ clients: [a] }]", "auth.owners.0.models"),
        ("certificates: [{ subject: CN=a, client: a }]", "tls.client_certificates is off"),
        ("max_ttl_by_scope: { everything: 1s }", "is no scope"),
        ("max_ttl_by_scope: { \"models:admin\": soon }", "must be a time"),
        ("max_ttl_by_scope: { \"models:admin\": 2h }", "must be a time"),
        ("lookups: { per_address: many }", "auth.lookups.per_address"),
        ("cache: { bytes: 1 }", "auth.cache.bytes"),
        ("issuers: [{ name: local, kind: embedded, stale: 61s }]", "stale"),
    ])
    func mistakesAreTold(_ yaml: String, _ part: String) {
        let faults = evaluate("auth:\n  \(yaml)\n").faults.map(\.description)
        #expect(faults.contains { $0.contains(part) }, "\(yaml): \(faults)")
    }
}
