// When a mapped model is worth a session of its own: packed for the processor it runs faster, but costs its weights in
// memory and seconds of a core. Values and measurements; the promoter acts (docs/decisions/0012).

package import Contract
private import Synchronization

/// The rule.
package enum Promotion {
    /// Recent calls (``Demand``) below which nobody is promoted.
    package static let demandMin = 32.0
    /// The share of run time that is hoped to be saved, before it has been measured.
    package static let savingHoped = 0.25
    /// Below this measured share the promotion did not pay.
    package static let savingMin = 0.1
    /// Runs of the promoted session, of sizes that the mapped one has run too, before it is judged.
    package static let judgedRuns: UInt64 = 32
    /// How often the fleet looks for somebody to promote or to send back.
    package static let interval = Nanoseconds.seconds(5)
    /// Who was sent back because memory was wanted is not promoted again before this time...
    package static let calmTime = Nanoseconds.seconds(600)
    /// ... and who ran no faster, or did not load, before this.
    package static let disappointmentTime = Nanoseconds.seconds(6 * 3_600)

    /// Whether the hoped-for saving in the calls of about an hour is worth the load.
    package static func isWorth(
        demand: Double, run: Nanoseconds, load: Nanoseconds
    ) -> Bool {
        demand >= demandMin && saving(demand: demand, run: run) >= Double(load.count)
    }

    /// Nanoseconds of run time.
    package static func saving(demand: Double, run: Nanoseconds) -> Double {
        demand * Double(run.count) * savingHoped
    }

    /// What a load is likely to take before there was one: half a gigabyte a second (RUNTIME.md).
    package static func presumedLoad(bytes: UInt64) -> Nanoseconds {
        Nanoseconds(min(bytes, .max / 2) &* 2)
    }
}

/// Why a model was sent back to its mapped session.
package enum Demotion: Sendable, Equatable {
    case memoryWanted
    /// So much of its run time it saved, less than ``Promotion/savingMin``; below zero it was slower.
    case noGain(Double)
}

/// Run times of a model's two sessions, by size of input as in ``RunEstimates``. Any thread records; an update that is
/// lost does no harm.
package final class RunComparison: Sendable {
    /// What the promoted session has shown.
    package struct Verdict: Sendable, Equatable {
        package var runs: UInt64
        /// The share of the run time that it saves; below zero it is slower.
        package var saving: Double
    }

    private let mapped = Side()
    private let promoted = Side()

    package init() {}

    package func record(_ time: Nanoseconds, forBytes byteCount: Int, isPromoted: Bool) {
        (isPromoted ? promoted : mapped).record(time, RunEstimates.sizeClass(byteCount))
    }

    /// A promotion begins: what an earlier one showed does not count.
    package func begin() { promoted.clear() }

    /// Over the sizes that both have run; nil while that is too little.
    package var verdict: Verdict? {
        var runs: UInt64 = 0
        var (before, after) = (0.0, 0.0)
        for index in 0..<16 {
            guard let old = mapped.average(index), let new = promoted.average(index) else {
                continue
            }
            let weight = Double(new.runs)
            runs += new.runs
            before += weight * Double(old.time)
            after += weight * Double(new.time)
        }
        guard runs >= Promotion.judgedRuns, before > 0 else { return nil }
        return Verdict(runs: runs, saving: 1 - after / before)
    }

    /// An average run of the mapped session; nil while too little is known.
    package var mappedRun: Nanoseconds? {
        var (runs, total) = (0.0, 0.0)
        for index in 0..<16 {
            guard let known = mapped.average(index) else { continue }
            runs += Double(known.runs)
            total += Double(known.runs) * Double(known.time)
        }
        return runs > 0 ? Nanoseconds(UInt64(total / runs)) : nil
    }

    private final class Side: Sendable {
        /// The first runs of a session bring pages in and fill caches.
        static let firstRuns: UInt64 = 2
        static let knownRuns: UInt64 = 6

        private let counts = InlineArray<16, Atomic<UInt64>> { _ in Atomic(0) }
        private let times = InlineArray<16, Atomic<UInt64>> { _ in Atomic(0) }

        func record(_ time: Nanoseconds, _ index: Int) {
            let count = counts[index].wrappingAdd(1, ordering: .relaxed).newValue
            guard count > Side.firstRuns else { return }
            let old = times[index].load(ordering: .relaxed)
            guard old > 0 else {
                return times[index].store(max(1, time.count), ordering: .relaxed)
            }
            // A run that lost its core for a moment says little.
            let sample = min(time.count, old &* 4)
            let new = sample > old ? old + (sample - old) / 16 : old - (old - sample) / 16
            times[index].store(max(1, new), ordering: .relaxed)
        }

        func average(_ index: Int) -> (runs: UInt64, time: UInt64)? {
            let runs = counts[index].load(ordering: .relaxed)
            guard runs >= Side.firstRuns + Side.knownRuns else { return nil }
            return (runs - Side.firstRuns, times[index].load(ordering: .relaxed))
        }

        func clear() {
            for index in 0..<16 {
                counts[index].store(0, ordering: .relaxed)
                times[index].store(0, ordering: .relaxed)
            }
        }
    }
}
