// When the repository is looked at next. A value: time and chance come from outside.

package import Contract

/// Every `interval` while it answers; sooner and then ever later while it does not.
package struct PollPlan: Sendable {
    /// Zero: only until the first look has succeeded.
    package let interval: Nanoseconds
    private var failures: UInt64 = 0

    /// The wait after the first failure, and the longest.
    package static let first = Nanoseconds.seconds(1)
    package static let longest = Nanoseconds.seconds(60)

    package init(interval: Nanoseconds) { self.interval = interval }

    package mutating func looked(succeeded: Bool) {
        failures = succeeded ? 0 : min(failures + 1, 32)
    }

    /// Nil: not again by itself.
    /// - Parameter chance: 0..<1; many gateways that lost one store do not come back to it together.
    package func wait(chance: Double) -> Nanoseconds? {
        if failures == 0 {
            guard interval > .zero else { return nil }
            // A tenth earlier or later.
            return Nanoseconds(UInt64(Double(interval.count) * (0.9 + 0.2 * chance)))
        }
        let doubled = PollPlan.first.count << min(failures - 1, 20)
        let whole = min(doubled, PollPlan.longest.count)
        return Nanoseconds(whole / 2 + UInt64(Double(whole / 2) * chance))
    }
}
