// Who has how much memory, and who has to go when somebody comes. A value: the treasury asks it under its lock, tests ask it
// without one. Before a load its peak is reserved; when it has ended, what the model holds at rest takes the peak's place.

/// The memory of all models against the budgets.
package struct Ledger: Sendable {
    /// Whether an awake model may be evicted now.
    package enum Standing: Sendable, Equatable {
        case idle
        /// In use, or awake for too short a time: room comes when that ends.
        case busy
        /// Will be free as soon as the runs under way have ended.
        case leaving
        case pinned
    }

    /// Who goes before whom, whatever the scores.
    package enum Rank: Int, Sendable, Comparable {
        /// A second session of a model, without which it runs more slowly.
        case promotion
        case usual
        /// Kept warm by a rule.
        case warm

        package static func < (one: Rank, other: Rank) -> Bool { one.rawValue < other.rawValue }
    }

    /// An awake model as the ledger sees it.
    package struct Candidate: Sendable, Equatable {
        package var key: Int
        /// ``Score``; the lowest goes first.
        package var score: Double
        package var standing: Standing
        package var rank: Rank

        package init(key: Int, score: Double, standing: Standing, rank: Rank = .usual) {
            self.key = key
            self.score = score
            self.standing = standing
            self.rank = rank
        }
    }

    package enum Decision: Sendable, Equatable {
        /// The memory is reserved.
        case granted
        /// These have to go first, in this order; then ask again.
        case evict([Int])
        /// There is no room now, and there will be: a model in use or being loaded has it.
        case wait
        /// There will never be room; no more than this can be made free.
        case impossible(most: MemoryUse)
    }

    package var budget: MemoryUse
    private var atRest: [Int: MemoryUse] = [:]
    private var reserved: [Int: MemoryUse] = [:]
    /// What awake models hold at rest.
    package private(set) var used = MemoryUse.zero
    /// What is kept for loads that have not ended.
    package private(set) var promised = MemoryUse.zero
    /// What the process was last seen to hold beyond the books: the allocator's leavings, calls under way. Models go for
    /// it, but no load is refused for it.
    package private(set) var unexplained = MemoryUse.zero
    /// What the process holds without any model; nil while it was never seen.
    private var ground: MemoryUse?

    package init(budget: MemoryUse) { self.budget = budget }

    /// What `key` holds, when it is awake.
    package func holding(_ key: Int) -> MemoryUse? { atRest[key] }

    /// The process holds so many anonymous bytes. The first look, before any load, is the ground to measure from.
    package mutating func saw(anonymous: UInt64) {
        let seen = MemoryUse(anonymous: anonymous)
        let ground = ground ?? seen
        self.ground = ground
        unexplained = seen - (ground + MemoryUse(anonymous: (used + promised).anonymous))
    }

    // MARK: - A load

    /// A load that needs `need` at its peak is to begin. `candidates` are the models awake.
    package mutating func reserve(
        _ need: MemoryUse, for key: Int, among candidates: [Candidate]
    ) -> Decision {
        precondition(reserved[key] == nil, "a load reserves once")
        let pinned = held(by: candidates.filter { $0.standing == .pinned })
        guard need.fits(in: budget - pinned) else { return .impossible(most: budget - pinned) }
        let idle = candidates.filter { $0.standing == .idle }
        let leaving = held(by: candidates.filter { $0.standing == .leaving })
        let room = budget - (used + promised)
        // With what is unexplained first; when nobody is left to go for that, by the books alone.
        for room in [room - unexplained, room] {
            if need.fits(in: room) {
                reserved[key] = need
                promised = promised + need
                return .granted
            }
            if need.fits(in: room + leaving) { return .wait }
            let victims = choose(from: idle, until: need, fitsIn: room)
            if !victims.isEmpty { return .evict(victims) }
        }
        return .wait
    }

    /// As ``reserve(_:for:among:)`` for somebody for whom nobody goes: false when there is no room now.
    package mutating func reserveSpare(_ need: MemoryUse, for key: Int) -> Bool {
        guard reserved[key] == nil, atRest[key] == nil,
            need.fits(in: budget - (used + promised + unexplained))
        else { return false }
        reserved[key] = need
        promised = promised + need
        return true
    }

    /// The load has ended: this is what the model holds from now on.
    package mutating func settle(_ key: Int, atRest use: MemoryUse) {
        abandon(key)
        atRest[key] = use
        used = used + use
    }

    /// The load has failed.
    package mutating func abandon(_ key: Int) {
        guard let promise = reserved.removeValue(forKey: key) else { return }
        promised = promised - promise
    }

    /// The model's memory is free.
    package mutating func release(_ key: Int) {
        guard let use = atRest.removeValue(forKey: key) else { return }
        used = used - use
    }

    /// Who has to go because models turned out larger than was thought; empty when all is within the budgets.
    package func overdrawn(among candidates: [Candidate]) -> [Int] {
        guard !used.fits(in: budget) else { return [] }
        let idle = candidates.filter { $0.standing == .idle }
        return choose(from: idle, until: used, fitsIn: budget, partly: true)
    }

    // MARK: - Victims

    private func held(by candidates: [Candidate]) -> MemoryUse {
        candidates.reduce(.zero) { $0 + (atRest[$1.key] ?? .zero) }
    }

    /// The lowest scores whose memory makes `need` fit, without those that turn out not to be needed. Empty when all
    /// together are too few, unless `partly`.
    private func choose(
        from candidates: [Candidate], until need: MemoryUse, fitsIn room: MemoryUse,
        partly: Bool = false
    ) -> [Int] {
        var chosen: [Candidate] = []
        var freed = MemoryUse.zero
        for candidate in candidates.sorted(by: {
            ($0.rank, $0.score, $0.key) < ($1.rank, $1.score, $1.key)
        }) {
            if need.fits(in: room + freed) { break }
            guard let use = atRest[candidate.key], use != .zero else { continue }
            chosen.append(candidate)
            freed = freed + use
        }
        guard need.fits(in: room + freed) else { return partly ? chosen.map(\.key) : [] }
        // The one that goes last may have made another unneeded: the best of them stay.
        for candidate in chosen.reversed() {
            let less = freed - (atRest[candidate.key] ?? .zero)
            guard need.fits(in: room + less) else { continue }
            freed = less
            chosen.removeAll { $0.key == candidate.key }
        }
        return chosen.map(\.key)
    }
}
