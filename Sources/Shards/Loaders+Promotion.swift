// Promotion and its end. A promotion takes only memory that nobody wants; from the swap on new runs use the new session, and
// those under way end on the old one. When memory is wanted it is the first to go, before any model is evicted.

import Catalogue
import Contract
import Glibc
import Synchronization

extension Loaders {
    /// Loads a second session for a hot model and swaps it in. On the promoter's thread.
    func promote(_ resident: Resident) {
        guard let upgrade = resident.upgrade, resident.phase == .awake,
            treasury.reserveSpare(resident.promotionNeed, for: resident)
        else { return }
        upgrade.state.withLock { $0.isUnderWay = true }
        defer { upgrade.state.withLock { $0.isUnderWay = false } }
        let began = clock.now()
        let measurement = Measurement(engine, treasury)
        do throws(CallFailure) {
            let awake = AwakeModel(try loadVerified(resident.entry, as: .plain), isPromoted: true)
            let measured = measurement.end()?.atRest.anonymous
            let now = clock.now()
            swapIn(
                awake, of: resident, upgrade,
                use: MemoryUse(anonymous: measured ?? resident.entry.weightBytes),
                took: now.since(began), now: now)
        } catch {
            _ = measurement.end()
            treasury.promotionFailed(resident)
            upgrade.bar(until: clock.now() + Promotion.disappointmentTime)
            observer.modelNotPromoted(resident.entry, failure: error)
        }
        retryParked()
    }

    private func swapIn(
        _ awake: consuming AwakeModel, of resident: Resident, _ upgrade: Upgrade,
        use: MemoryUse, took time: Nanoseconds, now: Instant
    ) {
        upgrade.comparison.begin()
        upgrade.state.withLock { state in
            state.since = now
            state.use = use
            state.loadTime = time
        }
        guard resident.swapIn(awake) else {
            // It has left memory meanwhile.
            upgrade.state.withLock { $0.since = nil }
            treasury.promotionFailed(resident)
            return
        }
        treasury.promoted(resident, use: use)
        // Whoever released it in between did not know of the books.
        if !upgrade.state.withLock({ $0.since != nil || $0.retiring != nil }) {
            treasury.demoted(resident)
        }
        observer.modelPromoted(resident.entry, time: time, bytes: use.anonymous)
    }

    /// New runs use the mapped session again. The memory is free when the last run on the other has ended (``reap()``).
    func demote(_ resident: Resident, _ why: Demotion) {
        guard let upgrade = resident.upgrade, let awake = resident.swapBack() else { return }
        let now = clock.now()
        upgrade.state.withLock { state in
            state.since = nil
            state.retiring = awake
            state.last = why
            state.lastAt = now
            state.barredUntil =
                switch why {
                case .memoryWanted: now + Promotion.calmTime
                case .noGain: now + Promotion.disappointmentTime
                }
        }
        observer.modelDemoted(resident.entry, why)
        treasury.retires(resident)
    }

    /// Frees promoted sessions that were sent back and that nobody runs on. On a loader's or the promoter's thread.
    func reap() {
        for resident in treasury.retiring {
            guard let upgrade = resident.upgrade else { continue }
            var gone = upgrade.reap()
            // The lease that ended last may not have let go of its reference yet.
            for _ in 0..<1_000 where gone == nil && resident.leases == 0 {
                sched_yield()
                gone = upgrade.reap()
            }
            guard gone != nil else { continue }
            gone = nil
            engine.trimMemory()
            treasury.demoted(resident)
        }
    }

    /// The promoted session of a model that leaves: nobody has a lease. On a loader thread.
    func dropPromotion(of resident: Resident) {
        guard let upgrade = resident.upgrade else { return }
        var serving = resident.swapBack()
        var retiring = upgrade.state.withLock { state -> AwakeModel? in
            state.since = nil
            return state.retiring.take()
        }
        awaitOwnership(of: &serving)
        awaitOwnership(of: &retiring)
        treasury.demoted(resident)
    }
}
