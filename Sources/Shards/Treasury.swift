// The ledger among threads: which models are awake, which loads wait for room, and what the past says about more memory.

import Catalogue
import Contract
import Synchronization

/// One for the fleet. Any thread may ask; its lock is taken before a resident's and never after.
final class Treasury: Sendable {
    enum Room: Sendable {
        case granted
        case evict(Victims)
        /// The load is kept here until there may be room.
        case parked
        case impossible(most: MemoryUse)
    }

    /// Who has to go for somebody: models, and second sessions of models.
    struct Victims: Sendable {
        var models: [Resident] = []
        var promotions: [Resident] = []
    }

    private struct State: Sendable {
        var ledger: Ledger
        var awake: [Int: Resident] = [:]
        /// Those with a second session, which stands in the ledger under the complement of the model's key.
        var promoted: [Int: Resident] = [:]

        func victims(_ keys: [Int]) -> Victims {
            Victims(
                models: keys.compactMap { awake[$0] },
                promotions: keys.compactMap { $0 < 0 ? promoted[~$0] : nil })
        }
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

    private let wishes: WishBox
    private let state: Mutex<State>
    private let hasParked = Atomic<Bool>(false)
    private let hasRetiring = Atomic<Bool>(false)

    init(_ settings: ShardSettings, wishes: WishBox) {
        self.wishes = wishes
        state = Mutex(State(ledger: Ledger(budget: settings.memory)))
    }

    /// Loads from now on are measured against another budget.
    func adopt(_ budget: MemoryUse) { state.withLock { $0.ledger.budget = budget } }

    // MARK: - Room for a load

    /// What the process holds now; nil where that cannot be read.
    func saw(_ memory: ProcessMemory?) {
        guard let memory else { return }
        state.withLock { $0.ledger.saw(anonymous: memory.anonymous) }
    }

    /// `politely`: nobody goes who is kept warm himself, and the load is not kept when there is no room.
    func reserve(
        _ need: MemoryUse, for resident: Resident, politely: Bool = false, now: Instant
    ) -> Room {
        state.withLock { state in
            var candidates = candidates(state, now)
            if politely { candidates.removeAll { $0.rank == .warm } }
            switch state.ledger.reserve(need, for: resident.entry.index, among: candidates) {
            case .granted: return .granted
            case .evict(let keys): return .evict(state.victims(keys))
            case .wait where politely: return .impossible(most: .zero)
            case .wait:
                state.parked.append(resident)
                hasParked.store(true, ordering: .releasing)
                return .parked
            case .impossible(let most): return .impossible(most: most)
            }
        }
    }

    private func candidates(_ state: borrowing State, _ now: Instant) -> [Ledger.Candidate] {
        let awakeMin = wishes.now.awakeMin
        return state.awake.map { key, resident in
            Ledger.Candidate(
                key: key, score: resident.score(now),
                standing: resident.standing(now, awakeMin: awakeMin),
                rank: resident.isWarm.load(ordering: .relaxed) ? .warm : .usual)
        }
            + state.promoted.map { key, resident in
                Ledger.Candidate(
                    key: ~key, score: resident.score(now),
                    standing: resident.upgrade?.standing ?? .busy, rank: .promotion)
            }
    }

    /// The models that are awake, with what they hold.
    var holdings: [(model: String, bytes: UInt64)] {
        state.withLock {
            $0.awake.values.map { ($0.entry.name, $0.residentBytes.load(ordering: .relaxed)) }
        }
    }

    // MARK: - Promotions

    /// Reserves memory that nobody wants now. False when there is too little.
    func reserveSpare(_ need: MemoryUse, for resident: Resident) -> Bool {
        state.withLock { $0.ledger.reserveSpare(need, for: ~resident.entry.index) }
    }

    func promotionFailed(_ resident: Resident) {
        state.withLock { $0.ledger.abandon(~resident.entry.index) }
    }

    func promoted(_ resident: Resident, use: MemoryUse) {
        state.withLock { state in
            state.ledger.settle(~resident.entry.index, atRest: use)
            state.promoted[resident.entry.index] = resident
        }
    }

    /// Its second session goes as soon as nobody runs on it.
    func retires(_ resident: Resident) {
        // Again, should the model have left memory at the same moment.
        state.withLock { $0.promoted[resident.entry.index] = resident }
        hasRetiring.store(true, ordering: .releasing)
    }

    /// Its second session's memory is free.
    func demoted(_ resident: Resident) {
        state.withLock { state in
            state.ledger.release(~resident.entry.index)
            state.promoted[resident.entry.index] = nil
        }
    }

    /// Models whose second session waits for its last runs to end.
    var retiring: [Resident] {
        guard hasRetiring.load(ordering: .acquiring) else { return [] }
        return state.withLock { state in
            let all = state.promoted.values.filter { $0.upgrade?.standing == .leaving }
            hasRetiring.store(!all.isEmpty, ordering: .releasing)
            return Array(all)
        }
    }

    var awaitsRetired: Bool { hasRetiring.load(ordering: .relaxed) }

    var everyAwake: [Resident] { state.withLock { Array($0.awake.values) } }
    var everyPromoted: [Resident] { state.withLock { Array($0.promoted.values) } }

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

    var waitingForRoom: [Resident] { state.withLock { $0.parked } }

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
    func loaded(_ resident: Resident, atRest use: MemoryUse, now: Instant) -> Victims {
        state.withLock { state in
            let key = resident.entry.index
            state.ledger.settle(key, atRest: use)
            state.awake[key] = resident
            Treasury.pass(to: now, &state)
            state.loads[Int(state.minute % 60)] += 1
            return state.victims(state.ledger.overdrawn(among: candidates(state, now)))
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
        // Whoever was sent to sleep by an operator or for being idle would have gone all the same.
        if let last = own.lastUse, own.leftForRoom {
            let since = all.map(\.recency).filter { ($0.lastUse ?? last) > last }
            let short = since.reduce(own.bytes) { $0 + $1.bytes } - wishes.now.memory
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

    /// Awake models that nobody has used for as long as they may stay unused, and that may go.
    func unused(now: Instant) -> [Resident] {
        everyAwake.filter { resident in
            let time = resident.idleMax
            guard time > .zero, !resident.isWarm.load(ordering: .relaxed),
                let last = resident.recency.lastUse, now.since(last) >= time
            else { return false }
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
