// The second version of the ledger: what was counted before stays, what models hold while they are awake, how long it is kept,
// and how it is read by others.

import Contract
import Foundation
import GRDB
import Testing
import Usage

/// 2026-03-31 10:00:00 UTC.
private let wall: Int64 = 1_774_951_200
private let hour = WallCalendar.hour(wall)

private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "ledger-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

private func row(
    _ client: String, _ model: String = "iris", hour: Int64 = hour, calls: UInt64,
    _ change: (inout UsageCounts) -> Void = { _ in }
) -> UsageRow {
    var counts = UsageCounts()
    counts.calls = calls
    change(&counts)
    return UsageRow(
        UsageKey(hour: hour, issuer: "local", client: client, plan: "", model: model), counts)
}

private func write(_ folder: String, _ rows: [UsageRow], awake: [AwakeRow] = []) throws {
    let store = try UsageStore(state: folder, wall: wall)
    var book = UsageBook(last: try store.lastBatch())
    book.add(rows)
    book.add(awake)
    while let batch = book.begin() {
        try store.add(batch)
        book.ended(written: true)
    }
    try store.close()
}

@Suite struct LedgerVersionTests {
    @Test func aLedgerOfTheFirstVersionIsCarriedOn() throws {
        try withFolder { folder in
            let old = try DatabaseQueue(path: folder + "/" + UsageStore.fileName)
            try old.write { database in
                try database.execute(
                    sql: """
                        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
                        INSERT INTO grdb_migrations VALUES ('1: usage');
                        CREATE TABLE usage (hour INTEGER NOT NULL, issuer TEXT NOT NULL,
                            client TEXT NOT NULL, plan TEXT NOT NULL, model TEXT NOT NULL,
                            calls INTEGER NOT NULL, errors INTEGER NOT NULL, cold INTEGER NOT NULL,
                            bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
                            run_ns INTEGER NOT NULL, queue_ns INTEGER NOT NULL,
                            byte_ms INTEGER NOT NULL, bytes_peak INTEGER NOT NULL,
                            PRIMARY KEY (hour, issuer, client, plan, model)) STRICT, WITHOUT ROWID;
                        CREATE TABLE batch (id INTEGER PRIMARY KEY CHECK (id = 1),
                            number INTEGER NOT NULL) STRICT;
                        INSERT INTO batch VALUES (1, 7);
                        INSERT INTO usage VALUES (\(hour), 'local', 'app', '', 'iris',
                            5, 1, 1, 10, 20, 3000000000, 0, 6000000000000, 900);
                        """)
            }
            try old.close()
            // Asked before this version has run there.
            let error = #expect(throws: GatewayError.self) { try UsageReader(state: folder) }
            #expect(try #require(error).description.contains("older version"))
            try write(folder, [row("app", calls: 2) { $0.cpu = 2_000_000_000 }])
            let reader = try UsageReader(state: folder)
            let totals = try reader.totals(since: 0, until: .max)
            #expect(totals.map(\.calls) == [7] && totals.map(\.cpu) == [2])
            #expect(totals.map(\.run) == [3] && totals.map(\.gigabyteSeconds) == [6])
            try reader.close()
        }
    }

    @Test func sumsAreGroupedAndWhatIsAwakeIsSharedOut() throws {
        try withFolder { folder in
            func awake(_ hour: Int64, _ gigabyteSeconds: UInt64) -> AwakeRow {
                AwakeRow(
                    hour: hour, model: "iris",
                    byteTime: UInt128(gigabyteSeconds) * 1_000_000_000_000_000_000,
                    time: 1_000_000_000)
            }
            try write(
                folder,
                [
                    row("a", calls: 3) {
                        $0.load = 500_000_000
                        $0.cold = 1
                    }, row("b", calls: 1), row("b", "other", hour: hour - 24, calls: 10),
                    // Its call ended an hour later: it came then no more.
                    row("a", hour: hour + 1, calls: 0) { $0.run = 1_000_000_000 },
                ], awake: [awake(hour, 8), awake(hour, 4), awake(hour + 1, 5)])
            let reader = try UsageReader(state: folder)
            let all = try reader.totals(since: 0, until: .max)
            func held(_ client: String) -> Double? {
                all.first { $0.client == client && $0.model == "iris" }?.awakeGigabyteSeconds
            }
            #expect(held("a") == 9 && held("b") == 3 && held(UsageReader.nobody) == 5)
            let models = try reader.totals(since: 0, until: .max, by: .model)
            #expect(models.map(\.model) == ["other", "iris"] && models.map(\.calls) == [10, 4])
            #expect(models.last?.awakeGigabyteSeconds == 17 && models.last?.load == 0.5)
            #expect(models.allSatisfy { $0.client == nil && $0.day == nil })
            let days = try reader.totals(since: 0, until: .max, by: .day)
            #expect(days.map(\.day) == [hour / 24 - 1, hour / 24] && days.map(\.calls) == [10, 4])
            let clients = try reader.totals(since: 0, until: .max, by: .client)
            #expect(clients.map(\.client) == ["b", "a", UsageReader.nobody])
            #expect(try reader.totals(since: hour, until: hour + 1).map(\.calls) == [3, 1])
            #expect(try reader.firstHour(since: hour - 23) == hour)
            #expect(try reader.firstHour(since: hour + 2) == nil)
            try reader.close()
        }
    }

    @Test func whatIsOlderIsForgottenADayAtATime() throws {
        try withFolder { folder in
            let days: [Int64] = [100, 99, 40, 33, 1, 0]
            try write(
                folder, days.map { row("app", hour: hour - $0 * 24, calls: 1) },
                awake: [AwakeRow(hour: hour - 100 * 24, model: "m", byteTime: 1, time: 1)])
            let store = try UsageStore(state: folder, wall: wall)
            var rounds = 1
            while try store.forget(olderThan: 35 * 86_400, at: wall) {
                rounds += 1
                #expect(rounds < 50)
            }
            #expect(rounds >= 3)
            #expect(try !store.forget(olderThan: 35 * 86_400, at: wall))
            try store.close()
            let reader = try UsageReader(state: folder)
            #expect(try reader.totals(since: 0, until: .max, by: .day).count == 3)
            try reader.close()
            let database = try DatabaseQueue(path: folder + "/" + UsageStore.fileName)
            #expect(
                try database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM awake") } == 0)
            try database.close()
        }
    }

    @Test func readersSayWhatIsWrong() throws {
        try withFolder { folder in
            let missing = #expect(throws: GatewayError.self) { try UsageReader(state: folder) }
            #expect(try #require(missing).description.contains("no ledger"))
            try Data(repeating: 7, count: 10_000).write(
                to: URL(fileURLWithPath: folder + "/" + UsageStore.fileName))
            let other = #expect(throws: GatewayError.self) { try UsageReader(state: folder) }
            #expect(try #require(other).description.contains("damaged or no ledger"))
        }
    }

    @Test func aReaderReadsBesideAWriterThatIsAtIt() throws {
        try withFolder { folder in
            try write(folder, [row("app", calls: 1)])
            let writer = try DatabaseQueue(path: folder + "/" + UsageStore.fileName)
            try writer.inTransaction(.immediate) { database in
                try database.execute(sql: "UPDATE usage SET calls = 99")
                let reader = try UsageReader(state: folder)
                #expect(try reader.totals(since: 0, until: .max).map(\.calls) == [1])
                try reader.close()
                return .commit
            }
            try writer.close()
        }
    }

    /// Where the user may not write, and where SQLite cannot make its journal, the gateway says so and does not start blind.
    @Test func aLedgerThatCannotBeWrittenIsAFault() throws {
        try withFolder { folder in
            try write(folder, [row("app", calls: 1)])
            try FileManager.default.createDirectory(
                atPath: folder + "/" + UsageStore.fileName + "-wal",
                withIntermediateDirectories: false)
            let error = #expect(throws: GatewayError.self) {
                try UsageStore(state: folder, wall: wall)
            }
            let message = try #require(error).description
            #expect(message.contains("cannot be opened") && message.contains("right to write"))
        }
    }
}

@Suite struct AwakeMeterTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

    @Test func whatIsHeldIsChargedBetweenLooks() {
        var meter = AwakeMeter()
        #expect(meter.look([("iris", 1_000)], now: at(1), wall: wall).isEmpty)
        let rows = meter.look([("iris", 2_000), ("m", 1)], now: at(1.5), wall: wall)
        #expect(
            rows == [
                AwakeRow(
                    hour: hour, model: "iris", byteTime: 2_000 * 500_000_000, time: 500_000_000),
                AwakeRow(hour: hour, model: "m", byteTime: 500_000_000, time: 500_000_000),
            ])
        // A machine that slept for an hour.
        #expect(
            meter.look([("m", 1)], now: at(3_600), wall: wall + 3_600).map(\.time)
                == [10_000_000_000])
    }

    @Test func aClockThatJumpsBackChargesNothingTwice() {
        var meter = AwakeMeter()
        var book = UsageBook(last: 0)
        book.add(meter.look([("m", 1)], now: at(1), wall: wall))
        for step in 1...10 {
            // The wall's clock goes back an hour in the middle; the machine's does not.
            let back: Int64 = step > 5 ? 3_600 : 0
            book.add(meter.look([("m", 1)], now: at(1 + Double(step) / 2), wall: wall - back))
        }
        let batch = book.begin()
        #expect(batch?.awake.count == 2 && batch?.awake.reduce(0) { $0 + $1.time } == 5_000_000_000)
        #expect(meter.look([("m", 1)], now: at(1), wall: wall).isEmpty)
    }

    @Test func modelsBeyondTheBoundAreAddedUp() {
        var book = UsageBook(last: 0, rowsMax: 10, batchMax: 100)
        book.add((0..<1_000).map { AwakeRow(hour: 1, model: "m\($0)", byteTime: 2, time: 1) })
        let batch = book.begin()
        #expect(batch?.awake.count == 11 && batch?.awake.reduce(0) { $0 + $1.byteTime } == 2_000)
        #expect(batch?.awake.first { $0.model == UsageKey.other }?.time == 990)
    }

    @Test func awakeModelsAloneMayWait() {
        var book = UsageBook(last: 0)
        book.add([AwakeRow(hour: 1, model: "m", byteTime: 2, time: 1)])
        #expect(book.begin(awakeAlone: false) == nil && !book.isEmpty)
        book.add([row("app", calls: 1)])
        let batch = book.begin(awakeAlone: false)
        #expect(batch?.rows.count == 1 && batch?.awake.count == 1)
    }
}
