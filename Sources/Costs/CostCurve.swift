// Cost against calls an hour: the same fleet called more and less often, and where one alternative overtakes another.

private import Foundation

/// One alternative's line in the chart.
package struct CostCurve: Sendable, Equatable {
    package var alternative: Alternative
    /// USD for the period at each of ``CostCurves/rates``; nil where it cannot be had.
    package var totals: [Double?]
}

/// Where two alternatives cost the same.
package struct BreakEven: Sendable, Equatable {
    /// Calls an hour for each model.
    package var rate: Double
    package var total: Double
    /// Cheaper below the rate, and cheaper above it.
    package var below: Alternative
    package var above: Alternative
}

package struct CostCurves: Sendable, Equatable {
    /// Calls an hour for each model, from the least to the most, evenly spread over the logarithm.
    package var rates: [Double]
    package var curves: [CostCurve]
    package var breakEvens: [BreakEven]
    /// The plan's own rate.
    package var now: Double

    /// - Parameter steps: points of a line.
    package init(
        _ plan: CostPlan, _ prices: PriceTable, from least: Double = 0.1, to most: Double = 1_000,
        steps: Int = 241
    ) {
        precondition(least > 0 && most > least && steps >= 2, "a chart needs room")
        func total(_ alternative: Alternative, _ rate: Double) -> Double? {
            CostFormulas(plan: plan.scaled(toCallsPerModel: rate), prices: prices)
                .line(alternative).total
        }
        let growth = log(most / least) / Double(steps - 1)
        let rates = (0..<steps).map { least * exp(growth * Double($0)) }
        let curves = Alternative.allCases.map { alternative in
            CostCurve(
                alternative: alternative, totals: rates.map { total(alternative, $0) })
        }
        self.rates = rates
        self.curves = curves
        now = plan.callsPerHour / Double(max(1, plan.modelCount))
        breakEvens = CostCurves.crossings(rates, curves, total)
    }

    /// Where the cheapest alternative changes, and where Sluice crosses another for the first time.
    private static func crossings(
        _ rates: [Double], _ curves: [CostCurve],
        _ total: (Alternative, Double) -> Double?
    ) -> [BreakEven] {
        var found: [BreakEven] = []
        for (index, one) in curves.enumerated() {
            for other in curves[(index + 1)...] {
                for step in 1..<rates.count {
                    guard let before = difference(one, other, step - 1),
                        let after = difference(one, other, step), before != 0,
                        (before < 0) != (after < 0)
                    else { continue }
                    let rate = bisect(rates[step - 1], rates[step], before) { rate in
                        guard let left = total(one.alternative, rate),
                            let right = total(other.alternative, rate)
                        else { return nil }
                        return left - right
                    }
                    guard let cost = total(one.alternative, rate) else { continue }
                    found.append(
                        BreakEven(
                            rate: rate, total: cost,
                            below: before < 0 ? one.alternative : other.alternative,
                            above: before < 0 ? other.alternative : one.alternative))
                    // Costs that rise in steps may cross again; the first is where the choice changes.
                    break
                }
            }
        }
        return found.sorted { $0.rate < $1.rate }
    }

    private static func difference(_ one: CostCurve, _ other: CostCurve, _ step: Int) -> Double? {
        guard let left = one.totals[step], let right = other.totals[step] else { return nil }
        return left - right
    }

    private static func bisect(
        _ least: Double, _ most: Double, _ sign: Double, _ difference: (Double) -> Double?
    ) -> Double {
        var (low, high) = (least, most)
        for _ in 0..<60 {
            let middle = (low * high).squareRoot()
            guard let value = difference(middle) else { return high }
            if (value < 0) == (sign < 0) { low = middle } else { high = middle }
        }
        return high
    }
}
