// What a person pressed, read from the bytes that a terminal sends for it (ECMA-48, and xterm's cursor keys).

package enum Key: Sendable, Equatable {
    /// One of ASCII's printed characters.
    case character(Character)
    case up, down, left, right, pageUp, pageDown, home, end
    case enter, escape, erase
    /// Ctrl-C, Ctrl-Z and Ctrl-L, which arrive as characters.
    case interrupt, suspend, redraw
}

/// Puts bytes together to keys.
package struct KeyReader: Sendable {
    /// The longest sequence that is looked at.
    private static let bytesMax = 16
    /// Begins with ESC when it is not empty.
    private var held: [UInt8] = []

    package init() {}

    /// True while an escape sequence has begun: when nothing follows soon, it is the key Escape (``flush()``).
    package var isWaiting: Bool { !held.isEmpty }

    /// The key that `byte` ends, if any.
    package mutating func take(_ byte: UInt8) -> Key? {
        guard held.isEmpty else { return proceed(byte) }
        switch byte {
        case 0x1B:
            held = [byte]
            return nil
        case 0x03: return .interrupt
        case 0x1A: return .suspend
        case 0x0C: return .redraw
        case 0x0D, 0x0A: return .enter
        case 0x7F, 0x08: return .erase
        case 0x20..<0x7F: return .character(Character(UnicodeScalar(byte)))
        default: return nil
        }
    }

    /// Nothing followed.
    package mutating func flush() -> Key? {
        defer { held = [] }
        return held == [0x1B] ? .escape : nil
    }

    private mutating func proceed(_ byte: UInt8) -> Key? {
        held.append(byte)
        if held.count == 2 {
            // ESC [ and ESC O begin; another key with ESC in front of it is Alt, which means nothing here.
            if byte != UInt8(ascii: "["), byte != UInt8(ascii: "O") { held = [] }
            return nil
        }
        guard 0x40..<0x7F ~= byte else {
            if held.count >= Self.bytesMax { held = [] }
            return nil
        }
        let parameter = held[2..<(held.count - 1)]
        defer { held = [] }
        switch byte {
        case UInt8(ascii: "A"): return .up
        case UInt8(ascii: "B"): return .down
        case UInt8(ascii: "C"): return .right
        case UInt8(ascii: "D"): return .left
        case UInt8(ascii: "H"): return .home
        case UInt8(ascii: "F"): return .end
        case UInt8(ascii: "~"):
            switch String(decoding: parameter, as: UTF8.self) {
            case "1", "7": return .home
            case "4", "8": return .end
            case "5": return .pageUp
            case "6": return .pageDown
            default: return nil
            }
        default: return nil
        }
    }
}
