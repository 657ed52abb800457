// What the embedded issuer remembers of a token: everything but the token.

package import Contract

/// One token of the embedded issuer. Times are milliseconds since 1970.
package struct TokenRecord: Sendable, Equatable {
    /// Twelve hexadecimal digits, to name the token without showing it.
    package var id: String
    /// Who it was made for; several tokens may share a name while one replaces the other.
    package var name: String
    package var scopes: [String]
    package var created: Int64
    /// nil: it does not end by itself.
    package var expires: Int64?
    package var revoked: Int64?
    /// The client that got it over HTTP; nil: an operator made it.
    package var client: String?

    package init(
        id: String, name: String, scopes: [String], created: Int64, expires: Int64? = nil,
        revoked: Int64? = nil, client: String? = nil
    ) {
        self.client = client
        self.id = id
        self.name = name
        self.scopes = scopes
        self.created = created
        self.expires = expires
        self.revoked = revoked
    }

    package enum Status: String, Sendable { case active, expired, revoked }

    /// A revoked token stays revoked when its time is over.
    package func status(now: Int64) -> Status {
        if revoked != nil { return .revoked }
        return expires.map { $0 <= now } ?? false ? .expired : .active
    }
}

/// A token that was just made. The secret exists nowhere else and is shown once.
package struct IssuedToken: Sendable {
    package var token: Secret
    package var record: TokenRecord
}
