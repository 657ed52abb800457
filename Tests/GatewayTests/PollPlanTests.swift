// When the repository is looked at next, without a clock.

import Contract
import Gateway
import Testing

@Suite struct PollPlanTests {
    @Test func everyIntervalWhileItAnswers() throws {
        var plan = PollPlan(interval: .seconds(30))
        plan.looked(succeeded: true)
        #expect(plan.wait(chance: 0) == .seconds(27))
        #expect(try #require(plan.wait(chance: 0.999_999)) < .seconds(33))
    }

    @Test func laterAndLaterWhileItDoesNot() throws {
        var plan = PollPlan(interval: .seconds(30))
        var waits: [Nanoseconds] = []
        for _ in 0..<100 {
            plan.looked(succeeded: false)
            waits.append(try #require(plan.wait(chance: 0)))
        }
        #expect(waits.prefix(4) == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4)])
        #expect(waits.last == .seconds(30))
        plan.looked(succeeded: true)
        #expect(plan.wait(chance: 0.5) == .seconds(30))
    }

    @Test func zeroIsOnceThatSucceeds() throws {
        var plan = PollPlan(interval: .zero)
        plan.looked(succeeded: false)
        #expect(plan.wait(chance: 0) != nil)
        plan.looked(succeeded: true)
        #expect(plan.wait(chance: 0) == nil)
    }
}
