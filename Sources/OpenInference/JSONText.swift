// Text as a JSON string (RFC 8259 section 7). What is more than a flat object is written where it belongs.

package enum JSONText {
    /// The text in quotes; control characters are escaped, everything else stays UTF-8.
    package static func quoted(_ text: String) -> String {
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        quoted.reserveCapacity(text.utf8.count + 2)
        let digits = Array("0123456789abcdef".utf8)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                quoted.append(UInt8(ascii: "\\"))
                quoted.append(byte)
            case 0..<0x20, 0x7F:
                quoted.append(contentsOf: "\\u00".utf8)
                quoted.append(digits[Int(byte >> 4)])
                quoted.append(digits[Int(byte & 15)])
            default: quoted.append(byte)
            }
        }
        quoted.append(UInt8(ascii: "\""))
        return String(decoding: quoted, as: UTF8.self)
    }

    package static func array(_ texts: [String]) -> String {
        "[" + texts.map(quoted).joined(separator: ",") + "]"
    }
}
