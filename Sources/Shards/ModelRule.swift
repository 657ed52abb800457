// What an operator wants of some models' memory: how long unused ones stay, and when they are kept warm. Read from the settings
// (`models.rules`) by the house.

package import Contract

package import struct Foundation.Date
package import struct Foundation.TimeZone

/// A rule for the models that its pattern names; of several the first counts.
package struct ModelRule: Sendable, Equatable {
    /// A model's name, or the beginning of names and `*`.
    package var match = ""
    /// A model not called for so long goes to sleep; zero: none does; nil: as the gateway's setting says.
    package var idle: Nanoseconds?
    /// Inside this window the models are woken, and are evicted only when nobody else can make room.
    package var keepWarm: Cron?
    /// Whose clocks the window goes by.
    package var zone = TimeZone.gmt
    /// Never evicted while awake.
    package var isPinned = false

    package init() {}

    package func covers(_ name: String) -> Bool {
        match.hasSuffix("*") ? name.hasPrefix(match.dropLast()) : name == match
    }

    /// - Parameter seconds: since 1970, UTC.
    package func isInWindow(_ seconds: Int64) -> Bool {
        guard let keepWarm else { return false }
        let offset = zone.secondsFromGMT(
            for: Date(timeIntervalSince1970: Double(seconds)))
        return keepWarm.matches(CivilMinute(seconds: seconds, offset: offset))
    }
}
