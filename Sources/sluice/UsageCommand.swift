// `sluice usage`: what callers used, from the ledger in the state folder, also while a gateway writes it.

import ArgumentParser
import Contract
import Foundation
import Usage

struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Show what callers used, from the ledger.",
        discussion: """
            A row for each client and model, or one for each of --by. Reads the state folder, also beside a running \
            gateway, which writes twice a second. Hours and days are UTC.
            """)

    @Option(help: "client, model or day.") var by: Grouping?
    @Option(help: ArgumentHelp("From when: 7d, 12h, or a date.", valueName: "time"))
    var since = "30d"
    @Flag(help: "Print CSV.") var csv = false
    @Flag(help: "Print JSON, an array.") var json = false
    @OptionGroup var options: TokenCommand.StateOptions

    enum Grouping: String, ExpressibleByArgument {
        case client, model, day
    }

    /// One row; what is added up is absent.
    struct Row: Codable {
        var day: String?
        var issuer: String?
        var client: String?
        var model: String?
        var calls: UInt64
        var errors: UInt64
        var cold: UInt64
        var bytes_in: UInt64
        var bytes_out: UInt64
        var run_seconds: Double
        var cpu_seconds: Double
        var queue_seconds: Double
        var load_seconds: Double
        var gigabyte_seconds: Double
        var awake_gigabyte_seconds: Double
        var peak_bytes: UInt64

        init(_ total: UsageTotal) {
            func whole(_ value: Double) -> UInt64 { UInt64(exactly: value.rounded()) ?? .max }
            /// Microseconds are enough.
            func short(_ value: Double) -> Double { (value * 1e6).rounded() / 1e6 }
            day = total.day.map { UsageCommand.date(hour: $0 * 24) }
            issuer = total.issuer
            client = total.client
            model = total.model
            calls = whole(total.calls)
            errors = whole(total.errors)
            cold = whole(total.cold)
            bytes_in = whole(total.bytesIn)
            bytes_out = whole(total.bytesOut)
            run_seconds = short(total.run)
            cpu_seconds = short(total.cpu)
            queue_seconds = short(total.queue)
            load_seconds = short(total.load)
            gigabyte_seconds = short(total.gigabyteSeconds)
            awake_gigabyte_seconds = short(total.awakeGigabyteSeconds)
            peak_bytes = whole(total.bytesPeak)
        }

        var names: [String] { [day, issuer, client, model].compactMap { $0 } }
        var numbers: [String] {
            [
                "\(calls)", "\(errors)", "\(cold)", "\(bytes_in)", "\(bytes_out)",
                "\(run_seconds)", "\(cpu_seconds)", "\(queue_seconds)", "\(load_seconds)",
                "\(gigabyte_seconds)", "\(awake_gigabyte_seconds)", "\(peak_bytes)",
            ]
        }
    }

    static let columns = [
        "calls", "errors", "cold", "bytes_in", "bytes_out", "run_seconds", "cpu_seconds",
        "queue_seconds", "load_seconds", "gigabyte_seconds", "awake_gigabyte_seconds", "peak_bytes",
    ]

    func validate() throws {
        guard !(csv && json) else { throw ValidationError("Give one of --csv and --json.") }
    }

    func run() async throws {
        try await reportingFailures {
            let now = Int64(Date().timeIntervalSince1970)
            let from = try Self.hour(since, option: "--since", now: now)
            let reader = try UsageReader(state: options.state)
            let totals = try reader.totals(
                since: from, until: .max, by: by.flatMap { UsageGrouping(rawValue: $0.rawValue) })
            try reader.close()
            let rows = totals.map(Row.init)
            if json { return try printJSON(rows) }
            let names =
                by.map { $0 == .client ? ["issuer", "client"] : [$0.rawValue] }
                ?? ["issuer", "client", "model"]
            let table = [names + Self.columns] + rows.map { $0.names + $0.numbers }
            if csv {
                for row in table { print(row.map(Self.quoted).joined(separator: ",")) }
                return
            }
            for line in Table.lines(Self.forPeople(names, rows)) { print(line) }
            if rows.isEmpty { printError("nothing was used since \(Self.date(hour: from))") }
        }
    }

    private static func forPeople(_ names: [String], _ rows: [Row]) -> [[String]] {
        func places(_ value: Double) -> String { String(format: "%.1f", value) }
        let head =
            names + [
                "calls", "errors", "cold", "in MB", "out MB", "run s", "cpu s", "GB s",
                "GB s awake", "peak MB",
            ]
        return [head.map { $0.uppercased() }]
            + rows.map { row in
                row.names + [
                    "\(row.calls)", "\(row.errors)", "\(row.cold)",
                    places(Double(row.bytes_in) / 1e6), places(Double(row.bytes_out) / 1e6),
                    places(row.run_seconds), places(row.cpu_seconds),
                    places(row.gigabyte_seconds), places(row.awake_gigabyte_seconds),
                    places(Double(row.peak_bytes) / 1e6),
                ]
            }
    }

    /// RFC 4180, section 2.
    static func quoted(_ field: String) -> String {
        guard field.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else {
            return field
        }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }

    // MARK: - Times

    /// The hour that a time of the command line names: so long ago, or a date.
    static func hour(_ text: String, option: String, now: Int64) throws -> Int64 {
        if let date = date(text) { return WallCalendar.hour(date) }
        let time = try TokenCommand.time(text, option: option)
        let seconds = Int64(time.count / 1_000_000_000)
        guard seconds < now else {
            throw ValidationError("\(option): '\(text)' is too long ago.")
        }
        return WallCalendar.hour(now - seconds)
    }

    /// Seconds since 1970 of `2026-11-23`, or nil.
    static func date(_ text: String) -> Int64? {
        guard text.wholeMatch(of: #/\d{4}-\d{2}-\d{2}/#) != nil else { return nil }
        do {
            let date = try Date(text + "T00:00:00Z", strategy: .iso8601)
            return Int64(date.timeIntervalSince1970)
        } catch {
            return nil
        }
    }

    static func date(hour: Int64) -> String {
        String(Date(timeIntervalSince1970: Double(hour) * 3_600).ISO8601Format().prefix(10))
    }
}
