// `plans`: what callers may use, a list of maps like the issuers. This is how they are written; Admission's values are made
// of it by the reader next door.

import Admission
package import Contract

/// Limits as they are written: of one of `plans`, or of one of its `models`.
package struct PlanLimitsText: Sendable, Equatable {
    package var rate = ""
    package var burst = 0
    package var concurrency = 0
    package var bytesInFlight = 0
    package var day = QuotaText()
    package var month = QuotaText()
}

/// `day` and `month`.
package struct QuotaText: Sendable, Equatable {
    package var calls = 0
    package var compute = Nanoseconds.zero
    package var gigabyteSeconds = ""
}

/// One of `plans` as it is written.
package struct PlanText: Sendable, Equatable {
    package enum Urgency: String, Sendable, CaseIterable { case interactive, batch }

    package var name = ""
    package var limits = PlanLimitsText()
    package var weight = 1
    package var priority = Urgency.interactive

    /// The keys of one of `plans`.
    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<PlanText>] =
        [
            .text("name", "letters, digits, '.', '_' and '-', at most 64", \.name, isName),
            .count("weight", 1...1_000, \.weight),
            .choice("priority", \.priority),
        ] + PlanLimitsText.rules.map { $0.within(\PlanText.limits) }

    static let isName: @Sendable (String) -> Bool = { text in
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// One of a plan's `models` as it is written.
package struct PlanPartText: Sendable, Equatable {
    package var match = ""
    package var limits = PlanLimitsText()

    /// The keys of one of a plan's `models`.
    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<PlanPartText>] =
        [
            .text("match", "a model's name, or the beginning of names and *", \.match, isPattern)
        ] + PlanLimitsText.rules.map { $0.within(\PlanPartText.limits) }

    private static let isPattern: @Sendable (String) -> Bool = { text in
        let name = text.hasSuffix("*") ? text.dropLast() : Substring(text)
        return text == "*" || ModelName(String(name)) != nil
    }
}

extension PlanLimitsText {
    /// What stands in a plan and in each of its `models`.
    static let rules: [SettingRule<PlanLimitsText>] = [
        .text(
            "rate", "calls in a time, like 100/s, 6000/m or 5/10s", \.rate,
            { SettingText.rate($0) != nil }),
        .count("burst", 1...1_000_000_000, \.burst),
        .count("concurrency", 1...10_000_000, \.concurrency),
        .size("bytes_in_flight", 1...1 << 40, \.bytesInFlight),
        .count("day.calls", 1...calls, \.day.calls),
        .time("day.compute", .milliseconds(1)...month, \.day.compute),
        .text("day.gigabyte_seconds", gigabytes, \.day.gigabyteSeconds, isGigabytes),
        .count("month.calls", 1...calls, \.month.calls),
        .time("month.compute", .milliseconds(1)...year, \.month.compute),
        .text("month.gigabyte_seconds", gigabytes, \.month.gigabyteSeconds, isGigabytes),
    ]

    private static let calls: UInt64 = 1_000_000_000_000
    // Several cores compute at the same time.
    private static let month = Nanoseconds.seconds(86_400 * 31)
    private static let year = Nanoseconds.seconds(86_400 * 366)
    private static let gigabytes = "a number above 0, like 100 or 0.5"
    private static let isGigabytes: @Sendable (String) -> Bool = {
        SettingText.gigabyteSeconds($0) != nil
    }
}

extension SettingRule {
    /// The same rule for a part of something larger.
    func within<Outer>(
        _ path: any WritableKeyPath<Outer, Root> & Sendable
    ) -> SettingRule<Outer> {
        let accept = accept
        return SettingRule<Outer>(
            key: key, allowed: allowed, isList: isList, isSecret: isSecret
        ) { values, outer in accept(values, &outer[keyPath: path]) }
    }
}

extension SettingText {
    /// Calls in a time: `100/s`, `6000/m`, `5/10s`, `1000/d`.
    package static func rate(_ text: String) -> (count: UInt64, period: Nanoseconds)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = wholeNumber(parts[0]), count > 0, count <= 1 << 40
        else { return nil }
        let isBare = parts[1].first.map { !$0.isWholeNumber } ?? true
        guard let period = time((isBare ? "1" : "") + parts[1]), period > .zero,
            period <= .seconds(86_400)
        else { return nil }
        return (count, period)
    }

    /// Byte-nanoseconds of a number of gigabyte-seconds with at most three decimals.
    package static func gigabyteSeconds(_ text: String) -> UInt128? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = wholeNumber(parts[0]),
            whole <= 1_000_000_000_000
        else { return nil }
        var thousandths: UInt64 = 0
        if parts.count == 2 {
            let digits = parts[1]
            guard digits.utf8.count <= 3, let number = wholeNumber(digits) else { return nil }
            thousandths = number * [1, 100, 10, 1][digits.utf8.count]
        }
        let sum = UInt128(whole) * 1_000 + UInt128(thousandths)
        return sum == 0 ? nil : sum * 1_000_000_000_000_000
    }
}
