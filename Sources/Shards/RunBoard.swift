// Which shard runs what next, decided in a value: a queue for each shard, a home for each model, turns for tenants, and
// nobody idle while somebody waits. Owned by Dispatcher, under its one lock.

package import Contract

/// The queues of all shards. Every operation is O(shards), except making room among given-up items. A tenant holds at most
/// half of a queue while others wait in it.
package struct RunBoard<Item: Sendable>: Sendable {
    package enum Placement: Sendable, Equatable {
        /// In a queue. `wake` names the shard to be woken, if any; it is not named again before it has looked.
        case taken(wake: Int?)
        /// All queues are full; one should have room after this time.
        case full(retryAfter: Nanoseconds)
        case closed
    }

    package enum Next: Sendable {
        case run(Item)
        /// Nothing to do: sleep until woken.
        case park
        case stop
    }

    /// What was done since the start.
    package struct Counts: Sendable, Equatable {
        package var placed: UInt64 = 0
        package var refused: UInt64 = 0
        package var wakeUps: UInt64 = 0
        /// Runs that another shard than the one they waited for took over.
        package var stolen: UInt64 = 0
        /// Runs of a tenant with more than half of a queue that made room for another's.
        package var displaced: UInt64 = 0
    }

    private typealias Entry = FairQueue<Item>.Entry

    private struct Lane: Sendable {
        var waiting = PriorityQueue<Item>()
        var running: Entry?
        var isParked = false

        /// Expected nanoseconds until all that is here has run.
        var cost: UInt64 { waiting.cost &+ (running?.cost ?? 0) }
    }

    private var lanes: [Lane]
    private let queueMax: Int
    private let isGivenUp: @Sendable (Item) -> Bool
    /// Something in a queue may have been given up.
    private var mayHoldGivenUp = false
    private var isClosed = false
    /// Had a place and lost it: to be refused.
    private var displaced: [Item] = []
    package private(set) var counts = Counts()

    /// A board without work, all shards awake. `isGivenUp` tells which waiting items need not run any more: they
    /// are thrown out when a queue is full.
    package init(
        shards: Int, queueMax: Int, isGivenUp: @escaping @Sendable (Item) -> Bool
    ) {
        precondition(shards > 0 && queueMax > 0, "a board needs a shard and room to wait")
        lanes = Array(repeating: Lane(), count: shards)
        self.queueMax = queueMax
        self.isGivenUp = isGivenUp
    }

    package var waiting: Int { lanes.reduce(0) { $0 + $1.waiting.count } }
    /// Those that are waiting, in no order.
    package var waitingItems: [Item] { lanes.flatMap { $0.waiting.items } }
    package var running: [Item] { lanes.compactMap(\.running?.item) }
    /// Of each shard how many wait in its queue, and what it runs.
    package var report: [(waiting: Int, running: Item?)] {
        lanes.map { ($0.waiting.count, $0.running?.item) }
    }

    /// Finds a place: at home when home is idle, with an idle neighbour when home is busy, else in home's queue, else
    /// in the shortest one. Follow with ``takeDisplaced()``.
    package mutating func place(
        _ item: Item, share: Share = .house, home: Int, cost: UInt64
    ) -> Placement {
        guard !isClosed else { return .closed }
        guard let lane = idleLane(home) ?? laneWithRoom(home, share.tenant) else {
            counts.refused &+= 1
            return .full(retryAfter: retryAfter)
        }
        counts.placed &+= 1
        lanes[lane].waiting.append(Entry(item, share: share, cost: cost))
        guard lanes[lane].isParked else { return .taken(wake: nil) }
        lanes[lane].isParked = false
        counts.wakeUps &+= 1
        return .taken(wake: lane)
    }

    /// Who lost a place to another tenant: answered like those that find no room.
    package mutating func takeDisplaced() -> [Item] {
        guard !displaced.isEmpty else { return [] }
        defer { displaced = [] }
        return displaced
    }

    private func idleLane(_ home: Int) -> Int? {
        for step in lanes.indices {
            let lane = (home + step) % lanes.count
            if lanes[lane].isParked { return lane }
        }
        return nil
    }

    private mutating func laneWithRoom(_ home: Int, _ tenant: UInt32) -> Int? {
        if hasRoom(home, tenant) { return home }
        if mayHoldGivenUp { throwOutGivenUp() }
        if hasRoom(home, tenant) { return home }
        let shortest = lanes.indices.min { lanes[$0].waiting.count < lanes[$1].waiting.count }
        if let shortest, hasRoom(shortest, tenant) { return shortest }
        guard let last = lanes[home].waiting.displace(for: tenant) else { return nil }
        counts.displaced &+= 1
        displaced.append(last)
        return home
    }

    private func hasRoom(_ lane: Int, _ tenant: UInt32) -> Bool {
        let count = lanes[lane].waiting.count
        guard count < queueMax else { return false }
        guard count >= queueMax / 2 else { return true }
        let own = lanes[lane].waiting.count(of: tenant)
        return own == count || own < max(1, queueMax / 2)
    }

    /// What this shard does next; it has finished what it did before.
    package mutating func next(for lane: Int) -> Next {
        lanes[lane].running = nil
        guard let entry = pop(lane) ?? steal(lane) else {
            guard !isClosed else { return .stop }
            lanes[lane].isParked = true
            return .park
        }
        lanes[lane].running = entry
        return .run(entry.item)
    }

    private mutating func pop(_ lane: Int) -> Entry? {
        lanes[lane].waiting.popFirst()
    }

    /// The next run of the longest queue.
    private mutating func steal(_ thief: Int) -> Entry? {
        guard
            let victim = lanes.indices.max(by: {
                lanes[$0].waiting.count < lanes[$1].waiting.count
            }), let entry = pop(victim)
        else { return nil }
        counts.stolen &+= 1
        return entry
    }

    /// Something that was waiting has been given up; its place is reused when it is needed.
    package mutating func gaveUp() { mayHoldGivenUp = true }

    private mutating func throwOutGivenUp() {
        mayHoldGivenUp = false
        for lane in lanes.indices {
            lanes[lane].waiting.removeAll(where: isGivenUp)
        }
    }

    /// Expected time until the least busy shard has worked off its queue; from 1 ms to 60 s.
    package var retryAfter: Nanoseconds {
        let least = lanes.map(\.cost).min() ?? 0
        return Nanoseconds(min(max(least, 1_000_000), 60_000_000_000))
    }

    /// Nothing is taken in any more. Returns what waited, and the shards to wake so that they can end.
    package mutating func close() -> (waiting: [Item], wake: [Int]) {
        isClosed = true
        var items: [Item] = []
        var wake: [Int] = []
        for lane in lanes.indices {
            items += lanes[lane].waiting.removeAll()
            if lanes[lane].isParked { wake.append(lane) }
            lanes[lane].isParked = false
        }
        return (items, wake)
    }
}
