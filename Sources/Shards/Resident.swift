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
    /// Takes the model only when there is room.
    let isPolite: Bool
    let done: @Sendable (Result<Void, CallFailure>) -> Void

    init(
        isPolite: Bool = false, _ done: @escaping @Sendable (Result<Void, CallFailure>) -> Void
    ) {
        self.isPolite = isPolite
        self.done = done
    }
}

/// The shards' side of a model. Any thread may use it.
package final class Resident: Sendable {
    typealias Stay = Residency<AwakeModel, Waiter>

    private struct State: Sendable {
        var stay: Stay
        var sums = RunSums()
        /// How long the last load took; nil when there was none.
        var loadTime: Nanoseconds?
        var demand = Demand()
        var history = History()
        /// Measured at the last loads; nil before the first.
        var atRest: MemoryUse?
        var peak: MemoryUse?
    }

    /// What has happened to the model's memory.
    struct History: Sendable, Equatable {
        var loads: UInt64 = 0
        var evictions: UInt64 = 0
        var loadBegan: Instant?
        var awakeSince: Instant?
        var runsBefore: UInt64 = 0
        var evicted: Instant?
        var evictedFor = ""
        /// It made room for another when it left last.
        var leftForRoom = false
        var unreturned: UInt64 = 0
    }

    package let entry: ModelEntry
    let home: Int
    package let estimates = RunEstimates()
    /// An inline run has held up its event loop: none before this time, in nanoseconds.
    private let inlineBarredUntil = Atomic<UInt64>(0)
    /// Kept in memory once it is awake, whatever needs room.
    let isPinned = Atomic<Bool>(false)
    /// While its files are needed: from before a load until the model has left.
    private let files = Mutex<(any FilesHold)?>(nil)
    /// Of the load that is to come: how long its files were on their way.
    let loadSteps = Mutex(LoadSteps())
    /// Inside a window that a rule keeps it warm in.
    let isWarm = Atomic<Bool>(false)
    /// What the settings want of this model's memory.
    var rule: ModelRule? { loaders.wishes.now.rule(for: entry.name) }
    /// How long it may stay unused; zero: as long as nobody wants its memory.
    var idleMax: Nanoseconds {
        let wishes = loaders.wishes.now
        return wishes.rule(for: entry.name)?.idle ?? wishes.idleMax
    }
    /// Nil unless the model limits how many runs there are at the same time.
    let turnstile: Turnstile?
    /// Nil unless the model is mapped.
    let upgrade: Upgrade?
    /// What it holds while it is awake, as it was measured or presumed last.
    let residentBytes = Atomic<UInt64>(0)
    /// Thousandths of its files that have been fetched; -1 while nothing is.
    let fetched = Atomic<Int>(-1)
    /// A call that found it asleep began the load that is to come.
    let isMiss = Atomic<Bool>(false)
    /// How long its calls took.
    let latency = Latency()
    private let state: Mutex<State>
    let loaders: Loaders

    init(_ entry: ModelEntry, settings: ShardSettings, loaders: Loaders) {
        self.entry = entry
        self.loaders = loaders
        upgrade = entry.load == .mapped ? Upgrade() : nil
        turnstile = entry.limits.concurrency.map {
            Turnstile(limit: $0, waitingMax: settings.queueMax)
        }
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
        guard turnstile == nil, estimate > 0, estimate <= max.count,
            inlineBarredUntil.load(ordering: .relaxed) <= now.nanoseconds
        else { return nil }
        return estimate
    }

    func barInline(until: Instant) {
        inlineBarredUntil.store(until.nanoseconds, ordering: .relaxed)
    }

    // MARK: - Memory

    /// What a load is likely to need at its peak: measured here, or when the model was imported, or guessed from its files.
    var loadNeed: MemoryUse {
        if let peak = state.withLock({ $0.peak }) { return peak }
        let guess = entry.ownFileBytes &* 5 / 2 &+ 4 << 20
        return MemoryUse(
            anonymous: entry.measured.peakBytes ?? guess, mapped: entry.mappedBytes)
    }

    /// What evicting it would cost for each byte that it frees.
    func score(_ now: Instant) -> Double {
        state.withLock { state in
            Score.value(
                reload: state.loadTime ?? .milliseconds(1), demand: state.demand.value(at: now),
                bytes: state.atRest?.total ?? entry.fileBytes)
        }
    }

    func standing(_ now: Instant, awakeMin: Nanoseconds) -> Ledger.Standing {
        if staysPinned { return .pinned }
        return state.withLock { state in
            guard state.stay.phase == .awake, state.stay.leases == 0 else { return .busy }
            guard let since = state.history.awakeSince else { return .busy }
            return now.since(since) < awakeMin ? .busy : .idle
        }
    }

    /// When it was last used, what it holds or held, and whether more memory would have kept it; for the miss curve.
    var recency: (lastUse: Instant?, bytes: MemoryUse, leftForRoom: Bool) {
        state.withLock { state in
            let last = state.sums.runs > 0 ? state.sums.latest : state.history.awakeSince
            return (last, state.atRest ?? .zero, state.history.leftForRoom)
        }
    }

    /// Pinned by an operator or by a rule.
    var staysPinned: Bool { isPinned.load(ordering: .relaxed) || rule?.isPinned == true }

    /// The promoted session serves from now on. False when the model has left.
    func swapIn(_ awake: AwakeModel) -> Bool { state.withLock { $0.stay.promote(awake) } }

    /// The first session serves again. Returns the other, nil when there is none.
    func swapBack() -> AwakeModel? { state.withLock { $0.stay.demote() } }

    /// Makes room for another model. True when a loader must free it now.
    func evict(for other: ModelEntry, now: Instant) -> Bool {
        state.withLock { state in
            guard state.stay.evict() else { return false }
            state.history.evictions += 1
            state.history.evicted = now
            state.history.evictedFor = other === entry ? "" : other.name
            state.history.leftForRoom = other !== entry
            return true
        }
    }

    /// A load was measured. The smaller of two measurements in a row counts: calls that ran beside it only add.
    func measured(atRest use: MemoryUse, peak: MemoryUse) -> MemoryUse {
        let (use, peak) = (entry.claiming(use), entry.claiming(peak))
        return state.withLock { state in
            let smaller = state.atRest.map { $0.total < use.total ? $0 : use } ?? use
            state.atRest = smaller
            state.peak = state.peak.map { $0.total < peak.total ? $0 : peak } ?? peak
            return smaller
        }
    }

    /// A load that could not be measured: what is known, or guessed.
    var presumedAtRest: MemoryUse {
        state.withLock {
            $0.atRest
                ?? MemoryUse(
                    anonymous: entry.measured.residentBytes
                        ?? entry.ownFileBytes &* 3 / 2 &+ 1 << 20,
                    mapped: entry.mappedBytes)
        }
    }

    func unreturned(_ bytes: UInt64) { state.withLock { $0.history.unreturned = bytes } }

    /// How long a call that comes now is likely to wait for the model; nil when nothing is known.
    func expectedWait(_ now: Instant) -> Nanoseconds? {
        state.withLock { state in
            guard let time = state.loadTime else { return nil }
            guard state.stay.phase == .loading, let began = state.history.loadBegan else {
                return time
            }
            let spent = now.since(began)
            return spent < time ? Nanoseconds(time.count - spent.count) : .zero
        }
    }

    /// How far the load has come that is under way; nil when there is none.
    func loading(now: Instant) -> Progress? {
        state.withLock { state in
            guard state.stay.phase == .loading else {
                return state.stay.phase == .queued ? Progress(state: .queued) : nil
            }
            guard let time = state.loadTime, time.count > 0, let began = state.history.loadBegan
            else { return Progress(state: .loading) }
            let spent = min(now.since(began), time)
            // Nothing is whole before it is.
            let fraction = min(0.99, Double(spent.count / (time.count / 100 + 1)) / 100)
            return Progress(
                state: .loading, fraction: fraction,
                remaining: Nanoseconds(time.count - spent.count))
        }
    }

    /// Nil: nobody takes them away, or they are needed no more.
    func keepFiles(by hold: (any FilesHold)?) {
        // Let go of outside of the lock.
        let before = files.withLock { files in
            defer { files = hold }
            return files
        }
        withExtendedLifetime(before) {}
    }

    /// Who waits for it to come.
    var waiters: [Waiter] { state.withLock { $0.stay.waiters } }

    /// Those who wait for it take it only when there is room.
    var isWantedPolitely: Bool {
        state.withLock { !$0.stay.waiters.isEmpty && $0.stay.waiters.allSatisfy(\.isPolite) }
    }

    var isWanted: Bool { state.withLock { $0.stay.isWanted(\.isGivenUp) } }

    // MARK: - Leases

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
            if sums.runs > 0 { $0.demand.add(sums.runs, at: sums.latest) }
            return $0.stay.leaseEnded()
        }
        if isLast { loaders.release(self) } else { loaders.leaseEnded() }
    }

    // MARK: - Loads, on loader threads

    /// Returns who waits already, to tell them.
    func loadBegan(now: Instant) -> [Waiter] {
        state.withLock {
            $0.stay.loadBegan()
            $0.history.loadBegan = now
            return $0.stay.waiters
        }
    }

    /// As ``loadRefused()`` when only polite ones wait; nil when somebody else does: then the load goes on.
    func politeLoadRefused() -> (waiters: [Waiter], leavers: [Waiter])? {
        let refused = state.withLock { state in
            state.stay.waiters.allSatisfy(\.isPolite) ? state.stay.loadRefused() : nil
        }
        if refused != nil { keepFiles(by: nil) }
        return refused
    }

    func loadRefused() -> (waiters: [Waiter], leavers: [Waiter]) {
        keepFiles(by: nil)
        return state.withLock { $0.stay.loadRefused() }
    }

    func loadEnded(_ awake: AwakeModel, took time: Nanoseconds, now: Instant) -> (
        waiters: [Waiter], release: Bool
    ) {
        state.withLock {
            $0.loadTime = time
            $0.history.loads += 1
            $0.history.leftForRoom = false
            $0.history.awakeSince = now
            $0.history.runsBefore = $0.sums.runs
            return $0.stay.loadEnded(awake)
        }
    }

    func loadFailed(_ failure: CallFailure, now: Instant) -> (
        waiters: [Waiter], leavers: [Waiter], retryAfter: Nanoseconds
    ) {
        keepFiles(by: nil)
        return state.withLock { $0.stay.loadFailed(failure, now: now) }
    }

    func leave(_ leaver: Waiter, forever: Bool) -> Stay.Departure {
        state.withLock { $0.stay.leave(leaver, forever: forever) }
    }

    func surrender() -> AwakeModel? { state.withLock { $0.stay.surrender() } }

    func released() -> (leavers: [Waiter], startLoad: Bool) {
        estimates.forget()
        keepFiles(by: nil)
        return state.withLock {
            $0.history.awakeSince = nil
            return $0.stay.released()
        }
    }

    func stop() -> [Waiter] { state.withLock { $0.stay.stop() } }

    // MARK: - Questions

    var phase: Stay.Phase { state.withLock { $0.stay.phase } }
    var tally: RunTally { state.withLock { $0.sums }.tally }
    /// When the load began that is or was under way last.
    var loadBegan: Instant? { state.withLock { $0.history.loadBegan } }
    var loadTime: Nanoseconds? { state.withLock { $0.loadTime } }

    /// Everything at one moment, for those who ask why.
    var account: (history: History, atRest: MemoryUse?, peak: MemoryUse?, demand: Demand) {
        state.withLock { ($0.history, $0.atRest, $0.peak, $0.demand) }
    }
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
