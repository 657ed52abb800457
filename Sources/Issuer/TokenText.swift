// The form of our own tokens: `slc_` and 32 random bytes as base64url, 47 characters in all.

import Contract
import TLS

enum TokenText {
    static let prefix = "slc_"
    static let randomBytes = 32
    static let length = 4 + 43

    static func make() -> Secret {
        Secret(prefix + Cryptography.base64URL(Cryptography.randomBytes(randomBytes)))
    }

    /// Twelve hexadecimal digits; never derived from the token.
    static func makeIdentifier() -> String { Cryptography.hex(Cryptography.randomBytes(6)) }

    /// True when a token could be one of ours; others need not be looked up.
    static func hasForm(_ bytes: [UInt8]) -> Bool {
        bytes.count == length && bytes.starts(with: prefix.utf8)
    }
}
