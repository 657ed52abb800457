// Text as a JSON string (RFC 8259 section 7). What is more than a flat object is written where it belongs.

package enum JSONText {
    /// The text in quotes; control characters are escaped, everything else stays UTF-8.
    package static func quoted(_ text: String) -> String {
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        quoted.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 { escape(byte, into: &quoted) }
        quoted.append(UInt8(ascii: "\""))
        return String(decoding: quoted, as: UTF8.self)
    }

    /// The same behind what `quoted` holds. At most `byteCountMax` bytes of the text: the rest is left out, whole characters.
    package static func append(
        _ text: String, byteCountMax: Int = .max, to quoted: inout [UInt8]
    ) {
        quoted.append(UInt8(ascii: "\""))
        var left = byteCountMax
        for byte in text.utf8 {
            // Cut before a character, never inside one.
            if left <= 0, byte & 0xC0 != 0x80 { break }
            escape(byte, into: &quoted)
            left -= 1
        }
        quoted.append(UInt8(ascii: "\""))
    }

    /// The inside of a string; `text` is UTF-8.
    static func escape(_ text: Span<UInt8>, into escaped: inout [UInt8]) {
        for index in text.indices { escape(text[index], into: &escaped) }
    }

    @inline(__always)
    private static func escape(_ byte: UInt8, into escaped: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            escaped.append(UInt8(ascii: "\\"))
            escaped.append(byte)
        case 0..<0x20, 0x7F:
            escaped.append(contentsOf: "\\u00".utf8)
            escaped.append(digits[Int(byte >> 4)])
            escaped.append(digits[Int(byte & 15)])
        default: escaped.append(byte)
        }
    }

    private static let digits = Array("0123456789abcdef".utf8)

    package static func array(_ texts: [String]) -> String {
        "[" + texts.map(quoted).joined(separator: ",") + "]"
    }
}
