// How many cold calls more memory would have saved: each cold call of a model that was evicted is counted under the memory that
// would have kept it (its own and that of everything used since: a stack distance in bytes).

/// Cold calls by the extra memory that would have made them warm.
package struct MissCurve: Sendable, Equatable {
    /// A point of the curve.
    package struct Point: Sendable, Equatable {
        /// Bytes more than the budget.
        package var extra: UInt64
        /// Cold calls by all calls, 0 to 1.
        package var coldShare: Double
    }

    /// Steps of the curve in MiB: each holds what the next smaller does not.
    package static let steps: [UInt64] = (0..<18).map { 1 << ($0 + 3) }

    private var saved = [UInt64](repeating: 0, count: MissCurve.steps.count)
    package private(set) var cold: UInt64 = 0

    package init() {}

    /// A call found its model asleep. `extra`: bytes beyond the budget that would have kept it; nil when nothing would, as
    /// it had not been awake before.
    package mutating func missed(extra: UInt64?) {
        cold += 1
        guard let extra else { return }
        let mebibytes = extra >> 20 + (extra & 0xF_FFFF == 0 ? 0 : 1)
        guard let step = MissCurve.steps.firstIndex(where: { mebibytes <= $0 }) else { return }
        saved[step] += 1
    }

    /// The curve over so many calls, from no extra memory on; steps that save nothing are left out. Empty without calls.
    package func points(calls: UInt64) -> [Point] {
        guard calls > 0 else { return [] }
        var left = cold
        var points = [Point(extra: 0, coldShare: Double(cold) / Double(calls))]
        for (step, count) in zip(MissCurve.steps, saved) where count > 0 {
            left -= min(left, count)
            points.append(Point(extra: step << 20, coldShare: Double(left) / Double(calls)))
        }
        return points
    }
}
