// The smallest pieces of JSON text (RFC 8259): space, strings and escapes, looked at in place. What the scanner and the
// tensors' parsers share.

import NIOCore

/// Each function starts at `position` and leaves it behind what it took; nil or false means that it is not there, with
/// `position` at the first byte that does not fit. None reads outside of `bytes`.
enum JSONBytes {
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let openArray = UInt8(ascii: "[")
    static let closeArray = UInt8(ascii: "]")
    static let openObject = UInt8(ascii: "{")
    static let closeObject = UInt8(ascii: "}")
    static let minus = UInt8(ascii: "-")

    @inline(__always)
    static func skipSpace(_ bytes: Span<UInt8>, _ position: inout Int) {
        while position < bytes.count {
            let byte = bytes[position]
            if byte > 0x20 { return }
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isTrue(_ bytes: Span<UInt8>, _ at: Int) -> Bool {
        bytes.count - at >= 4 && bytes[at] == UInt8(ascii: "t")
            && bytes[at + 1] == UInt8(ascii: "r") && bytes[at + 2] == UInt8(ascii: "u")
            && bytes[at + 3] == UInt8(ascii: "e")
    }

    @inline(__always)
    static func isFalse(_ bytes: Span<UInt8>, _ at: Int) -> Bool {
        bytes.count - at >= 5 && bytes[at] == UInt8(ascii: "f")
            && bytes[at + 1] == UInt8(ascii: "a") && bytes[at + 2] == UInt8(ascii: "l")
            && bytes[at + 3] == UInt8(ascii: "s") && bytes[at + 4] == UInt8(ascii: "e")
    }

    static func isNull(_ bytes: Span<UInt8>, _ at: Int) -> Bool {
        bytes.count - at >= 4 && bytes[at] == UInt8(ascii: "n")
            && bytes[at + 1] == UInt8(ascii: "u") && bytes[at + 2] == UInt8(ascii: "l")
            && bytes[at + 3] == UInt8(ascii: "l")
    }
}

/// A string's place in the text, between its quotes; checked, not yet unescaped.
struct JSONStringPlace {
    var range: Range<Int>
    var hasEscapes: Bool
}

/// Why a string is not one, and where.
struct JSONStringFault: Error {
    var offset: Int
    var message: String
}

extension JSONBytes {
    /// Takes a whole string, the position at its opening quote: control characters, bad escapes, lone surrogates
    /// and bytes that are no UTF-8 are refused.
    static func string(
        _ bytes: Span<UInt8>, _ position: inout Int
    ) throws(JSONStringFault) -> JSONStringPlace {
        var at = position + 1
        let start = at
        var hasEscapes = false
        var high: UInt8 = 0
        while at < bytes.count {
            let byte = bytes[at]
            if byte == quote {
                if high >= 0x80 { try checkUTF8(bytes, start..<at) }
                position = at + 1
                return JSONStringPlace(range: start..<at, hasEscapes: hasEscapes)
            }
            if byte == backslash {
                hasEscapes = true
                try skipEscape(bytes, &at)
                continue
            }
            guard byte >= 0x20 else {
                throw JSONStringFault(
                    offset: at,
                    message:
                        "a control character (\(hexadecimal(byte))) must be escaped in a string"
                )
            }
            high |= byte
            at += 1
        }
        throw JSONStringFault(
            offset: at, message: "the string that began at byte \(position) has no end")
    }

    private static func checkUTF8(
        _ bytes: Span<UInt8>, _ range: Range<Int>
    ) throws(JSONStringFault) {
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes.extracting(range))
        } catch {
            throw JSONStringFault(
                offset: range.lowerBound + error.byteOffsets.lowerBound,
                message: "a string must be UTF-8")
        }
    }

    /// Moves behind an escape. A pair of surrogates is one escape.
    private static func skipEscape(
        _ bytes: Span<UInt8>, _ at: inout Int
    ) throws(JSONStringFault) {
        let start = at
        guard at + 1 < bytes.count else {
            throw JSONStringFault(offset: bytes.count, message: "the string has no end")
        }
        switch bytes[at + 1] {
        case quote, backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 2
        case UInt8(ascii: "u"):
            guard let unit = hexadecimal(bytes, at + 2) else {
                throw JSONStringFault(
                    offset: start, message: "\\u must be followed by four hexadecimal digits")
            }
            at += 6
            guard unit & 0xF800 == 0xD800 else { return }
            guard unit < 0xDC00, at + 1 < bytes.count, bytes[at] == backslash,
                bytes[at + 1] == UInt8(ascii: "u"), let low = hexadecimal(bytes, at + 2),
                low & 0xFC00 == 0xDC00
            else {
                throw JSONStringFault(
                    offset: start, message: "a surrogate must be one half of a pair")
            }
            at += 6
        default:
            throw JSONStringFault(
                offset: start,
                message: "an escape must be one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")
        }
    }

    private static func hexadecimal(_ bytes: Span<UInt8>, _ start: Int) -> UInt16? {
        guard bytes.count - start >= 4 else { return nil }
        var value: UInt16 = 0
        for index in start..<(start + 4) {
            guard let digit = hexadecimalDigit(bytes[index]) else { return nil }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    static func hexadecimal(_ byte: UInt8) -> String {
        "0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

extension JSONBytes {
    /// The bytes a checked string stands for, appended.
    static func unescape(
        _ bytes: Span<UInt8>, _ place: JSONStringPlace, into text: inout [UInt8]
    ) {
        var at = place.range.lowerBound
        let end = place.range.upperBound
        while at < end {
            let byte = bytes[at]
            guard byte == backslash else {
                text.append(byte)
                at += 1
                continue
            }
            at += 2
            switch bytes[at - 1] {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                let scalar = unicodeEscape(bytes, &at)
                text.append(contentsOf: String(Character(scalar)).utf8)
            case let other: text.append(other)
            }
        }
    }

    /// The scalar whose `\u` has been passed; the string was checked.
    private static func unicodeEscape(_ bytes: Span<UInt8>, _ at: inout Int) -> Unicode.Scalar {
        var scalar = UInt32(hexadecimal(bytes, at) ?? 0)
        at += 4
        if scalar & 0xFC00 == 0xD800, let low = hexadecimal(bytes, at + 2) {
            scalar = 0x10000 + (scalar & 0x3FF) << 10 + UInt32(low & 0x3FF)
            at += 6
        }
        return Unicode.Scalar(scalar) ?? "\u{FFFD}"
    }

    /// The text of a checked string.
    static func text(_ bytes: Span<UInt8>, _ place: JSONStringPlace) -> String {
        if place.hasEscapes {
            var unescaped: [UInt8] = []
            unescaped.reserveCapacity(place.range.count)
            unescape(bytes, place, into: &unescaped)
            return String(decoding: unescaped, as: UTF8.self)
        }
        guard let checked = try? UTF8Span(validating: bytes.extracting(place.range)) else {
            return ""
        }
        return String(copying: checked)
    }
}
