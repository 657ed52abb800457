// The shards of one gateway: where models wake, wait, run and leave. This is what the house holds.

package import Catalogue
package import Contract
package import NIOCore
import Synchronization

/// Whether a model is in memory, as the index shows it.
package enum ModelState: Sendable, Equatable {
    case asleep, loading, awake, leaving
    /// The last load failed, and is not tried again for a while.
    case broken(CallFailure)
}

/// A look at the whole fleet.
package struct FleetStatistics: Sendable, Equatable {
    package var shards = 0
    /// Runs waiting in the queues of the shards.
    package var queued = 0
    package var running = 0
    package var modelsAwake = 0
    package var modelsLoading = 0
    package var callsWaitingForModels = 0
    // Since the start
    package var placed: UInt64 = 0
    package var refused: UInt64 = 0
    package var wakeUps: UInt64 = 0
    package var stolen: UInt64 = 0
}

/// All shards, loaders and the watchdog. Any thread may use it.
package final class Fleet: Sendable {
    package let settings: ShardSettings
    let engine: any ModelEngine
    let observer: any FleetObserver
    let clock: Clock
    let began: Instant
    let journal: any RunJournal
    let dispatcher: Dispatcher
    let loaders: Loaders
    let watchdog = Watchdog()
    private let stopping = Atomic<Bool>(false)
    private let census = Census()
    let warmKeeper = Mutex(WarmKeeper())
    let promoter: Promoter
    let promotionLooked = Mutex<Instant?>(nil)
    let loadsWarning = Mutex(LoadsWarning())
    private let retired = Mutex<[(entry: ModelEntry, since: Instant)]>([])
    private let watches = Mutex<[InlineWatch]>([])
    let crew = Mutex(Crew())

    /// A fleet without threads; ``start`` gives it some.
    package init(
        settings: ShardSettings, engine: any ModelEngine,
        observer: any FleetObserver = SilentObserver(),
        clock: Clock = .system, journal: any RunJournal = NoJournal(),
        fetcher: (any ModelFetcher)? = nil
    ) {
        precondition(settings.count > 0 && settings.loaders > 0, "a fleet needs threads")
        self.settings = settings
        self.engine = engine
        self.observer = observer
        self.clock = clock
        began = clock.now()
        self.journal = journal
        dispatcher = Dispatcher(settings)
        loaders = Loaders(
            settings, engine: engine, observer: observer, dispatcher: dispatcher, clock: clock,
            census: census, journal: journal, fetcher: fetcher)
        promoter = Promoter(loaders)
    }

    // MARK: - Calls

    /// A desk for this event loop; on the loop. The house keeps one for each, as long as the loop lives.
    package func desk(on eventLoop: any EventLoop) -> LoopDesk { LoopDesk(self, on: eventLoop) }

    /// Takes the calls of one turn: those whose model is awake are queued, the others wait for it.
    func accept(_ runs: [Run], now: Instant) {
        var ready: [Run] = []
        ready.reserveCapacity(runs.count)
        for run in runs where run.isOpen && admit(run, now: now) { ready.append(run) }
        watchdog.watch(runs)
        dispatcher.place(ready)
    }

    /// True when the call has its lease and can be queued.
    private func admit(_ run: Run, now: Instant) -> Bool {
        let resident = run.resident
        if let awake = resident.grantNow() { return hold(awake, run, now: now) }
        let isLoading = resident.phase == .loading
        run.waitsForModel(
            Progress(state: isLoading ? .loading : .queued, remaining: resident.loadTime))
        // Asked before: a load may end at any time.
        let wait = resident.expectedWait(now)
        switch resident.arrive(.run(run), now: now, insists: run.onlyWakes) {
        case .granted(let awake):
            return hold(awake, run, now: now)
        case .waits(let startLoad):
            if startLoad {
                if !run.onlyWakes { resident.isMiss.store(true, ordering: .relaxed) }
                loaders.load(resident)
            }
            if let wait, run.deadline < now + wait { run.tooLate(remaining: wait) }
        case .refused(let refusal):
            run.refuse(resident.refusal(refusal, settings))
        }
        return false
    }

    private func hold(_ awake: AwakeModel, _ run: Run, now: Instant) -> Bool {
        guard run.grant(awake, now: now) else { return false }
        guard !run.onlyWakes else {
            run.endWake()
            return false
        }
        return true
    }

    // MARK: - Models

    /// Wakes a model, a broken one too. `done` is called once, on some thread of ours or this one.
    package func load(
        _ entry: ModelEntry, done: @escaping @Sendable (Result<Void, CallFailure>) -> Void
    ) {
        let resident = resident(for: entry)
        switch resident.arrive(.notice(Notice(done)), now: clock.now(), insists: true) {
        case .granted(let awake):
            Lease(granted: awake, by: resident).end()
            done(.success(()))
        case .waits(let startLoad):
            if startLoad { loaders.load(resident) }
        case .refused(let refusal):
            done(.failure(resident.refusal(refusal, settings)))
        }
    }

    /// Lets a model sleep: its memory is free when `done` is called, after the runs that use it have ended. The next
    /// call wakes it again.
    package func unload(
        _ entry: ModelEntry,
        done: @escaping @Sendable (Result<Void, CallFailure>) -> Void = { _ in }
    ) {
        guard let resident = known(entry) else { return done(.success(())) }
        leave(resident, forever: false, done)
    }

    /// An entry that is no longer in the catalogue: as ``unload``, and calls that chose it just before are told that
    /// it has gone.
    package func retire(
        _ entry: ModelEntry,
        done: @escaping @Sendable (Result<Void, CallFailure>) -> Void = { _ in }
    ) {
        let resident = resident(for: entry)
        let now = clock.now()
        retired.withLock { $0.append((entry, now)) }
        leave(resident, forever: true, done)
    }

    private func leave(
        _ resident: Resident, forever: Bool,
        _ done: @escaping @Sendable (Result<Void, CallFailure>) -> Void
    ) {
        switch resident.leave(.notice(Notice(done)), forever: forever) {
        case .gone: done(.success(()))
        case .release: loaders.release(resident)
        case .waits: break
        case .full:
            done(.failure(.waitersFull(settings, resident.entry, resident.loadTime)))
        }
    }

    /// Keeps a model in memory once it is awake, or no longer.
    package func pin(_ entry: ModelEntry, _ isPinned: Bool) {
        resident(for: entry).isPinned.store(isPinned, ordering: .relaxed)
    }

    package func isPinned(_ entry: ModelEntry) -> Bool {
        known(entry)?.isPinned.load(ordering: .relaxed) ?? false
    }

    /// Whether the model is in memory. Asking never wakes it.
    package func state(of entry: ModelEntry) -> ModelState {
        guard let resident = known(entry) else { return .asleep }
        switch resident.phase {
        case .asleep: return .asleep
        case .queued, .loading: return .loading
        case .awake: return .awake
        case .leaving, .releasing: return .leaving
        case .broken: return resident.failure.map(ModelState.broken) ?? .asleep
        }
    }

    /// The models that are awake, versions apart, with the bytes they hold, mapped ones too.
    package var holdings: [(model: String, bytes: UInt64)] { loaders.treasury.holdings }

    /// How far a load has come, by the time the last one took; nil when the model is not loading.
    package func loading(of entry: ModelEntry, now: Instant) -> Progress? {
        known(entry)?.loading(now: now)
    }

    /// What happened to the model's runs; inline runs are added when their turn ends.
    package func tally(of entry: ModelEntry) -> RunTally { known(entry)?.tally ?? RunTally() }

    package var statistics: FleetStatistics {
        var result = FleetStatistics()
        result.shards = settings.count
        result.queued = dispatcher.waiting
        result.running = dispatcher.running.count
        for resident in census.all {
            switch resident.phase {
            case .awake, .leaving: result.modelsAwake += 1
            case .queued, .loading: result.modelsLoading += 1
            case .asleep, .releasing, .broken: break
            }
            result.callsWaitingForModels += resident.waiting
        }
        let counts = dispatcher.counts
        result.placed = counts.placed
        result.refused = counts.refused
        result.wakeUps = counts.wakeUps
        result.stolen = counts.stolen
        return result
    }

    var everyResident: [Resident] { census.all }

    package func resident(for entry: ModelEntry) -> Resident {
        census.resident(for: entry) { Resident(entry, settings: settings, loaders: loaders) }
    }

    func known(_ entry: ModelEntry) -> Resident? { census.known(entry) }

    // MARK: - For the desks and the crew

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// True the first time.
    func beginStopping() -> Bool { !stopping.exchange(true, ordering: .sequentiallyConsistent) }

    func add(_ watch: InlineWatch) { watches.withLock { $0.append(watch) } }
    func remove(_ watch: InlineWatch) { watches.withLock { $0.removeAll { $0 === watch } } }

    /// Everything that is due: deadlines, event loops that are held up, models retired long ago. Returns when to look
    /// again. Called by the watchdog's thread, or by a test with its own time.
    package func look(_ now: Instant) -> Instant {
        for watch in watches.withLock({ $0 }) {
            watch.check(now, stallMax: settings.inlineStallMax)
        }
        forgetRetired(now)
        loaders.retryParked()
        letUnusedSleep(now)
        attendWindows()
        considerPromotions(now)
        warnOfLoads(now)
        return watchdog.expire(now, latest: now + settings.inlineStallMax)
    }

    private func forgetRetired(_ now: Instant) {
        let old = retired.withLock { retired in
            let old = retired.filter { now.since($0.since) >= settings.retiredTime }
            if !old.isEmpty {
                retired.removeAll { now.since($0.since) >= settings.retiredTime }
            }
            return old.map(\.entry)
        }
        guard !old.isEmpty else { return }
        census.forget(old)
    }

    private func letUnusedSleep(_ now: Instant) {
        let wishes = loaders.wishes.now
        guard wishes.idleMax > .zero || wishes.rules.contains(where: { $0.idle != nil }) else {
            return
        }
        for resident in loaders.treasury.unused(now: now)
        where resident.evict(for: resident.entry, now: now) {
            loaders.release(resident)
        }
    }

    /// Lets nobody wait any longer.
    func stopResidents() {
        for resident in census.all {
            for run in resident.turnstile?.close() ?? [] { run.abandon(.stop) }
            for waiter in resident.stop() {
                switch waiter {
                case .run(let run): run.abandon(.stop)
                case .notice(let notice): notice.done(.failure(.stopping(.waitingForModel)))
                }
            }
        }
    }
}
