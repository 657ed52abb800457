// Accounts in words for people: why a model is or is not in memory, and what more memory would be worth. Pure.

extension ModelAccount: CustomStringConvertible {
    /// For people, for example `awake for 4 min, 23 calls since, the last 2 s ago; holds 1.2 MiB of its own and 0
    /// mapped`.
    public var description: String { AccountWords.words(for: self) }
}

extension ModelAccount {
    /// What it holds in memory now, for a column: `1.2 MiB + 461 MiB mapped`, `1.2 MiB, pinned`, or `-`.
    package var holdings: String { AccountWords.holdings(self) }
}

extension FleetAccount {
    /// Why a model is or is not in memory, and who would go before it, in words for people.
    public func explanation(of model: ModelAccount) -> String {
        AccountWords.words(for: model, among: self)
    }

    /// What more memory would be worth, in words for people; nil when it would be worth little, or is not known.
    public var advice: String? { AccountWords.advice(self) }

    /// More loads in the last hour than the gateway's setting, in words for people; nil when there are not.
    public var warning: String? { AccountWords.warning(self) }
}

package enum AccountWords {
    /// - Parameter fleet: every model's account, to tell whose turn it is; nil leaves that out.
    package static func words(for model: ModelAccount, among fleet: FleetAccount? = nil) -> String {
        var parts: [String]
        switch model.state {
        case .awake: parts = [awake(model), memory(model)]
        case .asleep: parts = asleep(model)
        case .queued: parts = ["being woken: its load waits for a free loader"] + lastLoad(model)
        case .loading: parts = ["being woken"] + lastLoad(model)
        case .leaving: parts = ["going to sleep: it goes when the calls that use it have ended"]
        case .broken where model.isQuarantined: parts = [model.failure]
        case .broken: parts = [model.failure.isEmpty ? "broken" : "broken: \(model.failure)"]
        default: parts = [model.state.rawValue]
        }
        if model.state == .awake {
            parts += promotion(model)
            parts += turn(of: model, among: fleet)
        } else if model.isPinned {
            parts.append("pinned, so it stays once it is awake")
        }
        if !model.trial.isEmpty { parts.append(model.trial) }
        if model.strikes > 0, !model.isQuarantined {
            parts.append("the gateway ended \(times(model.strikes)) while it was at work")
        }
        if model.isKeptWarm { parts.append("kept warm by a rule at this time of day") }
        if model.state == .awake, !model.isKeptWarm, !model.isPinned, let limit = model.idleLimit {
            parts.append("goes to sleep when it was not called for \(time(limit))")
        }
        return parts.joined(separator: "; ")
    }

    private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }

    private static func awake(_ model: ModelAccount) -> String {
        var words = model.awakeFor.map { "awake for \(time($0))" } ?? "awake"
        guard model.callsSinceWake > 0 else { return words + ", not called since" }
        words += ", \(count(model.callsSinceWake, "call"))"
        if model.awakeFor != nil { words += " since" }
        if let last = model.sinceLastCall { words += ", the last \(ago(last))" }
        return words
    }

    package static func holdings(_ model: ModelAccount) -> String {
        var words = "-"
        if model.state == .awake || model.state == .leaving {
            words = isMeasured(model) ? bytes(model.anonymousBytes) : "unknown"
            if model.mappedBytes > 0 { words += " + \(bytes(model.mappedBytes)) mapped" }
        }
        return model.isPinned ? words + ", pinned" : words
    }

    /// No model holds nothing at all.
    private static func isMeasured(_ model: ModelAccount) -> Bool {
        model.anonymousBytes > 0 || model.mappedBytes > 0
    }

    private static func memory(_ model: ModelAccount) -> String {
        guard isMeasured(model) else { return "its memory has not been measured" }
        return "holds \(bytes(model.anonymousBytes)) of its own and "
            + "\(bytes(model.mappedBytes)) mapped"
    }

    private static func promotion(_ model: ModelAccount) -> [String] {
        guard let since = model.promotedFor else {
            return model.promotionNote.isEmpty ? [] : [model.promotionNote]
        }
        let cost = model.promotedBytes > 0 ? " for \(bytes(model.promotedBytes))" : ""
        let gain =
            model.promotionSaving > 0
            ? "runs take \(share(model.promotionSaving)) less time\(cost)"
            : "what it gains\(cost) is being measured"
        return ["promoted \(ago(since)): \(gain)"]
    }

    /// Whose turn it is when room is needed: the lowest score of those that may go.
    private static func turn(of model: ModelAccount, among fleet: FleetAccount?) -> [String] {
        if model.isPinned { return ["is pinned"] }
        guard let fleet, fleet.anonymousBudget > 0 || fleet.mappedBudget > 0 else { return [] }
        let rivals = fleet.models.count {
            $0.state == .awake && !$0.isPinned && $0.score < model.score
        }
        switch rivals {
        case 0: return ["would be the next to go"]
        case 1: return ["1 other would go before it"]
        default: return ["\(rivals) others would go before it"]
        }
    }

    private static func asleep(_ model: ModelAccount) -> [String] {
        var parts: [String] = []
        if let evicted = model.sinceEviction, evicted <= model.sinceLastCall ?? evicted {
            let reason = model.evictedFor.isEmpty ? "" : " to make room for \(model.evictedFor)"
            parts = ["asleep: evicted \(ago(evicted))\(reason)"]
            if let last = model.sinceLastCall { parts.append("last called \(ago(last))") }
        } else if let last = model.sinceLastCall {
            parts = ["asleep: last called \(ago(last))"]
        } else if model.loads > 0 {
            parts = ["asleep: it was awake, but never called"]
        } else {
            parts = ["asleep: never called since the start"]
        }
        parts += lastLoad(model)
        if model.unreturnedBytes > 0 {
            parts.append("\(bytes(model.unreturnedBytes)) of its memory did not come back")
        }
        return parts
    }

    private static func lastLoad(_ model: ModelAccount) -> [String] {
        model.loadTime.map { ["its last load took \(time($0))"] } ?? []
    }

    // MARK: - More memory

    package static func warning(_ fleet: FleetAccount) -> String? {
        guard fleet.loadsWarn > 0, fleet.loadsLastHour > fleet.loadsWarn else { return nil }
        return "warning: \(fleet.loadsLastHour) loads in the last hour, more than "
            + "\(fleet.loadsWarn) (memory.loads_warn)"
    }

    /// The smallest of the larger budgets that brings most of what can be had, when that is at least one call in a
    /// hundred.
    package static func advice(_ fleet: FleetAccount) -> String? {
        let curve = fleet.missCurve.filter { 0...1 ~= $0.coldShare }
        let points = curve.filter { $0.extraBytes > 0 }
        guard fleet.calls > 0, let best = points.map(\.coldShare).min() else { return nil }
        let now =
            curve.first { $0.extraBytes == 0 }?.coldShare
            ?? min(1, Double(fleet.coldCalls) / Double(fleet.calls))
        let wanted = now - 0.8 * (now - best)
        guard now - best >= 0.01, let point = points.first(where: { $0.coldShare <= wanted })
        else { return nil }
        return "with \(bytes(point.extraBytes)) more, cold calls would fall from "
            + "\(share(now)) to \(share(point.coldShare))"
    }

    // MARK: - Numbers

    /// `0`, `512 B`, `1.2 MiB`, `400 MiB`: three digits at most below 1,024 of a unit.
    package static func bytes(_ count: UInt64) -> String {
        guard count > 0 else { return "0" }
        guard count >= 1_024 else { return "\(count) B" }
        var value = Double(count)
        var unit = ""
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] where value >= 1_023.5 || unit == ""
        {
            value /= 1_024
            unit = next
        }
        return "\(decimal(value)) \(unit)"
    }

    /// `3 ms`, `1.4 s`, `4 min`, `3 h`, `5 days`.
    package static func time(_ duration: Duration) -> String {
        let milliseconds = max(0, duration / .milliseconds(1))
        switch milliseconds {
        case ..<1: return "less than 1 ms"
        case ..<999.5: return "\(Int(milliseconds.rounded())) ms"
        case ..<99_500: return "\(decimal(milliseconds / 1_000)) s"
        case ..<(99.5 * 60_000): return "\(decimal(milliseconds / 60_000)) min"
        case ..<(47.5 * 3_600_000): return "\(decimal(milliseconds / 3_600_000)) h"
        default:
            // More days than there can be are as good as any.
            return "\(decimal(min(milliseconds / 86_400_000, 1e9))) days"
        }
    }

    private static func ago(_ duration: Duration) -> String {
        duration < .milliseconds(1_000) ? "just now" : "\(time(duration)) ago"
    }

    /// `12 %`, and `0.4 %` below one; of a share from 0 to 1.
    package static func share(_ share: Double) -> String {
        let percent = share * 100
        return percent >= 0.95 || percent < 0.05
            ? "\(Int(percent.rounded())) %" : "\(decimal(percent)) %"
    }

    private static func count(_ number: UInt64, _ noun: String) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(noun)s"
    }

    /// One digit after the point below 10, none when it is 0 or above.
    private static func decimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        guard tenths < 100, tenths % 10 != 0 else { return "\(Int(value.rounded()))" }
        return "\(tenths / 10).\(tenths % 10)"
    }
}
