// Lets so many runs of one model through at the same time (manifest, `limits.concurrency`); the others wait in front of the
// shards' queues, so that no shard waits with them. Tenants take turns here as there.

import Contract
import Synchronization

/// For one model. Any thread may use it; nothing is called while its lock is held.
final class Turnstile: Sendable {
    enum Entry {
        case passes
        case waits
        case full
        case closed
    }

    private struct State: Sendable {
        var inside = 0
        var waiting = PriorityQueue<Run>()
        var isClosed = false
    }

    let limit: Int
    private let waitingMax: Int
    private let state = Mutex(State())

    init(limit: Int, waitingMax: Int) {
        self.limit = limit
        self.waitingMax = waitingMax
    }

    /// A run wants to its shard. `left` must follow once for each that passes.
    func enter(_ run: Run, cost: UInt64) -> Entry {
        state.withLock { state in
            if state.isClosed { return .closed }
            if state.inside < limit {
                state.inside += 1
                return .passes
            }
            if state.waiting.count >= waitingMax { state.waiting.removeAll(where: { !$0.isOpen }) }
            guard state.waiting.count < waitingMax else { return .full }
            state.waiting.append(.init(run, share: run.share, cost: cost))
            return .waits
        }
    }

    /// One that passed has ended. Returns who passes in its place.
    func left() -> Run? {
        state.withLock { state in
            while let next = state.waiting.popFirst() {
                if next.item.isOpen { return next.item }
            }
            precondition(state.inside > 0, "a run left that had not passed")
            state.inside -= 1
            return nil
        }
    }

    /// Nobody passes any more. Returns who waited.
    func close() -> [Run] {
        state.withLock { state in
            state.isClosed = true
            return state.waiting.removeAll()
        }
    }

    var waiting: Int { state.withLock { $0.waiting.count } }
}
