// Calls that wait to be exported: bounded, and whoever adds one never waits. What does not fit is dropped and counted.

package import Contract
import Synchronization

/// What has become of the calls that were to be exported, since the start.
package struct TraceCounts: Sendable, Equatable {
    /// Calls whose spans the collector has taken, and those spans.
    package var exportedCalls: UInt64 = 0
    package var exportedSpans: UInt64 = 0
    /// Calls that nobody will see: the queue was full.
    package var droppedQueue: UInt64 = 0
    /// Calls that were sent in vain: the collector could not be reached in time, however often it was tried.
    package var droppedUnreachable: UInt64 = 0
    /// Calls of requests that the collector refused.
    package var droppedRefused: UInt64 = 0
    /// Spans that the collector did not take, of requests that it took.
    package var rejectedSpans: UInt64 = 0
    /// Requests that failed, those that were tried again among them.
    package var failures: UInt64 = 0
    /// Calls that wait now, or are being sent.
    package var waiting = 0

    package init() {}
}

/// Usable from every thread: a lock is held for a few instructions.
package final class TraceQueue: Sendable {
    private struct State {
        var calls: [CallRecord] = []
        /// Taken, and not settled yet: they take room as those that wait.
        var taken = 0
        var counts = TraceCounts()
    }

    private let callsMax: Int
    private let batch: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - callsMax: how many it holds, those that are being sent among them.
    ///   - batch: how many are worth a request.
    package init(callsMax: Int, batch: Int) {
        precondition(callsMax > 0 && batch > 0, "a queue without room")
        self.callsMax = callsMax
        self.batch = batch
    }

    /// True when a whole batch waits, once for each.
    package func add(_ call: CallRecord) -> Bool {
        var call = call
        // The caller's own words are not exported, and may be long.
        call.change { $0.asked = ("", "") }
        return state.withLock { state in
            guard state.calls.count + state.taken < callsMax else {
                state.counts.droppedQueue &+= 1
                return false
            }
            state.calls.append(call)
            return state.calls.count % batch == 0
        }
    }

    /// All that wait, the oldest first. `settled` must follow for each of them.
    package func take() -> [CallRecord] {
        state.withLock { state in
            let calls = state.calls
            state.calls = []
            state.taken += calls.count
            return calls
        }
    }

    /// Calls that were taken are exported or given up; what has become of them is counted in the same moment.
    package func settled(_ calls: Int, _ change: (inout TraceCounts) -> Void) {
        state.withLock { state in
            precondition(state.taken >= calls, "calls were settled that nobody has taken")
            state.taken -= calls
            change(&state.counts)
        }
    }

    /// A request has failed that may be tried again.
    package func failed() { state.withLock { $0.counts.failures &+= 1 } }

    package var hasBatch: Bool { state.withLock { $0.calls.count >= batch } }

    package var counts: TraceCounts {
        state.withLock { state in
            var counts = state.counts
            counts.waiting = state.calls.count + state.taken
            return counts
        }
    }
}
