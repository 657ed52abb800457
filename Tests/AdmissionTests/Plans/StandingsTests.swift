// How clients stand with their plans: what was used beside what there is, the busiest first, within bounds.

import Admission
import Contract
import Testing

@Suite struct StandingsTests {
    /// 2026-03-31 23:00:00 UTC: an hour before day and month end.
    private static let wall: Int64 = 1_774_998_000
    private let now = Instant(nanoseconds: 1_000_000_000_000)

    private func desk(_ change: (inout Plan) -> Void = { _ in }) -> PlanDesk {
        var plan = Plan(name: "default")
        change(&plan)
        return PlanDesk(Plans([plan]), wall: Self.wall)
    }

    private func tenant(_ desk: PlanDesk, _ client: String) -> Tenant {
        desk.tenant(
            of: Identity(
                issuer: "local", client: client, subject: "", scopes: [], validFor: nil), now: now)
    }

    private func call(
        _ desk: PlanDesk, _ client: String, model: String = "iris", times: Int = 1,
        run: Nanoseconds = .zero, resident: UInt64 = 0
    ) throws {
        for _ in 0..<times {
            var ticket = try desk.enter(
                tenant(desk, client), plan: "", model: model, bytes: 10, wish: .interactive,
                now: now)
            ticket.use.run = run
            ticket.use.residentBytes = resident
        }
    }

    @Test func everyMeasureHasItsLimitBesideIt() throws {
        let desk = desk { plan in
            plan.limits.rate = Rate(1, per: .seconds(1), burst: 10)
            plan.limits.concurrency = 4
            plan.limits.bytesInFlight = 1_000
            plan.limits.day = Quota(calls: 100, run: 10_000_000_000)
            plan.limits.month = Quota(byteTime: 5_000_000_000_000_000_000)
        }
        try call(desk, "app", times: 2, run: .seconds(1), resident: 1_000_000_000)
        let held = try desk.enter(
            tenant(desk, "app"), plan: "", model: "iris", bytes: 30, wish: .interactive, now: now)
        let standings = desk.standings(most: 10, now: now)
        let standing = try #require(standings.clients.first)
        #expect(standings.total == 1 && standing.client == "app" && standing.plan == "default")
        #expect(
            standing.measures == [
                Measure(.rate, used: 3, limit: 10, resetSeconds: 3),
                Measure(.concurrency, used: 1, limit: 4),
                Measure(.bytesInFlight, used: 30, limit: 1_000),
                Measure(.dayCalls, used: 3, limit: 100, resetSeconds: 3_600),
                Measure(.dayCompute, used: 2, limit: 10, resetSeconds: 3_600),
                Measure(.dayGigabyteSeconds, used: 2, limit: nil, resetSeconds: 3_600),
                Measure(.monthCalls, used: 3, limit: nil, resetSeconds: 3_600),
                Measure(.monthCompute, used: 2, limit: nil, resetSeconds: 3_600),
                Measure(.monthGigabyteSeconds, used: 2, limit: 5, resetSeconds: 3_600),
            ])
        #expect(standing.models.isEmpty && held.allowance != nil)
    }

    @Test func anotherDayBeginsAtNothingWithoutACall() throws {
        let desk = desk()
        try call(desk, "app", times: 5)
        desk.tick(wall: Self.wall + 3_600)
        let measures = try #require(desk.standings(most: 1, now: now).clients.first).measures
        let used = measures.filter { $0.kind == .dayCalls || $0.kind == .monthCalls }.map(\.used)
        #expect(used == [0, 0])
    }

    @Test func modelsWithLimitsOfTheirOwnAreToldApart() throws {
        let desk = desk { plan in
            var limits = PlanLimits()
            limits.concurrency = 1
            plan.models = [PlanPart(match: "big*", limits: limits)]
        }
        try call(desk, "app", times: 2)
        for number in 0..<ClientStanding.modelsMax + 4 {
            try call(desk, "app", model: "big\(number)")
        }
        let standing = try #require(desk.standings(most: 1, now: now).clients.first)
        #expect(standing.models.count == ClientStanding.modelsMax)
        #expect(standing.models[0].model == "big0")
        #expect(standing.models[0].measures.first == Measure(.concurrency, used: 0, limit: 1))
    }

    @Test func theBusiestComeFirstAndNoMoreThanAskedFor() throws {
        let desk = desk()
        for number in 0..<20 { try call(desk, "client\(number)", times: number + 1) }
        let busy = try desk.enter(
            tenant(desk, "client3"), plan: "", model: "iris", bytes: 0, wish: .interactive,
            now: now)
        let standings = desk.standings(most: 3, now: now)
        #expect(standings.total == 20)
        #expect(standings.clients.map(\.client) == ["client3", "client19", "client18"])
        #expect(desk.standings(most: 0, now: now).clients.isEmpty && busy.allowance == nil)
    }
}
