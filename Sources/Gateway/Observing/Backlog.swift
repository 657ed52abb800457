// What waits to be written down, decided in a value: bounded, and in pieces, so that growing copies nothing while a lock is held.

/// Elements in their order. For one owner; the logs keep it under a lock that is held for an append.
package struct Backlog<Element: Sendable>: Sendable {
    package enum Place: Sendable, Equatable {
        /// Nobody waited before: whoever writes is to be told.
        case first
        case behind
        /// There is no room: it is dropped and counted.
        case none
    }

    /// Elements of one piece: as many as make an allocation that the allocator reuses.
    private static var pieceCount: Int { 64 }

    private var pieces: [[Element]] = []
    package private(set) var count = 0
    /// Dropped since the last ``take()``.
    package private(set) var dropped: UInt64 = 0
    package var countMax: Int

    package init(countMax: Int) { self.countMax = countMax }

    package mutating func add(_ element: Element) -> Place {
        guard count < countMax else {
            dropped += 1
            return .none
        }
        if count % Backlog.pieceCount == 0 {
            var piece: [Element] = []
            piece.reserveCapacity(Backlog.pieceCount)
            pieces.append(piece)
        }
        pieces[pieces.count - 1].append(element)
        count += 1
        return count == 1 ? .first : .behind
    }

    /// All that waits, and how many were dropped beside.
    package mutating func take() -> (pieces: [[Element]], dropped: UInt64) {
        let taken = (pieces, dropped)
        pieces = []
        count = 0
        dropped = 0
        return taken
    }
}
