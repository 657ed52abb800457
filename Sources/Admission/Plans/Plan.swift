// What a caller may use, as the settings say it. Values; the counting is next door in Gauge.swift.

package import Contract

/// What may be used in a day or a month (UTC).
package struct Quota: Sendable, Hashable {
    /// Admitted calls.
    package var calls: UInt64?
    /// Nanoseconds that models run.
    package var run: UInt64?
    /// Bytes that models hold times the nanoseconds they run; 10^18 are a gigabyte-second.
    package var byteTime: UInt128?

    package init(calls: UInt64? = nil, run: UInt64? = nil, byteTime: UInt128? = nil) {
        self.calls = calls
        self.run = run
        self.byteTime = byteTime
    }

    package var isUnlimited: Bool { calls == nil && run == nil && byteTime == nil }
}

/// Limits of one client, or of one client and one model. Nil: no limit.
package struct PlanLimits: Sendable, Hashable {
    package var rate: Rate?
    /// Calls at the same time.
    package var concurrency: Int?
    /// Bytes of messages of the calls in progress.
    package var bytesInFlight: Int?
    package var day = Quota()
    package var month = Quota()

    package init() {}

    package var isUnlimited: Bool { self == PlanLimits() }
}

/// Limits that hold for each model whose name matches, beside the plan's own.
package struct PlanPart: Sendable, Hashable {
    /// A model's name, or the beginning of names and `*`.
    package var match: String
    package var limits: PlanLimits

    package init(match: String, limits: PlanLimits) {
        self.match = match
        self.limits = limits
    }

    package func covers(_ model: String) -> Bool {
        match.hasSuffix("*")
            ? model.utf8.starts(with: match.utf8.dropLast()) : model == match
    }
}

/// One plan.
package struct Plan: Sendable, Hashable {
    package var name: String
    package var limits = PlanLimits()
    /// Relative to other clients when the shards are busy.
    package var weight: UInt32 = 1
    /// The best a caller of this plan can have.
    package var priority = Priority.interactive
    /// Of several that cover a model the first counts.
    package var models: [PlanPart] = []

    package init(name: String) { self.name = name }

    /// For callers without a plan: no limits of its own.
    package static let none = Plan(name: "")

    package func part(for model: String) -> PlanPart? {
        model.isEmpty ? nil : models.first { $0.covers(model) }
    }
}

/// All plans, by their names.
package struct Plans: Sendable, Equatable {
    /// For callers whose policy names none.
    package static let defaultName = "default"

    private let plans: [String: Plan]

    /// Of two plans with one name the last counts.
    package init(_ plans: [Plan] = []) {
        self.plans = Dictionary(plans.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    /// What a policy may name.
    package var names: [String] { plans.keys.sorted() }
    package var isEmpty: Bool { plans.isEmpty }

    /// True when something has to be remembered for longer than a bucket takes to fill.
    package var haveQuotas: Bool {
        plans.values.contains { plan in
            ([plan.limits] + plan.models.map(\.limits)).contains {
                !$0.day.isUnlimited || !$0.month.isUnlimited
            }
        }
    }

    /// The plan of this name; the default one for an empty name and for one that is not there (any more); no limits when
    /// there is no default.
    package func plan(_ name: String) -> Plan {
        plans[name] ?? plans[Plans.defaultName] ?? .none
    }
}
