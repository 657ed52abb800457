// The board and the bells: hands runs to shard threads, a batch under one lock, and wakes each shard at most once.

import Contract
import Dispatch
import Synchronization

/// Where event loops and loaders leave runs, and shards find them. Any thread may use it.
final class Dispatcher: Sendable {
    private let settings: ShardSettings
    private let board: Mutex<RunBoard<Run>>
    private let bells: [DispatchSemaphore]

    /// Assumed of a run that has never been measured.
    private static let unknownCost: UInt64 = 1_000_000

    init(_ settings: ShardSettings) {
        self.settings = settings
        bells = (0..<settings.count).map { _ in DispatchSemaphore(value: 0) }
        board = Mutex(
            RunBoard(
                shards: settings.count, queueMax: settings.queueMax, isGivenUp: { !$0.isOpen }))
    }

    /// Queues runs that have their leases. Those that find no room are refused; of a model that limits its runs, some
    /// wait until others have ended.
    func place(_ runs: [Run]) {
        guard runs.contains(where: { $0.resident.turnstile != nil }) else { return queue(runs) }
        var passing: [Run] = []
        for run in runs where run.isOpen {
            guard let turnstile = run.resident.turnstile else {
                passing.append(run)
                continue
            }
            switch turnstile.enter(run, cost: Dispatcher.cost(of: run)) {
            case .passes:
                run.hasPassed.store(true, ordering: .releasing)
                passing.append(run)
            case .waits: break
            case .full: run.refuse(.turnstileFull(settings, run.resident.entry, turnstile.limit))
            case .closed: run.abandon(.stop)
            }
        }
        queue(passing)
        // One that was given up on its way in has found nobody to tell that it passed.
        for run in passing where !run.isOpen { leave(run) }
    }

    /// The run has ended or been given up: another of its model may pass.
    func leave(_ run: Run) {
        var leaving = run
        while let turnstile = leaving.resident.turnstile,
            leaving.hasPassed.exchange(false, ordering: .acquiringAndReleasing),
            let next = turnstile.left()
        {
            next.hasPassed.store(true, ordering: .releasing)
            queue([next])
            // Else it leaves by itself when it has ended.
            guard !next.isOpen else { return }
            leaving = next
        }
    }

    private func queue(_ runs: [Run]) {
        guard !runs.isEmpty else { return }
        var wake: [Int] = []
        var refused: [(Run, CallFailure)] = []
        board.withLock { board in
            for run in runs where run.isOpen {
                let cost = Dispatcher.cost(of: run)
                switch board.place(
                    run, share: run.share, home: run.resident.home, cost: cost)
                {
                case .taken(wake: nil): break
                case .taken(wake: .some(let shard)): wake.append(shard)
                case .full(let retryAfter):
                    refused.append((run, .shardQueuesFull(settings, retryAfter)))
                case .closed: refused.append((run, .stopping(.queued)))
                }
                for other in board.takeDisplaced() {
                    refused.append((other, .queueShareUsed(settings, board.retryAfter)))
                }
            }
        }
        for shard in wake { bells[shard].signal() }
        for (run, failure) in refused { run.refuse(failure) }
    }

    /// Expected nanoseconds.
    private static func cost(of run: Run) -> UInt64 {
        let known = run.resident.estimates.nanoseconds(forBytes: run.byteCount)
        return known > 0 ? known : unknownCost
    }

    func next(for shard: Int) -> RunBoard<Run>.Next { board.withLock { $0.next(for: shard) } }

    /// Blocks the shard's thread until there may be something for it.
    func park(_ shard: Int) { bells[shard].wait() }

    func gaveUp() { board.withLock { $0.gaveUp() } }

    /// Answers what waits; shards end when they have finished what they run.
    func close() {
        let (waiting, wake) = board.withLock { $0.close() }
        for shard in wake { bells[shard].signal() }
        for run in waiting { run.abandon(.stop) }
    }

    var retryAfter: Nanoseconds { board.withLock { $0.retryAfter } }
    var running: [Run] { board.withLock { $0.running } }
    var report: [(waiting: Int, running: Run?)] { board.withLock { $0.report } }
    var waiting: Int { board.withLock { $0.waiting } }

    /// How many runs of each model wait for a shard.
    var waitingByModel: [ObjectIdentifier: Int] {
        // The lock is held for no longer than it takes to write them down.
        let runs = board.withLock { $0.waitingItems }
        var counts: [ObjectIdentifier: Int] = [:]
        for run in runs where run.isOpen { counts[ObjectIdentifier(run.resident), default: 0] += 1 }
        return counts
    }

    var counts: RunBoard<Run>.Counts { board.withLock { $0.counts } }
}
