// Opening the embedded issuer's file: made when missing, private to its owner, checked before it is trusted.

package import Contract
import Dispatch
import Foundation
import GRDB

extension TokenStore {
    /// Opens `FOLDER/issuer.sqlite`, making folder and file when they are missing. The work happens on a thread
    /// of its own. `busyTime`: how long to wait for another process that is writing.
    ///
    /// Throws PERMISSION, UNAVAILABLE (locked, disk full), DATA (corrupt) or CONFIGURATION (written by a newer
    /// version), each with its mend.
    package static func open(
        folder: String, issuer: String = "local", busyTime: Nanoseconds = .seconds(5),
        clock: @escaping @Sendable () -> Int64 = wallClock
    ) async throws(GatewayError) -> TokenStore {
        let path = URL(fileURLWithPath: folder).appendingPathComponent(fileName).path
        let opened: Result<DatabasePool, GatewayError> = await withCheckedContinuation { waiting in
            DispatchQueue(label: "sluice.issuer.open").async {
                do {
                    try prepareFile(folder: folder, path: path)
                    waiting.resume(returning: .success(try openPool(path, busyTime: busyTime)))
                } catch {
                    waiting.resume(returning: .failure(StoreFailure.translate(error, path: path)))
                }
            }
        }
        return TokenStore(issuer: issuer, pool: try opened.get(), clock: clock)
    }

    /// Makes an empty file with mode 0600 before SQLite opens it: its log and shared memory take the same mode.
    private static func prepareFile(folder: String, path: String) throws {
        let files = FileManager.default
        if !files.fileExists(atPath: folder) {
            try files.createDirectory(
                atPath: folder, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        }
        do {
            try Data().write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch let error as CocoaError where error.code == .fileWriteFileExists {
            // The usual case: somebody made it before.
        }
        let attributes = try files.attributesOfItem(atPath: path)
        guard attributes[.type] as? FileAttributeType == .typeRegular else {
            throw GatewayError(
                .data, "\(path) is not a regular file", mend: "Move it away and start again")
        }
        let mode = (attributes[.posixPermissions] as? NSNumber)?.uint16Value ?? 0
        if mode & 0o077 != 0 {
            try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        }
    }

    /// Two processes which meet at an empty file disturb each other's first steps (SQLite cannot wait while the
    /// journal mode changes), so these are repeated within `busyTime`.
    private static func openPool(_ path: String, busyTime: Nanoseconds) throws -> DatabasePool {
        let end = DispatchTime.now() + .nanoseconds(Int(clamping: busyTime.count))
        while true {
            do {
                return try openOnce(path, busyTime: busyTime)
            } catch let error as DatabaseError where StoreFailure.mayPass(error) {
                guard DispatchTime.now() < end else { throw error }
                Thread.sleep(forTimeInterval: 0.02)
            }
        }
    }

    private static func openOnce(_ path: String, busyTime: Nanoseconds) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.label = "sluice.issuer"
        configuration.busyMode = .timeout(Double(busyTime.count) / 1e9)
        configuration.maximumReaderCount = 2
        configuration.publicStatementArguments = false
        let pool = try DatabasePool(path: path, configuration: configuration)
        try pool.writeWithoutTransaction { database in
            // After opening: GRDB chooses NORMAL for its log, which may forget an acknowledged token when the
            // power fails.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            let state = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
            guard state == "ok" else { throw DatabaseError(resultCode: .SQLITE_CORRUPT) }
        }
        let migrator = TokenTable.migrator
        guard try !pool.read(migrator.hasBeenSuperseded) else {
            throw GatewayError(
                .configuration, "\(path) was written by a newer version of sluice",
                mend: "Use that version, or another state folder")
        }
        try migrator.migrate(pool)
        return pool
    }
}
