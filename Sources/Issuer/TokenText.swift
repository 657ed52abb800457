// The form of our own tokens: `slc_` and 32 random bytes as base64url, 47 characters in all.

package import Contract
import TLS

package enum TokenText {
    package static let prefix = "slc_"
    package static let randomBytes = 32
    package static let length = 4 + 43

    package static func make() -> Secret {
        Secret(prefix + Cryptography.base64URL(Cryptography.randomBytes(randomBytes)))
    }

    /// Twelve hexadecimal digits; never derived from the token.
    package static func makeIdentifier() -> String { Cryptography.hex(Cryptography.randomBytes(6)) }

    /// True when a token could be one of ours; others need not be looked up.
    package static func hasForm(_ bytes: [UInt8]) -> Bool {
        bytes.count == length && bytes.starts(with: prefix.utf8)
    }
}
