// The time of day of a span. Calls are timed by the monotonic clock; where it stands on the wall is looked up once.

package import Contract

/// One moment on both clocks. Spans made of it are in order whatever happens to the clock on the wall: one that is set, forward or
/// back, is not followed until the gateway starts again.
package struct WallAnchor: Sendable, Equatable {
    private let moment: Instant
    private let wall: UInt64

    /// - Parameter wall: nanoseconds since 1970 at `moment`.
    package init(moment: Instant, wall: UInt64) {
        self.moment = moment
        self.wall = wall
    }

    /// Nanoseconds since 1970.
    package func time(of instant: Instant) -> UInt64 {
        let ago = moment.since(instant).count
        guard ago == 0 else { return wall > ago ? wall - ago : 0 }
        let (sum, overflow) = wall.addingReportingOverflow(instant.since(moment).count)
        return overflow ? .max : sum
    }
}
