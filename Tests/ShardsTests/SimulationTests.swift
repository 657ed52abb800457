// Whom the ledger sends away, against plain LRU over the same calls: no threads, no clock, only the books.

import Contract
import Foundation
import Shards
import Testing

/// Forty models on half the memory they need, called at random: some models often, most rarely.
private struct Simulation {
    enum Policy { case ours, leastRecentlyUsed }

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

    /// `isMixed`: models of different sizes, and half of them reload in a fiftieth of the time.
    init(seed: UInt64, isMixed: Bool) {
        dice = Dice(seed: seed)
        let sizes: [UInt64] = [50, 100, 200, 470, 470, 800]
        var weights = (1...40).map { pow(Double($0), -0.9) }
        weights.shuffle(using: &dice)
        for weight in weights {
            let bytes = isMixed ? sizes[Int.random(in: 0..<6, using: &dice)] : 470
            let isQuick = isMixed && Bool.random(using: &dice)
            models.append(
                Model(
                    bytes: bytes, load: Double(bytes) / 470 * (isQuick ? 0.02 : 1), weight: weight))
        }
        let total = models.reduce(0) { $0 + $1.bytes }
        ledger = Ledger(budget: MemoryUse(anonymous: total / 2))
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
        case .ours: model.load * model.demand.value(at: now) / Double(model.bytes)
        case .leastRecentlyUsed: Double(model.lastUse.nanoseconds)
        }
    }
}

@Suite struct SimulationTests {
    private func compare(isMixed: Bool) -> (ours: Simulation.Outcome, plain: Simulation.Outcome) {
        var (ours, plain) = (Simulation.Outcome(), Simulation.Outcome())
        for seed in 1...3 as ClosedRange<UInt64> {
            var simulation = Simulation(seed: seed, isMixed: isMixed)
            let one = simulation.run(.ours, calls: 4_000)
            simulation = Simulation(seed: seed, isMixed: isMixed)
            let other = simulation.run(.leastRecentlyUsed, calls: 4_000)
            ours = .init(cold: ours.cold + one.cold, waited: ours.waited + one.waited)
            plain = .init(cold: plain.cold + other.cold, waited: plain.waited + other.waited)
        }
        return (ours, plain)
    }

    @Test func alikeModelsAreColdLessOftenThanWithLRU() {
        let (ours, plain) = compare(isMixed: false)
        #expect(Double(ours.cold) < 0.9 * Double(plain.cold), "\(ours) \(plain)")
    }

    @Test func inAMixedFleetCallersWaitFarLess() {
        let (ours, plain) = compare(isMixed: true)
        #expect(ours.waited < 0.7 * plain.waited, "\(ours) \(plain)")
    }
}
