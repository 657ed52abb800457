// The Date field (RFC 9110 section 5.6.7), written once a second for all connections.

import Contract
private import Foundation
private import Synchronization

package enum HTTPDate {
    private static let written = Mutex((second: -1, text: ""))

    /// The system's clock, now, and for how long it stays so: a connection asks again no sooner.
    static var now: (text: String, valid: Nanoseconds) {
        let time = Date().timeIntervalSince1970
        let second = Int(time)
        let line = written.withLock { written in
            if written.second != second { written = (second, text(second)) }
            return written.text
        }
        return (line, .milliseconds(UInt64(max(0, min(1, Double(second) + 1 - time)) * 1_000)))
    }

    /// For example `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970, not before.
    package static func text(_ seconds: Int) -> String {
        let days = seconds / 86_400
        let inDay = seconds - days * 86_400
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let (year, month, day) = civil(days)
        return weekdays[days % 7] + ", " + padded(day) + " " + months[month - 1] + " "
            + String(year) + " " + padded(inDay / 3_600) + ":" + padded(inDay / 60 % 60) + ":"
            + padded(inDay % 60) + " GMT"
    }

    private static func padded(_ number: Int) -> String {
        number < 10 ? "0\(number)" : String(number)
    }

    /// Year, month and day of days since 1970, counted in eras of 400 years that begin in March.
    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * fromMarch + 2) / 5 + 1
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
