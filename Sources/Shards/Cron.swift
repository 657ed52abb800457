// Windows of time as cron writes them: a minute that the five fields match is inside. Values only; the wall's time comes in
// from outside.

/// Why a text is no window, in words for the one who wrote it.
package struct CronFault: Error, Sendable, Equatable {
    package var message: String
}

/// A minute by the calendar and the clock on the wall.
package struct CivilMinute: Sendable, Equatable {
    package var minute: Int
    package var hour: Int
    /// 1 to 31.
    package var day: Int
    /// 1 to 12.
    package var month: Int
    /// 0 is Sunday.
    package var weekday: Int

    /// - Parameters:
    ///   - seconds: since 1970, UTC.
    ///   - offset: what the place's clocks are ahead of UTC, in seconds.
    package init(seconds: Int64, offset: Int = 0) {
        let local = seconds &+ Int64(offset)
        let days = Int(CivilMinute.floor(local, 86_400))
        let rest = Int(local &- Int64(days) &* 86_400)
        (hour, minute) = (rest / 3_600, rest % 3_600 / 60)
        // 1970-01-01 was a Thursday.
        weekday = (days % 7 + 7 + 4) % 7
        // The Gregorian calendar in eras of 400 years that begin in March (H. Hinnant, "chrono-compatible low-level
        // date algorithms").
        let shifted = days + 719_468
        let era = Int(CivilMinute.floor(Int64(shifted), 146_097))
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let fromMarch = (5 * ofYear + 2) / 153
        day = ofYear - (153 * fromMarch + 2) / 5 + 1
        month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
    }

    private static func floor(_ value: Int64, _ by: Int64) -> Int64 {
        value >= 0 ? value / by : -((-value + by - 1) / by)
    }
}

/// Five fields: minute, hour, day of the month, month, day of the week (crontab(5)). Each is `*`, a number, a range, a
/// list of them, with `/n` for every n-th; months and days of the week may be named. When both days are restricted, one
/// that matches is enough.
package struct Cron: Sendable, Equatable {
    package static let byteCountMax = 256

    /// As it was written.
    package let text: String
    private var minutes: UInt64 = 0
    private var hours: UInt64 = 0
    private var days: UInt64 = 0
    private var months: UInt64 = 0
    private var weekdays: UInt64 = 0
    private var anyDay = false
    private var anyWeekday = false

    private struct Field {
        var name: String
        var range: ClosedRange<Int>
        var words: [String] = []
    }

    private static let fields = [
        Field(name: "minutes", range: 0...59), Field(name: "hours", range: 0...23),
        Field(name: "days of the month", range: 1...31),
        Field(
            name: "months", range: 1...12,
            words: [
                "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
                "dec",
            ]),
        // 7 is Sunday too.
        Field(
            name: "days of the week", range: 0...7,
            words: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ]

    package init(_ text: String) throws(CronFault) {
        self.text = text
        guard text.utf8.count <= Cron.byteCountMax else {
            throw CronFault(message: "it has more than \(Cron.byteCountMax) characters")
        }
        let parts = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard parts.count == Cron.fields.count else {
            throw CronFault(
                message: "it has \(parts.count) fields, must have 5: minute, hour, day of the "
                    + "month, month, day of the week")
        }
        minutes = try Cron.bits(parts[0], Cron.fields[0])
        hours = try Cron.bits(parts[1], Cron.fields[1])
        days = try Cron.bits(parts[2], Cron.fields[2])
        months = try Cron.bits(parts[3], Cron.fields[3])
        weekdays = try Cron.bits(parts[4], Cron.fields[4])
        if weekdays & 1 << 7 != 0 { weekdays |= 1 }
        anyDay = parts[2].first == "*"
        anyWeekday = parts[4].first == "*"
    }

    package func matches(_ at: CivilMinute) -> Bool {
        func has(_ bits: UInt64, _ number: Int) -> Bool { bits & (1 << UInt64(number)) != 0 }
        guard has(minutes, at.minute), has(hours, at.hour), has(months, at.month) else {
            return false
        }
        let (day, weekday) = (has(days, at.day), has(weekdays, at.weekday))
        return anyDay || anyWeekday ? day && weekday : day || weekday
    }

    // MARK: - Reading

    private static func bits(_ text: Substring, _ field: Field) throws(CronFault) -> UInt64 {
        var bits: UInt64 = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let (range, step) = try span(part, field)
            for number in stride(from: range.lowerBound, through: range.upperBound, by: step) {
                bits |= 1 << UInt64(number)
            }
        }
        return bits
    }

    /// `*`, `3`, `3-7`, each with or without `/2`.
    private static func span(
        _ part: Substring, _ field: Field
    ) throws(CronFault) -> (ClosedRange<Int>, step: Int) {
        let pieces = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let isStepped = pieces.count == 2
        var step = 1
        if isStepped {
            guard let every = number(pieces[1]), every >= 1, every <= field.range.upperBound else {
                throw fault(
                    field, "the step '\(pieces[1])' is not from 1 to \(field.range.upperBound)")
            }
            step = every
        }
        if pieces[0] == "*" { return (field.range, step) }
        let ends = pieces[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let first = try value(ends[0], field)
        guard ends.count == 2 else {
            // As crontab(5) has it: from there on, when there is a step.
            return (first...(isStepped ? field.range.upperBound : first), step)
        }
        let last = try value(ends[1], field)
        guard first <= last else {
            throw fault(field, "'\(pieces[0])' ends before it begins")
        }
        return (first...last, step)
    }

    private static func value(_ text: Substring, _ field: Field) throws(CronFault) -> Int {
        let word = text.lowercased()
        if !word.isEmpty, let place = field.words.firstIndex(of: word) { return place }
        guard let value = number(text), field.range.contains(value) else {
            throw fault(
                field,
                "'\(text)' is not from \(field.range.lowerBound) to \(field.range.upperBound)")
        }
        return value
    }

    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 2,
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return Int(text)
    }

    private static func fault(_ field: Field, _ what: String) -> CronFault {
        CronFault(message: "in its \(field.name) \(what)")
    }
}
