// What the desk tells the ledger: each count once, whatever the clock does, and bounded, however many clients there are.

import Admission
import Contract
import Testing

@Suite struct LedgerCountsTests {
    private static let wall: Int64 = 1_774_998_000

    private func call(
        _ desk: PlanDesk, _ client: String, now: Instant,
        _ change: (inout PlanUse) -> Void = { _ in }
    ) throws {
        let tenant = desk.tenant(
            of: Identity(
                issuer: "local", client: client, subject: "", scopes: [], validFor: nil), now: now)
        var ticket = try desk.enter(
            tenant, plan: "", model: "iris", bytes: 1, wish: .interactive, now: now)
        change(&ticket.use)
    }

    @Test func cpuAndLoadAreCounted() throws {
        let desk = PlanDesk(wall: Self.wall)
        try call(desk, "app", now: Instant(nanoseconds: 1)) {
            $0.cold = true
            $0.cpu = .milliseconds(3)
            $0.load = .milliseconds(40)
        }
        let counts = try #require(desk.collect().first).counts
        #expect(counts.cpu == 3_000_000 && counts.load == 40_000_000 && counts.cold == 1)
    }

    @Test func aClockThatJumpsBackAnHourCountsEachCallOnce() throws {
        let desk = PlanDesk(wall: Self.wall)
        var rows: [UsageRow] = []
        for step in 0..<60 as Range<Int64> {
            // Ten minutes a step, and an hour back after the thirtieth.
            desk.tick(wall: Self.wall + step * 600 - (step >= 30 ? 3_600 : 0))
            try call(desk, "app", now: Instant(nanoseconds: UInt64(step + 1) * 600_000_000_000))
            if step % 7 == 0 { rows += desk.collect() }
        }
        rows += desk.collect()
        #expect(rows.reduce(0) { $0 + $1.counts.calls } == 60)
        // 60 steps are ten hours, of which one was lived twice.
        #expect(Set(rows.map(\.key.hour)).count == 9)
        #expect(desk.collect().isEmpty)
    }

    @Test func aHundredThousandClientNamesAreBounded() throws {
        let limits = AdmissionLimits()
        let desk = PlanDesk(limits: limits, wall: Self.wall)
        var rows: [UsageRow] = []
        for number in 0..<100_000 {
            // All at one moment: nobody is forgotten in between.
            try call(desk, "client-\(number)", now: Instant(nanoseconds: 1))
        }
        rows += desk.collect()
        #expect(desk.tenantCount <= limits.clients)
        #expect(rows.count <= limits.clients + 1, "\(rows.count)")
        #expect(rows.reduce(0) { $0 + $1.counts.calls } == 100_000)
        let others = rows.filter { $0.key.client == UsageKey.other }
        #expect(others.reduce(0) { $0 + $1.counts.calls } >= 100_000 - UInt64(limits.clients))
    }
}
