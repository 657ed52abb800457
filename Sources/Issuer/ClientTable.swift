// The clients' table, and what of the tokens' belongs to clients: all SQL about them.

import Foundation
import GRDB

enum ClientTable {
    /// A client as it authenticates: its record and the hashes of its secrets.
    struct Row: Sendable {
        var record: ClientRecord
        var hash: Data
        var oldHash: Data?
    }

    static func migrate(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS client (
                    id TEXT PRIMARY KEY NOT NULL,
                    name TEXT NOT NULL,
                    hash BLOB NOT NULL,
                    old_hash BLOB,
                    grace_until INTEGER,
                    scopes TEXT NOT NULL,
                    audiences TEXT NOT NULL,
                    may_introspect INTEGER NOT NULL,
                    created INTEGER NOT NULL,
                    rotated INTEGER,
                    removed INTEGER
                ) STRICT, WITHOUT ROWID
                """)
        if try !database.columns(in: "token").contains(where: { $0.name == "client" }) {
            try database.execute(sql: "ALTER TABLE token ADD COLUMN client TEXT")
        }
        try database.execute(
            sql: """
                CREATE INDEX IF NOT EXISTS token_of_client ON token (client, expires)
                WHERE client IS NOT NULL
                """)
    }

    private static let columns =
        "id, name, hash, old_hash, grace_until, scopes, audiences, may_introspect, created, rotated, "
        + "removed"

    static func insert(_ database: Database, _ record: ClientRecord, hash: Data) throws {
        try database.execute(
            sql: """
                INSERT INTO client (id, name, hash, scopes, audiences, may_introspect, created)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                record.id, record.name, hash, record.scopes.joined(separator: " "),
                record.audiences.joined(separator: " "), record.mayIntrospect, record.created,
            ])
    }

    static func find(_ database: Database, id: String) throws -> Row? {
        let statement = try database.cachedStatement(
            sql: "SELECT \(columns) FROM client WHERE id = ?")
        return try GRDB.Row.fetchOne(statement, arguments: [id]).map(Row.init(row:))
    }

    static func all(_ database: Database) throws -> [ClientRecord] {
        try GRDB.Row.fetchAll(
            database, sql: "SELECT \(columns) FROM client ORDER BY created DESC, id"
        ).map { Row(row: $0).record }
    }

    static func activeCount(_ database: Database) throws -> Int {
        try Int.fetchOne(database, sql: "SELECT count(*) FROM client WHERE removed IS NULL") ?? 0
    }

    /// The present secret becomes the old one, believed until `graceUntil`.
    static func rotate(
        _ database: Database, id: String, hash: Data, graceUntil: Int64, at now: Int64
    ) throws {
        try database.execute(
            sql: """
                UPDATE client SET old_hash = hash, grace_until = ?, hash = ?, rotated = ?
                WHERE id = ? AND removed IS NULL
                """, arguments: [graceUntil, hash, now, id])
    }

    /// It goes with its tokens.
    static func remove(_ database: Database, id: String, at now: Int64) throws {
        try database.execute(
            sql: "UPDATE client SET removed = ? WHERE id = ? AND removed IS NULL",
            arguments: [now, id])
        try database.execute(
            sql: "UPDATE token SET revoked = ? WHERE client = ? AND revoked IS NULL",
            arguments: [now, id])
    }

    static func prune(_ database: Database, removedBefore: Int64) throws {
        try database.execute(
            sql: "DELETE FROM client WHERE removed < ?", arguments: [removedBefore])
    }

    // MARK: Tokens of clients

    /// Forgets the tokens of a client that are over: nobody lists them, and they would only be counted.
    static func forgetExpiredTokens(_ database: Database, of client: String, now: Int64) throws {
        try database.cachedStatement(
            sql: "DELETE FROM token WHERE client = ? AND expires <= ?"
        ).execute(arguments: [client, now])
    }

    /// Active and revoked ones that have not expired, up to `most`.
    static func tokenCount(_ database: Database, of client: String, most: Int) throws -> Int {
        try Int.fetchOne(
            try database.cachedStatement(
                sql: """
                    SELECT count(*) FROM (SELECT 1 FROM token WHERE client = ? LIMIT ?)
                    """), arguments: [client, most]) ?? 0
    }

    static func tokenCount(_ database: Database, most: Int) throws -> Int {
        try Int.fetchOne(
            try database.cachedStatement(
                sql: """
                    SELECT count(*) FROM (
                        SELECT 1 FROM token INDEXED BY token_of_client
                        WHERE client IS NOT NULL LIMIT ?)
                    """), arguments: [most]) ?? 0
    }

    static func forgetAllExpiredTokens(_ database: Database, now: Int64) throws {
        try database.execute(
            sql: "DELETE FROM token WHERE client IS NOT NULL AND expires <= ?", arguments: [now])
    }
}

extension ClientTable.Row {
    init(row: GRDB.Row) {
        func words(_ column: String) -> [String] {
            let text: String = row[column]
            return text.split(separator: " ").map(String.init)
        }
        record = ClientRecord(
            id: row["id"], name: row["name"], scopes: words("scopes"),
            audiences: words("audiences"), mayIntrospect: row["may_introspect"],
            created: row["created"], rotated: row["rotated"], graceUntil: row["grace_until"],
            removed: row["removed"])
        hash = row["hash"]
        oldHash = row["old_hash"]
    }
}
