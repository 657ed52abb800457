// The case study's own totals come out of the formulas, and ours stands beside them; each formula by hand on a small fleet.

import Contract
import Costs
import Foundation
import Testing

enum Examples {
    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    static func plan(_ name: String) throws -> CostPlan {
        let text = try String(
            contentsOf: root.appending(path: "examples/\(name).yaml"), encoding: .utf8)
        return try CostPlan(yaml: text, file: name, prices: try PriceTable.embedded())
    }
}

func isNear(_ value: Double?, _ wanted: Double, within share: Double = 1e-9) -> Bool {
    guard let value else { return false }
    return abs(value - wanted) <= abs(wanted) * share + 1e-12
}

@Suite struct CaseStudyTests {
    @Test func itsTwoTotalsComeOutWithinFivePercent() throws {
        let report = CostReport(try Examples.plan("case-study"), try PriceTable.embedded())
        let machines = try #require(report.line(.machines)?.total)
        let functions = try #require(report.line(.functions)?.total)
        let ours = try #require(report.line(.sluice)?.total)
        #expect(isNear(machines, 150.3, within: 0.05), "\(machines)")
        #expect(isNear(functions, 46, within: 0.05) && functions <= 46, "\(functions)")
        #expect(ours < functions, "\(ours)")
        #expect(report.hours == 730 && report.calls == 36_500)
        // What the study does not say stands with the result.
        #expect(report.assumptions.contains { $0.contains("3,008 MB") })
        #expect(report.assumptions.contains { $0.hasPrefix("endpoint.gigabyte_second") })
    }

    @Test func whatCallersWaitStandsBesideIt() throws {
        let report = CostReport(try Examples.plan("case-study"), try PriceTable.embedded())
        let ours = try #require(report.line(.sluice)?.waiting)
        #expect(ours.warm == 20)
        // 2,400 MB at the disk's 125 MB/s.
        #expect(isNear(ours.cold, 20 + 19.2))
        // Five equal models in 4,096 - 512 MB: 3,584 of 12,000 MB are awake.
        #expect(isNear(ours.coldShare, 1 - 3_584.0 / 12_000, within: 1e-6))
        let functions = try #require(report.line(.functions)?.waiting)
        #expect(isNear(functions.coldShare, exp(-10.0 / 6)))
        #expect(report.line(.machines)?.waiting.coldShare == 0)
    }

    @Test func eachFormulaByHand() throws {
        var model = FleetModel(name: "m", memory: 834, run: 2, callsPerHour: 6)
        model.data = 1
        model.load = 0.5
        var plan = CostPlan(name: "hand", models: [model])
        plan.hours = 73
        let report = CostReport(plan, try PriceTable.embedded())
        func amount(_ alternative: Alternative, _ label: String) -> Double? {
            report.line(alternative)?.items.first { $0.label == label }?.amount
        }
        // 834 + 190 + 512 MB have room in a t3.small of 2,048.
        #expect(isNear(amount(.machines, "t3.small"), 73 * 0.0208))
        #expect(isNear(amount(.machines, "disk"), 8 * 0.1 * 0.08))
        let calls = 6.0 * 73
        let asleep = exp(-6.0 / 3_600 * 600)
        let seconds = 2 + asleep * (1 + 834.0 / 80)
        #expect(isNear(amount(.functions, "functions"), calls * seconds * 1 * 0.0000166667))
        #expect(isNear(amount(.functions, "requests"), calls / 1e6 * 0.20))
        #expect(isNear(amount(.functions, "API gateway"), calls / 1e6 * 3.5))
        #expect(isNear(amount(.functions, "user pool"), 6 * 0.1))
        #expect(isNear(amount(.functions, "tokens"), 73.0 / 1_000 * 2.25))
        #expect(isNear(amount(.functions, "object store"), 834.0 / 1_024 * 0.1 * 0.023))
        #expect(isNear(amount(.functions, "store reads"), calls * asleep / 1e3 * 0.0004))
        #expect(isNear(amount(.endpoint, "endpoint"), calls * seconds * 1 * 0.00002))
        #expect(isNear(amount(.endpoint, "data"), calls / 1_024 * 0.016))
        #expect(isNear(amount(.sluice, "t3.small"), 73 * 0.0208))
        #expect(isNear(amount(.sluice, "disk"), (8 + 834.0 / 1_024) * 0.1 * 0.08))
        // It has room: nobody ever finds it asleep.
        #expect(report.line(.sluice)?.waiting == Waiting(warm: 2, cold: 2.5, coldShare: 0))
    }

    @Test func busyMachinesAreManyAndBurstableOnesCostMore() throws {
        let prices = try PriceTable.embedded()
        // 3 cores busy: three machines of two cores that may be busy for 70 %.
        var plan = CostPlan(
            name: "busy", models: [FleetModel(name: "m", memory: 100, run: 1, callsPerHour: 10_800)]
        )
        plan.machine = prices.machine(named: "t3.medium")
        let items = try #require(CostReport(plan, prices).line(.sluice)).items
        #expect(isNear(items.first { $0.label == "t3.medium" }?.amount, 3 * 730 * 0.0416))
        #expect(
            isNear(items.first { $0.label == "CPU credits" }?.amount, (3 - 3 * 0.4) * 730 * 0.05))
    }

    @Test func whatHasNoRoomSaysSo() throws {
        let prices = try PriceTable.embedded()
        let plan = CostPlan(
            name: "large",
            models: [FleetModel(name: "huge", memory: 64_000, run: 1, callsPerHour: 1)])
        let report = CostReport(plan, prices)
        for line in report.lines {
            #expect(line.total == nil, "\(line.alternative)")
            #expect(line.obstacle?.contains("MB") == true, "\(line.alternative)")
        }
        #expect(report.line(.functions)?.obstacle?.contains("'huge'") == true)
        #expect(CostCurves(plan, prices).breakEvens.isEmpty)
    }
}

@Suite struct CurveTests {
    @Test func atABreakEvenPointBothCostTheSame() throws {
        let prices = try PriceTable.embedded()
        let plan = try Examples.plan("case-study")
        let curves = CostCurves(plan, prices)
        #expect(curves.now == 10 && curves.breakEvens.count >= 3)
        for point in curves.breakEvens {
            var other = plan
            other.models[0].callsPerHour = point.rate
            let report = CostReport(other, prices)
            let below = try #require(report.line(point.below)?.total)
            let above = try #require(report.line(point.above)?.total)
            #expect(isNear(below, point.total, within: 0.05) && isNear(above, below, within: 0.05))
        }
        let functions = curves.breakEvens.first { $0.below == .functions && $0.above == .sluice }
        #expect(try #require(functions).rate < 10, "the study's fleet is beyond it")
        // More calls never cost less on demand.
        let totals = try #require(curves.curves.first { $0.alternative == .functions }).totals
        #expect(zip(totals, totals.dropFirst()).allSatisfy { ($0 ?? 0) <= ($1 ?? 0) })
    }

    @Test func theChartIsWhole() throws {
        var plan = try Examples.plan("case-study")
        plan.name = "<one> & \"two\""
        let curves = CostCurves(plan, try PriceTable.embedded())
        let svg = CostChart(curves, title: plan.name, period: "a month").svg()
        #expect(svg.contains("&lt;one&gt; &amp; &quot;two&quot;") && !svg.contains("<one>"))
        for alternative in Alternative.allCases {
            #expect(svg.contains("class=\"curve \(alternative)\""))
            #expect(svg.contains(">\(alternative.title)</text>"))
        }
        #expect(svg.contains("prefers-color-scheme: dark"))
        #expect(svg.components(separatedBy: "class=\"dot\"").count - 1 == curves.breakEvens.count)
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        let opened = svg.components(separatedBy: "<text").count
        #expect(opened == svg.components(separatedBy: "</text>").count && svg.hasSuffix("</svg>\n"))
    }

    @Test func theOneInTheReadmeIsThisOne() throws {
        let plan = try Examples.plan("case-study")
        let curves = CostCurves(plan, try PriceTable.embedded())
        let svg = CostChart(curves, title: "What it costs: \(plan.name)", period: "a month").svg()
        let kept = try String(
            contentsOf: Examples.root.appending(path: "docs/images/cost.svg"), encoding: .utf8)
        #expect(
            kept == svg, "sluice cost --plan examples/case-study.yaml --plot docs/images/cost.svg")
    }

    @Test(arguments: [
        (0.0, 2, "0.00"), (1.005, 1, "1.0"), (150.349, 2, "150.35"), (-2.5, 0, "-3"),
        (0.049, 1, "0.0"), (99.99, 1, "100.0"), (1e15, 2, "1000000000000000.00"),
    ])
    func numbersAreRounded(value: Double, digits: Int, text: String) {
        #expect(CostText.fixed(value, digits: digits) == text)
    }

    @Test func timesAreForPeople() {
        #expect(CostText.time(57e-6) == "57 us")
        #expect(CostText.time(0.0014) == "1.4 ms")
        #expect(CostText.time(0.2371) == "237 ms")
        #expect(CostText.time(20) == "20.0 s")
        #expect(CostReport.number(0.0000166667) == "0.0000166667")
        #expect(CostReport.number(730) == "730" && CostReport.number(0.7) == "0.7")
    }
}
