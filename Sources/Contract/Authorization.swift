// The words between a door that speaks OAuth 2.0 and the authorization server behind it: values, no HTTP and no storage.

package import NIOCore

/// What a client shows to prove who it is (RFC 6749 section 2.3.1).
package struct ClientCredential: Sendable {
    package var id: String
    package var secret: Secret

    package init(id: String, secret: Secret) {
        self.id = id
        self.secret = secret
    }
}

/// What a client asks the authorization server for.
package enum AuthorizationRequest: Sendable {
    /// A token for the client itself (RFC 6749 section 4.4). nil: all scopes the client may have.
    case token(scopes: [String]?)
    /// What is known of a token (RFC 7662).
    case introspect(Secret)
    /// An end of a token of the client's own (RFC 7009).
    case revoke(Secret)

    /// For the audit log.
    package var act: String {
        switch self {
        case .token: "token.issue"
        case .introspect: "token.introspect"
        case .revoke: "token.revoke"
        }
    }
}

package enum AuthorizationAnswer: Sendable {
    case granted(Grant)
    case described(TokenDescription)
    /// Unknown, expired, revoked or not for who asks: no more than that is told.
    case inactive
    /// Also when there was no such token.
    case revoked
}

/// A token that was just made for a client; the secret exists nowhere else.
package struct Grant: Sendable {
    package var token: Secret
    /// Names the token without showing it.
    package var id: String
    package var scopes: [String]
    package var validFor: Nanoseconds

    package init(token: Secret, id: String, scopes: [String], validFor: Nanoseconds) {
        self.token = token
        self.id = id
        self.scopes = scopes
        self.validFor = validFor
    }
}

/// An active token as an introspection answer tells it (RFC 7662 section 2.2). Times are seconds since 1970.
package struct TokenDescription: Sendable, Equatable {
    package var id: String
    package var client: String
    package var subject: String
    package var scopes: [String]
    package var audiences: [String]
    package var issuedAt: Int64
    package var expires: Int64?

    package init(
        id: String, client: String, subject: String, scopes: [String], audiences: [String],
        issuedAt: Int64, expires: Int64?
    ) {
        self.id = id
        self.client = client
        self.subject = subject
        self.scopes = scopes
        self.audiences = audiences
        self.issuedAt = issuedAt
        self.expires = expires
    }
}

/// Why an authorization server does not do what it was asked for (RFC 6749 section 5.2). The text never holds a secret,
/// nor anything of the request but a scope's name.
package struct AuthorizationRefusal: Error, Sendable, Equatable {
    package enum Code: String, Sendable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidScope = "invalid_scope"
        case unauthorizedClient = "unauthorized_client"
        case unsupportedGrantType = "unsupported_grant_type"
        /// Too many requests of this client or address, or too many of its tokens.
        case slowDown = "slow_down"
        case temporarilyUnavailable = "temporarily_unavailable"
        case serverError = "server_error"
    }

    package var code: Code
    package var description: String
    /// When asking again makes sense.
    package var retryAfter: Nanoseconds?

    package init(_ code: Code, _ description: String, retryAfter: Nanoseconds? = nil) {
        self.code = code
        self.description = description
        self.retryAfter = retryAfter
    }
}

/// Answers clients. Does its file work on threads of its own: a caller's task only waits.
package protocol AuthorizationServer: Sendable {
    func answer(
        _ request: AuthorizationRequest, from credential: ClientCredential, now: Instant
    ) async throws(AuthorizationRefusal) -> AuthorizationAnswer
}

/// A bounded queue in front of an ``AuthorizationServer``, for doors.
package protocol AuthorizationDesk: Sendable {
    /// Called on `loop`, where `done` is called later, once. Throws TEMPORARILY_UNAVAILABLE at once when too many wait.
    /// Cancelling the handle means that nobody waits for the answer any more; `done` is not called then.
    ///
    /// - Parameter address: where it came from, for the audit log.
    func ask(
        _ request: AuthorizationRequest, credential: ClientCredential, address: String,
        on loop: any EventLoop,
        done: @escaping (Result<AuthorizationAnswer, AuthorizationRefusal>) -> Void
    ) throws(AuthorizationRefusal) -> any CallHandle
}
