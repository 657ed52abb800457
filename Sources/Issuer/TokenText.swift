// The form of our own tokens: `slc_` and 32 random bytes as base64url, 47 characters in all.

import Contract

enum TokenText {
    static let prefix = "slc_"
    static let randomBytes = 32
    static let length = 4 + 43

    /// From 32 bytes of the system's generator (getrandom).
    static func make() -> Secret {
        var generator = SystemRandomNumberGenerator()
        let random = (0..<randomBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator)
        }
        return Secret(bytes: Array(prefix.utf8) + base64URL(random))
    }

    static func makeIdentifier() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef")
        return String((0..<12).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
    }

    /// True when a token could be one of ours; others need not be looked up.
    static func hasForm(_ bytes: [UInt8]) -> Bool {
        bytes.count == length && bytes.starts(with: prefix.utf8)
    }

    /// RFC 4648 section 5, without padding.
    static func base64URL(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits = 0
        var count = 0
        for byte in bytes {
            bits = (bits << 8 | Int(byte)) & 0xFFFF
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[bits >> count & 0x3F])
            }
        }
        if count > 0 { text.append(alphabet[bits << (6 - count) & 0x3F]) }
        return text
    }
}
