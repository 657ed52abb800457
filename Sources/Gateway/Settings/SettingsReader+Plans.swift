// Reads `plans` and their `models`, lists of maps in a list of maps, and sees that they fit together.

import Admission
import Contract

extension SettingsReader {
    static let plansMax = 256
    static let planPartsMax = 64

    mutating func readPlans() {
        var plans: [Plan] = []
        while plans.count < SettingsReader.plansMax {
            let prefix = "plans.\(plans.count)."
            guard isThere(prefix, "name") else { break }
            var text = PlanText()
            for rule in PlanText.rules { read(rule, prefix: prefix, into: &text) }
            if !isGiven(prefix + "name") { fault(prefix + "name", "", "is missing") }
            if plans.contains(where: { $0.name == text.name }) {
                fault(prefix + "name", place(prefix + "name"), "another plan has this name")
            }
            var plan = Plan(name: text.name)
            plan.weight = UInt32(text.weight)
            plan.priority = text.priority == .batch ? .batch : .interactive
            plan.limits = limits(text.limits, prefix)
            plan.models = readParts(prefix + "models.")
            plans.append(plan)
        }
        if isThere("plans.\(SettingsReader.plansMax).", "name") {
            fault("plans", "", "has more than \(SettingsReader.plansMax) plans")
        }
        settings.plans = plans
    }

    private mutating func readParts(_ start: String) -> [PlanPart] {
        var parts: [PlanPart] = []
        while parts.count < SettingsReader.planPartsMax {
            let prefix = "\(start)\(parts.count)."
            guard isThere(prefix, "match") else { break }
            var text = PlanPartText()
            for rule in PlanPartText.rules { read(rule, prefix: prefix, into: &text) }
            if !isGiven(prefix + "match") { fault(prefix + "match", "", "is missing") }
            let limits = limits(text.limits, prefix)
            if limits.isUnlimited, isGiven(prefix + "match") {
                fault(prefix + "match", place(prefix + "match"), "limits nothing: give rate, ...")
            }
            parts.append(PlanPart(match: text.match, limits: limits))
        }
        if isThere("\(start)\(SettingsReader.planPartsMax).", "match") {
            fault(
                String(start.dropLast()), "",
                "has more than \(SettingsReader.planPartsMax) elements")
        }
        return parts
    }

    private mutating func limits(_ text: PlanLimitsText, _ prefix: String) -> PlanLimits {
        var limits = PlanLimits()
        if let (count, period) = SettingText.rate(text.rate) {
            limits.rate = Rate(
                count, per: period, burst: text.burst > 0 ? UInt64(text.burst) : nil)
        } else if text.burst > 0, !isGiven(prefix + "rate") {
            fault(prefix + "burst", place(prefix + "burst"), "means nothing without rate")
        }
        limits.concurrency = text.concurrency > 0 ? text.concurrency : nil
        limits.bytesInFlight = text.bytesInFlight > 0 ? text.bytesInFlight : nil
        if text.concurrency > settings.callsPerClientMax {
            fault(
                prefix + "concurrency", place(prefix + "concurrency"),
                "must not be more than limits.calls_per_client (\(settings.callsPerClientMax))")
        }
        limits.day = SettingsReader.quota(text.day)
        limits.month = SettingsReader.quota(text.month)
        return limits
    }

    private static func quota(_ text: QuotaText) -> Quota {
        Quota(
            calls: text.calls > 0 ? UInt64(text.calls) : nil,
            run: text.compute > .zero ? text.compute.count : nil,
            byteTime: SettingText.gigabyteSeconds(text.gigabyteSeconds))
    }

    private func isThere(_ prefix: String, _ required: String) -> Bool {
        sources.document.entries.contains { $0.key.hasPrefix(prefix) }
            || isGiven(prefix + required)
    }

    private func isGiven(_ key: String) -> Bool { sources.find(key, isList: false) != nil }

    mutating func checkPlanKey(_ entry: SettingsDocument.Entry) {
        let path = entry.path
        if path.count == 1 || (path.count == 3 && path[2] == "models") {
            if case .empty = entry.value { return }
            if case .list(let values) = entry.value, values.isEmpty { return }
        }
        guard path.count >= 3, UInt16(path[1]) != nil else {
            return fault(
                entry.key, "line \(entry.line)", "must be a list of plans, each with a name")
        }
        let isPart = path[2] == "models"
        guard !isPart || (path.count >= 5 && UInt16(path[3]) != nil) else {
            return fault(
                entry.key, "line \(entry.line)", "must be a list of models, each with a match")
        }
        let depth = isPart ? 4 : 2
        let known = isPart ? PlanPartText.keys : PlanText.keys
        let key = path[depth...].joined(separator: ".")
        if known.contains(key) { return }
        if case .empty = entry.value, ["day", "month"].contains(key) { return }
        let prefix = path[..<depth].joined(separator: ".") + "."
        unknown(entry, known.map { prefix + $0 }, prefix: prefix)
    }
}
