// One call on its way over the shards and back: it may wait for its model, then in a queue, then it runs. Threads hand it
// on; whoever moves its phase first decides how it is answered.

import Catalogue
import Contract
import Synchronization

/// Why a call is given up before its run has ended.
enum Abandonment: Sendable {
    case deadline, cancel, stop

    func failure(_ place: Whereabouts, _ entry: ModelEntry) -> CallFailure {
        switch self {
        case .deadline: .deadlinePast(place, entry)
        case .cancel: .cancelled(place)
        case .stop: .stopping(place)
        }
    }
}

/// A call that hopped. Shared by its desk, the watchdog and whoever works on it.
final class Run: Sendable {
    private struct State: ~Copyable {
        var phase = RunPhase.waiting
        var place = Whereabouts.arriving
        /// Taken when the run begins or is given up, so that a dead call holds no tensors.
        var prepared: Prepared?
        var lease: Lease?
        var stopper: (any RunStopper)?
        var timing = Timing()
        var queuedSince: Instant
    }

    /// What a shard needs to run the call.
    struct Work {
        var prepared: Prepared
        var awake: AwakeModel
    }

    let resident: Resident
    let arrived: Instant
    let deadline: Instant
    let wantsProgress: Bool
    /// Whose turn it takes.
    let share: Share
    let byteCount: Int
    /// Only wakes the model, and tries a broken one again; there is nothing to run.
    let onlyWakes: Bool
    /// It is among the runs that its model's turnstile let through.
    let hasPassed = Atomic<Bool>(false)
    private let mailbox: Mailbox
    private let address: DeskPlace
    private let state: Mutex<State>
    private let open = Atomic<Bool>(true)

    /// A call that runs `prepared`, or only wakes the model when it is nil.
    init(
        _ prepared: Prepared?, on resident: Resident, arrived: Instant, deadline: Instant,
        wantsProgress: Bool, share: Share = .house, mailbox: Mailbox, address: DeskPlace
    ) {
        self.share = share
        self.resident = resident
        self.arrived = arrived
        self.deadline = deadline
        self.wantsProgress = wantsProgress
        self.mailbox = mailbox
        self.address = address
        byteCount = prepared?.byteCount ?? 0
        onlyWakes = prepared == nil
        state = Mutex(State(prepared: prepared, queuedSince: arrived))
    }

    /// The caller still waits for its answer.
    var isOpen: Bool { open.load(ordering: .acquiring) }

    /// Where it is, and since when.
    var standing: (place: Whereabouts, since: Instant) {
        state.withLock { state in
            switch state.place {
            case .arriving, .waitingForModel: (state.place, arrived)
            case .queued: (state.place, state.queuedSince)
            case .running: (state.place, state.queuedSince + state.timing.queue)
            }
        }
    }

    // MARK: - On its way to a shard

    /// It is about to wait for its model to load.
    func waitsForModel(_ progress: Progress) {
        state.withLock {
            $0.place = .waitingForModel
            $0.timing.cold = true
        }
        tell(progress)
    }

    func tell(_ progress: Progress) {
        if wantsProgress, isOpen { mailbox.post(.progress(address, progress)) }
    }

    /// Takes a lease that has been counted for this call, and ends it at once when the call has been given up. True
    /// when the call shall be queued.
    /// - Parameter load: the one it waited for; nil when it waited for none.
    func grant(_ awake: AwakeModel, now: Instant, load: LoadSteps? = nil) -> Bool {
        var lease: Lease? = Lease(granted: awake, by: resident)
        return state.withLock { state in
            guard state.phase == .waiting else { return false }
            state.lease = lease.take()
            state.place = .queued
            state.queuedSince = now
            if state.timing.cold {
                state.timing.load = now.since(arrived)
                load?.note(in: &state.timing, arrived: arrived)
            }
            return true
        }
    }

    // MARK: - On a shard

    /// The work, or nil when the call has been given up. `end` must follow.
    func begin(stopper: any RunStopper, now: Instant) -> Work? {
        state.withLock { state in
            guard state.phase.begin() else { return nil }
            state.place = .running
            state.stopper = stopper
            state.timing.queue = now.since(state.queuedSince)
            // A run takes one call; one that never began counts none.
            state.timing.batch = 1
            guard let prepared = state.prepared.take(), let awake = state.lease?.awake else {
                preconditionFailure("a run began without its tensors or its model")
            }
            return Work(prepared: prepared, awake: awake)
        }
    }

    func end(
        _ result: Result<[Tensor], CallFailure>, took time: Nanoseconds, cpu: Nanoseconds,
        now: Instant
    ) {
        var lease: Lease?
        let (note, timing) = state.withLock { state -> (Note, Timing) in
            state.timing.run = time
            state.timing.cpu = cpu
            state.timing.residentBytes = resident.residentBytes.load(ordering: .relaxed)
            lease = state.lease.take()
            state.stopper = nil
            switch state.phase.end() {
            case .answer:
                let note = Note.finished(
                    address, result, timing: state.timing, workContinues: false)
                return (note, state.timing)
            case .workEnded:
                return (.workEnded(address, timing: state.timing), state.timing)
            }
        }
        open.store(false, ordering: .releasing)
        lease?.sums.add(
            succeeded: result.isSuccess, cold: timing.cold, queue: timing.queue.count,
            run: time.count, at: now)
        resident.latency.count(now.since(arrived))
        mailbox.post(note)
        resident.loaders.dispatcher.leave(self)
    }

    /// The model is awake and that was all that was wanted.
    func endWake() {
        var lease: Lease?
        let timing = state.withLock { state -> Timing? in
            guard state.phase.begin(), state.phase.end() == .answer else { return nil }
            lease = state.lease.take()
            return state.timing
        }
        guard let timing else { return }
        open.store(false, ordering: .releasing)
        mailbox.post(.finished(address, .success([]), timing: timing, workContinues: false))
        lease.take()?.end()
    }

    // MARK: - Not to be

    /// It cannot be run: nothing of it has begun.
    func refuse(_ failure: CallFailure) { _ = leave { _ in failure } }

    /// Its model is being loaded and will not be there in time: the caller is told how long it takes, and the load goes on.
    func tooLate(remaining: Nanoseconds) {
        let entry = resident.entry
        if leave({ _ in .stillLoading(entry, remaining) }) != nil { resident.gaveUp() }
    }

    /// Answers the caller at once; a run that has begun is told to stop. Nothing happens when it has been answered.
    func abandon(_ cause: Abandonment) {
        let entry = resident.entry
        switch leave({ cause.failure($0, entry) }) {
        case .waitingForModel: resident.gaveUp()
        case .queued: resident.loaders.dispatcher.gaveUp()
        case .arriving, .running, nil: break
        }
    }

    /// Returns where the call was, or nil when it was too late.
    private func leave(_ failure: (Whereabouts) -> CallFailure) -> Whereabouts? {
        var lease: Lease?
        let (step, place, timing, stopper, tensors) = state.withLock { state in
            let step = state.phase.abandon()
            if step == .drop { lease = state.lease.take() }
            return (step, state.place, state.timing, state.stopper, state.prepared.take())
        }
        // Freed here and not under the lock.
        defer { withExtendedLifetime(tensors) {} }
        guard step != .tooLate else { return nil }
        open.store(false, ordering: .releasing)
        mailbox.post(
            .finished(
                address, .failure(failure(place)), timing: timing, workContinues: step == .stop))
        stopper?.stop()
        lease.take()?.end()
        if step == .drop { resident.loaders.dispatcher.leave(self) }
        return place
    }
}

extension Result {
    var isSuccess: Bool {
        switch self {
        case .success: true
        case .failure: false
        }
    }
}
