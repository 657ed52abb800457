// Who is next of those that wait in one place: tenants take turns by what their calls cost and what they weigh. A value.
//
// Deficit round robin with a list for newcomers, as RFC 8290 section 4.2 has it for packets: a tenant that seldom calls is
// served before those that always wait, and cannot come as a newcomer again before the others had their turn.

package import Contract
private import NIOCore

/// Items of many tenants. Every operation is O(1) on the average, except throwing out and `rounds`, which are O(tenants).
package struct FairQueue<Item: Sendable>: Sendable {
    package struct Entry: Sendable {
        package var item: Item
        package var share: Share
        /// Expected nanoseconds.
        package var cost: UInt64

        package init(_ item: Item, share: Share, cost: UInt64) {
            self.item = item
            self.share = share
            self.cost = cost
        }
    }

    /// One tenant's turn.
    private struct Flow: Sendable {
        var tenant: UInt32
        var weight: Int64
        var waiting = CircularBuffer<Entry>(initialCapacity: 4)
        /// Nanoseconds it may still use in this round; it has used too much when negative.
        var deficit: Int64
    }

    /// What a tenant of weight 1 gets in a round, in nanoseconds: short beside what a person notices, long beside most runs.
    package static var quantum: Int64 { 250_000 }
    /// Tenants remembered beside those that wait, until it is their turn again.
    private static var idleFlowsMax: Int { 64 }

    private var flows: [Flow] = []
    private var free: [Int] = []
    private var places: [UInt32: Int] = [:]
    private var fresh = CircularBuffer<Int>()
    private var ring = CircularBuffer<Int>()
    package private(set) var count = 0
    package private(set) var cost: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// Everything that waits, in no order.
    package var items: [Item] {
        guard count > 0 else { return [] }
        return places.values.flatMap { flows[$0].waiting.map(\.item) }
    }

    package func count(of tenant: UInt32) -> Int {
        places[tenant].map { flows[$0].waiting.count } ?? 0
    }

    /// What would be next of its tenant's; for those who compare costs.
    package var nextCost: UInt64 {
        (fresh.first ?? ring.first { !flows[$0].waiting.isEmpty })
            .flatMap { flows[$0].waiting.first?.cost } ?? 0
    }

    package mutating func append(_ entry: Entry) {
        let place = place(of: entry.share)
        flows[place].waiting.append(entry)
        count += 1
        cost &+= entry.cost
    }

    private mutating func place(of share: Share) -> Int {
        let weight = Int64(min(share.weight, 1_000_000))
        if let known = places[share.tenant] {
            flows[known].weight = weight
            return known
        }
        if places.count >= count + FairQueue.idleFlowsMax { forgetIdle() }
        let place: Int
        if let last = free.popLast() {
            place = last
            flows[place].tenant = share.tenant
            flows[place].weight = weight
            flows[place].deficit = FairQueue.quantum * weight
        } else {
            place = flows.count
            flows.append(
                Flow(tenant: share.tenant, weight: weight, deficit: FairQueue.quantum * weight))
        }
        places[share.tenant] = place
        fresh.append(place)
        return place
    }

    /// The next by turns.
    package mutating func popFirst() -> Entry? {
        guard count > 0 else { return nil }
        var passed = 0
        while true {
            let isFresh = !fresh.isEmpty
            guard let place = fresh.first ?? ring.first else {
                preconditionFailure("a queue that counts something has lost it")
            }
            if flows[place].deficit <= 0 {
                flows[place].deficit += FairQueue.quantum * flows[place].weight
                turn(place, isFresh)
                passed += 1
                if passed > ring.count {
                    skipRounds()
                    passed = 0
                }
                continue
            }
            guard let entry = flows[place].waiting.popFirst() else {
                // A newcomer that has nothing left waits for its next turn; the others had theirs.
                if isFresh { turn(place, true) } else { leave(place) }
                continue
            }
            flows[place].deficit -= Int64(clamping: min(entry.cost, 1 << 50))
            count -= 1
            cost &-= entry.cost
            return entry
        }
    }

    private mutating func turn(_ place: Int, _ isFresh: Bool) {
        if isFresh { fresh.removeFirst() } else { ring.removeFirst() }
        ring.append(place)
    }

    private mutating func leave(_ place: Int) {
        ring.removeFirst()
        free(place)
    }

    private mutating func free(_ place: Int) {
        places[flows[place].tenant] = nil
        flows[place].waiting.removeAll(keepingCapacity: true)
        free.append(place)
    }

    /// Nobody has anything left of this round: as many rounds pass at once as it takes until somebody has.
    private mutating func skipRounds() {
        var rounds = Int64.max
        for place in ring where !flows[place].waiting.isEmpty {
            let step = FairQueue.quantum * flows[place].weight
            rounds = min(rounds, max(0, -flows[place].deficit) / step)
        }
        guard rounds > 0, rounds < .max else { return }
        for place in ring {
            let step = FairQueue.quantum * flows[place].weight
            let (more, overflow) = step.multipliedReportingOverflow(by: rounds)
            // Who waits for nothing saves nothing up.
            flows[place].deficit = min(
                overflow ? .max / 2 : flows[place].deficit + more, step)
        }
    }

    /// Those that wait for nothing owe nothing any more.
    private mutating func forgetIdle() {
        for place in places.values where flows[place].waiting.isEmpty { free(place) }
        let living = Set(places.values)
        fresh.removeAll { !living.contains($0) }
        ring.removeAll { !living.contains($0) }
    }

    /// The newest of a tenant's.
    package mutating func popLast(of tenant: UInt32) -> Entry? {
        guard let place = places[tenant], let last = flows[place].waiting.popLast() else {
            return nil
        }
        count -= 1
        cost &-= last.cost
        return last
    }

    package mutating func removeAll(where isOver: (Item) -> Bool) {
        for place in places.values { flows[place].waiting.removeAll { isOver($0.item) } }
        count = 0
        cost = 0
        for place in places.values {
            count += flows[place].waiting.count
            cost = flows[place].waiting.reduce(cost) { $0 &+ $1.cost }
        }
    }

    /// Everything, by turns.
    package mutating func removeAll() -> [Item] {
        var items: [Item] = []
        while let entry = popFirst() { items.append(entry.item) }
        self = FairQueue()
        return items
    }
}

/// Two of them: interactive calls before batch calls, of which one part in eight of the time is theirs when both wait.
package struct PriorityQueue<Item: Sendable>: Sendable {
    private var interactive = FairQueue<Item>()
    private var batch = FairQueue<Item>()
    /// Nanoseconds of interactive calls since the last batch call had to wait for them.
    private var owed: UInt64 = 0
    /// The tenant that may hold more than half; there is at most one.
    private var largest: UInt32?

    /// Interactive time for batch time, when both wait.
    package static var ratio: UInt64 { 7 }
    /// A batch call that is expected to be longer does not wait longer for its turn.
    private static var batchCostMax: UInt64 { 1_000_000_000 }

    package init() {}

    package var count: Int { interactive.count + batch.count }
    package var cost: UInt64 { interactive.cost &+ batch.cost }

    /// Everything that waits, in no order.
    package var items: [Item] { interactive.items + batch.items }

    package func count(of tenant: UInt32) -> Int {
        interactive.count(of: tenant) + batch.count(of: tenant)
    }

    package mutating func append(_ entry: FairQueue<Item>.Entry) {
        switch entry.share.priority {
        case .interactive: interactive.append(entry)
        case .batch: batch.append(entry)
        }
        if count(of: entry.share.tenant) * 2 > count { largest = entry.share.tenant }
    }

    package mutating func popFirst() -> FairQueue<Item>.Entry? {
        guard !batch.isEmpty else {
            owed = 0
            return interactive.popFirst()
        }
        guard !interactive.isEmpty else { return batch.popFirst() }
        let due = max(1, min(batch.nextCost, Self.batchCostMax)) * Self.ratio
        if owed >= due {
            owed -= due
            return batch.popFirst()
        }
        guard let entry = interactive.popFirst() else { return nil }
        let cost = max(1, min(entry.cost, Self.batchCostMax))
        owed = min(owed + cost, Self.batchCostMax * Self.ratio)
        return entry
    }

    /// The newest entry of a tenant that has more than half of everything here, when `tenant` is another.
    package mutating func displace(for tenant: UInt32) -> Item? {
        guard let largest, largest != tenant, count(of: largest) * 2 > count else { return nil }
        return (batch.popLast(of: largest) ?? interactive.popLast(of: largest))?.item
    }

    package mutating func removeAll(where isOver: (Item) -> Bool) {
        interactive.removeAll(where: isOver)
        batch.removeAll(where: isOver)
    }

    package mutating func removeAll() -> [Item] { interactive.removeAll() + batch.removeAll() }
}
