// Models in memory and the shards: what the fleet tells is counted, what it knows is asked for.

import Catalogue
import Contract
import Shards
import Telemetry

/// Counts what happens to models, and tells the next observer. Called on the shards' threads.
struct CountingFleetObserver: FleetObserver {
    let metrics: FleetMetrics
    let next: any FleetObserver

    func modelLoaded(_ entry: ModelEntry, time: Nanoseconds) {
        metrics.wake.observe(time.count)
        next.modelLoaded(entry, time: time)
    }

    func modelFailedToLoad(_ entry: ModelEntry, failure: CallFailure, retryAfter: Nanoseconds) {
        metrics.failures.series(entry.name, entry.version).add()
        next.modelFailedToLoad(entry, failure: failure, retryAfter: retryAfter)
    }

    func modelReleased(_ entry: ModelEntry) { next.modelReleased(entry) }

    func modelEvicted(_ entry: ModelEntry, for other: ModelEntry, holding: MemoryUse) {
        next.modelEvicted(entry, for: other, holding: holding)
    }

    func memoryMeasured(_ entry: ModelEntry, held: UInt64, lost: UInt64) {
        metrics.released.add(held)
        metrics.unreturned.add(lost)
        next.memoryMeasured(entry, held: held, lost: lost)
    }

    func memoryUnreturned(_ entry: ModelEntry, bytes: UInt64) {
        next.memoryUnreturned(entry, bytes: bytes)
    }

    func modelPromoted(_ entry: ModelEntry, time: Nanoseconds, bytes: UInt64) {
        metrics.promotions.series("begun").add()
        next.modelPromoted(entry, time: time, bytes: bytes)
    }

    func modelNotPromoted(_ entry: ModelEntry, failure: CallFailure) {
        metrics.promotions.series("failed").add()
        next.modelNotPromoted(entry, failure: failure)
    }

    func modelDemoted(_ entry: ModelEntry, _ why: Demotion) {
        switch why {
        case .memoryWanted: metrics.promotions.series("memory_wanted").add()
        case .noGain: metrics.promotions.series("no_gain").add()
        }
        next.modelDemoted(entry, why)
    }

    func loadsAreMany(_ account: FleetAccount, limit: UInt64) {
        next.loadsAreMany(account, limit: limit)
    }

    func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds) {
        metrics.stalls.add()
        next.inlineRunStalled(entry, time: time)
    }
}

extension FleetObserver {
    /// The same observer, after everything was counted.
    func counted(by metrics: MetricsDesk?) -> any FleetObserver {
        metrics.map { CountingFleetObserver(metrics: $0.fleet, next: self) } ?? self
    }
}

/// What is counted of the fleet as it happens.
final class FleetMetrics: Sendable {
    let modelsMax: Int
    let wake: HistogramSeries
    let failures: CounterFamily
    let released, unreturned, stalls: CounterSeries
    let promotions: CounterFamily

    init(_ book: MetricBook, modelsMax: Int) {
        self.modelsMax = modelsMax
        wake = book.histogram(MetricNames.wake).series()
        failures = book.counter(MetricNames.loadFailures, seriesMax: modelsMax)
        released = book.counter(MetricNames.released).series()
        unreturned = book.counter(MetricNames.unreturned).series()
        stalls = book.counter(MetricNames.stalls).series()
        promotions = book.counter(MetricNames.promotions, open: [])
        for result in ["begun", "failed", "memory_wanted", "no_gain"] {
            _ = promotions.series(result)
        }
    }

    /// Of what released models held, 0...1.
    var returnedRatio: Double {
        let (held, lost) = (Double(released.count), Double(unreturned.count))
        return held > 0 ? max(0, 1 - lost / held) : 1
    }
}

/// The fleet and the catalogue, asked.
struct FleetSource: MetricSource {
    let desk: MetricsDesk
    let registry: Registry
    let fleet: Fleet

    func write(to page: inout MetricPage) {
        let entries = registry.entries
        let now = Instant.now()
        let accounts = fleet.accounts(of: entries, now: now)
        forgetOthers(than: entries)
        writeStates(accounts, entries, to: &page)
        writeModels(FleetSource.told(accounts, desk.settings.modelsMax), to: &page)
        writeMemory(fleet.account(now: now), to: &page)
        writeShards(fleet.statistics, to: &page)
        if desk.settings.triton { TritonNames.write(fleet, entries, desk, to: &page) }
    }

    private func forgetOthers(than entries: [ModelEntry]) {
        guard desk.calls.isCrowded || desk.fleet.failures.counts.count > desk.settings.modelsMax / 2
        else { return }
        let known = Set(entries.map { [$0.name, $0.version] })
        desk.calls.keep { known.contains([$0, $1]) }
        desk.fleet.failures.keep { known.contains($0) }
    }

    private func writeStates(
        _ accounts: [ModelAccount], _ entries: [ModelEntry], to page: inout MetricPage
    ) {
        var states: [ModelAccount.State: UInt64] = [:]
        for account in accounts { states[account.state, default: 0] += 1 }
        page.begin(MetricNames.models)
        for state in ModelAccount.State.allCases {
            page.sample(["\(state)"], states[state] ?? 0)
        }
        page.begin(MetricNames.quarantined)
        page.sample([], UInt64(registry.quarantinedCount))
        page.begin(MetricNames.promoted)
        page.sample([], UInt64(accounts.count { $0.promotedFor != nil }))
        page.begin(MetricNames.pinned)
        page.sample([], UInt64(accounts.count { $0.isPinned }))
    }

    /// Models that were ever woken: those awake first, then those loaded most often; the rest as one.
    static func told(_ accounts: [ModelAccount], _ most: Int) -> [ModelAccount] {
        var known = accounts.filter { $0.loads > 0 || $0.state == .awake }
        guard known.count > most else { return known }
        known.sort {
            ($0.state == .awake ? 1 : 0, $0.loads) > ($1.state == .awake ? 1 : 0, $1.loads)
        }
        var rest = ModelAccount(
            name: CallMetrics.other, version: CallMetrics.other, state: .asleep)
        for account in known[most...] {
            rest.loads += account.loads
            rest.evictions += account.evictions
            guard account.state == .awake else { continue }
            rest.state = .awake
            rest.anonymousBytes += account.anonymousBytes
            rest.mappedBytes += account.mappedBytes
        }
        return known[..<most] + [rest]
    }

    private func writeModels(_ accounts: [ModelAccount], to page: inout MetricPage) {
        let texts = accounts.map { LabelText(["model", "version"], [$0.name, $0.version]) }
        func all(
            _ description: MetricDescription, _ page: inout MetricPage,
            _ value: (ModelAccount) -> UInt64?
        ) {
            page.begin(description)
            for (account, text) in zip(accounts, texts) {
                if let value = value(account) { page.sample(text, value) }
            }
        }
        func held(_ bytes: UInt64, by account: ModelAccount) -> UInt64? {
            account.state == .awake || account.state == .leaving ? bytes : nil
        }
        all(MetricNames.awake, &page) { $0.state == .awake ? 1 : 0 }
        all(MetricNames.modelAnonymous, &page) { held($0.anonymousBytes, by: $0) }
        all(MetricNames.modelMapped, &page) { held($0.mappedBytes, by: $0) }
        all(MetricNames.loads, &page) { $0.loads }
        all(MetricNames.evictions, &page) { $0.evictions }
    }

    private func writeMemory(_ account: FleetAccount, to page: inout MetricPage) {
        page.begin(MetricNames.budget)
        if account.anonymousBudget > 0 { page.sample(["anonymous"], account.anonymousBudget) }
        if account.mappedBudget > 0 { page.sample(["mapped"], account.mappedBudget) }
        page.begin(MetricNames.used)
        page.sample(["anonymous"], account.anonymousUsed)
        page.sample(["mapped"], account.mappedUsed)
        page.begin(MetricNames.returnedRatio)
        page.sample([], desk.fleet.returnedRatio)
    }

    private func writeShards(_ statistics: FleetStatistics, to page: inout MetricPage) {
        page.begin(MetricNames.shards)
        page.sample([], UInt64(statistics.shards))
        page.begin(MetricNames.shardsBusy)
        page.sample([], UInt64(statistics.running))
        page.begin(MetricNames.waiting)
        page.sample(["shard"], UInt64(statistics.queued))
        page.sample(["model"], UInt64(statistics.callsWaitingForModels))
        page.begin(MetricNames.placed)
        page.sample([], statistics.placed)
        page.begin(MetricNames.refusedRuns)
        page.sample([], statistics.refused)
        page.begin(MetricNames.stolen)
        page.sample([], statistics.stolen)
        page.begin(MetricNames.wakeUps)
        page.sample([], statistics.wakeUps)
    }
}
