// Base64 with padding (RFC 4648 section 4), strictly: BYTES elements that are no text travel so when asked.

enum Base64 {
    private static let letters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    private static func value(_ letter: UInt8) -> UInt32? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    /// Nil for anything but whole groups of four letters in their one form.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var padded = 0
        while padded < 2, padded < text.count, text[text.count - 1 - padded] == padding {
            padded += 1
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        let last = text.count - padded
        for group in stride(from: 0, to: text.count, by: 4) {
            var bits: UInt32 = 0
            for index in group..<(group + 4) {
                guard index < last else {
                    bits <<= 6
                    continue
                }
                guard let value = value(text[index]) else { return nil }
                bits = bits << 6 | value
            }
            let missing = max(0, group + 4 - last)
            // Bits that stand for nothing are zero, or one text would have many forms.
            guard missing == 0 || bits & (missing == 1 ? 0xFF : 0xFFFF) == 0 else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
            if missing < 2 { bytes.append(UInt8(truncatingIfNeeded: bits >> 8)) }
            if missing < 1 { bytes.append(UInt8(truncatingIfNeeded: bits)) }
        }
        return bytes
    }

    static func encode(_ bytes: Span<UInt8>, into text: inout [UInt8]) {
        for group in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - group)
            var bits: UInt32 = 0
            for index in 0..<3 {
                bits = bits << 8 | (index < count ? UInt32(bytes[group + index]) : 0)
            }
            for index in 0..<4 {
                text.append(
                    index <= count
                        ? letters[Int(bits >> UInt32(18 - 6 * index)) & 63] : padding)
            }
        }
    }
}
