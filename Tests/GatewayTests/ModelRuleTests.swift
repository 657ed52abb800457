// `models.rules` in the settings: what is read, and what every mistake is told.

import Contract
import Foundation
import Gateway
import Shards
import Testing

@Suite struct ModelRuleTests {
    private func evaluate(_ yaml: String) -> (settings: Settings, faults: [SettingsFault]) {
        Settings.evaluate(yaml: yaml, environment: [:], flags: [:], opensFiles: false)
    }

    private func faults(_ yaml: String) -> [String] {
        evaluate(yaml).faults.map(\.description)
    }

    @Test func rulesForModelsAreRead() throws {
        let (settings, faults) = evaluate(
            """
            memory: { promote: false, loads_warn: 0 }
            models:
              rules:
                - match: fraud-*
                  idle: 10m
                  keep_warm: "* 8-17 * * 1-5"
                  time_zone: Europe/Vienna
                - { match: iris, idle: 0, pin: true }
            """)
        #expect(faults.isEmpty, "\(faults)")
        #expect(!settings.memory.promote && settings.memory.loadsWarn == 0)
        let rules = settings.models.rules
        #expect(rules.map(\.match) == ["fraud-*", "iris"])
        #expect(rules.map(\.idle) == [.seconds(600), .zero])
        #expect(rules.map(\.isPinned) == [false, true])
        #expect(rules[0].zone.identifier == "Europe/Vienna" && rules[0].isInWindow(1_705_302_000))
        #expect(rules[1].keepWarm == nil)
        #expect(Settings().models.rules.isEmpty && Settings().memory.promote)
    }

    @Test(
        arguments: [
            ("- { idle: 10m }", "models.rules.0.match: is missing"),
            ("- { match: iris }", "wants nothing: give idle, keep_warm or pin"),
            ("- { match: a*b, pin: true }", "'a*b' must be a model's name"),
            ("- { match: iris, idle: soon }", "'soon' must be"),
            (
                "- { match: iris, keep_warm: '* 25 * * *' }",
                "'* 25 * * *' is no window: in its hours '25' is not from 0 to 23"
            ),
            (
                "- { match: iris, keep_warm: '* * * * *', time_zone: Vienna/Europe }",
                "'Vienna/Europe' must be a time zone"
            ),
            ("- { match: iris, pin: true, time_zone: UTC }", "means nothing without keep_warm"),
            ("- { match: iris, pin: maybe }", "'maybe' must be true or false"),
            ("- { match: iris, pinned: true }", "did you mean models.rules.0.pin?"),
            ("- iris", "must be a list of rules, each with a match"),
        ])
    func wrongRulesSayWhy(rule: String, says: String) {
        let faults = faults("models:\n  rules:\n    \(rule)\n")
        #expect(faults.contains { $0.contains(says) }, "\(faults)")
    }

    @Test func tooManyRules() {
        let rule = "    - { match: iris, pin: true }\n"
        let yaml = "models:\n  rules:\n" + String(repeating: rule, count: 257)
        #expect(faults(yaml).contains { $0.contains("has more than 256 rules") })
    }
}
