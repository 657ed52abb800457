// Clients, for operators: made, listed, given a new secret, removed.

package import Contract
import Foundation
import GRDB
import TLS

extension TokenStore {
    /// The most clients at a time.
    package static let clientsMax = 10_000
    /// Of one client, and of a token's `aud`.
    static let audiencesMax = 16

    /// Makes a client. `id` nil: one is made up.
    ///
    /// Throws CONFIGURATION for an id, name, scope or audience that is none, DATA when the id is taken or there are too many.
    package func createClient(
        id: String?, name: String, scopes: [String], audiences: [String], mayIntrospect: Bool
    ) async throws(GatewayError) -> IssuedClient {
        // A client may do nothing but introspect.
        if !(scopes.isEmpty && mayIntrospect) {
            try TokenStore.check("client", name: name, scopes: scopes)
        } else {
            try TokenStore.check("client", name: name, scopes: ["admin"])
        }
        try TokenStore.check(id: id, audiences: audiences)
        let now = clock()
        let secret = ClientRecord.makeSecret()
        let record = ClientRecord(
            id: id ?? ClientRecord.makeID(), name: name, scopes: scopes, audiences: audiences,
            mayIntrospect: mayIntrospect, created: now)
        let hash = Data(secret.reveal(Cryptography.sha256))
        try await write { database in
            try ClientTable.prune(database, removedBefore: now - TokenStore.keptMilliseconds)
            guard try ClientTable.activeCount(database) < TokenStore.clientsMax else {
                throw GatewayError(
                    .data, "there are already \(TokenStore.clientsMax) clients",
                    mend: "Remove some: sluice client list, sluice client remove ID")
            }
            guard try ClientTable.find(database, id: record.id) == nil else {
                throw GatewayError(
                    .data, "the client id '\(record.id)' is taken, or was until lately",
                    mend: "Choose another; a new secret is made by: sluice client rotate")
            }
            try ClientTable.insert(database, record, hash: hash)
        }
        return IssuedClient(secret: secret, record: record)
    }

    /// All clients that are remembered, the newest first; removed ones for 30 days.
    package func listClients() async throws(GatewayError) -> [ClientRecord] {
        do {
            return try await pool.read { try ClientTable.all($0) }
        } catch {
            throw StoreFailure.translate(error, path: pool.path)
        }
    }

    /// Makes a new secret; the old one is believed for `grace` more, the one before that no longer.
    package func rotateClient(
        _ selector: String, grace: Nanoseconds
    ) async throws(GatewayError) -> IssuedClient {
        let now = clock()
        let secret = ClientRecord.makeSecret()
        let hash = Data(secret.reveal(Cryptography.sha256))
        let until = now.addingSaturated(Int64(clamping: grace.milliseconds))
        let record = try await write { database in
            var record = try TokenStore.client(selector, database)
            try ClientTable.rotate(
                database, id: record.id, hash: hash, graceUntil: until, at: now)
            record.rotated = now
            record.graceUntil = until
            return record
        }
        return IssuedClient(secret: secret, record: record)
    }

    /// Removes a client and revokes every token it got.
    package func removeClient(_ selector: String) async throws(GatewayError) -> ClientRecord {
        let now = clock()
        return try await write { database in
            var record = try TokenStore.client(selector, database)
            try ClientTable.remove(database, id: record.id, at: now)
            record.removed = now
            return record
        }
    }

    /// The client with that id, or else the only one with that name.
    private static func client(_ selector: String, _ database: Database) throws -> ClientRecord {
        let present = try ClientTable.all(database).filter { $0.removed == nil }
        if let record = present.first(where: { $0.id == selector }) { return record }
        let named = present.filter { $0.name == selector }
        guard let record = named.first else {
            throw GatewayError(
                .data, "there is no client with the id or name '\(selector)'",
                mend: "See: sluice client list")
        }
        guard named.count == 1 else {
            throw GatewayError(
                .data, "'\(selector)' is the name of \(named.count) clients",
                mend: "Give the id; sluice client list shows it")
        }
        return record
    }

    private static func check(id: String?, audiences: [String]) throws(GatewayError) {
        if let id, !ClientRecord.isID(id) {
            throw GatewayError(
                .configuration,
                "a client's id has 1 to 64 letters, digits, '.', '_' and '-', nothing else")
        }
        guard audiences.count <= audiencesMax,
            audiences.allSatisfy({ text in
                (1...256).contains(text.utf8.count)
                    && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            })
        else {
            throw GatewayError(
                .configuration,
                "a client has at most \(audiencesMax) audiences of at most 256 visible characters")
        }
    }
}
