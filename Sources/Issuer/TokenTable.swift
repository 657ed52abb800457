// The one table of the embedded issuer: its schema and its statements.

import Foundation
import GRDB

enum TokenTable {
    /// The versions of the schema, in order. A version that was released never changes.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: tokens") { database in
            // IF NOT EXISTS: two processes may find an empty file at the same time.
            try database.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS token (
                        id TEXT PRIMARY KEY NOT NULL,
                        name TEXT NOT NULL,
                        hash BLOB NOT NULL UNIQUE,
                        scopes TEXT NOT NULL,
                        created INTEGER NOT NULL,
                        expires INTEGER,
                        revoked INTEGER
                    ) STRICT, WITHOUT ROWID
                    """)
        }
        migrator.registerMigration("2: clients", migrate: ClientTable.migrate)
        return migrator
    }

    private static let columns = "id, name, scopes, created, expires, revoked, client"

    static func insert(_ database: Database, _ record: TokenRecord, hash: Data) throws {
        try database.execute(
            sql: """
                INSERT INTO token (id, name, hash, scopes, created, expires, revoked, client)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                record.id, record.name, hash, record.scopes.joined(separator: " "), record.created,
                record.expires, record.revoked, record.client,
            ])
    }

    static func find(_ database: Database, hash: Data) throws -> TokenRecord? {
        let statement = try database.cachedStatement(
            sql: "SELECT \(columns) FROM token WHERE hash = ?")
        return try Row.fetchOne(statement, arguments: [hash]).map(TokenRecord.init(row:))
    }

    /// - Parameter ofClients: those that clients got over HTTP, too.
    static func all(_ database: Database, ofClients: Bool) throws -> [TokenRecord] {
        let which = ofClients ? "" : "WHERE client IS NULL"
        return try Row.fetchAll(
            database, sql: "SELECT \(columns) FROM token \(which) ORDER BY created DESC, id"
        ).map(TokenRecord.init(row:))
    }

    /// Those whose id begins so, two at most.
    static func find(_ database: Database, idPrefix: String) throws -> [TokenRecord] {
        try Row.fetchAll(
            database,
            sql: "SELECT \(columns) FROM token WHERE substr(id, 1, ?) = ? LIMIT 1000",
            arguments: [idPrefix.unicodeScalars.count, idPrefix]
        ).map(TokenRecord.init(row:))
    }

    /// Of those that operators made.
    static func activeCount(_ database: Database, now: Int64) throws -> Int {
        try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM token
                WHERE client IS NULL AND revoked IS NULL AND (expires IS NULL OR expires > ?)
                """, arguments: [now]) ?? 0
    }

    static func revoke(_ database: Database, id: String, at now: Int64) throws {
        try database.execute(
            sql: "UPDATE token SET revoked = ? WHERE id = ? AND revoked IS NULL",
            arguments: [now, id])
    }

    /// Forgets the tokens that ended before this instant.
    static func prune(_ database: Database, before: Int64) throws {
        try database.execute(
            sql: "DELETE FROM token WHERE expires < ? OR revoked < ?", arguments: [before, before])
    }
}

extension TokenRecord {
    init(row: Row) {
        let scopes: String = row["scopes"]
        self.init(
            id: row["id"], name: row["name"], scopes: scopes.split(separator: " ").map(String.init),
            created: row["created"], expires: row["expires"], revoked: row["revoked"],
            client: row["client"])
    }
}
