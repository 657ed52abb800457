// `sluice cost`: what a fleet costs on this machine, and what it would have cost elsewhere, from the ledger or a plan.

import ArgumentParser
import Contract
import Costs
import Foundation
import Usage

struct CostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cost",
        abstract: "Say what serving these models costs here, and would have cost elsewhere.",
        discussion: """
            From the ledger of --state, or of a plan (examples/case-study.yaml). Prices are list prices with source and \
            date for each, or assumptions that are told: --print-prices shows the table, --prices takes another. The \
            formulas are in docs/cost.md.
            """)

    @Option(
        help: ArgumentHelp("Price a plan and not the ledger: a YAML file.", valueName: "file"))
    var plan: String?
    @Option(help: ArgumentHelp("Another price table: a YAML file.", valueName: "file"))
    var prices: String?
    @Option(
        help: ArgumentHelp(
            "The machine Sluice runs on: one of the price table, or USD a month.",
            valueName: "machine"))
    var machine: String?
    @Option(help: ArgumentHelp("From when: 7d, 12h, or a date.", valueName: "time"))
    var since: String?
    @Option(help: ArgumentHelp("One month, such as 2026-11.", valueName: "month"))
    var month: String?
    @Option(
        help: ArgumentHelp(
            "Draw cost against calls an hour with the break-even points: an SVG.",
            valueName: "file"))
    var plot: String?
    @Flag(help: "List every figure with its source.") var sources = false
    @Flag(help: "Print the embedded price table, for changing.") var printPrices = false
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var options: TokenCommand.StateOptions

    func validate() throws {
        guard plan == nil || (since == nil && month == nil) else {
            throw ValidationError("--since and --month are for the ledger; a plan has none.")
        }
        guard since == nil || month == nil else {
            throw ValidationError("Give one of --since and --month.")
        }
    }

    func run() async throws {
        try await reportingFailures { try report() }
    }

    /// A function of its own: Swift 6.3.1 crashes while it optimises all of it as an asynchronous closure.
    private func report() throws {
        if printPrices { return print(PriceTable.embeddedText, terminator: "") }
        let table =
            try prices.map { try PriceTable(yaml: Self.text($0, "price table"), file: $0) }
            ?? PriceTable.embedded()
        var fleet =
            try plan.map {
                try CostPlan(yaml: Self.text($0, "plan"), file: $0, prices: table)
            } ?? measured()
        if let machine { fleet.machine = try Self.machine(machine, table) }
        let report = CostReport(fleet, table)
        let curves = CostCurves(fleet, table)
        if let plot {
            let period =
                fleet.hours.map { "for \(CostText.fixed($0, digits: 0)) hours" } ?? "a month"
            let chart = CostChart(
                curves, title: "What it costs: \(fleet.name)", period: period)
            try Self.write(chart.svg(), to: plot)
        }
        if json { return try printJSON(CostJSON(report, curves)) }
        for line in CostPages.lines(report, curves, sources: sources) { print(line) }
        if let plot { print("\ndrawn: \(plot)") }
    }

    // MARK: - What is priced

    /// The fleet as the ledger knows it.
    private func measured() throws -> CostPlan {
        let now = Int64(Date().timeIntervalSince1970)
        var from =
            try since.map { try UsageCommand.hour($0, option: "--since", now: now) }
            ?? WallCalendar.hour(now - 30 * 86_400)
        var until = WallCalendar.hour(now) + 1
        if let month {
            guard month.wholeMatch(of: #/\d{4}-\d{2}/#) != nil,
                let first = UsageCommand.date("\(month)-01")
            else { throw ValidationError("--month: '\(month)' is no month such as 2026-11.") }
            from = WallCalendar.hour(first)
            let next = WallCalendar.startOfMonth(WallCalendar.month(first) + 1)
            until = min(until, WallCalendar.hour(next))
        }
        let reader = try UsageReader(state: options.state)
        guard from < until, let first = try reader.firstHour(since: from), first < until else {
            throw CommandFailure(
                .data,
                "the ledger '\(reader.path)' has no calls in that time. Choose another by --since, or price a plan by --plan"
            )
        }
        let totals = try reader.totals(since: first, until: until, by: .model)
        let clients = try reader.totals(since: first, until: until, by: .client)
        try reader.close()
        let hours = Double(until - first)
        let models = totals.compactMap { Self.model($0, hours: hours) }
        guard !models.isEmpty else {
            throw CommandFailure(
                .data, "the ledger '\(reader.path)' has no runs of models in that time")
        }
        var plan = CostPlan(
            name: "the fleet of \(options.state) since \(UsageCommand.date(hour: first))",
            models: models)
        plan.hours = hours
        plan.isMeasured = true
        plan.clients = max(1, clients.count { $0.client != UsageReader.nobody })
        plan.assumptions = [
            "a model's memory is the most it held in a run; Python would hold as much",
            "a model's file is as large as its memory",
            "each client takes a new token every hour",
        ]
        return plan
    }

    private static func model(_ total: UsageTotal, hours: Double) -> FleetModel? {
        guard let name = total.model, !name.isEmpty, total.calls > 0, total.bytesPeak > 0 else {
            return nil
        }
        var model = FleetModel(
            name: name, memory: total.bytesPeak / 1_048_576,
            run: total.run / total.calls, callsPerHour: total.calls / hours)
        model.data = (total.bytesIn + total.bytesOut) / total.calls / 1_048_576
        model.coldShare = min(1, total.cold / total.calls)
        model.load = total.cold > 0 ? total.load / total.cold : nil
        return model
    }

    /// One of the table, or a price a month for this very machine.
    private static func machine(_ text: String, _ table: PriceTable) throws -> Machine {
        if let known = table.machine(named: text) { return known }
        guard let price = Double(text), price.isFinite else {
            let names = table.machines.map(\.name).joined(separator: ", ")
            throw ValidationError(
                "--machine: '\(text)' is neither USD a month nor one of \(names).")
        }
        guard price >= 0 else { throw ValidationError("--machine: a price cannot be negative.") }
        let here = ProcessInfo.processInfo
        return Machine(
            name: "this machine", price: price / table[.month],
            cores: Double(here.activeProcessorCount),
            memory: Double(here.physicalMemory) / 1_048_576,
            baseline: Double(here.activeProcessorCount),
            origin: .document("--machine", read: ""))
    }

    // MARK: - Files

    private static func text(_ path: String, _ what: String) throws -> String {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            let why =
                FileManager.default.fileExists(atPath: path) ? "cannot be read" : "is not there"
            throw CommandFailure(.data, "the \(what) '\(path)' \(why)")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw CommandFailure(.data, "the \(what) '\(path)' is not UTF-8")
        }
        return text
    }

    private static func write(_ text: String, to path: String) throws {
        do {
            let type = try? FileManager.default.attributesOfItem(atPath: path)[.type]
            // Never a file in the place of a device: whoever is root would have no /dev/null any more.
            let isDevice = (type as? FileAttributeType).map { $0 != .typeRegular } ?? false
            try Data(text.utf8).write(
                to: URL(filePath: path), options: isDevice ? [] : .atomic)
        } catch {
            throw CommandFailure(.data, "'\(path)' cannot be written")
        }
    }
}
