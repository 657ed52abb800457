// `usage`: how long the ledger remembers.

package import Contract

package struct UsageSettings: Sendable, Equatable {
    /// Hours older than this are forgotten; zero: none. Quotas of a month need that month.
    package var keep = Nanoseconds.seconds(400 * 86_400)

    package init() {}
}

extension Settings {
    static let usageRules: [SettingRule<Settings>] = [
        .time(
            "usage.keep", .seconds(32 * 86_400)...(.seconds(36_500 * 86_400)), \.usage.keep,
            orZero: true)
    ]
}
