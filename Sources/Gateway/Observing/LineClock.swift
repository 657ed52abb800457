// When a line's call arrived, by the clock on the wall: texts of a second are made once for all of its lines.

package import Contract
import Foundation

package struct LineClock: Sendable {
    /// Nanoseconds since 1970, at the same moment as `now` on the monotonic clock.
    private var wall: UInt64
    private var now: Instant
    private var current = UInt64.max
    /// `2026-11-23T06:15:00.`
    package private(set) var second: [UInt8] = []
    /// `23/Nov/2026:06:15:00 +0000`
    package private(set) var common: [UInt8] = []

    package init(wall: UInt64, now: Instant) {
        self.wall = wall
        self.now = now
    }

    /// Nanoseconds since 1970.
    package static func wall() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970) * 1e9) }

    /// Compares the clocks anew: that on the wall may have been set.
    package mutating func set(wall: UInt64, now: Instant) {
        self.wall = wall
        self.now = now
    }

    /// Has the texts of the moment's second ready. Returns the milliseconds behind it.
    package mutating func turn(to moment: Instant) -> UInt64 {
        let since1970 =
            moment > now
            ? wall + moment.since(now).count : wall - min(wall, now.since(moment).count)
        let new = since1970 / 1_000_000_000
        if new != current {
            current = new
            let text = Date(timeIntervalSince1970: Double(new)).ISO8601Format()
            second = Array((text.dropLast() + ".").utf8)
            common = Array(LineClock.common(text).utf8)
        }
        return since1970 / 1_000_000 % 1_000
    }

    /// `2026-11-23T06:15:00Z` as `23/Nov/2026:06:15:00 +0000`.
    private static func common(_ text: String) -> String {
        let parts = text.split { "-TZ".contains($0) }
        guard parts.count == 4, let month = Int(parts[1]), (1...12).contains(month) else {
            return text
        }
        let names = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        return "\(parts[2])/\(names[month - 1])/\(parts[0]):\(parts[3]) +0000"
    }
}
