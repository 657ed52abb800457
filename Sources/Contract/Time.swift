// Time is a parameter: rooms are told the instant, they never read a clock.

private import NIOCore

/// A point on the monotonic clock, in nanoseconds since an arbitrary start.
package struct Instant: Sendable, Hashable, Comparable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Never.
    package static let max = Instant(nanoseconds: .max)

    /// Reads the clock. For doors, the shards' threads and the house; never for a room's logic.
    package static func now() -> Instant {
        Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    package static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturating: an instant never wraps around.
    package static func + (instant: Instant, nanoseconds: Nanoseconds) -> Instant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(nanoseconds.count)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    package func since(_ earlier: Instant) -> Nanoseconds {
        Nanoseconds(nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
    }
}

/// A span of time. A plain 64-bit number on the path of a call, where `Duration` has 128 bits.
package struct Nanoseconds: Sendable, Hashable, Comparable {
    package var count: UInt64

    package init(_ count: UInt64) { self.count = count }

    package static let zero = Nanoseconds(0)
    package static func microseconds(_ count: UInt64) -> Nanoseconds { Nanoseconds(count * 1_000) }
    package static func milliseconds(_ count: UInt64) -> Nanoseconds {
        Nanoseconds(count * 1_000_000)
    }
    package static func seconds(_ count: UInt64) -> Nanoseconds {
        Nanoseconds(count * 1_000_000_000)
    }

    package var microseconds: UInt64 { count / 1_000 }
    package var milliseconds: UInt64 { count / 1_000_000 }

    package static func < (left: Nanoseconds, right: Nanoseconds) -> Bool {
        left.count < right.count
    }

    package static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
        let (sum, overflow) = left.count.addingReportingOverflow(right.count)
        return Nanoseconds(overflow ? .max : sum)
    }
}

extension Nanoseconds: CustomStringConvertible {
    /// For example `1.5 s`, `20 ms` or `3 us`.
    package var description: String {
        switch count {
        case 1_000_000_000...:
            let tenths = count / 100_000_000
            return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
        case 1_000_000...: return "\(count / 1_000_000) ms"
        case 1_000...: return "\(count / 1_000) us"
        default: return "\(count) ns"
        }
    }
}
