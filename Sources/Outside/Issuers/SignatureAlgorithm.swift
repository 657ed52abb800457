// The algorithms whose signatures are believed (RFC 7518 section 3.1, RFC 8037). There is no `none` and no HMAC
// among them, so neither can be allowed by a setting or asked for by a token.

package enum SignatureAlgorithm: String, Sendable, CaseIterable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case eddsa = "EdDSA"

    /// What a key must be to be used with it: a key never serves an algorithm of another family.
    package enum Family: Sendable, Equatable {
        case rsa
        case elliptic(KeySet.Curve)
        case ed25519
    }

    package var family: Family {
        switch self {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
        case .es256: .elliptic(.p256)
        case .es384: .elliptic(.p384)
        case .es512: .elliptic(.p521)
        case .eddsa: .ed25519
        }
    }
}
