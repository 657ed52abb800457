// Where an event loop writes its lines of the access log, until the log's thread takes them to the disk. Each loop has its own:
// a queue of records for all of them cost a tenth of the machine, for copies of records and a second core that read them.

package import Contract
package import JSONDoor
import Synchronization

/// Whole lines. May be used from any thread; its lock is held while a line is made, or while all are taken away.
package final class AccessPage: Sendable {
    package typealias Format = AccessLogSettings.Format

    package enum Place: Sendable, Equatable {
        /// Nothing waited before: whoever writes is to be told.
        case first
        case behind
        /// There is no room: it is dropped and counted.
        case none
    }

    /// Whole lines that are written at once.
    package struct Piece: Sendable {
        package var bytes: [UInt8]
        package var count: Int
    }

    /// What waits, and how many lines found no room since the last time.
    package struct Contents: Sendable {
        package var pieces: [Piece]
        package var dropped: UInt64
    }

    /// Bytes from which on a piece is full, and room for its last line.
    private static let pieceBytes = 96 << 10
    private static let pieceRoom = 104 << 10
    /// Pieces that are kept to be written on again: their memory would have to be asked for, and cleared, by the system each time.
    private static let blanksMax = 8

    private struct State: Sendable {
        var lines: AccessLines
        var full: [Piece] = []
        var blanks: [[UInt8]] = []
        var waiting = 0
        var countMax = 0
        var dropped: UInt64 = 0

        /// False: there is no room for a line.
        mutating func begin() -> Bool {
            guard waiting < countMax else {
                dropped += 1
                return false
            }
            // For the clocks, which an idle hour may have set apart.
            if waiting == 0 { _ = lines.take(next: blanks.popLast() ?? []) }
            return true
        }

        mutating func end() -> Place {
            waiting += 1
            if lines.bytes.count >= AccessPage.pieceBytes {
                var next = blanks.popLast() ?? []
                next.reserveCapacity(AccessPage.pieceRoom)
                let (bytes, count) = lines.take(next: next)
                full.append(Piece(bytes: bytes, count: count))
            }
            return waiting == 1 ? .first : .behind
        }

        mutating func take() -> Contents {
            let (bytes, count) = lines.take()
            var pieces = full
            if count > 0 { pieces.append(Piece(bytes: bytes, count: count)) }
            defer {
                full = []
                waiting = 0
                dropped = 0
            }
            return Contents(pieces: pieces, dropped: dropped)
        }
    }

    private let state = Mutex(State(lines: AccessLines(.json)))

    package init() {}

    /// Lines that wait.
    package var waiting: Int { state.withLock { $0.waiting } }

    package func add(_ call: CallRecord) -> Place {
        state.withLock { state in
            guard state.begin() else { return .none }
            state.lines.add(call)
            return state.end()
        }
    }

    package func add(_ request: HTTPRecord) -> Place {
        state.withLock { state in
            guard state.begin() else { return .none }
            state.lines.add(request)
            return state.end()
        }
    }

    package func take() -> Contents { state.withLock { $0.take() } }

    /// A piece that was taken and written: its memory is used again.
    package func giveBack(_ piece: consuming Piece) {
        piece.bytes.removeAll(keepingCapacity: true)
        let blank = piece.bytes
        state.withLock {
            if $0.countMax > 0, $0.blanks.count < AccessPage.blanksMax { $0.blanks.append(blank) }
        }
    }

    /// From now on lines look like this, and so many may wait; zero: none. Returns what has waited until now.
    package func adopt(_ format: Format, countMax: Int) -> Contents {
        state.withLock { state in
            let contents = state.take()
            state.lines = AccessLines(format)
            state.countMax = countMax
            if countMax == 0 { state.blanks = [] }
            return contents
        }
    }
}
