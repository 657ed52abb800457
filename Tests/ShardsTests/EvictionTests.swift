// Memory under pressure, with a fleet driven by hand: who goes, who stays, who waits, and that nobody is lost.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

/// A fleet with a budget, models of known size, and one event loop.
private final class Town {
    static let mebibyte: UInt64 = 1 << 20

    let clock = ManualClock()
    let engine = ScriptedEngine()
    let loop = EmbeddedEventLoop()
    let fleet: Fleet
    let desk: LoopDesk
    private(set) var ears: [Listener.Ear] = []

    /// Each model holds `sizes[index]` MiB.
    init(
        budget: UInt64, sizes: [UInt64], awakeMin: Nanoseconds = .zero, idleMax: Nanoseconds = .zero
    ) {
        var settings = ShardSettings(cores: 2)
        settings.memory = MemoryUse(anonymous: budget * Town.mebibyte, mapped: .max)
        settings.awakeMin = awakeMin
        settings.idleMax = idleMax
        // Runs hop: leases end when a shard has run.
        settings.inlineRunMax = .zero
        let clock = clock
        fleet = Fleet(settings: settings, engine: engine, clock: .manual { clock.now })
        desk = fleet.desk(on: loop)
        engine.script.withLock { script in
            script.bytes = { sizes[$0.index] * Town.mebibyte }
            script.load = { _ in clock.advance(.milliseconds(10)) }
        }
    }

    @discardableResult
    func call(_ entry: ModelEntry, within time: Nanoseconds = .seconds(60)) -> Listener.Ear {
        let listener = Listener()
        _ = desk.submit(
            Samples.prepared(entry), deadline: clock.now + time, now: clock.now,
            delegate: listener)
        desk.turnEnded()
        ears.append(listener.ear)
        return listener.ear
    }

    func settle(rounds: Int = 6) {
        for _ in 0..<rounds {
            fleet.drainLoaders()
            fleet.drainShards()
            clock.advance(.milliseconds(6))
            _ = fleet.look(clock.now)
            loop.run()
        }
    }

    var allSucceeded: Bool { ears.allSatisfy { $0.succeeded } }

    func isAwake(_ entry: ModelEntry) -> Bool { fleet.state(of: entry) == .awake }

    func account(_ entry: ModelEntry) -> ModelAccount {
        fleet.accounts(of: [entry], now: clock.now)[0]
    }

    /// Models cannot be measured before they were awake once.
    func getToKnow(_ entries: [ModelEntry]) {
        for entry in entries {
            fleet.load(entry) { _ in }
            settle()
            fleet.unload(entry)
            settle()
        }
    }
}

@Suite struct EvictionTests {
    private let models = (0..<8).map { Samples.entry($0) }

    @Test func theLessWantedModelMakesRoom() throws {
        let town = Town(budget: 100, sizes: [40, 40, 40, 1, 1, 1, 1, 1])
        town.getToKnow([models[0], models[1], models[2]])
        for _ in 0..<5 { town.call(models[0]) }
        town.settle()
        town.call(models[1])
        town.settle()
        #expect(town.isAwake(models[0]) && town.isAwake(models[1]))
        town.call(models[2])
        town.settle()
        #expect(town.isAwake(models[0]) && town.isAwake(models[2]))
        #expect(town.fleet.state(of: models[1]) == .asleep)
        let gone = town.account(models[1])
        #expect(gone.evictions == 1 && gone.evictedFor == "model-2" && gone.sinceEviction != nil)
        #expect(gone.anonymousBytes == 40 << 20, "what it held is known while it sleeps")
        #expect(gone.unreturnedBytes == 0)
        let stays = town.account(models[0])
        #expect(stays.evictions == 0 && stays.callsSinceWake == 5 && stays.awakeFor != nil)
        #expect(town.allSucceeded)
        #expect(town.engine.count.bytesMost <= 100 << 20)
    }

    /// A reload gives less memory and pins a model: both hold from the next load on.
    @Test func newWishesHoldFromTheNextLoadOn() throws {
        let town = Town(budget: 100, sizes: [40, 40, 30, 1, 1, 1, 1, 1])
        town.getToKnow([models[0], models[1], models[2]])
        town.call(models[0])
        town.call(models[1])
        town.settle()
        #expect(town.isAwake(models[0]) && town.isAwake(models[1]))
        var settings = town.fleet.settings
        settings.memory = MemoryUse(anonymous: 75 * Town.mebibyte, mapped: .max)
        var rule = ModelRule()
        rule.match = "model-0"
        rule.isPinned = true
        settings.rules = [rule]
        settings.loadsWarn = 3
        town.fleet.apply(MemoryWishes(settings))
        #expect(town.isAwake(models[0]) && town.isAwake(models[1]), "nobody is thrown out for it")
        #expect(town.fleet.account(now: town.clock.now).loadsWarn == 3)
        for _ in 0..<3 { town.call(models[1]) }
        town.settle()
        town.call(models[2])
        town.settle()
        #expect(town.isAwake(models[0]) && town.isAwake(models[2]), "the pinned one stays")
        #expect(!town.isAwake(models[1]))
        #expect(town.allSucceeded)
    }

    @Test func aModelInUseStaysAndTheNextWaits() throws {
        let town = Town(budget: 50, sizes: [40, 40, 1, 1, 1, 1, 1, 1])
        town.getToKnow([models[0], models[1]])
        town.fleet.load(models[0]) { _ in }
        town.settle()
        // Queued and not run: the lease is out.
        let first = town.call(models[0])
        let second = town.call(models[1])
        town.fleet.drainLoaders()
        #expect(town.isAwake(models[0]) && !second.isAnswered && !first.isAnswered)
        #expect(town.account(models[1]).state == .queued)
        town.settle()
        #expect(first.succeeded && second.succeeded)
        #expect(town.isAwake(models[1]) && !town.isAwake(models[0]))
        #expect(town.engine.count.bytesMost == 40 << 20)
    }

    @Test func aModelLargerThanWasGuessedMakesRoomWhenThatIsKnown() throws {
        let town = Town(budget: 100, sizes: [60, 60, 1, 1, 1, 1, 1, 1])
        town.call(models[0])
        town.settle()
        town.call(models[1])
        town.settle()
        #expect(town.allSucceeded)
        #expect(town.isAwake(models[1]) && !town.isAwake(models[0]))
        #expect(town.fleet.account(now: town.clock.now).anonymousUsed == 60 << 20)
    }

    @Test func aPinnedModelNeverGoes() throws {
        let town = Town(budget: 50, sizes: [40, 40, 5, 1, 1, 1, 1, 1])
        town.getToKnow([models[0], models[1], models[2]])
        town.call(models[0])
        town.settle()
        town.fleet.pin(models[0], true)
        let refused = town.call(models[1])
        let small = town.call(models[2])
        town.settle()
        let failure = try #require(refused.failure)
        #expect(failure.code == .resourceExhausted && failure.reason == .memoryLimit)
        #expect(failure.message.contains("40 MiB") && failure.message.contains("50 MiB"))
        #expect(failure.message.contains("memory.anonymous") && failure.message.contains("10 MiB"))
        #expect(small.succeeded && town.isAwake(models[0]))
        town.fleet.pin(models[0], false)
        #expect(town.fleet.state(of: models[1]) == .asleep, "a refusal is not remembered")
        town.call(models[1])
        town.settle()
        #expect(town.ears.last?.succeeded == true)
    }

    @Test func whatCanNeverFitIsRefusedAtOnceAndCostsNobodyAnything() throws {
        let town = Town(budget: 50, sizes: [10, 60, 1, 1, 1, 1, 1, 1])
        town.call(models[0])
        town.settle()
        // Larger than was guessed: found out at its first load, which makes it go again.
        town.call(models[1])
        town.settle()
        town.fleet.unload(models[1])
        town.settle()
        town.call(models[0])
        town.settle()
        let refused = town.call(models[1])
        town.settle(rounds: 1)
        #expect(refused.failure?.reason == .memoryLimit)
        #expect(town.isAwake(models[0]))
        #expect(town.account(models[0]).evictions <= 1)
    }

    @Test func aModelStaysAwakeForAWhile() throws {
        let town = Town(
            budget: 50, sizes: [40, 40, 1, 1, 1, 1, 1, 1], awakeMin: .milliseconds(100))
        town.getToKnow([models[0], models[1]])
        let first = town.call(models[0])
        town.settle(rounds: 2)
        let second = town.call(models[1])
        town.settle(rounds: 3)
        #expect(first.succeeded && town.isAwake(models[0]) && !second.isAnswered)
        town.clock.advance(.milliseconds(200))
        town.settle()
        #expect(second.succeeded && town.isAwake(models[1]))
    }

    @Test func whoIsNotCalledForAWhileSleeps() throws {
        let town = Town(budget: 500, sizes: [40, 40, 40, 1, 1, 1, 1, 1], idleMax: .seconds(60))
        for model in models[0...2] { town.call(model) }
        town.settle()
        town.fleet.pin(models[1], true)
        town.clock.advance(.seconds(50))
        town.call(models[2])
        town.settle()
        #expect(town.isAwake(models[0]) && town.isAwake(models[1]) && town.isAwake(models[2]))
        town.clock.advance(.seconds(20))
        town.settle()
        #expect(!town.isAwake(models[0]) && town.isAwake(models[1]) && town.isAwake(models[2]))
        let gone = town.account(models[0])
        #expect(gone.evictions == 1 && gone.evictedFor.isEmpty)
        town.call(models[0])
        town.settle()
        #expect(town.allSucceeded && town.isAwake(models[0]))
    }

    @Test func aHundredCallsWaitWhileOthersAreEvicted() throws {
        let town = Town(budget: 50, sizes: [40, 40, 1, 1, 1, 1, 1, 1])
        town.getToKnow([models[0], models[1]])
        town.call(models[0])
        town.settle()
        for _ in 0..<100 { town.call(models[1]) }
        for _ in 0..<100 { town.call(models[0]) }
        for _ in 0..<20 { town.settle() }
        #expect(town.allSucceeded)
        #expect(town.engine.count.runsOfReleased == 0)
        #expect(town.engine.count.bytesMost == 40 << 20)
    }

    @Test func aCallThatCannotWaitIsToldHowLong() throws {
        let town = Town(budget: 100, sizes: [40, 40, 1, 1, 1, 1, 1, 1])
        town.getToKnow([models[0]])
        #expect(town.account(models[0]).loadTime == .milliseconds(10))
        let hurried = town.call(models[0], within: .milliseconds(5))
        let patient = town.call(models[0], within: .seconds(5))
        town.loop.run()
        let failure = try #require(hurried.failure)
        #expect(failure.code == .unavailable && failure.reason == .modelLoading)
        #expect(failure.retryAfter == .milliseconds(10) && failure.notStarted)
        #expect(!patient.isAnswered)
        town.settle()
        #expect(patient.succeeded, "the load went on")
    }

    @Test func theFleetKnowsWhatMoreMemoryWouldSave() throws {
        let town = Town(budget: 100, sizes: [60, 60, 1, 1, 1, 1, 1, 1])
        for _ in 0..<10 {
            town.call(models[0])
            town.settle()
            town.call(models[1])
            town.settle()
        }
        let account = town.fleet.account(now: town.clock.now)
        #expect(account.anonymousBudget == 100 << 20 && account.mappedBudget == 0)
        #expect(account.calls == 20 && account.coldCalls == 20 && account.loadsLastHour == 20)
        // Both at once are 120 MiB: 20 more would leave the two first loads.
        #expect(account.missCurve.first == MissPoint(extraBytes: 0, coldShare: 1))
        #expect(account.missCurve.last == MissPoint(extraBytes: 32 << 20, coldShare: 0.1))
    }

    /// Random calls over more models than fit: every call is answered, the budget is kept, no lease is lost.
    @Test(arguments: 1...6)
    func storm(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let sizes: [UInt64] = [5, 10, 15, 20, 25, 30, 35, 40]
        let town = Town(budget: 60, sizes: sizes)
        town.getToKnow(models)
        for _ in 0..<200 {
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                town.call(models[Int.random(in: 0..<8, using: &dice)])
            }
            town.settle(rounds: Int.random(in: 0...3, using: &dice))
        }
        for _ in 0..<30 { town.settle() }
        let unanswered = town.ears.filter { !$0.succeeded }.count
        #expect(unanswered == 0, "seed \(seed)")
        #expect(town.engine.count.bytesMost <= 60 << 20, "seed \(seed)")
        #expect(town.fleet.account(now: town.clock.now).anonymousUsed <= 60 << 20)
        for model in models { #expect(town.fleet.resident(for: model).leases == 0) }
    }
}
