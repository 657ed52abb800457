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
    }

    private let rowsMax: Int
    private let batchMax: Int
    private var waiting: [UsageKey: UsageCounts] = [:]
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

    package var count: Int { waiting.count + (underWay?.rows.count ?? 0) }
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

    /// What to write now; nil when nothing is to be written or a write is going on.
    package mutating func begin() -> Batch? {
        guard !isWriting else { return nil }
        if underWay == nil {
            guard !waiting.isEmpty else { return nil }
            number += 1
            var rows: [UsageRow] = []
            if waiting.count <= batchMax {
                rows = waiting.map { UsageRow($0.key, $0.value) }
                waiting.removeAll(keepingCapacity: waiting.count < 4_096)
            } else {
                rows = waiting.prefix(batchMax).map { UsageRow($0.key, $0.value) }
                for row in rows { waiting[row.key] = nil }
            }
            underWay = Batch(number: number, rows: rows)
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
