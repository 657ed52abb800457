// When a line's call arrived, by the clock on the wall: texts of a second and a millisecond are made once for all of its lines.

package import Contract
import Foundation

package struct LineClock: Sendable {
    /// Nanoseconds since 1970, at the same moment as `now` on the monotonic clock.
    private var wall: UInt64
    private var now: Instant
    private var second = UInt64.max
    private var secondText = ""
    /// Of the moment it was turned to last, since 1970.
    package private(set) var millisecond = UInt64.max
    /// The same as RFC 3339 has it: `2026-11-23T06:15:00.250Z`.
    package private(set) var text: [UInt8] = []
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

    /// Has the texts of a moment ready.
    package mutating func turn(to moment: Instant) {
        let since1970 =
            moment > now
            ? wall + moment.since(now).count : wall - min(wall, now.since(moment).count)
        let new = since1970 / 1_000_000
        guard new != millisecond else { return }
        millisecond = new
        if new / 1_000 != second {
            second = new / 1_000
            let text = Date(timeIntervalSince1970: Double(second)).ISO8601Format()
            secondText = String(text.dropLast())
            common = Array(LineClock.common(text).utf8)
        }
        let digits = UInt8(ascii: "0")
        let rest = UInt16(new % 1_000)
        text.removeAll(keepingCapacity: true)
        text.append(contentsOf: secondText.utf8)
        text.append(UInt8(ascii: "."))
        text.append(digits + UInt8(rest / 100))
        text.append(digits + UInt8(rest / 10 % 10))
        text.append(digits + UInt8(rest % 10))
        text.append(UInt8(ascii: "Z"))
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
