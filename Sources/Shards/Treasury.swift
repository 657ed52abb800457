// The ledger among threads: which models are awake, which loads wait for room, and what the past says about more memory.

import Catalogue
import Contract
import Synchronization

/// One for the fleet. Any thread may ask; its lock is taken before a resident's and never after.
final class Treasury: Sendable {
    enum Room: Sendable {
        case granted
        case evict([Resident])
        /// The load is kept here until there may be room.
        case parked
        case impossible(most: MemoryUse)
    }

    private struct State: Sendable {
        var ledger: Ledger
        var awake: [Int: Resident] = [:]
        var parked: [Resident] = []
        var misses = MissCurve()
        /// Loads of each of the last 60 minutes, and the minute of the latest.
        var loads = [UInt64](repeating: 0, count: 60)
        var minute: UInt64 = 0
        /// Loads and releases under way, and how many there have been: a measurement beside another is none.
        var working = 0
        var worked: UInt64 = 0
        var lastRetry = Instant(nanoseconds: 0)
    }

    private let settings: ShardSettings
    private let state: Mutex<State>
    private let hasParked = Atomic<Bool>(false)

    init(_ settings: ShardSettings) {
        self.settings = settings
        state = Mutex(State(ledger: Ledger(budget: settings.memory)))
    }

    // MARK: - Room for a load

    /// What the process holds now; nil where that cannot be read.
    func saw(_ memory: ProcessMemory?) {
        guard let memory else { return }
        state.withLock { $0.ledger.saw(anonymous: memory.anonymous) }
    }

    func reserve(_ need: MemoryUse, for resident: Resident, now: Instant) -> Room {
        state.withLock { state in
            let candidates = candidates(state, now)
            switch state.ledger.reserve(need, for: resident.entry.index, among: candidates) {
            case .granted: return .granted
            case .evict(let keys): return .evict(keys.compactMap { state.awake[$0] })
            case .wait:
                state.parked.append(resident)
                hasParked.store(true, ordering: .releasing)
                return .parked
            case .impossible(let most): return .impossible(most: most)
            }
        }
    }

    private func candidates(_ state: borrowing State, _ now: Instant) -> [Ledger.Candidate] {
        state.awake.map { key, resident in
            Ledger.Candidate(
                key: key, score: resident.score(now),
                standing: resident.standing(now, awakeMin: settings.awakeMin))
        }
    }

    /// Loads that wait for room, in their order, when there may be some: now, or because time has passed.
    func retry(now: Instant) -> [Resident] {
        guard hasParked.load(ordering: .acquiring) else { return [] }
        return state.withLock { state in
            guard now.since(state.lastRetry) >= Treasury.retryInterval else { return [] }
            state.lastRetry = now
            hasParked.store(false, ordering: .releasing)
            let parked = state.parked
            state.parked = []
            return parked
        }
    }

    var awaitsRoom: Bool { hasParked.load(ordering: .relaxed) }

    /// A thousand leases may end in a millisecond, and each could ask.
    private static let retryInterval = Nanoseconds.milliseconds(5)

    // MARK: - What has happened

    /// A load or release begins on a loader thread. Returns what to give to ``ended(_:)``.
    func began() -> UInt64 {
        state.withLock { state in
            state.working += 1
            state.worked += 1
            return state.working == 1 ? state.worked : 0
        }
    }

    /// True when nothing else was loaded or released meanwhile: what was measured is this one's.
    func ended(_ ticket: UInt64) -> Bool {
        state.withLock { state in
            state.working -= 1
            return ticket > 0 && ticket == state.worked
        }
    }

    /// Returns who has to go because this model is larger than was thought.
    func loaded(_ resident: Resident, atRest use: MemoryUse, now: Instant) -> [Resident] {
        state.withLock { state in
            let key = resident.entry.index
            state.ledger.settle(key, atRest: use)
            state.awake[key] = resident
            Treasury.pass(to: now, &state)
            state.loads[Int(state.minute % 60)] += 1
            return state.ledger.overdrawn(among: candidates(state, now))
                .compactMap { state.awake[$0] }
        }
    }

    func failed(_ resident: Resident) {
        state.withLock { $0.ledger.abandon(resident.entry.index) }
    }

    func released(_ resident: Resident) {
        state.withLock { state in
            state.ledger.release(resident.entry.index)
            state.awake[resident.entry.index] = nil
        }
    }

    /// A call found this model asleep.
    func missed(_ resident: Resident, among all: [Resident]) {
        let own = resident.recency
        var extra: UInt64?
        if let last = own.lastUse, own.bytes != .zero {
            let since = all.map(\.recency).filter { ($0.lastUse ?? last) > last }
            let short = since.reduce(own.bytes) { $0 + $1.bytes } - settings.memory
            // Of the two budgets the one that was short.
            extra = max(short.anonymous, short.mapped)
        }
        state.withLock { $0.misses.missed(extra: extra) }
    }

    private static func pass(to now: Instant, _ state: inout State) {
        let minute = now.nanoseconds / 60_000_000_000
        guard minute > state.minute else { return }
        for old in (state.minute + 1)...min(minute, state.minute + 60) {
            state.loads[Int(old % 60)] = 0
        }
        state.minute = minute
    }

    // MARK: - Questions

    /// Awake models that nobody has used for so long and that may go.
    func unused(for time: Nanoseconds, now: Instant) -> [Resident] {
        state.withLock { Array($0.awake.values) }.filter { resident in
            guard let last = resident.recency.lastUse, now.since(last) >= time else { return false }
            return resident.standing(now, awakeMin: time) == .idle
        }
    }

    struct Report: Sendable {
        var budget: MemoryUse
        var used: MemoryUse
        var misses: MissCurve
        var loadsLastHour: UInt64
    }

    func report(now: Instant) -> Report {
        state.withLock { state in
            Treasury.pass(to: now, &state)
            return Report(
                budget: state.ledger.budget, used: state.ledger.used + state.ledger.promised,
                misses: state.misses, loadsLastHour: state.loads.reduce(0, +))
        }
    }
}
