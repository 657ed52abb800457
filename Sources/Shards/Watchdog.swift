// Keeps deadlines: one thread for all calls on the shards. Callers are answered at their deadline whatever the shards are
// busy with.

import Contract
import Dispatch
import Synchronization

/// The deadlines of calls on the shards. Any thread may add; one thread waits.
final class Watchdog: Sendable {
    private struct State: Sendable {
        var heap = DeadlineHeap<Run>(isDone: { !$0.isOpen })
        /// The thread looks again at this time at the latest.
        var sleepsUntil = Instant(nanoseconds: 0)
    }

    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)

    /// Watches over calls from now on; those that have been answered are left out.
    func watch(_ runs: [Run]) {
        let isEarlier = state.withLock { state in
            for run in runs where run.isOpen { state.heap.insert(run, deadline: run.deadline) }
            guard let earliest = state.heap.earliest, earliest < state.sleepsUntil else {
                return false
            }
            state.sleepsUntil = earliest
            return true
        }
        if isEarlier { bell.signal() }
    }

    /// Gives up the calls whose time is up. Returns when to look again, `latest` at the latest.
    func expire(_ now: Instant, latest: Instant) -> Instant {
        let (due, next) = state.withLock { state in
            let due = state.heap.popDue(now)
            state.sleepsUntil = min(state.heap.earliest ?? latest, latest)
            return (due, state.sleepsUntil)
        }
        for run in due { run.abandon(.deadline) }
        return next
    }

    /// Blocks for this long or until something earlier has come.
    func sleep(_ time: Nanoseconds) {
        let nanoseconds = Int(min(time.count, 3_600_000_000_000))
        _ = bell.wait(timeout: .now() + .nanoseconds(nanoseconds))
    }

    func wake() { bell.signal() }

    var count: Int { state.withLock { $0.heap.count } }
}
