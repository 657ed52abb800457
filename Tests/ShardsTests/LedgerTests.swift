// The books of memory without threads: who is let in, who has to go, and what more memory would have saved.

import Contract
import Shards
import Testing

private func idle(_ key: Int, _ score: Double) -> Ledger.Candidate {
    Ledger.Candidate(key: key, score: score, standing: .idle)
}

private func anonymous(_ bytes: UInt64) -> MemoryUse { MemoryUse(anonymous: bytes) }

@Suite struct LedgerTests {
    /// A ledger with awake models of these sizes, by key.
    private func ledger(_ budget: MemoryUse, _ sizes: [MemoryUse]) -> Ledger {
        var ledger = Ledger(budget: budget)
        for (key, size) in sizes.enumerated() {
            #expect(ledger.reserve(size, for: key, among: []) == .granted)
            ledger.settle(key, atRest: size)
        }
        return ledger
    }

    @Test func aPeakIsReservedUntilTheLoadHasEnded() {
        var ledger = Ledger(budget: anonymous(100))
        #expect(ledger.reserve(anonymous(80), for: 1, among: []) == .granted)
        #expect(ledger.promised == anonymous(80) && ledger.used == .zero)
        #expect(ledger.reserve(anonymous(30), for: 2, among: []) == .wait)
        ledger.settle(1, atRest: anonymous(40))
        #expect(ledger.promised == .zero && ledger.used == anonymous(40))
        #expect(ledger.reserve(anonymous(30), for: 2, among: []) == .granted)
        ledger.abandon(2)
        ledger.release(1)
        #expect(ledger.used == .zero && ledger.promised == .zero)
        ledger.release(1)
        #expect(ledger.used == .zero, "a release of what is not there changes nothing")
    }

    @Test func theLowestScoreGoesFirstAndNobodyInVain() {
        var ledger = ledger(anonymous(100), [anonymous(10), anonymous(50), anonymous(40)])
        let all = [idle(0, 1), idle(1, 2), idle(2, 3)]
        // 0 alone is too little, 0 and 1 are enough, and then 0 need not go.
        #expect(ledger.reserve(anonymous(45), for: 9, among: all) == .evict([1]))
        #expect(ledger.reserve(anonymous(55), for: 9, among: all) == .evict([0, 1]))
        #expect(ledger.reserve(anonymous(100), for: 9, among: all) == .evict([0, 1, 2]))
        #expect(
            ledger.reserve(anonymous(5), for: 9, among: [idle(2, 3), idle(0, 4)]) == .evict([2]))
    }

    @Test func modelsGoForWhatTheBooksDoNotExplainButNoLoadWaitsForIt() {
        var ledger = Ledger(budget: anonymous(100))
        ledger.saw(anonymous: 1_000)
        #expect(ledger.unexplained == .zero, "what was there before any model is nobody's")
        for key in 0..<4 {
            #expect(ledger.reserve(anonymous(20), for: key, among: []) == .granted)
            ledger.settle(key, atRest: anonymous(20))
        }
        // Four models of 20, and the process holds 15 more.
        ledger.saw(anonymous: 1_095)
        #expect(ledger.unexplained == anonymous(15))
        let all = (0..<4).map { idle($0, Double($0)) }
        #expect(ledger.reserve(anonymous(20), for: 9, among: all) == .evict([0]))
        ledger.release(0)
        #expect(ledger.reserve(anonymous(20), for: 9, among: []) == .granted)
        ledger.settle(9, atRest: anonymous(20))
        // Nobody may go: the books alone decide, and 20 fit beside 80.
        #expect(ledger.unexplained == anonymous(15))
        #expect(ledger.reserve(anonymous(20), for: 8, among: []) == .granted)
        ledger.settle(8, atRest: anonymous(20))
        ledger.saw(anonymous: 1_080)
        #expect(ledger.unexplained == .zero)
    }

    @Test func promotionsGoBeforeModelsAndWarmOnesLast() {
        var ledger = ledger(anonymous(100), [anonymous(30), anonymous(30), anonymous(40)])
        var all = [idle(0, 1), idle(1, 9), idle(2, 5)]
        all[0].rank = .warm
        all[1].rank = .promotion
        #expect(ledger.reserve(anonymous(30), for: 9, among: all) == .evict([1]))
        #expect(ledger.reserve(anonymous(60), for: 9, among: all) == .evict([1, 2]))
        #expect(ledger.reserve(anonymous(100), for: 9, among: all) == .evict([1, 2, 0]))
        // One that is on its way out is waited for, and nobody else goes.
        all[1].standing = .leaving
        #expect(ledger.reserve(anonymous(30), for: 9, among: all) == .wait)
        #expect(ledger.reserve(anonymous(31), for: 9, among: all) == .evict([2]))
    }

    @Test func whatNobodyWantsMayBeHadWithoutAnybodyGoing() {
        var ledger = ledger(anonymous(100), [anonymous(60)])
        let answers = [41, 40, 1].map { ledger.reserveSpare(anonymous($0), for: ~0) }
        #expect(answers == [false, true, false], "too much, enough, and it has its own")
        #expect(ledger.promised == anonymous(40))
        ledger.settle(~0, atRest: anonymous(35))
        #expect(ledger.used == anonymous(95) && ledger.holding(~0) == anonymous(35))
        ledger.release(~0)
        #expect(ledger.used == anonymous(60) && ledger.holding(0) == anonymous(60))
    }

    @Test func whoIsInUseIsWaitedForAndWhoIsPinnedIsNot() {
        var ledger = ledger(anonymous(100), [anonymous(60), anonymous(30)])
        var candidates = [idle(0, 1), idle(1, 2)]
        candidates[0].standing = .busy
        #expect(ledger.reserve(anonymous(50), for: 9, among: candidates) == .wait)
        #expect(ledger.reserve(anonymous(40), for: 9, among: candidates) == .evict([1]))
        candidates[0].standing = .pinned
        #expect(ledger.reserve(anonymous(40), for: 9, among: candidates) == .evict([1]))
        #expect(
            ledger.reserve(anonymous(41), for: 9, among: candidates)
                == .impossible(most: anonymous(40)))
        #expect(
            ledger.reserve(anonymous(101), for: 9, among: []) == .impossible(most: anonymous(100)))
    }

    @Test func bothBudgetsAreKept() {
        let budget = MemoryUse(anonymous: 100, mapped: 1_000)
        var ledger = ledger(
            budget, [MemoryUse(anonymous: 90, mapped: 0), MemoryUse(anonymous: 0, mapped: 900)])
        let all = [idle(0, 1), idle(1, 2)]
        // The first would go first, but has nothing of what is wanted.
        #expect(ledger.reserve(MemoryUse(mapped: 200), for: 9, among: all) == .evict([1]))
        #expect(ledger.reserve(MemoryUse(anonymous: 20), for: 9, among: all) == .evict([0]))
        #expect(
            ledger.reserve(MemoryUse(anonymous: 20, mapped: 200), for: 9, among: all)
                == .evict([0, 1]))
    }

    @Test func whatIsLargerThanItWasThoughtIsPaidByOthers() {
        var ledger = ledger(anonymous(100), [anonymous(50), anonymous(20)])
        #expect(ledger.overdrawn(among: [idle(0, 1), idle(1, 2)]) == [])
        #expect(ledger.reserve(anonymous(10), for: 2, among: []) == .granted)
        ledger.settle(2, atRest: anonymous(60))
        #expect(ledger.overdrawn(among: [idle(0, 1), idle(1, 2)]) == [0])
        #expect(ledger.overdrawn(among: [idle(1, 2)]) == [1], "as far as it goes")
        #expect(ledger.overdrawn(among: []) == [])
    }

    /// Random loads, releases and evictions: nothing is promised beyond the budget, no victim is in use, sums add up.
    @Test(arguments: 1...20)
    func walk(seed: UInt64) {
        var dice = Dice(seed: seed)
        let budget = MemoryUse(anonymous: 1_000, mapped: 2_000)
        var ledger = Ledger(budget: budget)
        var awake: [Int: MemoryUse] = [:]
        for step in 0..<3_000 {
            let key = Int.random(in: 0..<40, using: &dice)
            if awake[key] != nil {
                ledger.release(key)
                awake[key] = nil
                continue
            }
            let need = MemoryUse(
                anonymous: .random(in: 0...1_100, using: &dice),
                mapped: .random(in: 0...2_100, using: &dice))
            let candidates = awake.keys.map { key in
                let standings: [Ledger.Standing] = [.idle, .idle, .busy, .pinned]
                return Ledger.Candidate(
                    key: key, score: .random(in: 0...1, using: &dice),
                    standing: standings[Int.random(in: 0..<4, using: &dice)])
            }
            var decision = ledger.reserve(need, for: key, among: candidates)
            if case .evict(let victims) = decision {
                #expect(!victims.isEmpty && Set(victims).count == victims.count)
                for victim in victims {
                    #expect(candidates.contains { $0.key == victim && $0.standing == .idle })
                    ledger.release(victim)
                    awake[victim] = nil
                }
                decision = ledger.reserve(
                    need, for: key, among: candidates.filter { awake[$0.key] != nil })
                #expect(decision == .granted, "seed \(seed), step \(step)")
            }
            if decision == .granted {
                #expect((ledger.used + ledger.promised).fits(in: budget))
                if Bool.random(using: &dice) {
                    ledger.settle(key, atRest: need)
                    awake[key] = need
                } else {
                    ledger.abandon(key)
                }
            }
            #expect(ledger.promised == .zero)
            #expect(ledger.used == awake.values.reduce(.zero, +), "seed \(seed), step \(step)")
        }
    }
}

@Suite struct DemandTests {
    @Test func callsFadeByHalvesAndAddUp() {
        var demand = Demand()
        let start = Instant(nanoseconds: 5_000_000_000)
        #expect(demand.value(at: start) == 0)
        demand.add(8, at: start)
        #expect(demand.value(at: start) == 8)
        #expect(demand.value(at: start + Demand.halfLife) == 4)
        demand.add(4, at: start + Demand.halfLife)
        #expect(demand.value(at: start + Demand.halfLife) == 8)
        #expect(demand.value(at: start) == 8, "the past is not asked for")
        let later = start + Nanoseconds(Demand.halfLife.count * 4)
        #expect(abs(demand.value(at: later) - 1) < 1e-9)
    }
}

@Suite struct MissCurveTests {
    @Test func theCurveFallsByWhatMemoryWouldHaveSaved() {
        var curve = MissCurve()
        #expect(curve.points(calls: 0).isEmpty)
        curve.missed(extra: nil)
        curve.missed(extra: 8 << 20)
        curve.missed(extra: 8 << 20 + 1)
        curve.missed(extra: 100 << 20)
        curve.missed(extra: .max)
        #expect(curve.cold == 5)
        let points = curve.points(calls: 10)
        #expect(points.map(\.extra) == [0, 8 << 20, 16 << 20, 128 << 20])
        #expect(points.map(\.coldShare) == [0.5, 0.4, 0.3, 0.2])
    }
}
