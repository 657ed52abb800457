// The time as this room's threads read it. A value of its own, because a closure would be counted on every call.

package import Contract

private import struct Foundation.Date

/// The machine's monotonic clock, or a test's.
package struct Clock: Sendable {
    private let reading: (@Sendable () -> Instant)?
    /// Seconds since 1970, UTC: for windows that go by the clock on the wall.
    let wall: @Sendable () -> Int64

    package static let system = Clock(reading: nil) { Int64(Date().timeIntervalSince1970) }

    package static func manual(
        _ reading: @escaping @Sendable () -> Instant, wall: @escaping @Sendable () -> Int64 = { 0 }
    ) -> Clock {
        Clock(reading: reading, wall: wall)
    }

    private init(
        reading: (@Sendable () -> Instant)?, wall: @escaping @Sendable () -> Int64
    ) {
        self.reading = reading
        self.wall = wall
    }

    func now() -> Instant {
        if let reading { reading() } else { .now() }
    }
}
