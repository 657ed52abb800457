// A client of the embedded authorization server: a program that gets its tokens over HTTP, or asks about others'.

package import Contract
import TLS

/// One client. Times are milliseconds since 1970.
package struct ClientRecord: Sendable, Equatable {
    /// What it calls itself in requests, and what it is called in policies and plans.
    package var id: String
    /// For people.
    package var name: String
    /// The most that its tokens may hold.
    package var scopes: [String]
    /// Whom its tokens are for (`aud`), and, when it introspects, whose tokens it is told about; empty: anybody.
    package var audiences: [String]
    package var mayIntrospect: Bool
    package var created: Int64
    /// When its secret was last changed.
    package var rotated: Int64?
    /// Until then the secret before is believed too.
    package var graceUntil: Int64?
    package var removed: Int64?

    /// Letters, digits, `.`, `_` and `-`, at most 64: it needs no encoding anywhere.
    package static func isID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    static func makeID() -> String { "client-" + Cryptography.hex(Cryptography.randomBytes(6)) }

    /// 256 random bits: nobody guesses them, so that one SHA-256 keeps them as well as any slow hash would, and a flood
    /// of wrong ones costs a microsecond each.
    static func makeSecret() -> Secret {
        Secret("scs_" + Cryptography.base64URL(Cryptography.randomBytes(32)))
    }
}

/// A client whose secret was just made. It exists nowhere else and is shown once.
package struct IssuedClient: Sendable {
    package var secret: Secret
    package var record: ClientRecord
}
