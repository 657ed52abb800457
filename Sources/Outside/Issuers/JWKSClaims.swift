// What a signed token says (RFC 7519, RFC 9068), once its signature is believed. Pure: claims, expectations and
// the wall clock in, a verdict out. Everything that is not right makes the token inactive: here the fault is the
// token's, not the issuer's.

package import Contract

/// What the settings demand of a signed token, and where its facts stand.
package struct TokenExpectation: Sendable, Equatable {
    /// The issuer's name in the settings.
    package var issuerName: String
    /// Must be `iss`.
    package var issuer: String
    /// One of them must be in the audience. Never empty.
    package var audiences: [String]
    /// Where the audience stands: Cognito's access tokens have it in `client_id`.
    package var audienceClaim = "aud"
    /// The first that is there names the client.
    package var clientClaims = ["client_id", "azp", "appid"]
    /// All of them hold scopes: words with spaces between them, or lists.
    package var scopeClaims = ["scope", "scp"]
    package var skewSeconds: Int64 = 30

    package init(issuerName: String, issuer: String, audiences: [String]) {
        self.issuerName = issuerName
        self.issuer = issuer
        self.audiences = audiences
    }
}

/// What is wrong with a token, for the operator's log at level debug.
package enum TokenRefusal: Error, Equatable, CustomStringConvertible {
    case claim(AnswerFault)
    case type(String)
    case use(String)
    case issuer
    case audience
    case noExpiry
    case early
    case bound

    package var description: String {
        switch self {
        case .claim(let fault): fault.description
        case .type(let type): "its typ is '\(type)', which is not an access token's"
        case .use(let use): "its token_use is '\(use)', not 'access'"
        case .issuer: "'iss' is not the issuer of the settings"
        case .audience: "it is meant for another audience"
        case .noExpiry: "'exp' is missing"
        case .early: "'nbf' is in the future"
        case .bound: "it is bound to something that cannot be checked here"
        }
    }
}

package enum TokenClaims {
    /// Members that have a place of their own in an identity, or none at all.
    private static let known: Set<String> = [
        "iss", "aud", "sub", "exp", "nbf", "iat", "jti", "cnf", "typ", "token_use",
    ]

    /// RFC 9068 section 2.1, and what issuers write that are older than it. Other types are other things, which
    /// the same keys sign: identity tokens of logouts, proofs, answers (RFC 8725 section 3.11).
    private static let types: Set<String> = ["jwt", "at+jwt"]

    /// - Parameter now: seconds since 1970.
    package static func judge(
        _ token: SignedToken, expectation: TokenExpectation, now: Int64
    ) throws(TokenRefusal) -> Verdict {
        if let type = token.type, !types.contains(type) { throw .type(type) }
        let found: Result<Verdict, TokenRefusal>
        do throws(AnswerFault) {
            found = try identify(token, expectation, now)
        } catch {
            throw .claim(error)
        }
        return try found.get()
    }

    private static func identify(
        _ token: SignedToken, _ expectation: TokenExpectation, _ now: Int64
    ) throws(AnswerFault) -> Result<Verdict, TokenRefusal> {
        let reader = ClaimReader(object: token.payload)
        guard try reader.text("iss") == expectation.issuer else { return .failure(.issuer) }
        if let use = try reader.text("token_use"), use != "access" { return .failure(.use(use)) }
        let audiences = try reader.strings(expectation.audienceClaim)
        guard audiences.contains(where: expectation.audiences.contains) else {
            return .failure(.audience)
        }
        let notBefore = try reader.integer("nbf")
        _ = try reader.integer("iat")
        guard let expires = try reader.integer("exp") else { return .failure(.noExpiry) }
        var client = ""
        for claim in expectation.clientClaims where client.isEmpty {
            client = try reader.text(claim) ?? ""
        }
        var scopes: [String] = []
        for claim in expectation.scopeClaims { scopes += try reader.wordsOrList(claim) }
        let bound = try reader.boundCertificate()
        guard bound.canBeChecked else { return .failure(.bound) }
        switch ClaimTime.judge(
            expires: expires, notBefore: notBefore, now: now, skew: expectation.skewSeconds)
        {
        case .valid: break
        case .over: return .success(.expired)
        case .early: return .failure(.early)
        }
        let placed = known.union(expectation.clientClaims).union(expectation.scopeClaims)
        return .success(
            .active(
                Identity(
                    issuer: expectation.issuerName, client: client,
                    subject: try reader.text("sub") ?? "", scopes: scopes,
                    validFor: ClaimTime.validFor(expires, now: now),
                    certificateDigest: bound.digest, claims: reader.claims(except: placed))))
    }
}
