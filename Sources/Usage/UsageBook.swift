// What is to be written to the ledger: counts added up until there is time and disk for them. A value, bounded, told what
// became of each batch.

package import Contract

/// Counts on their way to the disk. A batch is under way or it is not; what comes meanwhile waits behind it.
package struct UsageBook: Sendable {
    /// Rows that go into one transaction together.
    package struct Batch: Sendable, Equatable {
        /// One more than that of the batch before: the ledger takes each number once.
        package var number: Int64
        package var rows: [UsageRow]
        package var awake: [AwakeRow] = []
    }

    private struct AwakeKey: Hashable {
        var hour: Int64
        var model: String
    }

    private let rowsMax: Int
    private let batchMax: Int
    private var waiting: [UsageKey: UsageCounts] = [:]
    private var awake: [AwakeKey: AwakeRow] = [:]
    /// Written again as it is until it is known to be on disk.
    private var underWay: Batch?
    private var isWriting = false
    private var number: Int64
    /// Rows whose client and model were added to `other`, since the start.
    package private(set) var merged: UInt64 = 0

    /// - Parameters:
    ///   - last: the number of the last batch the ledger took.
    ///   - rowsMax: rows that may wait; what does not fit is added up under `other`.
    ///   - batchMax: rows in one transaction.
    package init(last: Int64, rowsMax: Int = 131_072, batchMax: Int = 16_384) {
        number = last
        self.rowsMax = rowsMax
        self.batchMax = batchMax
    }

    package var count: Int {
        waiting.count + awake.count + (underWay.map { $0.rows.count + $0.awake.count } ?? 0)
    }
    package var isEmpty: Bool { count == 0 }

    package mutating func add(_ rows: [UsageRow]) {
        for row in rows {
            var key = row.key
            if waiting[key] == nil, waiting.count >= rowsMax {
                merged &+= 1
                (key.issuer, key.client, key.model) = (
                    UsageKey.other, UsageKey.other, UsageKey.other
                )
                key.plan = ""
            }
            waiting[key, default: UsageCounts()] += row.counts
        }
    }

    /// What models held. Beyond the bound an hour's further models are added up under `other`.
    package mutating func add(_ rows: [AwakeRow]) {
        for row in rows {
            var key = AwakeKey(hour: row.hour, model: row.model)
            if awake[key] == nil, awake.count >= rowsMax { key.model = UsageKey.other }
            var sum =
                awake[key]
                ?? AwakeRow(hour: key.hour, model: key.model, byteTime: 0, time: 0)
            sum.byteTime = UsageBook.sum(sum.byteTime, row.byteTime)
            sum.time = UsageBook.sum(sum.time, row.time)
            awake[key] = sum
        }
    }

    private static func sum<Number: FixedWidthInteger>(_ left: Number, _ right: Number) -> Number {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// What to write now; nil when nothing is to be written or a write is going on.
    /// - Parameter awakeAlone: also when only awake models are to be written: nobody called.
    package mutating func begin(awakeAlone: Bool = true) -> Batch? {
        guard !isWriting else { return nil }
        if underWay == nil {
            guard !waiting.isEmpty || (awakeAlone && !awake.isEmpty) else { return nil }
            number += 1
            var rows: [UsageRow] = []
            if waiting.count <= batchMax {
                rows = waiting.map { UsageRow($0.key, $0.value) }
                waiting.removeAll(keepingCapacity: waiting.count < 4_096)
            } else {
                rows = waiting.prefix(batchMax).map { UsageRow($0.key, $0.value) }
                for row in rows { waiting[row.key] = nil }
            }
            let held = Array(awake.values.prefix(batchMax))
            for row in held { awake[AwakeKey(hour: row.hour, model: row.model)] = nil }
            underWay = Batch(number: number, rows: rows, awake: held)
        }
        isWriting = true
        return underWay
    }

    /// The batch is on disk, or was not written: then it is tried again as it is.
    package mutating func ended(written: Bool) {
        isWriting = false
        if written { underWay = nil }
    }
}
