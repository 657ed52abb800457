// The ledger's file: opened at start, written by one queue of its own, read at start. Nothing here is called on an event loop.

package import Contract
import Foundation
import GRDB

/// `STATE/usage.sqlite`. Usable from every thread; every function blocks.
package final class UsageStore: Sendable {
    package static let fileName = "usage.sqlite"

    package let path: String
    private let queue: DatabaseQueue
    /// Set when a file that could not be read was moved away: where it is now.
    package let setAside: String?

    /// Opens the file, makes it when there is none, and puts one that is no ledger aside. Throws UNAVAILABLE or
    /// CONFIGURATION when that cannot be done.
    /// - Parameter wall: seconds since 1970, for the name of a file that is put aside.
    package init(state: String, wall: Int64) throws(GatewayError) {
        path = "\(state)/\(UsageStore.fileName)"
        do {
            queue = try UsageStore.open(path)
            setAside = nil
        } catch let error as DatabaseError
            where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode)
        {
            do {
                setAside = try UsageStore.putAside(path, wall)
                queue = try UsageStore.open(path)
            } catch {
                throw UsageStore.failure(error, path)
            }
        } catch {
            throw UsageStore.failure(error, path)
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "sluice.usage"
        configuration.busyMode = .timeout(0.25)
        configuration.prepareDatabase { database in
            // What is committed outlives the process; after a power cut the last seconds may be gone, never half of a batch.
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
        }
        // Readable for its owner only, its journal too: SQLite gives that the same rights.
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(
                atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
        }
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try UsageTable.migrator.migrate(queue)
        return queue
    }

    private static func putAside(_ path: String, _ wall: Int64) throws -> String {
        let aside = "\(path).broken-\(wall)"
        try FileManager.default.moveItem(atPath: path, toPath: aside)
        for suffix in ["-wal", "-shm"]
        where FileManager.default.fileExists(atPath: path + suffix) {
            try FileManager.default.moveItem(atPath: path + suffix, toPath: aside + suffix)
        }
        return aside
    }

    private static func failure(_ error: any Error, _ path: String) -> GatewayError {
        GatewayError(
            .configuration, "the ledger '\(path)' cannot be opened: \(words(error))",
            mend:
                "Give this user the right to write there, or move the file away: what it counted is forgotten then"
        )
    }

    /// Without paths and statements.
    package static func words(_ error: any Error) -> String {
        switch error {
        case let error as DatabaseError:
            "SQLite code \(error.extendedResultCode.rawValue)"
                + (error.message.map { " (\($0))" } ?? "")
        default: error.localizedDescription
        }
    }

    /// The number of the last batch that was taken.
    package func lastBatch() throws -> Int64 { try queue.read(UsageTable.lastBatch) }

    /// Writes a batch in one transaction; one that is there already changes nothing.
    package func add(_ batch: UsageBook.Batch) throws {
        try queue.write { try UsageTable.add($0, batch) }
    }

    /// What was used in the month and day that go on at `wall` (seconds since 1970); those with most calls when there are
    /// more than `rowsMax`.
    package func sums(at wall: Int64, rowsMax: Int = 65_536) throws -> [UsageSum] {
        try queue.read { try UsageTable.sums($0, wall: wall, rowsMax: rowsMax) }
    }

    /// Forgets what is older than `keep` seconds, a day's hours in a transaction. Returns whether there may be more.
    package func forget(olderThan keep: Int64, at wall: Int64) throws -> Bool {
        let hour = WallCalendar.hour(wall - keep)
        return try queue.write { try UsageTable.forget($0, before: hour) }
    }

    package func close() throws { try queue.close() }
}
