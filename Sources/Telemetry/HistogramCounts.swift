// What one thread observed of a histogram, for a series that takes it in later. A value: plain additions.

package struct HistogramCounts: Sendable {
    let bounds: HistogramBounds
    private(set) var counts = InlineArray<24, UInt64>(repeating: 0)
    private(set) var sum: UInt64 = 0

    package init(_ bounds: HistogramBounds) { self.bounds = bounds }

    package mutating func observe(_ value: UInt64) {
        counts[bounds.bucket(of: value)] &+= 1
        sum &+= value
    }

    package mutating func clear() { self = HistogramCounts(bounds) }
}

extension HistogramSeries {
    /// Takes in what was observed elsewhere, in buckets that are this series' own.
    package func add(_ observed: HistogramCounts) {
        precondition(observed.bounds === bounds, "counts of other buckets")
        for bucket in 0...bounds.count where observed.counts[bucket] > 0 {
            add(observed.counts[bucket], to: bucket)
        }
        add(sum: observed.sum)
    }
}
