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
    let wishes: WishBox
    let engine: any ModelEngine
    let observer: any FleetObserver
    let clock: Clock
    private let journal: any RunJournal
    let fetcher: (any ModelFetcher)?
    let dispatcher: Dispatcher
    let treasury: Treasury
    private let census: Census
    private let queue = Mutex(Queue())
    private let bell = DispatchSemaphore(value: 0)

    init(
        _ settings: ShardSettings, engine: any ModelEngine, observer: any FleetObserver,
        dispatcher: Dispatcher, clock: Clock, census: Census, journal: any RunJournal,
        fetcher: (any ModelFetcher)? = nil
    ) {
        self.settings = settings
        self.engine = engine
        self.observer = observer
        self.dispatcher = dispatcher
        self.clock = clock
        self.journal = journal
        self.fetcher = fetcher
        self.census = census
        wishes = WishBox(settings)
        treasury = Treasury(settings, wishes: wishes)
    }

    // MARK: - Asking

    /// The model's files are here (``load(_:)``): a loader is asked.
    func enqueue(_ resident: Resident) {
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
        let isClosed = queue.withLock { $0.isClosed }
        refuse(
            resident,
            isClosed
                ? .stopping(.waitingForModel)
                : .loadsFull(settings, resident.loadTime ?? .seconds(1)))
    }

    /// The load does not begin: nothing is remembered of it.
    func refuse(_ resident: Resident, _ failure: CallFailure) {
        let (waiters, leavers) = resident.loadRefused()
        for waiter in waiters { waiter.fail(failure) }
        for leaver in leavers { leaver.tellGone() }
    }

    /// Loads that waited for room are tried again. Called when some may have come, and now and then.
    func retryParked() {
        let parked = treasury.retry(now: clock.now())
        guard !parked.isEmpty else { return }
        let areTaken = queue.withLock { queue in
            guard !queue.isClosed else { return false }
            // In front of whoever came later.
            for resident in parked.reversed() { queue.jobs.prepend(.load(resident)) }
            queue.loads += parked.count
            return true
        }
        for resident in parked {
            if areTaken { bell.signal() } else { refuse(resident, .stopping(.waitingForModel)) }
        }
    }

    /// A use of some model has ended, the path of a call: nothing is done unless a load waits for room.
    func leaseEnded() { if treasury.awaitsRoom { retryParked() } }

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
        // Looks at every model, so it is done here and not where the call came in.
        if resident.isMiss.exchange(false, ordering: .relaxed) {
            treasury.missed(resident, among: census.all)
        }
        guard makeRoom(for: resident) else { return }
        let progress = Progress(state: .loading, remaining: resident.loadTime)
        let began = clock.now()
        for case .run(let run) in resident.loadBegan(now: began) { run.tell(progress) }
        let measurement = Measurement(engine, treasury)
        do throws(CallFailure) {
            let awake = AwakeModel(try loadVerified(resident.entry, as: resident.entry.load))
            let now = clock.now()
            let overdrawn = settle(resident, measurement, now: now)
            let (waiters, isUnwanted) = resident.loadEnded(
                awake, took: now.since(began), now: now)
            observer.modelLoaded(resident.entry, time: now.since(began))
            var steps = resident.loadSteps.withLock { $0 }
            steps.created(from: began, to: now)
            hand(awake, of: resident, to: waiters, steps, now: now)
            if isUnwanted { release(resident) }
            send(overdrawn, awayFor: resident)
        } catch {
            _ = measurement.end()
            treasury.failed(resident)
            let (waiters, leavers, retryAfter) = resident.loadFailed(error, now: clock.now())
            observer.modelFailedToLoad(resident.entry, failure: error, retryAfter: retryAfter)
            var failure = error
            failure.retryAfter = retryAfter
            for waiter in waiters { waiter.fail(failure) }
            for leaver in leavers { leaver.tellGone() }
        }
        retryParked()
    }

    /// Reserves what the load needs, evicting others for it. False when the load does not begin now: it waits for room, or
    /// there will never be any.
    private func makeRoom(for resident: Resident) -> Bool {
        guard resident.isWanted else {
            refuse(resident, .deadlinePast(.waitingForModel, resident.entry))
            return false
        }
        let need = resident.loadNeed
        // Once: what does not come back when a model goes must not send the next one after it.
        treasury.saw(engine.memory())
        while true {
            reap()
            let isPolite = resident.isWantedPolitely
            switch treasury.reserve(
                need, for: resident, politely: isPolite, now: clock.now())
            {
            case .granted: return true
            // One that was used again meanwhile stays; the next look sees that.
            case .evict(let victims): send(victims, awayFor: resident)
            case .parked: return false
            case .impossible where isPolite:
                // A call that has come meanwhile is not polite.
                guard let (_, leavers) = resident.politeLoadRefused() else { continue }
                for leaver in leavers { leaver.tellGone() }
                return false
            case .impossible(let most):
                refuse(
                    resident,
                    .noMemory(resident.entry, need: need, most: most, budget: wishes.now.memory))
                return false
            }
        }
    }

    private func send(_ victims: Treasury.Victims, awayFor resident: Resident) {
        for model in victims.promotions { demote(model, .memoryWanted) }
        for victim in victims.models { evict(victim, for: resident) }
    }

    private func evict(_ victim: Resident, for resident: Resident) {
        guard victim.evict(for: resident.entry, now: clock.now()) else { return }
        observer.modelEvicted(
            victim.entry, for: resident.entry, holding: victim.account.atRest ?? .zero)
        performRelease(victim)
    }

    /// What the model holds from now on goes into the books. Returns who has to go for it.
    private func settle(
        _ resident: Resident, _ measurement: borrowing Measurement, now: Instant
    ) -> Treasury.Victims {
        var use = resident.presumedAtRest
        if let (atRest, peak) = measurement.end() {
            use = resident.measured(atRest: atRest, peak: peak)
        }
        resident.residentBytes.store(use.total, ordering: .relaxed)
        return treasury.loaded(resident, atRest: use, now: now)
    }

    /// Calls are checked against the catalogue's signature, so the session must have the same one.
    func loadVerified(
        _ entry: ModelEntry, as form: LoadForm
    ) throws(CallFailure) -> any LoadedModel {
        let model: any LoadedModel
        let pen = journal.pen()
        pen.enter(entry, .load)
        defer { pen.leave() }
        do throws(CallFailure) {
            model = try engine.load(entry, as: form)
        } catch {
            throw error.reason == .modelBroken ? error : entry.brokenFailure(error.message)
        }
        if let difference = entry.mismatch(with: model.signature) {
            throw entry.brokenFailure(difference)
        }
        return model
    }

    private func hand(
        _ awake: AwakeModel, of resident: Resident, to waiters: [Waiter], _ steps: LoadSteps,
        now: Instant
    ) {
        var ready: [Run] = []
        ready.reserveCapacity(waiters.count)
        for waiter in waiters {
            switch waiter {
            case .run(let run):
                guard run.grant(awake, now: now, load: steps) else { continue }
                if run.onlyWakes {
                    run.endWake()
                } else {
                    // The first run of mapped weights reads them.
                    run.tell(
                        Progress(state: .warming, remaining: resident.entry.measured.firstRun))
                    ready.append(run)
                }
            case .notice(let notice):
                Lease(granted: awake, by: resident).end()
                notice.done(.success(()))
            }
        }
        dispatcher.place(ready)
    }

    private func performRelease(_ resident: Resident) {
        let measurement = Measurement(engine, treasury)
        dropPromotion(of: resident)
        var awake = resident.surrender()
        awaitOwnership(of: &awake)
        awake = nil
        // Without this the allocator keeps most of what a session held (RUNTIME.md).
        engine.trimMemory()
        treasury.released(resident)
        note(measurement.returned(), of: resident)
        observer.modelReleased(resident.entry)
        let (leavers, startsLoad) = resident.released()
        for leaver in leavers { leaver.tellGone() }
        if startsLoad { load(resident) }
        retryParked()
    }

    /// The lease that ended last may not have let go of its reference yet; the memory shall be freed here.
    func awaitOwnership(of awake: inout AwakeModel?) {
        for _ in 0..<1_000 where awake != nil && !isKnownUniquelyReferenced(&awake) {
            sched_yield()
        }
    }

    /// Compares what came back with what the model held.
    private func note(_ returned: UInt64?, of resident: Resident) {
        guard let returned, let held = resident.account.atRest?.anonymous else { return }
        let lost = held - min(held, returned)
        resident.unreturned(lost)
        observer.memoryMeasured(resident.entry, held: held, lost: lost)
        if lost > max(1 << 20, held / 50) {
            observer.memoryUnreturned(resident.entry, bytes: lost)
        }
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
