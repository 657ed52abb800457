// How long the calls of one model took, for quantiles: counted where a run ends, beside the sums of the statistics.

import Contract
import Synchronization

/// Counts of one model's calls by how long they took from their arrival. One atomic addition a call; any thread may count.
struct Latency: ~Copyable, Sendable {
    private let counts = InlineArray<106, Atomic<UInt64>> { _ in Atomic(0) }

    func count(_ time: Nanoseconds) {
        counts[LatencyCounts.bucket(of: time.count)].add(1, ordering: .relaxed)
    }

    /// What has been counted; calls that end meanwhile may be in it or not.
    var now: LatencyCounts {
        precondition(counts.count == LatencyCounts.bucketCount, "a count for every bucket")
        return LatencyCounts(counts.indices.map { counts[$0].load(ordering: .relaxed) })
    }
}
