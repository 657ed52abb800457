// `plans` in the settings: what is read, and what every mistake is told.

import Admission
import Contract
import Foundation
import Gateway
import Testing

@Suite struct PlanSettingsTests {
    private func evaluate(_ yaml: String) -> (settings: Settings, faults: [SettingsFault]) {
        Settings.evaluate(yaml: yaml, environment: [:], flags: [:], opensFiles: false)
    }

    @Test func plansAreRead() throws {
        let (settings, faults) = evaluate(
            """
            plans:
              - name: default
                rate: 100/s
                burst: 200
                concurrency: 16
                bytes_in_flight: 64MiB
                weight: 3
                day: { calls: 100000, compute: 2h, gigabyte_seconds: 0.5 }
                month: { calls: 1000000 }
                models:
                  - { match: "fraud-*", rate: 600/m, concurrency: 2 }
                  - match: iris
                    day: { calls: 5 }
              - { name: nightly, priority: batch, rate: 5/10s }
            """)
        #expect(faults.isEmpty, "\(faults)")
        let plans = settings.plans
        #expect(plans.map(\.name) == ["default", "nightly"])
        let first = plans[0]
        #expect(first.limits.rate == Rate(100, per: .seconds(1), burst: 200))
        #expect(first.limits.concurrency == 16 && first.limits.bytesInFlight == 64 << 20)
        #expect(first.weight == 3 && first.priority == .interactive)
        #expect(first.limits.day.calls == 100_000)
        #expect(first.limits.day.run == 7_200_000_000_000)
        #expect(first.limits.day.byteTime == 500_000_000_000_000_000)
        #expect(first.limits.month == Quota(calls: 1_000_000))
        #expect(first.models.map(\.match) == ["fraud-*", "iris"])
        #expect(first.models[0].limits.rate == Rate(600, per: .seconds(60)))
        #expect(first.models[0].limits.concurrency == 2)
        #expect(first.models[1].limits.day == Quota(calls: 5))
        #expect(plans[1].priority == .batch)
        #expect(plans[1].limits.rate == Rate(5, per: .seconds(10)))
        #expect(Plans(plans).names == ["default", "nightly"])
        #expect(evaluate("plans: []").faults.isEmpty)
    }

    /// The commented plan of the example works once its comments are taken away.
    @Test func theExamplesPlanIsRight() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appendingPathComponent("sluice.example.yaml"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasPrefix("plans:") })
        let plan = lines[(start + 1)...].prefix { $0.hasPrefix("#") }
        let yaml = "plans:\n" + plan.map { " " + $0.dropFirst() }.joined(separator: "\n")
        let (settings, faults) = evaluate(yaml)
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings.plans.map(\.name) == ["default"])
        #expect(settings.plans.first?.models.map(\.match) == ["fraud-*"])
        #expect(settings.plans.first?.limits.day.run == 7_200_000_000_000)
    }

    @Test func mistakesAreNamed() {
        let mistakes = [
            ("- { rate: 1/s }", "plans.0.name: is missing"),
            ("- { name: a }\n  - { name: a }", "another plan has this name"),
            ("- { name: a b }", "'a b' must be letters, digits"),
            ("- { name: a, rate: fast }", "'fast' must be calls in a time, like 100/s"),
            ("- { name: a, rate: 0/s }", "'0/s' must be calls"),
            ("- { name: a, rate: 1/2d }", "'1/2d' must be calls"),
            ("- { name: a, burst: 5 }", "means nothing without rate"),
            ("- { name: a, concurrency: 9000 }", "must not be more than limits.calls_per_client"),
            ("- { name: a, priority: high }", "'high' must be one of interactive, batch"),
            ("- { name: a, day: { calls: many } }", "'many' must be a whole number"),
            ("- { name: a, day: { gigabyte_seconds: -1 } }", "'-1' must be a number above 0"),
            ("- { name: a, day: 5 }", "must hold keys of its own"),
            ("- { name: a, rates: 1/s }", "did you mean plans.0.rate"),
            ("- { name: a, models: [{ rate: 1/s }] }", "plans.0.models.0.match: is missing"),
            ("- { name: a, models: [{ match: iris }] }", "limits nothing"),
            ("- { name: a, models: [{ match: iris, weight: 2 }] }", "is not a setting"),
            ("- { name: a, models: iris }", "must be a list of models, each with a match"),
            ("name: a", "must be a list of plans, each with a name"),
        ]
        for (yaml, expected) in mistakes {
            let faults = evaluate("plans:\n  \(yaml)\n").faults.map(\.description)
            #expect(faults.contains { $0.contains(expected) }, "\(yaml): \(faults)")
        }
    }

    @Test func thereAreBounds() {
        let many = (0...256).map { "  - name: p\($0)\n" }.joined()
        #expect(
            evaluate("plans:\n" + many).faults.map(\.description).contains {
                $0.contains("more than 256 plans")
            })
    }
}
