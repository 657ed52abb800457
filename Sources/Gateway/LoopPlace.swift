// What one event loop of the walk has of its own: its desk, and who visits. Used on that loop only.

import Shards

/// Things at places that are used again: coming and going cost no search. For one owner.
package struct SlotTable<Element> {
    private var rows: [Element?] = []
    private var free: [Int] = []

    package init() {}

    package var count: Int { rows.count - free.count }

    package mutating func add(_ element: Element) -> Int {
        if let slot = free.popLast() {
            rows[slot] = element
            return slot
        }
        rows.append(element)
        return rows.count - 1
    }

    package mutating func remove(_ slot: Int) {
        precondition(rows[slot] != nil, "a place is given back once")
        rows[slot] = nil
        free.append(slot)
    }

    package var all: some Sequence<Element> { rows.lazy.compactMap { $0 } }
}

/// A connection that went without saying so is no more than an empty row.
struct WeakVisit {
    weak var visit: Visit?
}

final class LoopPlace {
    /// Nil when nothing is counted.
    let tally: CallTally?
    let observers: CallObservers
    let desk: LoopDesk
    var visits = SlotTable<WeakVisit>()

    init(desk: LoopDesk, tally: CallTally?, observers: CallObservers) {
        self.desk = desk
        self.observers = observers
        self.tally = tally
    }
}

@available(*, unavailable) extension LoopPlace: Sendable {}
