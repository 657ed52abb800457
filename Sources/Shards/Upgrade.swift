// One mapped model's promotion: since when, what it costs, what it showed, and the session that is going when it ends.

import Catalogue
import Contract
import Synchronization

/// Beside the resident of a mapped model. Any thread may use it; its lock is never held while another is taken.
final class Upgrade: Sendable {
    struct State: Sendable {
        /// The promoter is at it.
        var isUnderWay = false
        /// Set while the promoted session serves.
        var since: Instant?
        /// Sent back; runs that began on it may not have ended.
        var retiring: AwakeModel?
        /// What the promoted session holds beside the mapped one, and how long its load took; the last ones.
        var use: MemoryUse?
        var loadTime: Nanoseconds?
        /// Not tried again before.
        var barredUntil = Instant(nanoseconds: 0)
        var last: Demotion?
        var lastAt: Instant?
    }

    let comparison = RunComparison()
    let state = Mutex(State())

    var isServing: Bool { state.withLock { $0.since != nil } }

    /// The promoted session as the ledger sees it.
    var standing: Ledger.Standing {
        state.withLock { state in
            if state.retiring != nil { return .leaving }
            return state.since == nil ? .busy : .idle
        }
    }

    /// Takes the session that was sent back when nobody runs on it any more. The caller frees it.
    func reap() -> AwakeModel? {
        state.withLock { state in
            guard state.retiring != nil, isKnownUniquelyReferenced(&state.retiring) else {
                return nil
            }
            return state.retiring.take()
        }
    }

    func bar(until time: Instant) { state.withLock { $0.barredUntil = time } }
}

extension Resident {
    /// What a promotion is likely to need at its peak beside what the model has: measured, or guessed from its files.
    var promotionNeed: MemoryUse {
        let known = upgrade?.state.withLock { $0.use }
        return MemoryUse(anonymous: known?.anonymous ?? entry.weightBytes &* 5 / 4 &+ 4 << 20)
    }

    /// What a promotion would save in the calls of about an hour, in nanoseconds of run time by byte; nil when this
    /// model is not to be promoted now.
    func promotionGain(_ now: Instant) -> Double? {
        guard let upgrade, phase == .awake, let run = upgrade.comparison.mappedRun else {
            return nil
        }
        let load = upgrade.state.withLock { state -> Nanoseconds? in
            guard !state.isUnderWay, state.since == nil, state.retiring == nil,
                now >= state.barredUntil
            else { return nil }
            return state.loadTime ?? Promotion.presumedLoad(bytes: entry.weightBytes)
        }
        let demand = account.demand.value(at: now)
        guard let load, Promotion.isWorth(demand: demand, run: run, load: load) else { return nil }
        return Promotion.saving(demand: demand, run: run) / Double(max(1, promotionNeed.anonymous))
    }

    /// The promoted session saves less than it was kept for.
    var hasDisappointed: Double? {
        guard let upgrade, upgrade.isServing, let verdict = upgrade.comparison.verdict,
            verdict.saving < Promotion.savingMin
        else { return nil }
        return verdict.saving
    }
}

extension Upgrade {
    func fill(_ account: inout ModelAccount, _ now: Instant) {
        let state = state.withLock { ($0.since, $0.use, $0.last, $0.lastAt) }
        guard let since = state.0 else {
            if let why = state.2, let at = state.3 {
                account.promotionNote = why.note(now.since(at))
            }
            return
        }
        account.promotedFor = now.since(since)
        account.promotedBytes = state.1?.anonymous ?? 0
        account.anonymousBytes += account.promotedBytes
        account.promotionSaving = min(1, max(0, comparison.verdict?.saving ?? 0))
    }
}

extension Demotion {
    /// For people; `age`: how long ago it was.
    func note(_ age: Nanoseconds) -> String {
        let minutes = age.count / 60_000_000_000
        let when = minutes == 0 ? "just now" : "\(minutes) min ago"
        switch self {
        case .memoryWanted:
            return "was promoted until \(when): its memory was wanted"
        case .noGain(let saving):
            let percent = Int((abs(saving) * 100).rounded())
            return "was promoted until \(when): runs took \(percent) % "
                + (saving < 0 ? "more" : "less") + " time, too little for its memory"
        }
    }
}
