// Models whose weights stay in their file: how they are loaded, and what the ledger thinks of them.

import Catalogue
import Contract
import NIOEmbedded
import Shards
import Synchronization
import Testing

@Suite struct MappedTests {
    private static let mebibyte: UInt64 = 1 << 20

    private final class Bench {
        let clock = ManualClock()
        let engine = ScriptedEngine()
        let fleet: Fleet

        init(_ budget: MemoryUse) {
            var settings = ShardSettings(cores: 2)
            settings.memory = budget
            settings.awakeMin = .zero
            let clock = clock
            fleet = Fleet(settings: settings, engine: engine, clock: .manual { clock.now })
            engine.script.withLock {
                $0.bytes = { _ in 10 * mebibyte }
                $0.mappedOwnBytes = mebibyte / 4
            }
        }

        func load(_ entry: ModelEntry) -> Told {
            let told = Told()
            fleet.load(entry, done: told.hear)
            fleet.drainLoaders()
            clock.advance(.milliseconds(10))
            return told
        }
    }

    @Test func theManifestDecidesTheForm() {
        let bench = Bench(.unlimited)
        let (plain, mapped) = (Samples.entry(0), Samples.entry(1, weights: 400 * Self.mebibyte))
        #expect(bench.load(plain).count == 1 && bench.engine.count.mappedLoads == 0)
        #expect(bench.load(mapped).count == 1 && bench.engine.count.mappedLoads == 1)
        #expect(mapped.weightBytes == 400 * Self.mebibyte)
    }

    /// What the pages of the file may come to, from the first load on and whatever has been touched.
    @Test func theMappedBudgetPaysForTheWholeFile() {
        let bench = Bench(
            MemoryUse(anonymous: 16 * Self.mebibyte, mapped: 1_000 * Self.mebibyte))
        let models = (0..<3).map { Samples.entry($0, weights: 400 * Self.mebibyte) }
        // Two and a half times the file, as of other models, would never fit the 16 MiB.
        for model in models { #expect(bench.load(model).failure == nil) }
        let awake = models.filter { bench.fleet.state(of: $0) == .awake }
        #expect(awake.count == 2, "the third made one go")
        let account = bench.fleet.account(now: bench.clock.now)
        #expect(account.mappedUsed == 800 * Self.mebibyte)
        #expect(account.anonymousUsed == Self.mebibyte / 2)
        let one = bench.fleet.accounts(of: models, now: bench.clock.now)
        #expect(one.allSatisfy { $0.mappedBytes == 400 * Self.mebibyte })
        #expect(one.allSatisfy { $0.anonymousBytes == Self.mebibyte / 4 })
    }

    @Test func aFileLargerThanTheMappedBudgetIsRefusedByItsName() {
        let bench = Bench(MemoryUse(anonymous: .max, mapped: 100 * Self.mebibyte))
        let failure = bench.load(Samples.entry(0, weights: 400 * Self.mebibyte)).failure
        #expect(failure?.reason == .memoryLimit)
        #expect(failure?.message.contains("400 MiB") == true)
        #expect(failure?.message.contains("memory.mapped") == true)
    }

    /// Where nothing can be measured, the file still counts.
    @Test func withoutMeasurementsTheFileCounts() {
        let bench = Bench(.unlimited)
        bench.engine.script.withLock { $0.bytes = nil }
        #expect(bench.load(Samples.entry(0, weights: 400 * Self.mebibyte)).failure == nil)
        let account = bench.fleet.account(now: bench.clock.now)
        #expect(account.mappedUsed == 400 * Self.mebibyte)
        #expect(account.anonymousUsed < 2 * Self.mebibyte)
    }
}
