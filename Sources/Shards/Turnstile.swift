// Lets so many runs of one model through at the same time (manifest, `limits.concurrency`); the others wait in front of the
// shards' queues, so that no shard waits with them.

import Contract
import NIOCore
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
        var waiting = CircularBuffer<Run>()
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
    func enter(_ run: Run) -> Entry {
        state.withLock { state in
            if state.isClosed { return .closed }
            if state.inside < limit {
                state.inside += 1
                return .passes
            }
            if state.waiting.count >= waitingMax { state.waiting.removeAll { !$0.isOpen } }
            guard state.waiting.count < waitingMax else { return .full }
            state.waiting.append(run)
            return .waits
        }
    }

    /// One that passed has ended. Returns who passes in its place.
    func left() -> Run? {
        state.withLock { state in
            while let next = state.waiting.popFirst() {
                if next.isOpen { return next }
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
            let waiting = Array(state.waiting)
            state.waiting.removeAll()
            return waiting
        }
    }

    var waiting: Int { state.withLock { $0.waiting.count } }
}
