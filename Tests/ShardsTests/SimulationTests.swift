// Whom the ledger sends away, against plain LRU over the same calls: no threads, no clock, only the books.

import Contract
import Foundation
import Shards
import Testing

/// Models on half the memory they need, called at random: some models often, most rarely (Zipf, 0.9).
private struct Simulation {
    /// `oracle` knows how often each model is called, now and for ever; nobody else can.
    enum Policy { case ours, leastRecentlyUsed, oracle }

    enum Fleet {
        /// 40 models of 470 MB.
        case alike
        /// Those and 200 forests of 2 to 125 MB.
        case withForests
        /// 100 models of 5 to 2,400 MB, most of them small.
        case mixed
    }

    struct Outcome: Equatable {
        var cold = 0
        /// What the loads took together, in seconds.
        var waited = 0.0
    }

    private struct Model {
        var bytes: UInt64
        var load: Double
        var weight: Double
        var demand = Demand()
        var lastUse = Instant(nanoseconds: 0)
    }

    private var dice: Dice
    private var models: [Model] = []
    private var ledger: Ledger

    /// A reload takes 20 ms and its bytes at 1.5 GB/s (RUNTIME.md).
    init(seed: UInt64, _ fleet: Fleet) {
        dice = Dice(seed: seed)
        let megabytes = Simulation.sizes(of: fleet, &dice)
        var weights = megabytes.indices.map { pow(Double($0 + 1), -0.9) }
        weights.shuffle(using: &dice)
        for (size, weight) in zip(megabytes, weights) {
            models.append(
                Model(
                    bytes: UInt64(size * 1e6), load: 0.02 + size / 1_500, weight: weight))
        }
        let total = models.reduce(0) { $0 + $1.bytes }
        ledger = Ledger(budget: MemoryUse(anonymous: total / 2))
    }

    private static func sizes(of fleet: Fleet, _ dice: inout Dice) -> [Double] {
        let dense = [Double](repeating: 470, count: 40)
        switch fleet {
        case .alike: return dense
        case .withForests:
            let forests: [Double] = [2, 5, 10, 20, 50, 125]
            return dense + (0..<200).map { _ in forests[Int.random(in: 0..<6, using: &dice)] }
        case .mixed:
            // The twelfth power of a number up to 1 is nearly always small.
            return (0..<100).map { _ in
                5 + 2_395 * pow(Double.random(in: 0..<1, using: &dice), 12)
            }
        }
    }

    mutating func run(_ policy: Policy, calls: Int) -> Outcome {
        var outcome = Outcome()
        var now = Instant(nanoseconds: 1)
        let total = models.reduce(0) { $0 + $1.weight }
        for _ in 0..<calls {
            now = now + .milliseconds(UInt64.random(in: 0...10_000, using: &dice))
            var left = Double.random(in: 0..<total, using: &dice)
            let chosen =
                models.firstIndex { model in
                    left -= model.weight
                    return left < 0
                } ?? 0
            if ledger.holding(chosen) == nil {
                outcome.cold += 1
                outcome.waited += models[chosen].load
                load(chosen, policy, now)
            }
            models[chosen].demand.add(1, at: now)
            models[chosen].lastUse = now
        }
        return outcome
    }

    private mutating func load(_ key: Int, _ policy: Policy, _ now: Instant) {
        let need = MemoryUse(anonymous: models[key].bytes)
        while true {
            let candidates = models.indices.filter { ledger.holding($0) != nil }.map { other in
                Ledger.Candidate(key: other, score: score(other, policy, now), standing: .idle)
            }
            switch ledger.reserve(need, for: key, among: candidates) {
            case .granted: return ledger.settle(key, atRest: need)
            case .evict(let victims): for victim in victims { ledger.release(victim) }
            case .wait, .impossible:
                Issue.record("there is always somebody to go")
                return
            }
        }
    }

    private func score(_ key: Int, _ policy: Policy, _ now: Instant) -> Double {
        let model = models[key]
        return switch policy {
        case .ours:
            Score.value(
                reload: Nanoseconds(UInt64(model.load * 1e9)), demand: model.demand.value(at: now),
                bytes: model.bytes)
        case .leastRecentlyUsed: Double(model.lastUse.nanoseconds)
        case .oracle: model.weight / Double(model.bytes)
        }
    }
}

@Suite struct SimulationTests {
    private func outcome(
        _ fleet: Simulation.Fleet, _ policy: Simulation.Policy
    ) -> Simulation.Outcome {
        var sum = Simulation.Outcome()
        for seed in 1...3 as ClosedRange<UInt64> {
            var simulation = Simulation(seed: seed, fleet)
            let one = simulation.run(policy, calls: 4_000)
            sum = .init(cold: sum.cold + one.cold, waited: sum.waited + one.waited)
        }
        return sum
    }

    private func compare(
        _ fleet: Simulation.Fleet
    ) -> (cold: Double, waited: Double, oracle: Double) {
        let ours = outcome(fleet, .ours)
        let plain = outcome(fleet, .leastRecentlyUsed)
        let oracle = outcome(fleet, .oracle)
        return (
            Double(ours.cold) / Double(plain.cold), ours.waited / plain.waited,
            Double(oracle.cold) / Double(plain.cold)
        )
    }

    @Test func aFleetOfDifferentModelsIsColdFortyPercentLessOftenThanWithLRU() {
        for fleet in [Simulation.Fleet.withForests, .mixed] {
            let (cold, waited, _) = compare(fleet)
            #expect(cold <= 0.6, "\(fleet): cold calls \(cold) of LRU's")
            #expect(waited <= 0.9, "\(fleet): waiting \(waited) of LRU's")
        }
    }

    @Test func alikeModelsAreColdHardlyMoreOftenThanWithAnOracle() {
        let (cold, _, oracle) = compare(.alike)
        #expect(cold <= 0.82, "cold calls \(cold) of LRU's")
        #expect(cold <= oracle + 0.06, "cold calls \(cold) of LRU's, an oracle's \(oracle)")
    }
}
