// What is counted: one object for each series, and an observation is a few atomic additions. No lock, no allocation.

import Synchronization

/// A number that only rises. Any thread.
package final class CounterSeries: Sendable {
    private let value = Atomic<UInt64>(0)

    package init() {}

    package func add(_ count: UInt64 = 1) { value.wrappingAdd(count, ordering: .relaxed) }
    package var count: UInt64 { value.load(ordering: .relaxed) }
    /// For swift-metrics, which allows it; Prometheus takes it for a restart.
    func reset() { value.store(0, ordering: .relaxed) }
}

/// A number that may be anything. Any thread.
package final class GaugeSeries: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package var value: Double {
        get { Double(bitPattern: bits.load(ordering: .relaxed)) }
        set { bits.store(newValue.bitPattern, ordering: .relaxed) }
    }

    package func add(_ amount: Double) {
        var before = bits.load(ordering: .relaxed)
        while true {
            let after = (Double(bitPattern: before) + amount).bitPattern
            let (isDone, now) = bits.weakCompareExchange(
                expected: before, desired: after, ordering: .relaxed)
            if isDone { return }
            before = now
        }
    }
}

/// The call behind one observation, as a trace shows it (OpenMetrics 1.0, "Exemplars").
package struct Exemplar: Sendable, Equatable {
    /// 16 bytes and 8, as they are in a W3C trace context.
    package var trace: [UInt8]
    package var span: [UInt8]
    /// Seconds since 1970.
    package var time: Double

    package init(trace: [UInt8], span: [UInt8], time: Double) {
        precondition(trace.count == 16 && span.count == 8, "a trace has 16 bytes, a span 8")
        self.trace = trace
        self.span = span
        self.time = time
    }
}

/// How often values fell into each bucket, and their sum. Any thread.
package final class HistogramSeries: Sendable {
    /// The last one of a bucket.
    struct Kept: Sendable {
        var value: UInt64
        var exemplar: Exemplar
    }

    let bounds: HistogramBounds
    /// One for each of the bounds' buckets, and one for what is beyond the last of them.
    private let counts = InlineArray<24, Atomic<UInt64>> { _ in Atomic(0) }
    private let total = Atomic<UInt64>(0)
    /// Empty until there is one; then one for each bucket.
    private let exemplars = Mutex<[Kept?]>([])

    package init(_ bounds: HistogramBounds) { self.bounds = bounds }

    package func observe(_ value: UInt64) {
        counts[bounds.bucket(of: value)].wrappingAdd(1, ordering: .relaxed)
        total.wrappingAdd(value, ordering: .relaxed)
    }

    func add(_ count: UInt64, to bucket: Int) {
        counts[bucket].wrappingAdd(count, ordering: .relaxed)
    }

    func add(sum: UInt64) { total.wrappingAdd(sum, ordering: .relaxed) }

    /// The same, of a call that is traced. When another thread writes or reads exemplars at this moment, this one is left out.
    package func observe(_ value: UInt64, _ exemplar: Exemplar) {
        observe(value)
        _ = exemplars.withLockIfAvailable { kept in
            if kept.isEmpty { kept = Array(repeating: nil, count: bounds.count + 1) }
            kept[bounds.bucket(of: value)] = Kept(value: value, exemplar: exemplar)
        }
    }

    /// What was observed, by bucket; a page counts from these, so that it agrees with itself.
    package var buckets: [UInt64] { (0...bounds.count).map { counts[$0].load(ordering: .relaxed) } }
    package var count: UInt64 { buckets.reduce(0, &+) }
    package var sum: UInt64 { total.load(ordering: .relaxed) }

    func count(in bucket: Int) -> UInt64 { counts[bucket].load(ordering: .relaxed) }
    var kept: [Kept?] { exemplars.withLock { $0 } }
}
