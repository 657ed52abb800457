// How long a model's run will take, learned from the runs there were, apart for small and large inputs: a model that
// takes 4 us for one row takes 10 ms for 10,000, and only the first may run on an event loop.

package import Contract
private import Synchronization

/// Run times of one awake model by size of input. Any thread reads and records; a lost update does no harm.
package final class RunEstimates: Sendable {
    /// Class k holds inputs of 4^k up to 4^(k+1) bytes, the last everything larger.
    private let classes = InlineArray<16, Atomic<UInt64>> { _ in Atomic(0) }

    /// Longer than any time slice the kernel takes away from a thread in the middle of a run.
    private static let sliceMax: UInt64 = 10_000_000

    package init() {}

    /// The expected time in nanoseconds, or 0 when no run of this size has been seen.
    package func nanoseconds(forBytes byteCount: Int) -> UInt64 {
        classes[RunEstimates.sizeClass(byteCount)].load(ordering: .relaxed)
    }

    package func record(_ time: Nanoseconds, forBytes byteCount: Int) {
        let index = RunEstimates.sizeClass(byteCount)
        let old = classes[index].load(ordering: .relaxed)
        classes[index].store(
            RunEstimates.updated(old, with: max(1, time.count)), ordering: .relaxed)
    }

    package func forget() {
        for index in 0..<16 { classes[index].store(0, ordering: .relaxed) }
    }

    /// The moving average after one more sample. It falls faster than it rises (the first runs of a session are
    /// slow), and one run that lost its core for a moment does not make a short model a long one: a sample of up
    /// to 10 ms counts as at most eight times what was expected.
    package static func updated(_ old: UInt64, with sample: UInt64) -> UInt64 {
        guard old > 0 else { return sample }
        let clipped = max(old, sample) < sliceMax ? min(sample, old * 8 + 50_000) : sample
        return clipped > old ? old + max(1, (clipped - old) / 8) : old - (old - clipped) / 4
    }

    package static func sizeClass(_ byteCount: Int) -> Int {
        guard byteCount > 1 else { return 0 }
        return min(15, (Int.bitWidth - 1 - byteCount.leadingZeroBitCount) / 2)
    }
}
