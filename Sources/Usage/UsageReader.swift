// The ledger for those who ask: `sluice usage` and `sluice cost` read STATE/usage.sqlite beside a gateway that writes it, and
// change nothing.

package import Contract
private import Foundation
private import GRDB

/// How rows are added up.
package enum UsageGrouping: String, CaseIterable, Sendable {
    case client, model, day
}

/// Sums over some hours. Times in seconds, sizes in bytes; a gigabyte-second is 10^9 bytes held for a second.
package struct UsageTotal: Sendable, Equatable {
    /// Days since 1970, UTC; nil unless grouped by day.
    package var day: Int64?
    /// Nil when they are added up.
    package var issuer: String?
    package var client: String?
    package var model: String?
    package var calls: Double
    package var errors: Double
    package var cold: Double
    package var bytesIn: Double
    package var bytesOut: Double
    package var run: Double
    package var cpu: Double
    package var queue: Double
    /// That cold calls waited for their model.
    package var load: Double
    /// While it ran, and while it was awake. The latter is shared out among an hour's clients by their calls.
    package var gigabyteSeconds: Double
    package var awakeGigabyteSeconds: Double
    package var bytesPeak: Double
}

/// Usable from every thread; every function blocks.
package final class UsageReader: Sendable {
    /// Stands for nobody: hours in which a model was awake and not called.
    package static let nobody = "(nobody)"

    package let path: String
    private let queue: DatabaseQueue

    /// Throws DATA when there is no ledger, or the file is none; UNAVAILABLE when it is locked.
    package init(state: String) throws(GatewayError) {
        path = "\(state)/\(UsageStore.fileName)"
        guard FileManager.default.fileExists(atPath: path) else {
            throw GatewayError(
                .data, "there is no ledger at '\(path)'",
                mend: "Name the state folder of a gateway that has run by --state")
        }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(2)
        configuration.label = "sluice.usage.reader"
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            let version = try queue.read { database in
                try database.columns(in: "usage").contains { $0.name == "load_ns" }
            }
            guard version else {
                throw GatewayError(
                    .data, "the ledger '\(path)' was written by an older version of sluice",
                    mend: "Start this version on that state folder once")
            }
        } catch let error as GatewayError {
            throw error
        } catch {
            throw UsageReader.failure(error, path)
        }
    }

    private static func failure(_ error: any Error, _ path: String) -> GatewayError {
        let code = (error as? DatabaseError)?.resultCode
        if code == .SQLITE_BUSY || code == .SQLITE_LOCKED {
            return GatewayError(
                .unavailable, "the ledger '\(path)' is locked by another process",
                mend: "Try again")
        }
        let isOther = [.SQLITE_NOTADB, .SQLITE_CORRUPT].contains(code)
        return GatewayError(
            .data,
            "the ledger '\(path)' \(isOther ? "is damaged or no ledger" : "cannot be read"): "
                + UsageStore.words(error),
            mend: isOther
                ? "A gateway that starts on it keeps it aside and begins a new one" : "")
    }

    private func read<Value>(
        _ body: (Database) throws -> Value
    ) throws(GatewayError) -> Value {
        do {
            return try queue.read(body)
        } catch {
            throw UsageReader.failure(error, path)
        }
    }

    /// The hour of the oldest entry since `hour`; nil when there is none.
    package func firstHour(since hour: Int64) throws(GatewayError) -> Int64? {
        try read { database in
            try Int64.fetchOne(
                database, sql: "SELECT min(hour) FROM usage WHERE hour >= ?", arguments: [hour])
        }
    }

    /// Sums over the hours from `since` to before `until` (hours since 1970), most calls first, days in their order.
    /// - Parameter grouping: nil: one row for each client and model.
    package func totals(
        since: Int64, until: Int64, by grouping: UsageGrouping? = nil, rowsMax: Int = 200_000
    ) throws(GatewayError) -> [UsageTotal] {
        let columns =
            switch grouping {
            case nil: "issuer, client, model"
            case .client: "issuer, client"
            case .model: "model"
            case .day: "hour / 24"
            }
        let order = grouping == .day ? "hour / 24" : "calls DESC, \(columns)"
        return try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    WITH shared AS (
                        SELECT u.*, coalesce(CAST(a.byte_ms AS REAL) * u.calls
                            / nullif(sum(u.calls) OVER (PARTITION BY u.hour, u.model), 0), 0) AS held
                        FROM usage u LEFT JOIN awake a ON a.hour = u.hour AND a.model = u.model
                        WHERE u.hour >= :since AND u.hour < :until
                    ), everything AS (
                        SELECT hour, issuer, client, model, calls, errors, cold, bytes_in, bytes_out,
                            run_ns, cpu_ns, queue_ns, load_ns, byte_ms, bytes_peak, held FROM shared
                        UNION ALL
                        SELECT a.hour, '', :nobody, a.model, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                            CAST(a.byte_ms AS REAL)
                        FROM awake a WHERE a.hour >= :since AND a.hour < :until AND NOT EXISTS (
                            SELECT 1 FROM usage u
                            WHERE u.hour = a.hour AND u.model = a.model AND u.calls > 0)
                    )
                    SELECT \(columns), total(calls) AS calls, total(errors) AS errors,
                        total(cold) AS cold, total(bytes_in) AS bytes_in,
                        total(bytes_out) AS bytes_out, total(run_ns) AS run, total(cpu_ns) AS cpu,
                        total(queue_ns) AS queue, total(load_ns) AS load,
                        total(byte_ms) AS byte_ms, CAST(max(bytes_peak) AS REAL) AS peak,
                        total(held) AS held\(grouping == .day ? ", hour / 24 AS day" : "")
                    FROM everything GROUP BY \(columns) ORDER BY \(order) LIMIT :rows
                    """,
                arguments: [
                    "since": since, "until": until, "nobody": UsageReader.nobody, "rows": rowsMax,
                ]
            ).map(UsageReader.total)
        }
    }

    private static func total(_ row: Row) -> UsageTotal {
        func number(_ column: String) -> Double { row[column] }
        return UsageTotal(
            day: row["day"], issuer: row["issuer"], client: row["client"], model: row["model"],
            calls: number("calls"), errors: number("errors"), cold: number("cold"),
            bytesIn: number("bytes_in"), bytesOut: number("bytes_out"),
            run: number("run") / 1e9, cpu: number("cpu") / 1e9, queue: number("queue") / 1e9,
            load: number("load") / 1e9, gigabyteSeconds: number("byte_ms") / 1e12,
            awakeGigabyteSeconds: number("held") / 1e12, bytesPeak: number("peak"))
    }

    package func close() throws(GatewayError) {
        do {
            try queue.close()
        } catch {
            throw UsageReader.failure(error, path)
        }
    }
}
