// How many calls took how long, in buckets that never change (proto/README.md, section 9): what accounts carry.

/// Counts by bucket, four buckets to a doubling from 1,024 ns to 68.7 s.
package struct LatencyCounts: Sendable, Equatable {
    /// Below, between and above.
    package static let bucketCount = 106

    /// The bucket of the first of ``counts``; those that are not there are empty.
    package var first: Int = 0
    package var counts: [UInt64] = []

    package init() {}

    /// Leaves out what is empty at both ends.
    /// - Parameter every: ``bucketCount`` counts at most.
    package init(_ every: [UInt64]) {
        guard let first = every.firstIndex(where: { $0 > 0 }),
            let last = every.lastIndex(where: { $0 > 0 })
        else { return }
        self.first = first
        counts = Array(every[first...last])
    }

    /// The bucket of a time in nanoseconds.
    package static func bucket(of nanoseconds: UInt64) -> Int {
        guard nanoseconds >= 1 << 10 else { return 0 }
        let doublings = UInt64.bitWidth - 1 - nanoseconds.leadingZeroBitCount
        guard doublings < 36 else { return bucketCount - 1 }
        let quarter = Int(truncatingIfNeeded: nanoseconds >> UInt64(doublings - 2)) & 3
        return 1 + (doublings - 10) * 4 + quarter
    }
}
