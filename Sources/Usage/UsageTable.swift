// The ledger's tables and statements (STATE/usage.sqlite).

import Contract
import GRDB

enum UsageTable {
    /// The versions of the schema, in order. A version that was released never changes.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: usage") { database in
            // `hour`: since 1970, UTC. Times in nanoseconds, sizes in bytes. `byte_ms`: bytes the model held times the
            // milliseconds it ran; 10^12 are a gigabyte-second.
            try database.execute(
                sql: """
                    CREATE TABLE usage (
                        hour INTEGER NOT NULL,
                        issuer TEXT NOT NULL,
                        client TEXT NOT NULL,
                        plan TEXT NOT NULL,
                        model TEXT NOT NULL,
                        calls INTEGER NOT NULL,
                        errors INTEGER NOT NULL,
                        cold INTEGER NOT NULL,
                        bytes_in INTEGER NOT NULL,
                        bytes_out INTEGER NOT NULL,
                        run_ns INTEGER NOT NULL,
                        queue_ns INTEGER NOT NULL,
                        byte_ms INTEGER NOT NULL,
                        bytes_peak INTEGER NOT NULL,
                        PRIMARY KEY (hour, issuer, client, plan, model)
                    ) STRICT, WITHOUT ROWID
                    """)
            try database.execute(
                sql: """
                    CREATE TABLE batch (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        number INTEGER NOT NULL
                    ) STRICT
                    """)
            try database.execute(sql: "INSERT INTO batch (id, number) VALUES (1, 0)")
        }
        migrator.registerMigration("2: what it costs") { database in
            // `cpu_ns`: of the runs. `load_ns`: that cold calls waited for their model.
            try database.execute(
                sql: "ALTER TABLE usage ADD COLUMN cpu_ns INTEGER NOT NULL DEFAULT 0")
            try database.execute(
                sql: "ALTER TABLE usage ADD COLUMN load_ns INTEGER NOT NULL DEFAULT 0")
            // What a model held while it was awake, called or not; units as above.
            try database.execute(
                sql: """
                    CREATE TABLE awake (
                        hour INTEGER NOT NULL,
                        model TEXT NOT NULL,
                        byte_ms INTEGER NOT NULL,
                        awake_ms INTEGER NOT NULL,
                        PRIMARY KEY (hour, model)
                    ) STRICT, WITHOUT ROWID
                    """)
        }
        return migrator
    }

    static func lastBatch(_ database: Database) throws -> Int64 {
        try Int64.fetchOne(database, sql: "SELECT number FROM batch WHERE id = 1") ?? 0
    }

    /// Sums saturate: an overflow would make the number a floating one, which the table refuses.
    private static func plus(_ column: String) -> String {
        "\(column) = CASE WHEN \(column) > 9223372036854775807 - excluded.\(column) "
            + "THEN 9223372036854775807 ELSE \(column) + excluded.\(column) END"
    }

    private static let upsert: String = {
        let sums = [
            "calls", "errors", "cold", "bytes_in", "bytes_out", "run_ns", "queue_ns", "byte_ms",
            "cpu_ns", "load_ns",
        ].map(plus).joined(separator: ", ")
        return """
            INSERT INTO usage (hour, issuer, client, plan, model, calls, errors, cold, bytes_in, \
            bytes_out, run_ns, queue_ns, byte_ms, bytes_peak, cpu_ns, load_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (hour, issuer, client, plan, model) DO UPDATE SET \(sums), \
            bytes_peak = max(bytes_peak, excluded.bytes_peak)
            """
    }()

    private static let upsertAwake =
        "INSERT INTO awake (hour, model, byte_ms, awake_ms) VALUES (?, ?, ?, ?) "
        + "ON CONFLICT (hour, model) DO UPDATE SET "
        + ["byte_ms", "awake_ms"].map(plus).joined(separator: ", ")

    /// Adds a batch, unless it is there already.
    static func add(_ database: Database, _ batch: UsageBook.Batch) throws {
        guard try lastBatch(database) < batch.number else { return }
        let statement = try database.cachedStatement(sql: upsert)
        for row in batch.rows {
            let (key, counts) = (row.key, row.counts)
            try statement.execute(arguments: [
                key.hour, key.issuer, key.client, key.plan, key.model,
                Int64(clamping: counts.calls),
                Int64(clamping: counts.errors), Int64(clamping: counts.cold),
                Int64(clamping: counts.bytesIn), Int64(clamping: counts.bytesOut),
                Int64(clamping: counts.run), Int64(clamping: counts.queue),
                Int64(clamping: counts.byteTime / 1_000_000), Int64(clamping: counts.bytesPeak),
                Int64(clamping: counts.cpu), Int64(clamping: counts.load),
            ])
        }
        let awake = try database.cachedStatement(sql: upsertAwake)
        for row in batch.awake {
            try awake.execute(arguments: [
                row.hour, row.model, Int64(clamping: row.byteTime / 1_000_000),
                Int64(clamping: row.time / 1_000_000),
            ])
        }
        try database.execute(
            sql: "UPDATE batch SET number = ? WHERE id = 1", arguments: [batch.number])
    }

    /// Forgets one day's hours at most, the oldest of those before `hour`. True when there may be more.
    static func forget(_ database: Database, before hour: Int64) throws -> Bool {
        let oldest = try Int64.fetchOne(
            database,
            sql: """
                SELECT min(hour) FROM (SELECT min(hour) AS hour FROM usage
                    UNION ALL SELECT min(hour) FROM awake)
                """)
        guard let oldest, oldest < hour else { return false }
        let end = min(hour, oldest + 24)
        for table in ["usage", "awake"] {
            try database.execute(sql: "DELETE FROM \(table) WHERE hour < ?", arguments: [end])
        }
        return end < hour
    }

    /// What was used since the month began, the day's part apart.
    static func sums(
        _ database: Database, wall: Int64, rowsMax: Int
    ) throws -> [UsageSum] {
        let day = WallCalendar.hour(WallCalendar.startOfDay(WallCalendar.day(wall)))
        let month = WallCalendar.hour(WallCalendar.startOfMonth(WallCalendar.month(wall)))
        return try Row.fetchAll(
            database,
            sql: """
                SELECT issuer, client, plan, model,
                    total(calls) AS calls, total(run_ns) AS run, total(byte_ms) AS byte_ms,
                    total(iif(hour >= :day, calls, 0)) AS day_calls,
                    total(iif(hour >= :day, run_ns, 0)) AS day_run,
                    total(iif(hour >= :day, byte_ms, 0)) AS day_byte_ms
                FROM usage WHERE hour >= :month AND hour < :end
                GROUP BY issuer, client, plan, model
                ORDER BY calls DESC LIMIT :rows
                """,
            arguments: [
                "day": day, "month": month, "rows": rowsMax,
                "end": WallCalendar.hour(
                    WallCalendar.startOfMonth(WallCalendar.month(wall) + 1)),
            ]
        ).map { row in
            func number(_ column: String) -> UInt64 {
                let value: Double = row[column]
                return UInt64(exactly: value.rounded()) ?? .max
            }
            func spent(_ prefix: String) -> Spent {
                Spent(
                    calls: number(prefix + "calls"), run: number(prefix + "run"),
                    byteTime: UInt128(number(prefix + "byte_ms")) * 1_000_000)
            }
            return UsageSum(
                issuer: row["issuer"], client: row["client"], plan: row["plan"],
                model: row["model"], day: spent("day_"), month: spent(""))
        }
    }
}
