// `access_log` and `slow_log`: what is written down of each call, and of those that took long.

package import Contract

/// `access_log`: a line for each call.
package struct AccessLogSettings: Sendable, Equatable {
    package enum Format: String, Sendable, CaseIterable { case json, common }

    /// Nil: no access log. ``standardOutput``, or the path of a file.
    package var path: String?
    package var format = Format.json
    /// Of the calls that are no error and not cold, one in this many; zero: none.
    package var sample = 1
    /// A file this large is set aside as PATH.1, that as PATH.2, ...; zero: never, somebody else does that.
    package var bytes = 64 << 20
    /// How many are kept beside the one that is written.
    package var files = 4
    /// Lines that may wait for the disk.
    package var queue = 65_536

    package static let standardOutput = "stdout"

    package init() {}
}

/// `slow_log`: a warning for each call that took long.
package struct SlowLogSettings: Sendable, Equatable {
    /// Zero: no warnings.
    package var over = Nanoseconds.zero
    /// Warnings a second; more are counted.
    package var perSecond = 10

    package init() {}
}

extension Settings {
    static let callLogRules: [SettingRule<Settings>] = [
        .optionalText(
            "access_log.path", "stdout, or the path of a file", \.accessLog.path, isPath),
        .choice("access_log.format", \.accessLog.format),
        .count("access_log.sample", 0...1_000_000_000, \.accessLog.sample),
        .size("access_log.bytes", 0...1 << 40, \.accessLog.bytes),
        .count("access_log.files", 1...1_000, \.accessLog.files),
        .count("access_log.queue", 1_024...4_194_304, \.accessLog.queue),
        .time(
            "slow_log.over", .microseconds(1)...(.seconds(86_400)), \.slowLog.over, orZero: true),
        .count("slow_log.per_second", 1...1_000, \.slowLog.perSecond),
    ]
}
