// What waits for what on the shards, at this moment: models, queues, loads. Each lock is held for as long as a copy takes; nothing
// waits for it, and asking wakes nobody.

import Catalogue
package import Contract
import Synchronization

/// Every part of the fleet, one after the other: it goes on meanwhile.
package struct FleetState: Sendable {
    /// One version of a model that is awake, on its way, or waited for.
    package struct Model: Sendable {
        package var name: String
        package var version: String
        package var state: String
        /// Uses that have not ended.
        package var leases = 0
        /// Calls that wait for its memory.
        package var waiting = 0
        /// Calls that wait because its manifest limits how many run (`limits.concurrency`).
        package var held = 0
        /// Of the call that has waited longest for its memory: for how long, and how much longer it may.
        package var oldestWait: Nanoseconds?
        package var oldestDeadline: Nanoseconds?
        /// Of the load under way: how long ago it began, and how far it has come.
        package var loadingFor: Nanoseconds?
        package var load: Progress?
        package var failure = ""
    }

    package struct Shard: Sendable {
        /// Runs that wait in its queue.
        package var queued: Int
        /// What it runs; empty while it does not.
        package var model = ""
        package var version = ""
        package var runningFor = Nanoseconds.zero
        /// How much longer that call may take.
        package var deadline = Nanoseconds.zero
    }

    /// Those that somebody waits for first, then those on their way, then the others that are awake.
    package var models: [Model] = []
    package var modelsLeftOut = 0
    /// Models that are asleep and that nobody waits for.
    package var asleep = 0
    package var shards: [Shard] = []
    package var loaderThreads = 0
    package var loaderJobs: [LoaderJob] = []
    /// Loads and releases that wait for a loader thread.
    package var loaderQueue = 0
    /// Loads that wait for memory.
    package var waitingForRoom: [String] = []
    /// The models that hold most memory.
    package var holdings: [(model: String, bytes: UInt64)] = []
    package var holdingsLeftOut = 0
}

extension Fleet {
    /// - Parameter most: models that are named, of each kind.
    package func state(now: Instant, most: Int) -> FleetState {
        var state = FleetState()
        for resident in everyResident {
            guard let model = resident.look(now) else {
                state.asleep += 1
                continue
            }
            state.models.append(model)
        }
        state.models.sort { left, right in
            left.urgency == right.urgency ? left.name < right.name : left.urgency > right.urgency
        }
        state.modelsLeftOut = max(0, state.models.count - most)
        state.models.removeLast(state.modelsLeftOut)
        state.shards = dispatcher.report.map { queued, run in
            var shard = FleetState.Shard(queued: queued)
            if let run {
                shard.model = run.resident.entry.name
                shard.version = run.resident.entry.version
                shard.runningFor = now.since(run.standing.since)
                shard.deadline = run.deadline.since(now)
            }
            return shard
        }
        state.loaderThreads = settings.loaders
        state.loaderJobs = loaders.work.withLock { $0.all }
        state.loaderQueue = loaders.waiting
        state.waitingForRoom = loaders.treasury.waitingForRoom.prefix(most).map(\.entry.name)
        let holdings = self.holdings.sorted { $0.bytes > $1.bytes }
        state.holdings = Array(holdings.prefix(most))
        state.holdingsLeftOut = holdings.count - state.holdings.count
        return state
    }
}

extension FleetState.Model {
    /// What an operator who asks wants to see first.
    fileprivate var urgency: UInt64 {
        if let oldestWait { return 2 << 60 | min(oldestWait.count, 1 << 60) }
        if load != nil || held > 0 { return 1 << 60 }
        return UInt64(min(leases, 1 << 30))
    }
}

extension Resident {
    /// Nil when it is asleep and nobody waits for it.
    fileprivate func look(_ now: Instant) -> FleetState.Model? {
        let phase = phase
        let waiters = waiters
        guard phase != .asleep || !waiters.isEmpty else { return nil }
        var model = FleetState.Model(
            name: entry.name, version: entry.version, state: "\(phase)", leases: leases,
            waiting: waiters.count, held: turnstile?.waiting ?? 0)
        var oldest: Run?
        for case .run(let run) in waiters where run.isOpen {
            if oldest.map({ run.arrived < $0.arrived }) ?? true { oldest = run }
        }
        if let oldest {
            model.oldestWait = now.since(oldest.arrived)
            model.oldestDeadline = oldest.deadline.since(now)
        }
        let fetched = fetched.load(ordering: .relaxed)
        if phase == .queued, fetched >= 0 {
            model.load = Progress(state: .fetching, fraction: Double(fetched) / 1_000)
        } else {
            model.load = loading(now: now)
            if phase == .loading { model.loadingFor = loadBegan.map { now.since($0) } }
        }
        model.failure = failure?.message ?? ""
        return model
    }
}
