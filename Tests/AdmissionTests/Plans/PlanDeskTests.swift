// Plans: every limit, exactly; what a refusal says; days and months; reloads; and that nothing grows without end.

import Admission
import Contract
import Testing

/// A desk with its time, and one client.
private final class Counter {
    let desk: PlanDesk
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// 2026-03-31 23:00:00 UTC.
    var wall: Int64 = 1_774_998_000

    init(_ plans: [Plan] = [], limits: AdmissionLimits = AdmissionLimits()) {
        desk = PlanDesk(Plans(plans), limits: limits, wall: 1_774_998_000)
    }

    func tenant(_ client: String = "app") -> Tenant {
        desk.tenant(
            of: Identity(
                issuer: "local", client: client, subject: "", scopes: [], validFor: nil), now: now)
    }

    func pass(_ time: Nanoseconds) {
        now = now + time
        wall += Int64(time.count / 1_000_000_000)
        desk.tick(wall: wall)
    }

    func enter(
        _ tenant: Tenant, plan: String = "", model: String = "iris", bytes: Int = 10,
        wish: Priority = .interactive
    ) throws(CallFailure) -> PlanTicket {
        try desk.enter(
            tenant, plan: plan, model: model, bytes: bytes, wish: wish, now: now)
    }

    /// Enters and ends at once, having used this. What refused it, or nil.
    @discardableResult
    func call(
        _ tenant: Tenant, plan: String = "", model: String = "iris", bytes: Int = 10,
        run: Nanoseconds = .zero, resident: UInt64 = 0
    ) -> CallFailure? {
        do throws(CallFailure) {
            var ticket = try enter(tenant, plan: plan, model: model, bytes: bytes)
            ticket.use.run = run
            ticket.use.residentBytes = resident
            return nil
        } catch {
            return error
        }
    }
}

private func plan(_ name: String = "default", _ change: (inout Plan) -> Void) -> Plan {
    var plan = Plan(name: name)
    change(&plan)
    return plan
}

@Suite struct PlanDeskTests {
    @Test func withoutPlansNothingIsLimitedAndEverythingIsCounted() throws {
        let counter = Counter()
        let tenant = counter.tenant()
        for _ in 0..<1_000 { #expect(counter.call(tenant, run: .microseconds(3)) == nil) }
        let ticket = try counter.enter(tenant)
        #expect(ticket.allowance == nil)
        #expect(ticket.share == Share(tenant: tenant.number))
        let rows = counter.desk.collect()
        #expect(rows.map(\.counts.calls) == [1_001] && rows.map(\.counts.run) == [3_000_000])
        #expect(rows.map(\.key.model) == ["iris"] && rows.map(\.key.client) == ["app"])
        #expect(counter.desk.collect().isEmpty)
    }

    @Test func aRateIsExactAndSaysWhenToComeBack() throws {
        let counter = Counter([
            plan { $0.limits.rate = Rate(10, per: .seconds(1), burst: 5) }
        ])
        let tenant = counter.tenant()
        for _ in 0..<5 { #expect(counter.call(tenant) == nil) }
        let failure = try #require(counter.call(tenant))
        #expect(failure.code == .resourceExhausted && failure.reason == .rateLimit)
        #expect(failure.retryAfter == .milliseconds(100) && failure.notStarted)
        #expect(failure.message.contains("plans.rate") && failure.message.contains("10 calls"))
        #expect(failure.rule == "plan default: plans.rate")
        let told = try #require(failure.allowance)
        #expect(told.name == "calls" && told.remaining == 0 && told.limit == 10)
        #expect(told.resetSeconds == 1 && told.windowSeconds == 1)
        counter.pass(.milliseconds(99))
        #expect(counter.call(tenant) != nil)
        counter.pass(.milliseconds(1))
        #expect(counter.call(tenant) == nil)
        #expect(counter.call(tenant) != nil)
        var admitted = 0
        for _ in 0..<10_000 {
            counter.pass(.milliseconds(1))
            if counter.call(tenant) == nil { admitted += 1 }
        }
        #expect(admitted == 100)
    }

    @Test func concurrencyAndBytesAreHeldUntilTheTicketEnds() throws {
        let counter = Counter([
            plan {
                $0.limits.concurrency = 2
                $0.limits.bytesInFlight = 100
            }
        ])
        let tenant = counter.tenant()
        do {
            let first = try counter.enter(tenant, bytes: 60)
            #expect(counter.call(tenant, bytes: 41)?.reason == .bytesLimit)
            let second = try counter.enter(tenant, bytes: 40)
            let failure = counter.call(tenant, bytes: 0)
            #expect(failure?.reason == .concurrencyLimit)
            #expect(failure?.message.contains("2 calls at the same time") == true)
            #expect(failure?.retryAfter != nil)
            _ = (first.share, second.share)
        }
        #expect(counter.call(tenant, bytes: 100) == nil)
        let never = counter.call(tenant, bytes: 101)
        #expect(never?.reason == .bytesLimit && never?.retryAfter == nil)
        #expect(counter.call(tenant, bytes: 100) == nil)
    }

    @Test func quotasEndWithTheirDayAndMonth() throws {
        let counter = Counter([
            plan {
                $0.limits.day.calls = 3
                $0.limits.month.calls = 5
            }
        ])
        let tenant = counter.tenant()
        for _ in 0..<3 { #expect(counter.call(tenant) == nil) }
        let failure = try #require(counter.call(tenant))
        #expect(failure.reason == .quotaDay && failure.retryAfter == .seconds(3_600))
        #expect(failure.allowance?.name == "day" && failure.allowance?.remaining == 0)
        // It is the last day of March: day and month begin together.
        counter.pass(.seconds(3_600))
        for _ in 0..<3 { #expect(counter.call(tenant) == nil) }
        counter.pass(.seconds(86_400))
        for _ in 0..<2 { #expect(counter.call(tenant) == nil) }
        let month = try #require(counter.call(tenant))
        #expect(month.reason == .quotaMonth)
        #expect(month.retryAfter == .seconds(29 * 86_400))
    }

    @Test func computeAndGigabyteSecondsAreChargedAfterwards() throws {
        let counter = Counter([
            plan("time") { $0.limits.day.run = Nanoseconds.seconds(1).count },
            plan("memory") { $0.limits.month.byteTime = 2_000_000_000_000_000_000 },
        ])
        let tenant = counter.tenant()
        #expect(counter.call(tenant, plan: "time", run: .milliseconds(999)) == nil)
        #expect(counter.call(tenant, plan: "time", run: .milliseconds(1)) == nil)
        let time = counter.call(tenant, plan: "time")
        #expect(time?.reason == .quotaDay && time?.message.contains("1 s") == true)
        let big: UInt64 = 4_000_000_000
        #expect(
            counter.call(tenant, plan: "memory", run: .milliseconds(500), resident: big) == nil)
        let memory = counter.call(tenant, plan: "memory")
        #expect(memory?.reason == .quotaMonth)
        #expect(memory?.message.contains("2 gigabyte-seconds") == true)
    }

    @Test func aClockThatGoesBackGivesNoQuotaTwice() {
        let counter = Counter([plan { $0.limits.day.calls = 2 }])
        let tenant = counter.tenant()
        counter.desk.tick(wall: counter.wall + 3_600)
        for _ in 0..<2 { #expect(counter.call(tenant) == nil) }
        // Back over midnight: still the same day's count.
        counter.desk.tick(wall: counter.wall)
        #expect(counter.call(tenant)?.reason == .quotaDay)
        // A clock that was wrong by years is believed once it is right.
        counter.desk.tick(wall: counter.wall + 50_000 * 86_400)
        #expect(counter.call(tenant) == nil)
        counter.desk.tick(wall: counter.wall)
        for _ in 0..<2 { #expect(counter.call(tenant) == nil) }
        #expect(counter.call(tenant)?.reason == .quotaDay)
    }

    @Test func modelsHaveLimitsOfTheirOwn() throws {
        var limits = PlanLimits()
        limits.rate = Rate(1, per: .seconds(1))
        let counter = Counter([
            plan {
                $0.limits.rate = Rate(3, per: .seconds(1))
                $0.models = [PlanPart(match: "fraud-*", limits: limits)]
            }
        ])
        let tenant = counter.tenant()
        #expect(counter.call(tenant, model: "fraud-a") == nil)
        let failure = try #require(counter.call(tenant, model: "fraud-a"))
        #expect(failure.reason == .rateLimit)
        #expect(failure.rule == "plan default, models fraud-*: plans.rate")
        #expect(failure.allowance?.name == "model-calls")
        // What the model refused was given back to the client, and another model has its own.
        #expect(counter.call(tenant, model: "fraud-b") == nil)
        #expect(counter.call(tenant, model: "iris") == nil)
        #expect(counter.call(tenant, model: "iris")?.rule == "plan default: plans.rate")
        #expect(counter.call(counter.tenant("other"), model: "fraud-a") == nil)
    }

    @Test func aRefusalIsNotCharged() throws {
        let counter = Counter([
            plan {
                $0.limits.concurrency = 1
                $0.limits.day.calls = 10
            }
        ])
        let tenant = counter.tenant()
        do {
            let held = Held(try counter.enter(tenant))
            for _ in 0..<100 { #expect(counter.call(tenant)?.reason == .concurrencyLimit) }
            withExtendedLifetime(held) {}
        }
        for _ in 0..<9 { #expect(counter.call(tenant) == nil) }
        #expect(counter.call(tenant)?.reason == .quotaDay)
        #expect(counter.desk.collect().reduce(0) { $0 + $1.counts.calls } == 10)
    }

    @Test func aReloadChangesLimitsAndKeepsCounts() throws {
        let counter = Counter([
            plan {
                $0.limits.rate = Rate(10, per: .seconds(1))
                $0.limits.day.calls = 100
            }
        ])
        let tenant = counter.tenant()
        for _ in 0..<10 { #expect(counter.call(tenant) == nil) }
        counter.desk.reload(
            Plans([
                plan {
                    $0.limits.rate = Rate(1_000, per: .seconds(1), burst: 20)
                    $0.limits.day.calls = 15
                    $0.weight = 7
                }
            ]))
        // Ten of the bucket stay taken, and ten of the day.
        for _ in 0..<5 { #expect(counter.call(tenant) == nil) }
        #expect(counter.call(tenant)?.reason == .quotaDay)
        counter.desk.reload(Plans())
        #expect(counter.call(tenant) == nil)
        #expect(try counter.enter(tenant).share.weight == 1)
    }

    @Test func aTicketOutlivesItsPlan() throws {
        let counter = Counter([plan("gold") { $0.limits.concurrency = 1 }])
        let tenant = counter.tenant()
        do {
            let ticket = try counter.enter(tenant, plan: "gold")
            counter.desk.reload(Plans([plan("gold") { $0.limits.concurrency = 2 }]))
            #expect(counter.call(tenant, plan: "gold") == nil)
            counter.desk.reload(Plans())
            #expect(counter.call(tenant, plan: "gold") == nil)
            _ = ticket.share
        }
        let calls = counter.desk.collect().reduce(0) { $0 + $1.counts.calls }
        #expect(calls == 3)
    }

    @Test func aCallerMayAskForLessButNotForMore() throws {
        let counter = Counter([
            plan("fast") { $0.weight = 4 }, plan("slow") { $0.priority = .batch },
        ])
        let tenant = counter.tenant()
        #expect(try counter.enter(tenant, plan: "fast").share.priority == .interactive)
        #expect(try counter.enter(tenant, plan: "fast", wish: .batch).share.priority == .batch)
        #expect(try counter.enter(tenant, plan: "slow").share.priority == .batch)
        #expect(try counter.enter(tenant, plan: "fast").share.weight == 4)
    }

    @Test func anUnknownPlanIsTheDefaultOne() {
        let counter = Counter([plan { $0.limits.day.calls = 1 }])
        let tenant = counter.tenant()
        #expect(counter.call(tenant, plan: "gone") == nil)
        #expect(counter.call(tenant, plan: "")?.reason == .quotaDay)
        #expect(counter.desk.names == ["default"])
    }

    @Test func whatWasUsedBeforeTheStartCounts() {
        let counter = Counter([
            plan {
                $0.limits.day.calls = 10
                $0.limits.month.run = 5_000
            }
        ])
        counter.desk.restore(
            [
                UsageSum(
                    issuer: "local", client: "app", plan: "default", model: "iris",
                    day: Spent(calls: 4), month: Spent(calls: 50, run: 1_000)),
                UsageSum(
                    issuer: "local", client: "app", plan: "default", model: "wine",
                    day: Spent(calls: 4), month: Spent(calls: 50, run: 3_999)),
                UsageSum(
                    issuer: "local", client: "late", plan: "default", model: "wine",
                    day: Spent(calls: 10), month: Spent(calls: 10)),
            ], at: counter.wall)
        let tenant = counter.tenant()
        #expect(counter.call(tenant) == nil)
        #expect(counter.call(tenant, run: Nanoseconds(1)) == nil)
        let failure = counter.call(tenant)
        #expect(failure?.reason == .quotaDay, "8 and 2 are 10")
        // Nothing of it is counted again.
        #expect(counter.desk.collect().reduce(0) { $0 + $1.counts.calls } == 2)
        counter.pass(.seconds(3_600))
        #expect(counter.call(counter.tenant("late")) == nil, "another day and month have begun")
    }

    @Test func hoursAreKeptApart() {
        let counter = Counter()
        let tenant = counter.tenant()
        counter.call(tenant)
        counter.pass(.seconds(3_600))
        counter.call(tenant)
        let rows = counter.desk.collect().sorted { $0.key.hour < $1.key.hour }
        #expect(rows.map(\.counts.calls) == [1, 1])
        #expect(rows.map(\.key.hour) == [counter.wall / 3_600 - 1, counter.wall / 3_600])
    }
}

@Suite struct PlanBoundsTests {
    @Test func clientsBeyondTheBoundShareOneAccount() {
        var limits = AdmissionLimits()
        limits.clients = 10
        let counter = Counter([plan { $0.limits.day.calls = 5 }], limits: limits)
        var admitted = 0
        for number in 0..<100 {
            if counter.call(counter.tenant("c\(number)")) == nil { admitted += 1 }
        }
        // Ten have accounts of their own; with quotas nobody who called is forgotten.
        #expect(counter.desk.tenantCount == 10)
        #expect(admitted == 15)
    }

    @Test func idleClientsMakeRoomAndTheirNumbersAreUsedAgain() {
        var limits = AdmissionLimits()
        limits.clients = 10
        let counter = Counter(limits: limits)
        var numbers = Set<UInt32>()
        for number in 0..<1_000 {
            let tenant = counter.tenant("c\(number)")
            numbers.insert(tenant.number)
            counter.call(tenant)
            _ = counter.desk.collect()
        }
        #expect(counter.desk.tenantCount <= 10)
        #expect(numbers.count <= 12, "\(numbers.count) numbers")
    }

    @Test func modelsBeyondTheBoundAreCountedTogether() {
        var limits = AdmissionLimits()
        limits.clientModels = 4
        let counter = Counter(limits: limits)
        let tenant = counter.tenant()
        for number in 0..<100 { counter.call(tenant, model: "m\(number)") }
        let rows = counter.desk.collect()
        #expect(rows.count == 6)
        let other = rows.first { $0.key.model == UsageKey.other }
        #expect(other?.counts.calls == 95)
    }

    /// Any calls in any order: a bucket's promise holds, and at the end nothing is in progress.
    @Test func randomWalk() throws {
        for _ in 0..<10 {
            let seed = UInt64.random(in: 0..<100_000)
            var dice = Dice(seed: seed)
            let burst = UInt64.random(in: 1...20, using: &dice)
            let most = Int.random(in: 1...5, using: &dice)
            let counter = Counter([
                plan {
                    $0.limits.rate = Rate(100, per: .seconds(1), burst: burst)
                    $0.limits.concurrency = most
                    $0.limits.bytesInFlight = 50
                }
            ])
            let tenant = counter.tenant()
            let start = counter.now
            var held: [Held] = []
            var admitted: UInt64 = 0
            for _ in 0..<5_000 {
                if Bool.random(using: &dice) {
                    counter.pass(.microseconds(UInt64.random(in: 0...9_000, using: &dice)))
                }
                if Bool.random(using: &dice), !held.isEmpty {
                    held.remove(at: Int.random(in: held.indices, using: &dice))
                }
                do throws(CallFailure) {
                    held.append(
                        Held(
                            try counter.enter(
                                tenant, bytes: Int.random(in: 0...20, using: &dice))))
                    admitted += 1
                } catch {
                    #expect(error.code == .resourceExhausted, "seed \(seed)")
                }
                #expect(held.count <= most, "seed \(seed)")
                let time = counter.now.since(start).count
                #expect(admitted <= burst + time / 10_000_000, "seed \(seed)")
            }
            held = []
            counter.pass(.seconds(1))
            #expect(try counter.enter(counter.tenant(), bytes: 50).share.tenant == tenant.number)
            let calls = counter.desk.collect().reduce(0) { $0 + $1.counts.calls }
            #expect(calls == admitted + 1, "seed \(seed)")
        }
    }

    /// The issue asks for admission under 2 us; this bound is for debug builds on a busy machine.
    @Test func enteringAndSettlingIsQuick() throws {
        var limits = PlanLimits()
        limits.rate = Rate(1_000_000, per: .seconds(1))
        let counter = Counter([
            plan {
                $0.limits.rate = Rate(1_000_000_000, per: .seconds(1))
                $0.limits.day.calls = 1 << 40
                $0.models = [PlanPart(match: "*", limits: limits)]
            }
        ])
        let tenant = counter.tenant()
        let count: UInt64 = 20_000
        let began = ContinuousClock.now
        for _ in 0..<count { counter.call(tenant) }
        let each = (ContinuousClock.now - began) / Int(count)
        print("a call through its plan: \(each)")
        #expect(each < .microseconds(50), "\(each)")
    }
}

private final class Held {
    private let ticket: PlanTicket
    init(_ ticket: consuming PlanTicket) { self.ticket = ticket }
}

/// SplitMix64, so that a walk can be repeated from its printed seed.
private struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
