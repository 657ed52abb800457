// Loading and releasing models, on threads of their own, so that neither holds up a running call.

import Catalogue
import Contract
import Dispatch
import Glibc
import NIOCore
import Synchronization

/// The queue of loads and releases, and what is done about each. Any thread may ask.
final class Loaders: Sendable {
    private enum Job: Sendable {
        case load(Resident)
        case release(Resident)
    }

    private struct Queue: Sendable {
        var jobs = CircularBuffer<Job>()
        var loads = 0
        var isClosed = false
    }

    private let settings: ShardSettings
    private let engine: any ModelEngine
    private let observer: any FleetObserver
    private let clock: Clock
    let dispatcher: Dispatcher
    private let queue = Mutex(Queue())
    private let bell = DispatchSemaphore(value: 0)

    init(
        _ settings: ShardSettings, engine: any ModelEngine, observer: any FleetObserver,
        dispatcher: Dispatcher, clock: Clock
    ) {
        self.settings = settings
        self.engine = engine
        self.observer = observer
        self.dispatcher = dispatcher
        self.clock = clock
    }

    // MARK: - Asking

    /// The model's residency has said that a load is to start.
    func load(_ resident: Resident) {
        let isTaken = queue.withLock { queue in
            guard !queue.isClosed, queue.loads < settings.loadsMax else { return false }
            queue.loads += 1
            queue.jobs.append(.load(resident))
            return true
        }
        guard !isTaken else {
            bell.signal()
            return
        }
        let (waiters, leavers) = resident.loadRefused()
        let isClosed = queue.withLock { $0.isClosed }
        let failure: CallFailure =
            isClosed
            ? .stopping(.waitingForModel)
            : .loadsFull(settings, resident.loadTime ?? .seconds(1))
        for waiter in waiters { waiter.fail(failure) }
        for leaver in leavers { leaver.tellGone() }
    }

    /// The model's residency has said that it is to be released. Never refused: bounded by the models awake.
    func release(_ resident: Resident) {
        let isTaken = queue.withLock { queue in
            guard !queue.isClosed else { return false }
            queue.jobs.append(.release(resident))
            return true
        }
        if isTaken { bell.signal() }
    }

    /// Jobs that have not begun are dropped: their waiters are answered by whoever stops the fleet.
    func close() {
        queue.withLock { queue in
            queue.isClosed = true
            queue.jobs.removeAll()
        }
        for _ in 0..<settings.loaders { bell.signal() }
    }

    var waiting: Int { queue.withLock { $0.jobs.count } }

    // MARK: - Doing, on a loader thread

    func serve() {
        while true {
            bell.wait()
            let (job, isClosed) = take()
            if let job { perform(job) }
            if isClosed { return }
        }
    }

    /// Does what is waiting and returns; for tests without threads.
    func drain() {
        while let job = take().0 { perform(job) }
    }

    private func take() -> (Job?, isClosed: Bool) {
        queue.withLock { queue in
            let job = queue.jobs.popFirst()
            if case .load = job { queue.loads -= 1 }
            return (job, queue.isClosed)
        }
    }

    private func perform(_ job: Job) {
        switch job {
        case .load(let resident): performLoad(resident)
        case .release(let resident): performRelease(resident)
        }
    }

    private func performLoad(_ resident: Resident) {
        let progress = Progress(state: .loading, remaining: resident.loadTime)
        for case .run(let run) in resident.loadBegan() { run.tell(progress) }
        let began = clock.now()
        do throws(CallFailure) {
            let awake = AwakeModel(try loadVerified(resident.entry))
            let now = clock.now()
            let (waiters, isUnwanted) = resident.loadEnded(awake, took: now.since(began))
            observer.modelLoaded(resident.entry, time: now.since(began))
            hand(awake, of: resident, to: waiters, now: now)
            if isUnwanted { release(resident) }
        } catch {
            let (waiters, leavers, retryAfter) = resident.loadFailed(error, now: clock.now())
            observer.modelFailedToLoad(resident.entry, failure: error, retryAfter: retryAfter)
            var failure = error
            failure.retryAfter = retryAfter
            for waiter in waiters { waiter.fail(failure) }
            for leaver in leavers { leaver.tellGone() }
        }
    }

    /// Calls are checked against the catalogue's signature, so the session must have the same one.
    private func loadVerified(_ entry: ModelEntry) throws(CallFailure) -> any LoadedModel {
        let model: any LoadedModel
        do throws(CallFailure) {
            model = try engine.load(entry)
        } catch {
            throw error.reason == .modelBroken ? error : entry.brokenFailure(error.message)
        }
        if let difference = entry.mismatch(with: model.signature) {
            throw entry.brokenFailure(difference)
        }
        return model
    }

    private func hand(
        _ awake: AwakeModel, of resident: Resident, to waiters: [Waiter], now: Instant
    ) {
        var ready: [Run] = []
        ready.reserveCapacity(waiters.count)
        for waiter in waiters {
            switch waiter {
            case .run(let run):
                guard run.grant(awake, now: now) else { continue }
                if run.onlyWakes { run.endWake() } else { ready.append(run) }
            case .notice(let notice):
                Lease(granted: awake, by: resident).end()
                notice.done(.success(()))
            }
        }
        dispatcher.place(ready)
    }

    private func performRelease(_ resident: Resident) {
        var awake = resident.surrender()
        // The lease that ended last may not have let go of its reference yet; the memory shall be freed here.
        for _ in 0..<1_000 where !isKnownUniquelyReferenced(&awake) { sched_yield() }
        awake = nil
        // Without this the allocator keeps most of what a session held (RUNTIME.md).
        engine.trimMemory()
        observer.modelReleased(resident.entry)
        let (leavers, startsLoad) = resident.released()
        for leaver in leavers { leaver.tellGone() }
        if startsLoad { load(resident) }
    }
}

extension Waiter {
    /// The model has left memory.
    func tellGone() {
        switch self {
        case .notice(let notice): notice.done(.success(()))
        case .run: preconditionFailure("a call never waits for a model to go")
        }
    }
}
