// What an introspection answer means (RFC 7662 section 2.2). Pure: bytes, expectations and the wall clock in,
// a verdict out. Strict in meaning, lenient in form: only `"active": true` lets anybody in. A fault is the
// issuer's, never the token's: the caller gets UNAVAILABLE.

package import Contract

/// What the settings demand of an answer.
package struct AnswerExpectation: Sendable, Equatable {
    /// The issuer's name in the settings.
    package var issuerName: String
    /// One of them must be in `aud`; empty: any.
    package var audiences: [String]
    /// Must be `iss` when the answer has one; nil: any.
    package var issuer: String?
    /// How far the issuer's clock may be off, in seconds.
    package var skewSeconds: Int64

    package init(issuerName: String, audiences: [String], issuer: String?, skewSeconds: Int64) {
        self.issuerName = issuerName
        self.audiences = audiences
        self.issuer = issuer
        self.skewSeconds = skewSeconds
    }
}

package enum IntrospectionAnswer {
    /// Members with a meaning of their own (RFC 7662 section 2.2), which the policy's rules do not see as claims.
    private static let known: Set<String> = [
        "active", "scope", "client_id", "token_type", "exp", "iat", "nbf", "sub", "aud", "iss",
        "jti", "cnf",
    ]

    /// - Parameter now: seconds since 1970.
    package static func read(
        _ bytes: [UInt8], expectation: AnswerExpectation, now: Int64
    ) throws(AnswerFault) -> Verdict {
        try judge(try parse(bytes), expectation: expectation, now: now)
    }

    static func parse(_ bytes: [UInt8]) throws(AnswerFault) -> JSONValue {
        do {
            return try JSONReader.read(bytes)
        } catch {
            throw .json(error)
        }
    }

    static func judge(
        _ answer: JSONValue, expectation: AnswerExpectation, now: Int64
    ) throws(AnswerFault) -> Verdict {
        guard case .object = answer else { throw .notAnObject }
        guard case .bool(let active)? = answer["active"] else { throw .wrongType(member: "active") }
        guard active else { return .inactive }

        let reader = ClaimReader(object: answer)
        let expires = try reader.integer("exp")
        let notBefore = try reader.integer("nbf")
        _ = try reader.integer("iat")
        let audiences = try reader.strings("aud")
        let issuer = try reader.text("iss")
        let bound = try reader.boundCertificate()
        let identity = Identity(
            issuer: expectation.issuerName, client: try reader.text("client_id") ?? "",
            subject: try reader.text("sub") ?? "", scopes: try reader.words("scope"),
            validFor: expires.map { ClaimTime.validFor($0, now: now) },
            certificateDigest: bound.digest, claims: reader.claims(except: known))

        switch ClaimTime.judge(
            expires: expires, notBefore: notBefore, now: now, skew: expectation.skewSeconds)
        {
        case .valid: break
        case .over: return .expired
        case .early: return .inactive
        }
        if !expectation.audiences.isEmpty,
            !audiences.contains(where: expectation.audiences.contains)
        {
            return .inactive
        }
        if let wanted = expectation.issuer, let issuer, issuer != wanted { return .inactive }
        // Bound to something we cannot check: not for us.
        guard bound.canBeChecked else { return .inactive }
        return .active(identity)
    }
}
