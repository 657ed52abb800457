// Which calls of an event loop are on the shards, so that what crosses threads is a place in a table and the delegates
// never leave their loop.

import Contract

/// The open calls of one desk, at places that are used again.
struct CallTable {
    private struct Row {
        var delegate: (any RunDelegate)?
        var run: Run?
        var generation: UInt32 = 0
        /// Answered; the run is being stopped.
        var isAnswered = false
        /// Set when the work ended before the answer had been delivered: what it took.
        var ended: Timing?
    }

    private var rows: [Row] = []
    private var free: [Int] = []

    /// Calls open, those included that are answered and still being stopped.
    var count: Int { rows.count - free.count }

    mutating func open(_ delegate: any RunDelegate) -> DeskPlace {
        let slot: Int
        if let last = free.popLast() {
            slot = last
        } else {
            slot = rows.count
            rows.append(Row())
        }
        rows[slot].delegate = delegate
        return DeskPlace(slot: slot, generation: rows[slot].generation)
    }

    mutating func attach(_ run: Run, to place: DeskPlace) {
        if isCurrent(place) { rows[place.slot].run = run }
    }

    func run(at place: DeskPlace) -> Run? { isCurrent(place) ? rows[place.slot].run : nil }

    /// Whoever still waits for an answer.
    func waiting(at place: DeskPlace) -> (any RunDelegate)? {
        isCurrent(place) && !rows[place.slot].isAnswered ? rows[place.slot].delegate : nil
    }

    /// Takes note of the answer; nil when there was one. `ended` is what the work took, when that has ended meanwhile.
    mutating func answer(
        at place: DeskPlace, workContinues: Bool
    ) -> (delegate: any RunDelegate, ended: Timing?)? {
        guard let delegate = waiting(at: place) else { return nil }
        let ended = workContinues ? rows[place.slot].ended : nil
        if workContinues, ended == nil {
            rows[place.slot].isAnswered = true
            rows[place.slot].run = nil
        } else {
            close(place.slot)
        }
        return (delegate, ended)
    }

    /// The work has ended: returns who is to be told now.
    mutating func end(at place: DeskPlace, timing: Timing) -> (any RunDelegate)? {
        guard isCurrent(place) else { return nil }
        guard rows[place.slot].isAnswered else {
            rows[place.slot].ended = timing
            return nil
        }
        let delegate = rows[place.slot].delegate
        close(place.slot)
        return delegate
    }

    private func isCurrent(_ place: DeskPlace) -> Bool {
        rows[place.slot].generation == place.generation && rows[place.slot].delegate != nil
    }

    private mutating func close(_ slot: Int) {
        rows[slot] = Row(generation: rows[slot].generation &+ 1)
        free.append(slot)
    }
}
