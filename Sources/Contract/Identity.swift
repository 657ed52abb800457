// Who is calling: the facts a verifier found out about a token. Policy judges them on every call.

/// The facts about an active token. What they allow is decided later, on every call.
package struct Identity: Sendable, Equatable {
    /// The issuer's name in the settings.
    package var issuer: String
    /// `client_id` of the answer (RFC 7662 section 2.2), or empty.
    package var client: String
    /// `sub` of the answer, or empty.
    package var subject: String
    package var scopes: [String]
    /// How long the token is valid for, counted from the moment the verifier answered; nil when the
    /// answer did not say.
    package var validFor: Nanoseconds?
    /// SHA-256 of the client certificate the token is bound to (`cnf.x5t#S256`, RFC 8705 section 3.1), or
    /// empty when it is bound to none.
    package var certificateDigest: [UInt8]
    /// Further claims that are text or lists of text, for the policy's rules; at most ``claimsMax`` of them.
    package var claims: [String: [String]]

    package static let claimsMax = 32

    package init(
        issuer: String, client: String, subject: String, scopes: [String],
        validFor: Nanoseconds?, certificateDigest: [UInt8] = [], claims: [String: [String]] = [:]
    ) {
        self.claims = claims
        self.issuer = issuer
        self.client = client
        self.subject = subject
        self.scopes = scopes
        self.validFor = validFor
        self.certificateDigest = certificateDigest
    }
}

/// What a verifier says of a token.
package enum Verdict: Sendable, Equatable {
    case active(Identity)
    /// Unknown, revoked or not meant for us: the caller learns no more than that.
    case inactive
    /// Was active once and is over: only for a verifier that knows the very token (an SDK then asks its token
    /// provider for a new one).
    case expired
}

/// Asks an issuer about a token. Throws `CallFailure` UNAVAILABLE when the issuer cannot be asked: that is
/// never the same as `inactive`.
package protocol TokenVerifier: Sendable {
    func verify(_ token: Secret) async throws(CallFailure) -> Verdict
}
