// What the fleet knows of its models' memory and why they come and go, in Contract's words. Asking wakes nobody.

package import Catalogue
package import Contract
import Synchronization

extension Fleet {
    /// What each of these versions costs and how it is used, in their order.
    package func accounts(of entries: [ModelEntry], now: Instant) -> [ModelAccount] {
        let queued = dispatcher.waitingByModel
        return entries.map { entry in
            var account = ModelAccount(name: entry.name, version: entry.version, state: .asleep)
            if let resident = known(entry) {
                fill(&account, from: resident, now)
                account.waiting = UInt32(
                    clamping: resident.waiting + (resident.turnstile?.waiting ?? 0)
                        + (queued[ObjectIdentifier(resident)] ?? 0))
            }
            if let fault = entry.fault {
                account.state = .broken
                account.failure = fault
            }
            return account
        }
    }

    private func fill(_ account: inout ModelAccount, from resident: Resident, _ now: Instant) {
        let (history, atRest, peak, demand) = resident.account
        let tally = resident.tally
        switch resident.phase {
        case .asleep: account.state = .asleep
        case .queued: account.state = .queued
        case .loading: account.state = .loading
        case .awake: account.state = .awake
        case .leaving, .releasing: account.state = .leaving
        case .broken: account.state = resident.failure == nil ? .asleep : .broken
        }
        account.failure = resident.failure?.message ?? ""
        account.anonymousBytes = atRest?.anonymous ?? 0
        account.mappedBytes = atRest?.mapped ?? 0
        account.loadPeakBytes = peak?.anonymous ?? 0
        account.unreturnedBytes = history.unreturned
        account.loadTime = resident.loadTime ?? .zero
        account.awakeFor = history.awakeSince.map { now.since($0) }
        account.sinceLastCall = tally.last.map { now.since($0) }
        account.callsSinceWake =
            history.awakeSince == nil
            ? 0 : tally.run.count - min(tally.run.count, history.runsBefore)
        account.calls = tally.run.count
        account.failedCalls = tally.failure.count
        account.coldCalls = tally.cold
        account.latency = resident.latency.now
        account.waking = max(0, resident.loading(now: now)?.fraction ?? 0)
        account.loads = history.loads
        account.evictions = history.evictions
        account.demand = demand.value(at: now)
        account.score = resident.score(now)
        account.sinceEviction = history.evicted.map { now.since($0) }
        account.evictedFor = history.evictedFor
        account.isPinned = resident.staysPinned
        account.isMapped = resident.upgrade != nil
        account.isKeptWarm = resident.isWarm.load(ordering: .relaxed)
        account.idleMax = resident.idleMax
        resident.upgrade?.fill(&account, now)
    }

    /// The memory all models share, and how well it serves.
    package func account(now: Instant) -> FleetAccount {
        let report = loaders.treasury.report(now: now)
        var account = FleetAccount()
        // "No budget" is 0 in an account.
        account.anonymousBudget = report.budget.anonymous == .max ? 0 : report.budget.anonymous
        account.mappedBudget = report.budget.mapped == .max ? 0 : report.budget.mapped
        account.anonymousUsed = report.used.anonymous
        account.mappedUsed = report.used.mapped
        account.calls = everyResident.reduce(0) { $0 + $1.tally.run.count }
        account.coldCalls = report.misses.cold
        account.loadsLastHour = report.loadsLastHour
        account.loadsWarn = loaders.wishes.now.loadsWarn
        account.uptime = now.since(began)
        account.queued = UInt32(clamping: dispatcher.waiting)
        account.running = UInt32(clamping: dispatcher.running.count)
        account.missCurve = report.misses.points(calls: account.calls).map {
            MissPoint(extraBytes: $0.extra, coldShare: min(1, $0.coldShare))
        }
        return account
    }

    /// Calls that wait for a shard or for their model, by the entry's index; none where there are none.
    package var waitingCalls: [Int: Int] {
        var waiting: [Int: Int] = [:]
        for resident in everyResident {
            let count = resident.waiting + resident.leases
            if count > 0 { waiting[resident.entry.index] = count }
        }
        // Who runs has a lease and waits no more.
        for run in dispatcher.running {
            let index = run.resident.entry.index
            if let count = waiting[index] { waiting[index] = max(0, count - 1) }
        }
        return waiting
    }
}
