// How long a model's calls took, in the gateway's buckets (proto/README.md, section 9), and what can be told of them. Pure.

/// How many calls took how long. Counts only grow while a gateway runs: the calls of an interval are what ``since(_:)``
/// tells. A quantile is right within an eighth.
public struct LatencyDigest: Sendable, Hashable {
    /// Counts by bucket.
    private var counts: [UInt64] = []

    static let bucketCount = 106

    public init() {}

    /// What lies outside of the known buckets is left out.
    package init(first: Int, counts: [UInt64]) {
        guard first >= 0, first < Self.bucketCount, !counts.isEmpty else { return }
        self.counts = Array(repeating: 0, count: first) + counts.prefix(Self.bucketCount - first)
    }

    /// How many calls there are in it.
    public var total: UInt64 { counts.reduce(0) { $0 &+ $1 } }

    /// The calls that are not in `earlier`; all of them when that is another gateway's, or of another run of this one.
    public func since(_ earlier: LatencyDigest) -> LatencyDigest {
        guard earlier.counts.count <= counts.count,
            zip(counts, earlier.counts).allSatisfy({ $0 >= $1 })
        else { return self }
        var difference = self
        for (index, count) in earlier.counts.enumerated() { difference.counts[index] -= count }
        return difference
    }

    /// Both together.
    public func adding(_ other: LatencyDigest) -> LatencyDigest {
        var sum = self
        while sum.counts.count < other.counts.count { sum.counts.append(0) }
        for (index, count) in other.counts.enumerated() { sum.counts[index] &+= count }
        return sum
    }

    /// The time that a share of the calls did not exceed; nil when there are none.
    ///
    /// - Parameter share: 0 to 1; 0.5 is the median.
    public func quantile(_ share: Double) -> Duration? {
        let total = total
        guard total > 0, share >= 0, share <= 1 else { return nil }
        // The rank of the call, from just above 0 to `total`.
        let rank = max(share * Double(total), .leastNonzeroMagnitude)
        var before = 0.0
        for (bucket, count) in counts.enumerated() where count > 0 {
            let until = before + Double(count)
            if until >= rank {
                let (low, high) = Self.bounds(of: bucket)
                return .nanoseconds(Int64(low + (high - low) * (rank - before) / Double(count)))
            }
            before = until
        }
        return nil
    }

    /// Where a bucket begins and ends, in nanoseconds. The last has no end: it counts as its beginning.
    package static func bounds(of bucket: Int) -> (low: Double, high: Double) {
        func begin(_ bucket: Int) -> Double {
            guard bucket > 0 else { return 0 }
            let (doublings, quarter) = (bucket - 1).quotientAndRemainder(dividingBy: 4)
            return Double(UInt64(4 + quarter) << UInt64(8 + doublings))
        }
        let low = begin(bucket)
        return (low, bucket >= bucketCount - 1 ? low : begin(bucket + 1))
    }
}
