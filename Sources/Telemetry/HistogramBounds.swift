// Where the buckets of a histogram end. Fixed: a histogram is compared with itself over years.

/// Upper ends of buckets, rising. Whoever observes gives whole numbers; a page may show them in another unit.
package final class HistogramBounds: Sendable {
    /// Buckets that end somewhere.
    package static let countMax = 23

    /// How whole numbers are shown.
    package enum Scale: Sendable {
        case plain
        /// Nanoseconds, shown in seconds.
        case nanoseconds
    }

    package let scale: Scale
    package let count: Int
    /// Those beyond `count` are never reached.
    let ends: InlineArray<23, UInt64>
    /// `,le="0.005"} `, the last for `+Inf`.
    let texts: [[UInt8]]

    /// - Parameter ends: 1 to ``countMax``, rising.
    package init(_ ends: [UInt64], _ scale: Scale) {
        precondition(
            !ends.isEmpty && ends.count <= HistogramBounds.countMax, "a histogram has buckets")
        precondition(zip(ends, ends.dropFirst()).allSatisfy(<), "the ends of buckets rise")
        self.scale = scale
        count = ends.count
        self.ends = InlineArray { $0 < ends.count ? ends[$0] : .max }
        texts =
            ends.map { Array("le=\"\(HistogramBounds.text($0, scale))\"} ".utf8) }
            + [Array("le=\"+Inf\"} ".utf8)]
    }

    /// As floating point numbers, alike in both formats: `0.005`, `1.0`.
    private static func text(_ end: UInt64, _ scale: Scale) -> String {
        switch scale {
        case .plain: return "\(end).0"
        case .nanoseconds:
            var bytes: [UInt8] = []
            bytes.append(nanoseconds: end)
            let text = String(decoding: bytes, as: UTF8.self)
            return text.contains(".") ? text : text + ".0"
        }
    }

    /// The bucket a value falls into: the first whose end is not below it.
    func bucket(of value: UInt64) -> Int {
        var bucket = 0
        // Most values are small: from the low end, and soon done.
        while bucket < count, value > ends[bucket] { bucket += 1 }
        return bucket
    }

    private static let millisecond: UInt64 = 1_000_000

    /// Of calls and their parts: 25 us to 60 s.
    package static let time = HistogramBounds(
        [
            25_000, 50_000, 100_000, 250_000, 500_000, millisecond, 2_500_000, 5 * millisecond,
            10 * millisecond, 25 * millisecond, 50 * millisecond, 100 * millisecond,
            250 * millisecond, 500 * millisecond, 1_000 * millisecond, 2_500 * millisecond,
            5_000 * millisecond, 10_000 * millisecond, 30_000 * millisecond,
            60_000 * millisecond,
        ], .nanoseconds)
    /// Of things that are counted: 1 to 1,024, by doubling.
    package static let sizes = HistogramBounds((0...10).map { 1 << $0 }, .plain)
}
