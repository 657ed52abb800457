// The ledger: what is on disk is there once, whatever came in between; what is not waits within bounds.

import Contract
import Foundation
import GRDB
import Testing
import Usage

private func row(
    _ client: String = "app", hour: Int64 = 10, calls: UInt64 = 1, run: UInt64 = 0,
    model: String = "iris"
) -> UsageRow {
    var counts = UsageCounts()
    counts.calls = calls
    counts.run = run
    counts.byteTime = UInt128(run) * 1_000_000
    return UsageRow(
        UsageKey(hour: hour, issuer: "local", client: client, plan: "gold", model: model), counts)
}

private func begin(_ book: inout UsageBook) throws -> UsageBook.Batch {
    let batch = book.begin()
    return try #require(batch)
}

private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "usage-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

@Suite struct UsageBookTests {
    @Test func aBatchIsWrittenAgainAsItIsUntilItIsThere() {
        var book = UsageBook(last: 7)
        book.add([row(calls: 2), row(calls: 3)])
        let first = book.begin()
        #expect(first?.number == 8 && first?.rows == [row(calls: 5)])
        book.add([row(calls: 1)])
        #expect(book.begin() == nil)
        book.ended(written: false)
        let again = book.begin()
        #expect(again == first)
        book.ended(written: true)
        let second = book.begin()
        #expect(second?.number == 9 && second?.rows == [row(calls: 1)])
        book.ended(written: true)
        #expect(book.begin() == nil && book.isEmpty)
    }

    @Test func whatDoesNotFitIsAddedUpUnderOther() {
        var book = UsageBook(last: 0, rowsMax: 10, batchMax: 4)
        for number in 0..<1_000 { book.add([row("c\(number)")]) }
        #expect(book.count <= 11 && book.merged == 990)
        var calls: UInt64 = 0
        var others: UInt64 = 0
        while let batch = book.begin() {
            #expect(batch.rows.count <= 4)
            for row in batch.rows {
                calls += row.counts.calls
                if row.key.client == UsageKey.other { others += row.counts.calls }
            }
            book.ended(written: true)
        }
        #expect(calls == 1_000 && others == 990)
    }
}

@Suite struct UsageStoreTests {
    /// 2026-03-31 10:00:00 UTC.
    static let wall: Int64 = 1_774_951_200

    @Test func aBatchCountsOnce() throws {
        try withFolder { folder in
            let store = try UsageStore(state: folder, wall: Self.wall)
            var book = UsageBook(last: try store.lastBatch())
            book.add([row(hour: WallCalendar.hour(Self.wall), calls: 4, run: 2_000_000)])
            let batch = try begin(&book)
            try store.add(batch)
            try store.add(batch)
            try store.close()
            let again = try UsageStore(state: folder, wall: Self.wall)
            try again.add(batch)
            #expect(try again.lastBatch() == batch.number)
            let sums = try again.sums(at: Self.wall)
            #expect(sums.map(\.day.calls) == [4] && sums.map(\.day.run) == [2_000_000])
            #expect(sums.first?.day.byteTime == 2_000_000_000_000)
            try again.close()
        }
    }

    @Test func theDayAndTheMonthAreSummedApart() throws {
        try withFolder { folder in
            let store = try UsageStore(state: folder, wall: Self.wall)
            let hour = WallCalendar.hour(Self.wall)
            var book = UsageBook(last: 0)
            // Today, yesterday, the first of March, February, and April that has not come.
            for (offset, calls) in [(0, 1), (-24, 10), (-30 * 24, 100), (-31 * 24, 1_000), (24, 1)]
                as [(Int64, UInt64)]
            {
                book.add([row(hour: hour + offset, calls: calls)])
            }
            try store.add(try begin(&book))
            let sums = try store.sums(at: Self.wall)
            #expect(sums.count == 1)
            #expect(sums.first?.day.calls == 1 && sums.first?.month.calls == 111)
            let next = try store.sums(at: Self.wall + 86_400)
            #expect(next.first?.day.calls == 1 && next.first?.month.calls == 1)
            try store.close()
        }
    }

    @Test func sumsSaturate() throws {
        try withFolder { folder in
            let store = try UsageStore(state: folder, wall: Self.wall)
            for number in 1...2 as ClosedRange<Int64> {
                var book = UsageBook(last: number - 1)
                book.add([row(hour: WallCalendar.hour(Self.wall), calls: .max, run: .max)])
                try store.add(try begin(&book))
            }
            #expect(try #require(try store.sums(at: Self.wall).first).month.calls > 1 << 62)
            try store.close()
        }
    }

    @Test func aFileThatIsNoLedgerIsPutAside() throws {
        try withFolder { folder in
            try Data(repeating: 7, count: 10_000).write(
                to: URL(fileURLWithPath: folder + "/" + UsageStore.fileName))
            let store = try UsageStore(state: folder, wall: 42)
            let aside = try #require(store.setAside)
            #expect(aside.hasSuffix(".broken-42"))
            #expect(FileManager.default.fileExists(atPath: aside))
            #expect(try store.sums(at: Self.wall).isEmpty)
            try store.close()
        }
    }

    @Test func aFolderThatIsNotThereIsAFault() throws {
        #expect(throws: GatewayError.self) {
            try UsageStore(state: "/nonexistent/folder", wall: 0)
        }
    }

    @Test func aWriterThatCannotWriteSaysSoAndCanTryAgain() throws {
        try withFolder { folder in
            let store = try UsageStore(state: folder, wall: Self.wall)
            var book = UsageBook(last: 0)
            book.add([row(hour: WallCalendar.hour(Self.wall), calls: 3)])
            let batch = try begin(&book)
            let other = try DatabaseQueue(path: store.path)
            try other.inTransaction(.immediate) { _ in
                #expect(throws: (any Error).self) { try store.add(batch) }
                return .rollback
            }
            book.ended(written: false)
            try store.add(try begin(&book))
            #expect(try store.sums(at: Self.wall).first?.day.calls == 3)
            try store.close()
        }
    }
}

@Suite struct WallCalendarTests {
    @Test func monthsEndWhereTheyEnd() {
        func utc(_ days: Int64, _ seconds: Int64 = 0) -> Int64 { days * 86_400 + seconds }
        #expect(WallCalendar.month(0) == 0)
        #expect(WallCalendar.month(-1) == -1)
        #expect(WallCalendar.month(utc(31) - 1) == 0 && WallCalendar.month(utc(31)) == 1)
        // 2024-02-29 and 2100-02-28: a leap year, and none.
        #expect(WallCalendar.month(1_709_251_199) == 54 * 12 + 1)
        #expect(WallCalendar.month(1_709_251_200) == 54 * 12 + 2)
        #expect(WallCalendar.startOfMonth(54 * 12 + 2) == 1_709_251_200)
        #expect(WallCalendar.month(4_107_542_399) == 130 * 12 + 1)
        #expect(WallCalendar.startOfMonth(130 * 12 + 2) == 4_107_542_400)
        for month in -2_000...4_000 as ClosedRange<Int64> {
            let start = WallCalendar.startOfMonth(month)
            #expect(WallCalendar.month(start) == month)
            #expect(WallCalendar.month(start - 1) == month - 1)
        }
    }
}
