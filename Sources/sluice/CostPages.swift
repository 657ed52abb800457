// A cost report for people, and as JSON.

import Costs

enum CostPages {
    static func lines(_ report: CostReport, _ curves: CostCurves, sources: Bool) -> [String] {
        var lines = [
            "\(report.plan.name): \(report.plan.modelCount) models, "
                + "\(CostText.fixed(report.calls, digits: 0)) calls in "
                + "\(CostText.fixed(report.hours, digits: 0)) hours", "",
        ]
        let head = [["", "USD", "WARM", "COLD", "COLD CALLS", "OF WHICH"]]
        lines += Table.lines(head + report.lines.map(cells))
        if !curves.breakEvens.isEmpty {
            lines += ["", "break-even, calls an hour to each model:"]
            lines += curves.breakEvens.map {
                "  \(CostText.fixed($0.rate, digits: 2, trimmed: true)): below it \($0.below.title) is "
                    + "cheaper, above it \($0.above.title)"
            }
        }
        lines += ["", "assumed:"] + report.assumptions.map { "  \($0)" }
        guard sources else {
            return lines + ["", "every other price has a source and a date: --sources"]
        }
        lines += ["", "figures:"]
        lines += report.sources.map { figure in
            let origin =
                switch figure.origin {
                case .document(let name, let read): "\(name), read \(read)"
                case .assumption(let why): "assumed: \(why)"
                }
            return "  \(figure.name) = \(CostReport.number(figure.value)) \(figure.unit); \(origin)"
        }
        return lines
    }

    private static func cells(_ line: CostLine) -> [String] {
        guard let total = line.total else {
            return [line.alternative.title, "-", "", "", "", line.obstacle ?? ""]
        }
        let parts = line.items.filter { $0.amount >= 0.005 }
            .sorted { $0.amount > $1.amount }
            .map { "\($0.label) \(CostText.money($0.amount))" }
        return [
            line.alternative.title, CostText.money(total), CostText.time(line.waiting.warm),
            line.waiting.coldShare > 0 ? CostText.time(line.waiting.cold) : "-",
            CostText.percent(line.waiting.coldShare), parts.joined(separator: ", "),
        ]
    }
}

/// The report as `--json` prints it; money in USD, times in seconds.
struct CostJSON: Encodable {
    struct Item: Encodable {
        var label: String
        var quantity: Double
        var unit: String
        var price: Double
        var amount: Double
    }

    struct Line: Encodable {
        var alternative: String
        var title: String
        /// Absent when it cannot be had.
        var total: Double?
        var obstacle: String?
        var warm_seconds: Double
        var cold_seconds: Double
        var cold_share: Double
        var items: [Item]
    }

    struct Point: Encodable {
        var calls_per_hour: Double
        var total: Double
        var cheaper_below: String
        var cheaper_above: String
    }

    struct Source: Encodable {
        var name: String
        var value: Double
        var unit: String
        var source: String?
        var read: String?
        var assumption: String?
    }

    var name: String
    var currency = "USD"
    var hours: Double
    var models: Int
    var calls: Double
    var alternatives: [Line]
    var break_even: [Point]
    var assumptions: [String]
    var figures: [Source]

    init(_ report: CostReport, _ curves: CostCurves) {
        name = report.plan.name
        hours = report.hours
        models = report.plan.modelCount
        calls = report.calls
        alternatives = report.lines.map { line in
            Line(
                alternative: line.alternative.rawValue, title: line.alternative.title,
                total: line.total, obstacle: line.obstacle, warm_seconds: line.waiting.warm,
                cold_seconds: line.waiting.cold, cold_share: line.waiting.coldShare,
                items: line.items.map {
                    Item(
                        label: $0.label, quantity: $0.quantity, unit: $0.unit, price: $0.price,
                        amount: $0.amount)
                })
        }
        break_even = curves.breakEvens.map {
            Point(
                calls_per_hour: $0.rate, total: $0.total, cheaper_below: $0.below.rawValue,
                cheaper_above: $0.above.rawValue)
        }
        assumptions = report.assumptions
        figures = report.sources.map { figure in
            switch figure.origin {
            case .document(let source, let read):
                Source(
                    name: figure.name, value: figure.value, unit: figure.unit, source: source,
                    read: read, assumption: nil)
            case .assumption(let why):
                Source(
                    name: figure.name, value: figure.value, unit: figure.unit, source: nil,
                    read: nil, assumption: why)
            }
        }
    }
}
