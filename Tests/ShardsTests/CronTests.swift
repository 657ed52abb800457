// Windows: what cron's five fields mean, what is no window and why, and the calendar behind it.

import Foundation
import Shards
import Testing

@Suite struct CronTests {
    private func fault(_ text: String) -> String? {
        do throws(CronFault) {
            _ = try Cron(text)
            return nil
        } catch {
            return error.message
        }
    }

    /// 2024-02-29 was a Thursday.
    private func minute(_ hour: Int, _ minute: Int, day: Int = 29, month: Int = 2) -> CivilMinute {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let date = calendar.date(
            from: DateComponents(year: 2024, month: month, day: day, hour: hour, minute: minute))
        return CivilMinute(seconds: Int64(date?.timeIntervalSince1970 ?? 0))
    }

    @Test func officeHours() throws {
        let window = try Cron("* 8-17 * * 1-5")
        #expect(window.matches(minute(8, 0)) && window.matches(minute(17, 59)))
        #expect(!window.matches(minute(7, 59)) && !window.matches(minute(18, 0)))
        #expect(!window.matches(minute(12, 0, day: 2, month: 3)), "a Saturday")
        #expect(window.matches(minute(12, 0, day: 4, month: 3)), "a Monday")
    }

    @Test func stepsListsAndNames() throws {
        let window = try Cron("*/15,7 0-6/3 1,29 jan,FEB-mar Thu")
        #expect([0, 7, 15, 30, 45].allSatisfy { window.matches(minute(3, $0)) })
        #expect(!window.matches(minute(3, 8)) && !window.matches(minute(4, 0)))
        #expect(window.matches(minute(6, 0)) && !window.matches(minute(6, 1)))
        #expect(try Cron("10/20 * * * *").matches(minute(0, 50)))
        #expect(!(try Cron("10 * * * *").matches(minute(0, 50))))
    }

    @Test func sundayIsZeroAndSeven() throws {
        let sunday = minute(0, 0, day: 3, month: 3)
        for text in ["* * * * 0", "* * * * 7", "* * * * sun", "* * * * 5-7"] {
            #expect(try Cron(text).matches(sunday), "\(text)")
        }
    }

    /// crontab(5): when both are restricted, one of them is enough.
    @Test func eitherDayIsEnough() throws {
        let window = try Cron("* * 13 * 5")
        #expect(window.matches(minute(0, 0, day: 13, month: 3)), "a Wednesday")
        #expect(window.matches(minute(0, 0, day: 15, month: 3)), "a Friday")
        #expect(!window.matches(minute(0, 0, day: 14, month: 3)))
        #expect(!(try Cron("* * 13 * *").matches(minute(0, 0, day: 15, month: 3))))
    }

    @Test(
        arguments: [
            ("", "it has 0 fields, must have 5"), ("* * * *", "it has 4 fields"),
            ("* * * * * *", "it has 6 fields"), ("@daily", "it has 1 fields"),
            ("60 * * * *", "in its minutes '60' is not from 0 to 59"),
            ("* 24 * * *", "in its hours '24' is not from 0 to 23"),
            ("* * 0 * *", "in its days of the month '0' is not from 1 to 31"),
            ("* * * 13 *", "in its months '13' is not from 1 to 12"),
            ("* * * * 8", "in its days of the week '8' is not from 0 to 7"),
            ("* * * * fun", "in its days of the week 'fun'"),
            ("* 17-8 * * *", "in its hours '17-8' ends before it begins"),
            ("*/0 * * * *", "the step '0' is not from 1"), ("*/ * * * *", "the step ''"),
            ("1,,2 * * * *", "in its minutes ''"), ("-1 * * * *", "in its minutes ''"),
            ("1-2-3 * * * *", "'2-3' is not"), ("+1 * * * *", "'+1' is not"),
            ("٣ * * * *", "in its minutes '٣'"),
            (String(repeating: "1,", count: 200) + " * * * *", "more than 256 characters"),
        ])
    func whatIsNoWindow(text: String, says: String) {
        #expect(fault(text)?.contains(says) == true, "\(fault(text) ?? "nothing")")
    }

    /// Whatever is written, it is read or refused; what is read matches some minute it says it does.
    @Test func anyTextIsReadOrRefused() {
        let seed = UInt64.random(in: 0 ... .max)
        var dice = Dice(seed: seed)
        let letters = Array("0123456789*/,- janMONsun7\t\u{e9}")
        var read = 0
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...24, using: &dice)
            var text = String((0..<length).map { _ in letters.randomElement(using: &dice) ?? " " })
            if Bool.random(using: &dice) {
                let fields = (0..<5).map { _ in
                    ["*", "1", "1-5", "*/2", "1,3", "0", "99"].randomElement(using: &dice) ?? "*"
                }
                text = fields.joined(separator: " ")
            }
            guard let window = try? Cron(text) else { continue }
            read += 1
            for _ in 0..<3 {
                let at = CivilMinute(seconds: Int64.random(in: 0..<4_000_000_000, using: &dice))
                _ = window.matches(at)
            }
        }
        #expect(read > 500, "seed \(seed)")
    }

    @Test func theCalendarIsFoundations() {
        let seed = UInt64.random(in: 0 ... .max)
        var dice = Dice(seed: seed)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for _ in 0..<2_000 {
            let seconds = Int64.random(in: -2_000_000_000..<8_000_000_000, using: &dice)
            let ours = CivilMinute(seconds: seconds)
            let theirs = calendar.dateComponents(
                [.minute, .hour, .day, .month, .weekday],
                from: Date(timeIntervalSince1970: Double(seconds)))
            #expect(
                [ours.minute, ours.hour, ours.day, ours.month, ours.weekday + 1]
                    == [
                        theirs.minute, theirs.hour, theirs.day, theirs.month, theirs.weekday,
                    ], "\(seconds), seed \(seed)")
        }
    }

    @Test func aPlacesClocksAndItsSummerCount() throws {
        var rule = ModelRule()
        rule.match = "fraud-*"
        rule.keepWarm = try Cron("* 8 * * *")
        rule.zone = try #require(TimeZone(identifier: "Europe/Vienna"))
        // 08:00 in Vienna is 07:00 UTC in winter and 06:00 in summer.
        #expect(rule.isInWindow(1_705_302_000) && !rule.isInWindow(1_705_302_000 + 3_600))
        #expect(rule.isInWindow(1_721_023_200) && !rule.isInWindow(1_721_023_200 + 3_600))
        #expect(rule.covers("fraud-1") && rule.covers("fraud-") && !rule.covers("fraud"))
        rule.match = "iris"
        #expect(rule.covers("iris") && !rule.covers("iris-2"))
        rule.match = "*"
        #expect(rule.covers("anything"))
    }
}
