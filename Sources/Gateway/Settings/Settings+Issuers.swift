// One of `auth.issuers`: its settings, its keys, and which of them mean something for which kind.

package import Contract
package import Outside

/// One of `auth.issuers`.
package struct IssuerSettings: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case embedded, introspection
        /// Signed tokens, read here (Cognito, Entra ID).
        case jwks
    }
    package enum CredentialEncoding: String, Sendable, CaseIterable { case form, raw }
    package enum AssertionAlgorithm: String, Sendable, CaseIterable {
        case auto
        case rs256 = "RS256"
        case ps256 = "PS256"
        case es256 = "ES256"
        case es384 = "ES384"
        case eddsa = "EdDSA"
    }

    package var name = "local"
    package var kind = Kind.embedded
    /// The longest time an answer is believed.
    package var timeToLiveMax = Nanoseconds.seconds(30)
    /// How long an answer is believed past its time while the issuer cannot be reached; zero: not at all.
    package var stale = Nanoseconds.zero
    /// Tokens that begin with this are this issuer's; empty: any.
    package var tokenPrefix = ""
    /// Listener names (SNI) this issuer is asked on; empty: any.
    package var serverNames: [String] = []

    // Introspection (RFC 7662)
    package var url = ""
    package var clientID = ""
    package var clientSecret = ClientSecret()
    package var clientAuthentication = IntrospectionSettings.ClientAuthentication.basic
    package var credentialEncoding = CredentialEncoding.form
    /// `private_key_jwt`: the key in PEM, and how assertions are made with it (RFC 7523).
    package var assertionKey = ClientSecret()
    package var assertionKeyID: String?
    package var assertionAlgorithm = AssertionAlgorithm.auto
    /// Nil: the url.
    package var assertionAudience: String?
    /// `tls`: PEM files.
    package var clientCertificate: String?
    package var clientKey: String?
    package var answers = IntrospectionSettings.Answers.json

    // Introspection and signed tokens
    /// PEM; nil: the system's authorities.
    package var authority: String?
    /// One of them must be in the audience. `none`, alone: not looked at.
    package var audiences: [String] = []
    /// Must be the `iss`; nil: not asked for.
    package var issuer: String?
    package var timeout = Nanoseconds.seconds(2)

    // Signed tokens and signed answers
    /// Where the keys are; nil, as the file: asked of the issuer's discovery document.
    package var keysURL: String?
    package var keysFile: String?
    package var algorithms = ["RS256", "ES256"]

    // Signed tokens
    package var audienceClaim = "aud"
    package var clientClaims = ["client_id", "azp", "appid"]
    package var scopeClaims = ["scope", "scp"]

    /// Where secrets are read from; only while the settings are read.
    var clientSecretFile: String?
    var assertionKeyFile: String?

    package init() {}

    package static let anyAudience = "none"

    /// What must be in the audience; empty when it is not looked at.
    package var wantedAudiences: [String] { audiences == [Self.anyAudience] ? [] : audiences }

    /// Whether signatures are checked or made for it.
    package var needsSignatures: Bool {
        kind == .jwks
            || (kind == .introspection
                && (answers == .jwt || clientAuthentication == .privateKeyJWT))
    }

    /// The files that are read when it is opened, by key.
    var files: [(key: String, path: String?)] {
        [
            ("ca", authority), ("client_certificate", clientCertificate),
            ("client_key", clientKey), ("jwks_file", keysFile),
        ]
    }
}

/// A secret that can stand in settings which are compared, and still prints as bullets.
package struct ClientSecret: Sendable, Equatable, CustomStringConvertible {
    package var secret: Secret

    package init(_ secret: Secret = Secret("")) { self.secret = secret }

    package static func == (left: ClientSecret, right: ClientSecret) -> Bool {
        left.secret.matches(right.secret)
    }

    package var description: String { secret.description }
}

extension IssuerSettings {
    /// The keys of one of `auth.issuers`.
    package static var keys: [String] { rules.map(\.key) }

    /// The keys of one of `auth.issuers`.
    static let rules: [SettingRule<IssuerSettings>] =
        [
            .text("name", "letters, digits, '.', '_' and '-', at most 64", \.name, isName),
            .choice("kind", \.kind),
            .time("max_ttl", .milliseconds(1)...(.seconds(3_600)), \.timeToLiveMax, orZero: true),
            .time("stale", .seconds(1)...(.seconds(60)), \.stale, orZero: true),
            .text("token_prefix", "at most 64 characters of a token", \.tokenPrefix, isTokenText),
            .list("server_names", "a list of host names", \.serverNames, isServerName),
        ] + introspectionRules + [
            .optionalText("ca", Settings.path, \.authority, Settings.isPath),
            .list(
                "audience", "one or a list of texts of at most 1024 visible characters",
                \.audiences, { !$0.isEmpty && isVisible($0) }
            ).orOne,
            .optionalText("issuer", visible, \.issuer, isVisible),
            .time("timeout", .milliseconds(10)...(.seconds(60)), \.timeout),
            .optionalText("jwks_url", address, \.keysURL, isURL).hidden,
            .optionalText("jwks_file", Settings.path, \.keysFile, Settings.isPath),
            .list(
                "algorithms",
                "a list of " + SignatureAlgorithm.allCases.map(\.rawValue).joined(separator: ", "),
                \.algorithms, { SignatureAlgorithm(rawValue: $0) != nil }),
            .text("audience_claim", claim, \.audienceClaim, isClaim),
            .list("client_claim", "one or a list of names of claims", \.clientClaims, isClaim)
                .orOne,
            .list("scope_claim", "one or a list of names of claims", \.scopeClaims, isClaim).orOne,
        ]

    private static let introspectionRules: [SettingRule<IssuerSettings>] = [
        .text("url", address, \.url, isURL).hidden,
        .text("client_id", visible, \.clientID, isVisible),
        .optionalText("client_secret_file", Settings.path, \.clientSecretFile, Settings.isPath)
            .hidden,
        .choice("client_auth", \.clientAuthentication),
        .choice("credential_encoding", \.credentialEncoding),
        .optionalText("key_file", Settings.path, \.assertionKeyFile, Settings.isPath).hidden,
        .optionalText("key_id", visible, \.assertionKeyID, isVisible),
        .choice("assertion_algorithm", \.assertionAlgorithm),
        .optionalText("assertion_audience", visible, \.assertionAudience, isVisible),
        .optionalText(
            "client_certificate", Settings.path, \.clientCertificate, Settings.isPath),
        .optionalText("client_key", Settings.path, \.clientKey, Settings.isPath).hidden,
        .choice("answers", \.answers),
    ]

    private static let everyKind: Set<String> = [
        "name", "kind", "max_ttl", "stale", "token_prefix", "server_names",
    ]
    private static let signatureKeys: Set<String> = ["jwks_url", "jwks_file", "algorithms"]

    /// The keys that mean something for a kind.
    static func keys(of kind: Kind) -> Set<String> {
        switch kind {
        case .embedded: everyKind
        case .introspection:
            everyKind.union(introspectionRules.map(\.key)).union(signatureKeys)
                .union(["ca", "audience", "issuer", "timeout"])
        case .jwks:
            everyKind.union(signatureKeys).union([
                "ca", "audience", "issuer", "timeout", "audience_claim", "client_claim",
                "scope_claim",
            ])
        }
    }

    private static let visible = "at most 1024 visible characters"
    private static let claim = "the name of a claim"
    private static let address =
        "an address like https://host/path, without user or password; http only for localhost"

    private static let isName: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                isAlphanumeric(byte) || [0x2E, 0x5F, 0x2D].contains(byte)
            }
    }

    private static let isTokenText: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 64 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static let isServerName: @Sendable (String) -> Bool = { text in
        !text.isEmpty && text.utf8.count <= 253
            && text.utf8.allSatisfy { isAlphanumeric($0) || [0x2E, 0x2D, 0x2A].contains($0) }
    }

    private static let isVisible: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 1_024 && text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    }

    private static let isClaim: @Sendable (String) -> Bool = { text in
        !text.isEmpty && text.utf8.count <= 128
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static let isURL: @Sendable (String) -> Bool = { text in
        guard text.utf8.count <= 2_048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("#"), !text.contains("@"), !text.contains("\\"),
            let scheme = text.firstRange(of: "://")
        else { return false }
        let host = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } : host.prefix { $0 != ":" }
        guard !name.isEmpty else { return false }
        switch text[..<scheme.lowerBound] {
        case "https": return true
        case "http": return ["localhost", "127.0.0.1", "[::1"].contains(String(name))
        default: return false
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: false
        }
    }
}
