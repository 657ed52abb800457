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

    /// Bytes from which on a piece is full: an allocation that the allocator keeps for the next one, also with its last line.
    private static let pieceBytes = 96 << 10
    private static let pieceBytesReserved = 104 << 10

    private struct State: Sendable {
        var lines: AccessLines
        var full: [Piece] = []
        var waiting = 0
        var countMax = 0
        var dropped: UInt64 = 0

        mutating func add(_ line: (inout AccessLines) -> Void) -> Place {
            guard waiting < countMax else {
                dropped += 1
                return .none
            }
            if lines.count == 0 {
                // For the clocks, which an idle hour may have set apart.
                _ = lines.take()
                lines.reserve(waiting == 0 ? 4 << 10 : AccessPage.pieceBytesReserved)
            }
            line(&lines)
            waiting += 1
            if lines.bytes.count >= AccessPage.pieceBytes {
                let (bytes, count) = lines.take()
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

    package func add(_ call: CallRecord) -> Place { state.withLock { $0.add { $0.add(call) } } }

    package func add(_ request: HTTPRecord) -> Place {
        state.withLock { $0.add { $0.add(request) } }
    }

    package func take() -> Contents { state.withLock { $0.take() } }

    /// From now on lines look like this, and so many may wait; zero: none. Returns what has waited until now.
    package func adopt(_ format: Format, countMax: Int) -> Contents {
        state.withLock { state in
            let contents = state.take()
            state.lines = AccessLines(format)
            state.countMax = countMax
            return contents
        }
    }
}
