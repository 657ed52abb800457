// One model of the catalogue on the shards: its residency behind a lock, what is known of its runs, its home.

package import Catalogue
import Contract
import Synchronization

/// Who waits for a model to come or to go.
enum Waiter: Sendable {
    case run(Run)
    case notice(Notice)

    var isGivenUp: Bool {
        switch self {
        case .run(let run): !run.isOpen
        case .notice: false
        }
    }

    func fail(_ failure: CallFailure) {
        switch self {
        case .run(let run): run.refuse(failure)
        case .notice(let notice): notice.done(.failure(failure))
        }
    }
}

/// Somebody outside the walk who wants to know; called once, on a loader thread or the one that asked.
final class Notice: Sendable {
    let done: @Sendable (Result<Void, CallFailure>) -> Void

    init(_ done: @escaping @Sendable (Result<Void, CallFailure>) -> Void) { self.done = done }
}

/// The shards' side of a model. Any thread may use it.
package final class Resident: Sendable {
    typealias Stay = Residency<AwakeModel, Waiter>

    private struct State: Sendable {
        var stay: Stay
        var sums = RunSums()
        /// How long the last load took; nil when there was none.
        var loadTime: Nanoseconds?
    }

    package let entry: ModelEntry
    let home: Int
    package let estimates = RunEstimates()
    /// An inline run has held up its event loop: none before this time, in nanoseconds.
    private let inlineBarredUntil = Atomic<UInt64>(0)
    /// Kept in memory once it is awake, whatever needs room.
    let isPinned = Atomic<Bool>(false)
    private let state: Mutex<State>
    let loaders: Loaders

    init(_ entry: ModelEntry, settings: ShardSettings, loaders: Loaders) {
        self.entry = entry
        self.loaders = loaders
        home = Rendezvous.home(
            name: entry.name, version: entry.versionNumber, shards: settings.count)
        state = Mutex(
            State(
                stay: Stay(
                    waitersMax: settings.loadWaitersMax, retryMin: settings.loadRetryMin,
                    retryMax: settings.loadRetryMax), loadTime: entry.measured.load))
    }

    // MARK: - Uses

    /// Expected nanoseconds of a run, or nil when it must not run on an event loop.
    func inlineCost(forBytes byteCount: Int, max: Nanoseconds, now: Instant) -> UInt64? {
        let estimate = estimates.nanoseconds(forBytes: byteCount)
        guard estimate > 0, estimate <= max.count,
            inlineBarredUntil.load(ordering: .relaxed) <= now.nanoseconds
        else { return nil }
        return estimate
    }

    func barInline(until: Instant) {
        inlineBarredUntil.store(until.nanoseconds, ordering: .relaxed)
    }

    /// A lease's model when it is awake; the caller makes the ``Lease``.
    func grantNow() -> AwakeModel? { state.withLock { $0.stay.grantNow() } }

    func arrive(_ waiter: Waiter, now: Instant, insists: Bool) -> Stay.Arrival {
        state.withLock {
            $0.stay.arrive(waiter, now: now, insists: insists, isGivenUp: \.isGivenUp)
        }
    }

    func gaveUp() { state.withLock { $0.stay.gaveUp() } }

    func leaseEnded(_ sums: RunSums) {
        let isLast = state.withLock {
            $0.sums.add(sums)
            return $0.stay.leaseEnded()
        }
        if isLast { loaders.release(self) }
    }

    // MARK: - Loads, on loader threads

    /// Returns who waits already, to tell them.
    func loadBegan() -> [Waiter] {
        state.withLock {
            $0.stay.loadBegan()
            return $0.stay.waiters
        }
    }

    func loadRefused() -> (waiters: [Waiter], leavers: [Waiter]) {
        state.withLock { $0.stay.loadRefused() }
    }

    func loadEnded(_ awake: AwakeModel, took time: Nanoseconds) -> (
        waiters: [Waiter], release: Bool
    ) {
        state.withLock {
            $0.loadTime = time
            return $0.stay.loadEnded(awake)
        }
    }

    func loadFailed(_ failure: CallFailure, now: Instant) -> (
        waiters: [Waiter], leavers: [Waiter], retryAfter: Nanoseconds
    ) {
        state.withLock { $0.stay.loadFailed(failure, now: now) }
    }

    func leave(_ leaver: Waiter, forever: Bool) -> Stay.Departure {
        state.withLock { $0.stay.leave(leaver, forever: forever) }
    }

    func surrender() -> AwakeModel? { state.withLock { $0.stay.surrender() } }

    func released() -> (leavers: [Waiter], startLoad: Bool) {
        estimates.forget()
        return state.withLock { $0.stay.released() }
    }

    func stop() -> [Waiter] { state.withLock { $0.stay.stop() } }

    // MARK: - Questions

    var phase: Stay.Phase { state.withLock { $0.stay.phase } }
    var tally: RunTally { state.withLock { $0.sums }.tally }
    var loadTime: Nanoseconds? { state.withLock { $0.loadTime } }
    var failure: CallFailure? { state.withLock { $0.stay.failure } }
    var isRetired: Bool { state.withLock { $0.stay.isRetired } }
    package var leases: Int { state.withLock { $0.stay.leases } }
    package var waiting: Int { state.withLock { $0.stay.waiters.count } }

    func refusal(
        _ refusal: Stay.Refusal, _ settings: ShardSettings
    ) -> CallFailure {
        switch refusal {
        case .waitersFull:
            return .waitersFull(settings, entry, loadTime)
        case .broken(var failure, let retryAfter):
            failure.retryAfter = retryAfter
            return failure
        case .retired: return .retired(entry)
        case .stopped: return .stopping(.arriving)
        }
    }
}
