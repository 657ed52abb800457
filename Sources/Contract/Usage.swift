// What callers used, as Admission counts it and the room Usage keeps it: one line for each hour, client, plan and model.

/// Whose use it is, of what and when.
package struct UsageKey: Sendable, Hashable {
    /// Hours since 1970, UTC.
    package var hour: Int64
    package var issuer: String
    package var client: String
    /// The plan's name; empty for callers without one.
    package var plan: String
    /// A model of the catalogue, or empty for calls of none; ``other`` for what is beyond the bounds.
    package var model: String

    /// Stands for clients and models that are too many to be told apart.
    package static let other = "(other)"

    package init(hour: Int64, issuer: String, client: String, plan: String, model: String) {
        self.hour = hour
        self.issuer = issuer
        self.client = client
        self.plan = plan
        self.model = model
    }
}

/// Sums over calls. They saturate instead of wrapping around.
package struct UsageCounts: Sendable, Equatable {
    /// Calls that were admitted.
    package var calls: UInt64 = 0
    /// Of these, the ones answered with a failure.
    package var errors: UInt64 = 0
    /// Of these, the ones that found their model asleep.
    package var cold: UInt64 = 0
    /// Bytes of the messages in, and of the tensors out.
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Nanoseconds that models ran, and that calls waited for a shard.
    package var run: UInt64 = 0
    package var queue: UInt64 = 0
    /// Nanoseconds of CPU the runs took, and that cold calls waited for their model.
    package var cpu: UInt64 = 0
    package var load: UInt64 = 0
    /// Bytes the model held, times the nanoseconds it ran. 10^18 are a gigabyte-second.
    package var byteTime: UInt128 = 0
    /// The most bytes a model held in one of the runs.
    package var bytesPeak: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { self == UsageCounts() }

    package static func += (left: inout UsageCounts, right: UsageCounts) {
        left.calls = sum(left.calls, right.calls)
        left.errors = sum(left.errors, right.errors)
        left.cold = sum(left.cold, right.cold)
        left.bytesIn = sum(left.bytesIn, right.bytesIn)
        left.bytesOut = sum(left.bytesOut, right.bytesOut)
        left.run = sum(left.run, right.run)
        left.queue = sum(left.queue, right.queue)
        left.cpu = sum(left.cpu, right.cpu)
        left.load = sum(left.load, right.load)
        left.byteTime = sum(left.byteTime, right.byteTime)
        left.bytesPeak = max(left.bytesPeak, right.bytesPeak)
    }

    private static func sum<Number: FixedWidthInteger>(_ left: Number, _ right: Number) -> Number {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}

/// One line of the ledger.
package struct UsageRow: Sendable, Equatable {
    package var key: UsageKey
    package var counts: UsageCounts

    package init(_ key: UsageKey, _ counts: UsageCounts) {
        self.key = key
        self.counts = counts
    }
}

/// How much memory a model held while it was awake in one hour, called or not.
package struct AwakeRow: Sendable, Equatable {
    /// Hours since 1970, UTC.
    package var hour: Int64
    package var model: String
    /// Bytes it held, times nanoseconds; saturating.
    package var byteTime: UInt128
    /// Nanoseconds it was awake; of several versions that were awake together, the sum.
    package var time: UInt64

    package init(hour: Int64, model: String, byteTime: UInt128, time: UInt64) {
        self.hour = hour
        self.model = model
        self.byteTime = byteTime
        self.time = time
    }
}

/// What was used of a quota in one day or month.
package struct Spent: Sendable, Equatable {
    package var calls: UInt64 = 0
    /// Nanoseconds that models ran.
    package var run: UInt64 = 0
    /// Byte-nanoseconds, as ``UsageCounts/byteTime``.
    package var byteTime: UInt128 = 0

    package init(calls: UInt64 = 0, run: UInt64 = 0, byteTime: UInt128 = 0) {
        self.calls = calls
        self.run = run
        self.byteTime = byteTime
    }
}

/// What a client has used of a model in the day and month that go on: read back at start.
package struct UsageSum: Sendable, Equatable {
    package var issuer: String
    package var client: String
    package var plan: String
    package var model: String
    package var day: Spent
    package var month: Spent

    package init(
        issuer: String, client: String, plan: String, model: String, day: Spent, month: Spent
    ) {
        self.issuer = issuer
        self.client = client
        self.plan = plan
        self.model = model
        self.day = day
        self.month = month
    }
}

/// Days, months and hours of UTC, from seconds since 1970 (proleptic Gregorian calendar, no leap seconds).
package enum WallCalendar {
    package static func hour(_ seconds: Int64) -> Int64 { floor(seconds, 3_600) }
    package static func day(_ seconds: Int64) -> Int64 { floor(seconds, 86_400) }

    /// Months since January 1970.
    package static func month(_ seconds: Int64) -> Int64 {
        let (year, month) = civil(day: day(seconds))
        return (year - 1970) * 12 + month - 1
    }

    package static func startOfDay(_ day: Int64) -> Int64 { day * 86_400 }

    package static func startOfMonth(_ month: Int64) -> Int64 {
        let years = floor(month, 12)
        return startOfDay(days(year: 1970 + years, month: month - years * 12 + 1))
    }

    /// H. Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years that begin in March.
    private static func civil(day: Int64) -> (year: Int64, month: Int64) {
        let shifted = day + 719_468
        let era = floor(shifted, 146_097)
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let fromMarch = (5 * ofYear + 2) / 153
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        return (year + era * 400 + (month <= 2 ? 1 : 0), month)
    }

    /// The first day of a month.
    private static func days(year: Int64, month: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floor(shifted, 400)
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }

    private static func floor(_ value: Int64, _ by: Int64) -> Int64 {
        value >= 0 ? value / by : -((-value + by - 1) / by)
    }
}
