// Which call's time is up next, in a value. Calls that were answered in time stay in until they are due or in the way.

package import Contract

/// A binary heap of deadlines. Bounded: what is done is thrown out whenever the heap has doubled.
package struct DeadlineHeap<Item: Sendable>: Sendable {
    private struct Entry: Sendable {
        var deadline: Instant
        var item: Item
    }

    private static var sweepMin: Int { 1_024 }

    private var entries: [Entry] = []
    private var sweepAt = DeadlineHeap.sweepMin
    private let isDone: @Sendable (Item) -> Bool

    /// An empty heap; `isDone` tells what need not be kept.
    package init(isDone: @escaping @Sendable (Item) -> Bool) { self.isDone = isDone }

    package var count: Int { entries.count }
    package var earliest: Instant? { entries.first?.deadline }

    package mutating func insert(_ item: Item, deadline: Instant) {
        if entries.count >= sweepAt { sweep() }
        entries.append(Entry(deadline: deadline, item: item))
        rise(entries.count - 1)
    }

    /// The items whose deadline is not after `now`, earliest first, without those that are done.
    package mutating func popDue(_ now: Instant) -> [Item] {
        var due: [Item] = []
        while let first = entries.first, first.deadline <= now {
            let last = entries.removeLast()
            if !entries.isEmpty {
                entries[0] = last
                sink(0)
            }
            if !isDone(first.item) { due.append(first.item) }
        }
        return due
    }

    private mutating func sweep() {
        entries.removeAll { isDone($0.item) }
        for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { sink(index) }
        sweepAt = max(DeadlineHeap.sweepMin, entries.count * 2)
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard entries[index].deadline < entries[parent].deadline else { return }
            entries.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < entries.count && entries[child].deadline < entries[least].deadline {
                least = child
            }
            guard least != index else { return }
            entries.swapAt(index, least)
            index = least
        }
    }
}
