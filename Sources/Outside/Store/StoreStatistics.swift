// What came from the bucket and what did not, counted for metrics.

import Synchronization

/// Counts are since the gateway started.
package struct StoreStatistics: Sendable, Equatable {
    /// Versions that came whole, and that did not; those nobody waited for any more are neither.
    package var fetched: UInt64 = 0
    package var failed: UInt64 = 0
    /// Versions that are coming, or wait for their turn.
    package var underWay = 0
    /// Of models' files.
    package var bytes: UInt64 = 0
    /// Requests that failed, those that were tried again too.
    package var errors: UInt64 = 0
    package var cacheBytes: UInt64 = 0
    package var cacheBudget: UInt64 = 0

    package init() {}
}

/// Where it is counted. Any thread.
final class StoreTally: Sendable {
    private let fetched = Atomic<UInt64>(0)
    private let lost = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    private let errors = Atomic<UInt64>(0)

    func came(_ count: Int) { bytes.add(UInt64(count), ordering: .relaxed) }

    func fetchEnded(well: Bool) {
        if well {
            fetched.add(1, ordering: .relaxed)
        } else {
            lost.add(1, ordering: .relaxed)
        }
    }

    /// An object that is not there is an answer, and a fetch that nobody wants any more no fault of the store's.
    func failed(_ trouble: StoreTrouble) {
        switch trouble {
        case .missing, .cancelled: break
        default: errors.add(1, ordering: .relaxed)
        }
    }

    var statistics: StoreStatistics {
        var statistics = StoreStatistics()
        statistics.fetched = fetched.load(ordering: .relaxed)
        statistics.failed = lost.load(ordering: .relaxed)
        statistics.bytes = bytes.load(ordering: .relaxed)
        statistics.errors = errors.load(ordering: .relaxed)
        return statistics
    }
}
