// The curves as an SVG drawn by hand: both axes logarithmic, one line an alternative, named at its end, break-even points marked.
// Readable on light and dark paper, without fonts, scripts or anything from elsewhere.

private import Foundation

package struct CostChart {
    private static let (width, height) = (860.0, 500.0)
    private static let (left, right, top, bottom) = (64.0, 232.0, 64.0, 60.0)

    private let curves: CostCurves
    private let title: String
    private let period: String
    private let low: Double
    private let high: Double

    /// - Parameter period: what the costs are for, such as `a month`.
    package init(_ curves: CostCurves, title: String, period: String) {
        self.curves = curves
        self.title = title
        self.period = period
        let totals = curves.curves.flatMap { $0.totals.compactMap { $0 } }.filter { $0 > 0 }
        low = CostChart.power(below: max(0.01, totals.min() ?? 1))
        high = max(low * 10, CostChart.power(above: min(1e9, totals.max() ?? 1)))
    }

    private static func power(below value: Double) -> Double {
        pow(10, log10(value).rounded(.down))
    }
    private static func power(above value: Double) -> Double { pow(10, log10(value).rounded(.up)) }

    private func x(_ rate: Double) -> Double {
        let (first, last) = (curves.rates.first ?? 1, curves.rates.last ?? 10)
        return CostChart.left
            + log(rate / first) / log(last / first)
            * (CostChart.width - CostChart.left - CostChart.right)
    }

    private func y(_ total: Double) -> Double {
        CostChart.height - CostChart.bottom
            - log(max(total, low) / low) / log(high / low)
            * (CostChart.height - CostChart.top - CostChart.bottom)
    }

    private func number(_ value: Double) -> String {
        CostText.fixed(value, digits: 1, trimmed: true)
    }

    /// The whole file.
    package func svg() -> String {
        var out = head()
        out += grid()
        for curve in curves.curves { out += line(curve) }
        out += marks()
        out += names()
        return out + "</svg>\n"
    }

    private func head() -> String {
        let (width, height) = (number(CostChart.width), number(CostChart.height))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img">
            <title>\(CostChart.escaped(title))</title>
            <style>
            svg { --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #d8dee4;
              --machines: #8250df; --functions: #bc4c00; --endpoint: #9a6700; --sluice: #0969da }
            @media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --line: #2f353d;
              --machines: #be8fff; --functions: #ff9a57; --endpoint: #e3b341; --sluice: #6cb6ff } }
            text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: var(--quiet) }
            .title { font-size: 17px; font-weight: 600; fill: var(--ink) }
            .paper { fill: var(--paper) } .grid { stroke: var(--line); stroke-width: 1 }
            .curve { fill: none; stroke-width: 2.25; stroke-linejoin: round } .sluice.curve { stroke-width: 3.5 }
            \(Alternative.allCases.map { ".\($0) { stroke: var(--\($0)) } .name.\($0) { stroke: none; fill: var(--\($0)); font-weight: 600 }" }.joined(separator: "\n"))
            .dot { fill: var(--paper); stroke: var(--ink); stroke-width: 2 } .now { stroke: var(--quiet); stroke-dasharray: 3 4 }
            .mark { fill: var(--ink); font-size: 12px; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round }
            </style>
            <rect class="paper" width="\(width)" height="\(height)" rx="6"/>
            <text class="title" x="\(number(CostChart.left))" y="28">\(CostChart.escaped(title))</text>
            <text x="\(number(CostChart.left))" y="48">USD \(CostChart.escaped(period)), against calls an hour; dots are break-even points, steps another machine</text>

            """
    }

    private func grid() -> String {
        var out = ""
        let (bottom, right) = (
            CostChart.height - CostChart.bottom, CostChart.width - CostChart.right
        )
        var total = low
        while total <= high * 1.001 {
            let at = number(y(total))
            out +=
                "<line class=\"grid\" x1=\"\(number(CostChart.left))\" x2=\"\(number(right))\" y1=\"\(at)\" y2=\"\(at)\"/>\n"
            out +=
                "<text x=\"\(number(CostChart.left - 8))\" y=\"\(number(y(total) + 4))\" text-anchor=\"end\">$\(CostChart.short(total))</text>\n"
            total *= 10
        }
        let (first, last) = (curves.rates.first ?? 1, curves.rates.last ?? 10)
        var rate = CostChart.power(above: first * 0.999)
        while rate <= last * 1.001 {
            let at = number(x(rate))
            out +=
                "<line class=\"grid\" x1=\"\(at)\" x2=\"\(at)\" y1=\"\(number(CostChart.top))\" y2=\"\(number(bottom))\"/>\n"
            out +=
                "<text x=\"\(at)\" y=\"\(number(bottom + 20))\" text-anchor=\"middle\">\(CostChart.short(rate))</text>\n"
            rate *= 10
        }
        out +=
            "<text x=\"\(number((CostChart.left + right) / 2))\" y=\"\(number(bottom + 42))\" text-anchor=\"middle\">calls an hour, each model</text>\n"
        guard curves.now >= first, curves.now <= last else { return out }
        let now = number(x(curves.now))
        out +=
            "<line class=\"now\" x1=\"\(now)\" x2=\"\(now)\" y1=\"\(number(CostChart.top))\" y2=\"\(number(bottom))\"/>\n"
        out +=
            "<text x=\"\(number(x(curves.now) + 5))\" y=\"\(number(CostChart.top + 12))\">this fleet: \(CostChart.short(curves.now))</text>\n"
        return out
    }

    private func line(_ curve: CostCurve) -> String {
        var path = ""
        var isDown = false
        for (rate, total) in zip(curves.rates, curve.totals) {
            guard let total else {
                isDown = false
                continue
            }
            path += "\(isDown ? "L" : "M")\(number(x(rate))) \(number(y(total)))"
            isDown = true
        }
        return path.isEmpty ? "" : "<path class=\"curve \(curve.alternative)\" d=\"\(path)\"/>\n"
    }

    /// Break-even points, each with its rate; of two that nearly touch the second has it below, of more the rest have none.
    private func marks() -> String {
        var out = ""
        var last = (x: -1_000.0, y: -1_000.0)
        var near = 0
        for point in curves.breakEvens {
            let at = (x: x(point.rate), y: y(point.total))
            let rate = CostChart.short(point.rate)
            out +=
                "<circle class=\"dot\" cx=\"\(number(at.x))\" cy=\"\(number(at.y))\" r=\"4.5\">"
                + "<title>\(point.below.title) is cheaper below \(rate) calls an hour, "
                + "\(point.above.title) above</title></circle>\n"
            near = abs(at.x - last.x) < 34 && abs(at.y - last.y) < 24 ? near + 1 : 0
            last = at
            guard near < 2 else { continue }
            let (left, down, anchor) = near == 0 ? (-2.0, -10.0, "end") : (4.0, 20.0, "start")
            out +=
                "<text class=\"mark\" x=\"\(number(at.x + left))\" y=\"\(number(at.y + down))\" "
                + "text-anchor=\"\(anchor)\">\(rate)</text>\n"
        }
        return out
    }

    /// The lines' names at their right ends, moved apart where they would touch.
    private func names() -> String {
        var ends = curves.curves.compactMap { curve -> (Alternative, Double)? in
            guard let total = curve.totals.last ?? nil else { return nil }
            return (curve.alternative, y(total))
        }
        ends.sort { $0.1 < $1.1 }
        for index in ends.indices.dropFirst() {
            ends[index].1 = max(ends[index].1, ends[index - 1].1 + 18)
        }
        let at = number(CostChart.width - CostChart.right + 10)
        return ends.map { alternative, height in
            "<text class=\"name \(alternative)\" x=\"\(at)\" y=\"\(number(height + 4))\">\(CostChart.escaped(alternative.title))</text>\n"
        }
        .joined()
    }

    /// `0.1`, `10`, `2,500`, `1m`.
    static func short(_ value: Double) -> String {
        if value >= 1e6 { return CostText.fixed(value / 1e6, digits: 1, trimmed: true) + "m" }
        let text = CostText.fixed(
            value, digits: value < 1 ? 2 : value < 100 ? 1 : 0, trimmed: true)
        guard value >= 1_000 else { return text }
        return text.dropLast(3) + "," + text.suffix(3)
    }

    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: if scalar.value >= 32 { out.unicodeScalars.append(scalar) }
            }
        }
        return out
    }
}
