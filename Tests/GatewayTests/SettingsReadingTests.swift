// Two readings of the settings: what is different, what is never shown, and what needs a restart.

import Contract
import Gateway
import Testing

@Suite struct SettingsReadingTests {
    private func changes(_ old: String, _ new: String, environment: [String: String] = [:])
        -> [String]
    {
        SettingsReading(yaml: new, environment: environment)
            .changes(since: SettingsReading(yaml: old, environment: environment))
            .map(\.description)
    }

    @Test func tellsWhatIsDifferentByKey() {
        #expect(
            changes(
                "limits: { deadline: 5s, message: 1MiB }\nmemory: { idle: 1m }",
                "limits: { deadline: 6s, message: 1MiB }\nauth: { scopes: { read: [\"infer:*\"] } }"
            ) == [
                "auth.scopes.read: default -> [infer:*]", "limits.deadline: 5s -> 6s",
                "memory.idle: 1m -> default",
            ])
        #expect(changes("memory: { idle: 1m }", "# a note\nmemory:\n  idle: 1m") == [])
    }

    @Test func showsNothingSecret() {
        let old = "auth: { issuers: [{ name: a, kind: introspection, url: \"https://u/1\" }] }"
        let new = "auth: { issuers: [{ name: a, kind: introspection, url: \"https://u/2\" }] }"
        #expect(changes(old, new) == ["auth.issuers.0.url: ••• -> ••• (new)"])
        let keys = changes("tls: { key: /a }", "tls: { key: /secret/b }")
        #expect(keys.count == 1 && !keys[0].contains("/"))
    }

    /// The environment is stronger than the file, and does not change while the process lives.
    @Test func whatIsOverriddenDoesNotChange() {
        #expect(
            changes(
                "limits: { deadline: 5s }", "limits: { deadline: 6s }",
                environment: ["SLUICE_LIMITS_DEADLINE": "7s"]) == [])
    }

    @Test(arguments: [
        ("auth.policy.0.plan", true), ("plans.1.rate", true), ("tls.certificate", true),
        ("memory.anonymous", true), ("models.rules.0.pin", true), ("models.poll", true),
        ("limits.message", true), ("limits.calls", true), ("http.head", true),
        ("cors.origins", true), ("limits.calls_per_connection", true),
        ("listen", false), ("state", false), ("models.repository", false), ("shards.count", false),
        ("auth.server.url", false), ("log.level", false), ("authority", false),
    ])
    func someSettingsNeedARestart(_ key: String, _ mayChange: Bool) {
        let change = SettingChange(key: key, was: "1", now: "2")
        let refusals = SettingsReading.refusals([change])
        #expect(refusals.isEmpty == mayChange)
        if let refusal = refusals.first {
            #expect(refusal.key == key && refusal.message.contains("restart"))
        }
    }
}
