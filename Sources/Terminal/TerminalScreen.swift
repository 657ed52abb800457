// A terminal's whole screen, for as long as a program has it. Given back when it says so or ends, by signals too.

import CTerminal
private import Glibc

/// What a terminal cannot do.
package struct TerminalFault: Error, Sendable, CustomStringConvertible {
    package var description: String
}

/// The screen of the process's own terminal; make one at most. Every key comes by itself and none is shown. Reading is for one
/// thread at a time, the rest for any.
package final class TerminalScreen: Sendable {
    package enum Input: Sendable, Equatable {
        case byte(UInt8)
        /// Nothing came in time.
        case nothing
        /// The terminal has gone.
        case end
    }

    private static let input = STDIN_FILENO
    private static let output = STDOUT_FILENO

    /// Whether standard input and output are terminals.
    package static var isThere: Bool { isatty(input) == 1 && isatty(output) == 1 }

    /// Takes the screen.
    package init() throws(TerminalFault) {
        let number = CTerminal_enter(Self.input, Self.output)
        guard number == 0 else {
            throw TerminalFault(description: "the terminal cannot be used: error \(number)")
        }
    }

    deinit { CTerminal_leave() }

    /// Gives the screen back; a second time nothing happens.
    package func giveBack() { CTerminal_leave() }

    /// In characters; 80 by 24 where nobody says.
    package var size: (width: Int, height: Int) {
        let size = CTerminal_size(Self.output)
        guard size.rows > 0, size.columns > 0 else { return (80, 24) }
        return (Int(size.columns), Int(size.rows))
    }

    /// True once after the size may have changed, or the screen was given back for a while.
    package var hasChanged: Bool { CTerminal_hasChanged() }

    /// Blocks for so many milliseconds at most.
    package func next(within milliseconds: Int32) -> Input {
        switch CTerminal_next(Self.input, milliseconds) {
        case -1: .nothing
        case let byte where byte >= 0: .byte(UInt8(truncatingIfNeeded: byte))
        default: .end
        }
    }

    /// Writes all of it, in one piece where the terminal takes it.
    package func write(_ text: String) throws(TerminalFault) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            // The bytes live as long as the closure, and no more of them are written than there are.
            let count = unsafe rest.withUnsafeBytes { bytes in
                unsafe Glibc.write(Self.output, bytes.baseAddress, bytes.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw TerminalFault(description: "the terminal takes no more")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Gives the screen back, stops the process until it is continued, and takes the screen again.
    package func suspend() { CTerminal_suspend() }
}
