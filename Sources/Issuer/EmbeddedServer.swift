// The embedded authorization server: what clients may ask of it over HTTP. The door brings forms and headers into these values.

package import Contract
import Foundation
import GRDB
import Synchronization
import TLS

/// What the server gives at most.
package struct EmbeddedServerSettings: Sendable, Equatable {
    package var tokenTime = Nanoseconds.seconds(3_600)
    /// Tokens of one client that have not expired; revoked ones count until they would have.
    package var tokensPerClientMax = 1_000
    /// Of all clients together.
    package var tokensMax = 100_000
    /// Requests of one client that has shown its secret.
    package var requestsPerClient = Rate(100, per: .seconds(1), burst: 400)

    package init() {}
}

/// Answers clients from a ``TokenStore``. Everything it does with the file happens on GRDB's threads.
package final class EmbeddedServer: AuthorizationServer {
    private let store: TokenStore
    private let settings: EmbeddedServerSettings
    private let budget: Mutex<BucketTable<String>>
    /// When what has expired is forgotten next, also of clients that stay away.
    private let nextSweep = Mutex(Instant(nanoseconds: 0))
    private static let sweepInterval = Nanoseconds.seconds(600)

    package init(store: TokenStore, settings: EmbeddedServerSettings) {
        self.store = store
        self.settings = settings
        budget = Mutex(
            BucketTable(rate: settings.requestsPerClient, keysMax: TokenStore.clientsMax))
    }

    package func answer(
        _ request: AuthorizationRequest, from credential: ClientCredential, now: Instant
    ) async throws(AuthorizationRefusal) -> AuthorizationAnswer {
        guard let client = try await store.authenticate(credential) else {
            throw AuthorizationRefusal(.invalidClient, "no such client, or not its secret")
        }
        // Behind the secret: nobody else can use a client's budget up.
        if let wait = budget.withLock({ $0.take(for: client.id, at: now) }) {
            throw AuthorizationRefusal(
                .slowDown, "too many requests of this client", retryAfter: wait)
        }
        switch request {
        case .token(let scopes):
            if isSweepDue(now) { try await store.forgetExpiredTokensOfClients() }
            return .granted(
                try await store.grant(
                    client, scopes: try EmbeddedServer.granted(scopes, client), settings))
        case .introspect(let token):
            guard client.mayIntrospect else {
                throw AuthorizationRefusal(.unauthorizedClient, "this client may not introspect")
            }
            return try await store.describe(token, to: client).map { .described($0) } ?? .inactive
        case .revoke(let token):
            guard try await store.revoke(token, of: client) else {
                throw AuthorizationRefusal(
                    .unauthorizedClient, "this token was not issued to this client")
            }
            return .revoked
        }
    }

    private func isSweepDue(_ now: Instant) -> Bool {
        nextSweep.withLock { next in
            guard now >= next else { return false }
            next = now + EmbeddedServer.sweepInterval
            return true
        }
    }

    /// RFC 6749 section 3.3: what was asked for, or everything.
    private static func granted(
        _ asked: [String]?, _ client: ClientRecord
    ) throws(AuthorizationRefusal) -> [String] {
        guard !client.scopes.isEmpty else {
            throw AuthorizationRefusal(.unauthorizedClient, "this client gets no tokens")
        }
        guard let asked, !asked.isEmpty else { return client.scopes }
        guard asked.count <= 256 else {
            throw AuthorizationRefusal(.invalidScope, "more than 256 scopes")
        }
        let mine = client.scopes.compactMap { Scope($0) }
        for text in asked {
            guard let scope = Scope(text), mine.contains(where: { $0.covers(scope) }) else {
                throw AuthorizationRefusal(
                    .invalidScope, "a scope is unknown, or not one of this client's")
            }
        }
        return asked
    }
}

// MARK: - The file's side

extension TokenStore {
    /// The client whose secret this is. Compares in constant time, and for an unknown id too.
    fileprivate func authenticate(
        _ credential: ClientCredential
    ) async throws(AuthorizationRefusal) -> ClientRecord? {
        let id = credential.id
        let row = try await asking { pool in
            guard ClientRecord.isID(id) else { return ClientTable.Row?.none }
            return try await pool.read { try ClientTable.find($0, id: id) }
        }
        let shown = Secret(bytes: credential.secret.reveal(Cryptography.sha256))
        func isShown(_ hash: Data?) -> Bool {
            Secret(bytes: hash.map(Array.init) ?? Array(repeating: 0, count: 32)).matches(shown)
                && hash != nil
        }
        let isNew = isShown(row?.hash)
        let isOld = isShown(row?.oldHash)
        guard let row, row.record.removed == nil else { return nil }
        let grace = (row.record.graceUntil ?? 0) > clock()
        return isNew || (isOld && grace) ? row.record : nil
    }

    fileprivate func forgetExpiredTokensOfClients() async throws(AuthorizationRefusal) {
        let now = clock()
        try await asking { pool in
            try await pool.write { try ClientTable.forgetAllExpiredTokens($0, now: now) }
        }
    }

    fileprivate func grant(
        _ client: ClientRecord, scopes: [String], _ settings: EmbeddedServerSettings
    ) async throws(AuthorizationRefusal) -> Grant {
        let now = clock()
        let token = TokenText.make()
        let record = TokenRecord(
            id: TokenText.makeIdentifier(), name: client.name, scopes: scopes, created: now,
            expires: now.addingSaturated(Int64(clamping: settings.tokenTime.milliseconds)),
            client: client.id)
        let hash = Data(token.reveal(Cryptography.sha256))
        let refusal = try await asking { pool in
            try await pool.write { database in
                try TokenStore.insert(record, hash: hash, into: database, settings, now: now)
            }
        }
        if let refusal { throw refusal }
        return Grant(
            token: token, id: record.id, scopes: scopes, validFor: settings.tokenTime)
    }

    /// nil when it is in; else why not.
    private static func insert(
        _ record: TokenRecord, hash: Data, into database: Database,
        _ settings: EmbeddedServerSettings, now: Int64
    ) throws -> AuthorizationRefusal? {
        guard let client = record.client,
            let row = try ClientTable.find(database, id: client), row.record.removed == nil
        else { return AuthorizationRefusal(.invalidClient, "no such client, or not its secret") }
        try ClientTable.forgetExpiredTokens(database, of: client, now: now)
        let most = settings.tokensPerClientMax
        guard try ClientTable.tokenCount(database, of: client, most: most) < most else {
            return AuthorizationRefusal(
                .slowDown, "this client has \(most) tokens already: use them until they expire",
                retryAfter: .seconds(60))
        }
        if try ClientTable.tokenCount(database, most: settings.tokensMax) >= settings.tokensMax {
            try ClientTable.forgetAllExpiredTokens(database, now: now)
            guard
                try ClientTable.tokenCount(database, most: settings.tokensMax) < settings.tokensMax
            else {
                return AuthorizationRefusal(
                    .temporarilyUnavailable, "there are too many tokens", retryAfter: .seconds(60))
            }
        }
        try TokenTable.insert(database, record, hash: hash)
        return nil
    }

    /// What is known of an active token, as far as this client may know it.
    fileprivate func describe(
        _ token: Secret, to asker: ClientRecord
    ) async throws(AuthorizationRefusal) -> TokenDescription? {
        guard let hash = TokenStore.hash(token) else { return nil }
        let found = try await asking { pool in
            try await pool.read { database in
                try TokenTable.find(database, hash: hash).map { record in
                    (record, try record.client.flatMap { try ClientTable.find(database, id: $0) })
                }
            }
        }
        guard let (record, owner) = found, record.status(now: clock()) == .active else {
            return nil
        }
        // A token that is for nobody in particular is for everybody.
        let audiences = owner?.record.audiences ?? []
        guard
            asker.audiences.isEmpty || audiences.isEmpty
                || audiences.contains(where: asker.audiences.contains)
        else { return nil }
        return TokenDescription(
            id: record.id, client: record.client ?? record.name, subject: record.id,
            scopes: record.scopes, audiences: audiences, issuedAt: record.created / 1_000,
            expires: record.expires.map { $0 / 1_000 })
    }

    /// False when the token is somebody else's. An unknown one counts as revoked (RFC 7009 section 2.2).
    fileprivate func revoke(
        _ token: Secret, of client: ClientRecord
    ) async throws(AuthorizationRefusal) -> Bool {
        guard let hash = TokenStore.hash(token) else { return true }
        let now = clock()
        return try await asking { pool in
            try await pool.write { database in
                guard let record = try TokenTable.find(database, hash: hash) else { return true }
                guard record.client == client.id else { return false }
                try TokenTable.revoke(database, id: record.id, at: now)
                return true
            }
        }
    }

    private static func hash(_ token: Secret) -> Data? {
        token.reveal { TokenText.hasForm($0) ? Data(Cryptography.sha256($0)) : nil }
    }

    /// The file's troubles as a caller hears them.
    private func asking<Value: Sendable>(
        _ body: (DatabasePool) async throws -> Value
    ) async throws(AuthorizationRefusal) -> Value {
        do {
            return try await body(pool)
        } catch {
            throw AuthorizationRefusal(
                .temporarilyUnavailable, "the issuer's file cannot be used now",
                retryAfter: .seconds(1))
        }
    }
}
