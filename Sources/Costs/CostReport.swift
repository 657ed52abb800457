// What comes out: for each alternative its total, what that is made of, and how long a caller waits.

/// The ways to serve a fleet that are compared.
package enum Alternative: String, CaseIterable, Sendable {
    case machines, functions, endpoint, sluice

    package var title: String {
        switch self {
        case .machines: "a virtual machine per model"
        case .functions: "functions on demand"
        case .endpoint: "a serverless endpoint"
        case .sluice: "Sluice on one machine"
        }
    }
}

/// A line of a bill.
package struct CostItem: Sendable, Equatable {
    package var label: String
    package var quantity: Double
    package var unit: String
    /// USD for one unit.
    package var price: Double

    package var amount: Double { quantity * price }
}

/// How long callers wait, as means over all calls of a fleet; seconds.
package struct Waiting: Sendable, Equatable {
    package var warm: Double
    package var cold: Double
    /// Of the calls, those that are cold: 0...1.
    package var coldShare: Double

    package init(warm: Double, cold: Double, coldShare: Double) {
        self.warm = warm
        self.cold = cold
        self.coldShare = coldShare
    }
}

/// What one alternative costs.
package struct CostLine: Sendable, Equatable {
    package var alternative: Alternative
    package var items: [CostItem] = []
    package var waiting = Waiting(warm: 0, cold: 0, coldShare: 0)
    /// Why it cannot be had; nil when it can.
    package var obstacle: String?

    package init(_ alternative: Alternative) { self.alternative = alternative }

    /// USD for the period; nil when it cannot be had.
    package var total: Double? {
        obstacle == nil ? items.reduce(0) { $0 + $1.amount } : nil
    }
}

/// A whole comparison.
package struct CostReport: Sendable, Equatable {
    package var plan: CostPlan
    package var hours: Double
    package var lines: [CostLine]
    /// What was assumed: the plan's, and the table's figures that have no document.
    package var assumptions: [String]
    package var sources: [Figure]

    package init(_ plan: CostPlan, _ prices: PriceTable) {
        let formulas = CostFormulas(plan: plan, prices: prices)
        self.plan = plan
        hours = formulas.hours
        lines = Alternative.allCases.map(formulas.line)
        sources = FigureName.allCases.compactMap { prices.figures[$0] }
        assumptions =
            plan.assumptions
            + sources.compactMap { figure in
                guard case .assumption(let why) = figure.origin else { return nil }
                return "\(figure.name) is \(CostReport.number(figure.value)) \(figure.unit): \(why)"
            }
    }

    package func line(_ alternative: Alternative) -> CostLine? {
        lines.first { $0.alternative == alternative }
    }

    package var calls: Double { plan.callsPerHour * hours }

    /// Without digits that say nothing: `730`, `0.7`, `0.00002`.
    package static func number(_ value: Double) -> String {
        if let whole = Int(exactly: value) { return "\(whole)" }
        return CostText.fixed(value, digits: value >= 0.01 ? 4 : 10, trimmed: true)
    }
}

/// Numbers as text.
package enum CostText {
    /// A number with so many digits after the point; rounded half away from zero.
    package static func fixed(_ value: Double, digits: Int, trimmed: Bool = false) -> String {
        var factor = 1.0
        for _ in 0..<digits { factor *= 10 }
        let scaled = (value.magnitude * factor).rounded()
        guard scaled < 9e18 else { return "\(value)" }
        let whole = UInt64(scaled)
        let unit = UInt64(factor)
        var fraction = digits == 0 ? "" : String(whole % unit)
        fraction = String(repeating: "0", count: max(0, digits - fraction.count)) + fraction
        while trimmed, fraction.hasSuffix("0") { fraction.removeLast() }
        let sign = value < 0 && whole > 0 ? "-" : ""
        return sign + String(whole / unit) + (fraction.isEmpty ? "" : "." + fraction)
    }

    /// USD with cents.
    package static func money(_ value: Double) -> String { fixed(value, digits: 2) }

    /// Seconds for people: `23 ms`, `1.2 s`, `57 us`.
    package static func time(_ seconds: Double) -> String {
        if seconds < 0.001 { return fixed(seconds * 1e6, digits: 0) + " us" }
        if seconds < 1 { return fixed(seconds * 1e3, digits: seconds < 0.01 ? 1 : 0) + " ms" }
        return fixed(seconds, digits: seconds < 100 ? 1 : 0) + " s"
    }

    package static func percent(_ share: Double) -> String {
        fixed(share * 100, digits: 1) + " %"
    }
}
