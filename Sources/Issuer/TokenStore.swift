// The embedded authorization server: tokens in one SQLite file which the command line and a running gateway
// share. Admission asks it through `TokenVerifier`.

package import Contract
import Dispatch
import Foundation
import GRDB
import TLS

/// The tokens of one state folder. Every method runs on GRDB's own queues: it never blocks an event loop or
/// Swift's pool. Only SHA-256 hashes of tokens are stored. What a method returned from is on the disk
/// (write-ahead log, `synchronous = FULL`).
package final class TokenStore: TokenVerifier, Sendable {
    package static let fileName = "issuer.sqlite"
    /// The most tokens that are active at a time.
    package static let tokensMax = 100_000
    /// Expired and revoked tokens are kept this long for `token list`.
    static let keptMilliseconds: Int64 = 30 * 24 * 3_600 * 1_000

    private let issuer: String
    let pool: DatabasePool
    let clock: @Sendable () -> Int64

    init(
        issuer: String, pool: DatabasePool, clock: @escaping @Sendable () -> Int64
    ) {
        self.issuer = issuer
        self.pool = pool
        self.clock = clock
    }

    /// Milliseconds since 1970 by the system's clock.
    package static let wallClock: @Sendable () -> Int64 = {
        Int64(Date().timeIntervalSince1970 * 1_000)
    }

    // MARK: For operators

    /// Makes a token. `ttl` nil: it does not end by itself.
    ///
    /// Throws CONFIGURATION for a name or scope that is none, otherwise what the file's state says.
    package func create(
        name: String, scopes: [String], ttl: Nanoseconds?
    ) async throws(GatewayError) -> IssuedToken {
        try TokenStore.check(name: name, scopes: scopes)
        let now = clock()
        let token = TokenText.make()
        let record = TokenRecord(
            id: TokenText.makeIdentifier(), name: name, scopes: scopes, created: now,
            expires: ttl.map { now.addingSaturated(Int64(clamping: $0.milliseconds)) })
        let hash = Data(token.reveal(Cryptography.sha256))
        try await write { database in
            try TokenTable.prune(database, before: now - TokenStore.keptMilliseconds)
            guard try TokenTable.activeCount(database, now: now) < TokenStore.tokensMax else {
                throw GatewayError(
                    .data, "there are already \(TokenStore.tokensMax) active tokens",
                    mend: "Revoke some: sluice token list, sluice token revoke NAME")
            }
            try TokenTable.insert(database, record, hash: hash)
        }
        return IssuedToken(token: token, record: record)
    }

    /// All tokens that are remembered, the newest first.
    ///
    /// - Parameter ofClients: also those that clients got over HTTP.
    package func list(ofClients: Bool = false) async throws(GatewayError) -> [TokenRecord] {
        do {
            return try await pool.read { try TokenTable.all($0, ofClients: ofClients) }
        } catch {
            throw StoreFailure.translate(error, path: pool.path)
        }
    }

    /// Revokes every active token that an operator made under that name, or else the one whose id begins so (four digits at least).
    /// Revoking again changes nothing. Returns the tokens meant; throws DATA when there is none, or when an
    /// id's beginning fits several.
    package func revoke(_ selector: String) async throws(GatewayError) -> [TokenRecord] {
        let now = clock()
        return try await write { database in
            var meant = try TokenTable.all(database, ofClients: false).filter {
                $0.name == selector
            }
            if meant.isEmpty, selector.utf8.count >= 4 {
                meant = try TokenTable.find(database, idPrefix: selector)
                guard meant.count <= 1 else {
                    throw GatewayError(
                        .data, "'\(selector)' is the beginning of \(meant.count) token ids",
                        mend: "Give more digits; sluice token list shows them")
                }
            }
            guard !meant.isEmpty else {
                throw GatewayError(
                    .data, "there is no token with the name or id '\(selector)'",
                    mend: "See: sluice token list")
            }
            for index in meant.indices where meant[index].revoked == nil {
                meant[index].revoked = now
                try TokenTable.revoke(database, id: meant[index].id, at: now)
            }
            return meant
        }
    }

    /// Closes the file. Later calls fail.
    ///
    /// First the log is written back: GRDB closes its reading connections last, and these cannot do it, so
    /// that a copy of the file alone would lack the newest tokens.
    package func close() async throws(GatewayError) {
        let closed: Result<Void, any Error> = await withCheckedContinuation { waiting in
            DispatchQueue(label: "sluice.issuer.close").async { [pool] in
                // An error means that another process uses the log and will write it back: nothing is lost.
                _ = Result { try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) } }
                waiting.resume(returning: Result { try pool.close() })
            }
        }
        do {
            try closed.get()
        } catch {
            throw StoreFailure.translate(error, path: pool.path)
        }
    }

    /// SQLite's `synchronous` of the connection that writes: 2 is FULL. For tests.
    package func synchronousMode() async throws -> Int? {
        try await pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
    }

    // MARK: For Admission

    /// Throws UNAVAILABLE (ISSUER_UNAVAILABLE) when the file cannot be read.
    package func verify(_ token: Secret) async throws(CallFailure) -> Verdict {
        guard
            let hash = token.reveal({ TokenText.hasForm($0) ? Data(Cryptography.sha256($0)) : nil })
        else {
            return .inactive
        }
        let found: TokenRecord?
        do {
            found = try await pool.read { try TokenTable.find($0, hash: hash) }
        } catch {
            throw StoreFailure.callFailure(error)
        }
        guard let found else { return .inactive }
        let now = clock()
        switch found.status(now: now) {
        case .revoked: return .inactive
        case .expired: return .expired
        case .active: break
        }
        let left = found.expires.map { UInt64($0 - now).multipliedReportingOverflow(by: 1_000_000) }
        return .active(
            Identity(
                issuer: issuer, client: found.client ?? found.name, subject: found.id,
                scopes: found.scopes,
                validFor: left.map { Nanoseconds($0.overflow ? .max : $0.partialValue) }))
    }

    // MARK: Leaves

    func write<Value: Sendable>(
        _ change: @escaping @Sendable (Database) throws -> Value
    ) async throws(GatewayError) -> Value {
        do {
            return try await pool.write(change)
        } catch {
            throw StoreFailure.translate(error, path: pool.path)
        }
    }

    /// - Parameter what: `token` or `client`, for the message.
    static func check(
        _ what: String = "token", name: String, scopes: [String]
    ) throws(GatewayError) {
        guard (1...128).contains(name.utf8.count),
            name.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else {
            throw GatewayError(
                .configuration, "a \(what)'s name has 1 to 128 bytes and no control characters")
        }
        guard (1...256).contains(scopes.count) else {
            throw GatewayError(
                .configuration, "a \(what) has 1 to 256 scopes, not \(scopes.count)",
                mend: "For example: --scope \"infer:*\"")
        }
        for scope in scopes where Scope(scope) == nil {
            throw GatewayError(
                .configuration, "'\(scope)' is no scope", mend: "Use one of: \(Scope.vocabulary)")
        }
    }
}

extension Int64 {
    func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
