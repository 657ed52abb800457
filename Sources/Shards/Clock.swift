// The time as this room's threads read it. A value of its own, because a closure would be counted on every call.

package import Contract

/// The machine's monotonic clock, or a test's.
package struct Clock: Sendable {
    private let reading: (@Sendable () -> Instant)?

    package static let system = Clock(reading: nil)

    package static func manual(_ reading: @escaping @Sendable () -> Instant) -> Clock {
        Clock(reading: reading)
    }

    private init(reading: (@Sendable () -> Instant)?) { self.reading = reading }

    func now() -> Instant {
        if let reading { reading() } else { .now() }
    }
}
