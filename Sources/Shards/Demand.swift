// How much a model is wanted: calls count 1 when they come and half of that for each half-life since.

package import Contract

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A count that fades.
package struct Demand: Sendable, Equatable {
    /// Long enough for models that are called ten times an hour (docs/decisions/0008).
    package static let halfLife = Nanoseconds.seconds(3_600)

    private var value = 0.0
    private var at = Instant(nanoseconds: 0)

    package init() {}

    package mutating func add(_ calls: UInt64, at now: Instant) {
        value = self.value(at: now) + Double(calls)
        at = max(at, now)
    }

    package func value(at now: Instant) -> Double {
        guard value > 0, now > at else { return value }
        return value * exp2(-Double(now.since(at).count) / Double(Demand.halfLife.count))
    }
}
