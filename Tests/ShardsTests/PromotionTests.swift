// A second session for a model that stays hot: who gets one, who does not, and who goes first when memory is wanted.

import Catalogue
import Contract
import NIOEmbedded
import Shards
import Synchronization
import Testing

private let mebibyte: UInt64 = 1 << 20

/// A fleet driven by hand, whose mapped models hold 100 MiB in their files, a quarter of one in memory, and 120 of it
/// when they are promoted.
private final class Stage {
    let clock = ManualClock()
    let engine = ScriptedEngine()
    let loop = EmbeddedEventLoop()
    let fleet: Fleet
    let desk: LoopDesk
    let hot = Samples.entry(0, weights: 100 * mebibyte)
    let other = Samples.entry(1, weights: 100 * mebibyte)
    let plain = Samples.entry(2)
    private(set) var ears: [Listener.Ear] = []

    /// - Parameters:
    ///   - budget: anonymous MiB.
    ///   - promotedRun: how long a run takes on the promoted session; 10 ms on the mapped one.
    init(budget: UInt64 = 1_000, promotes: Bool = true, promotedRun: Nanoseconds = .milliseconds(6))
    {
        var settings = ShardSettings(cores: 2)
        settings.memory = MemoryUse(anonymous: budget * mebibyte, mapped: .max)
        settings.awakeMin = .zero
        settings.inlineRunMax = .zero
        settings.promotes = promotes
        let clock = clock
        fleet = Fleet(settings: settings, engine: engine, clock: .manual { clock.now })
        desk = fleet.desk(on: loop)
        engine.script.withLock { script in
            script.bytes = { $0.index == 2 ? 60 * mebibyte : 120 * mebibyte }
            script.mappedOwnBytes = mebibyte / 4
            script.enter = { clock.advance($0 == .mapped ? .milliseconds(10) : promotedRun) }
            script.load = { _ in clock.advance(.milliseconds(20)) }
        }
    }

    @discardableResult
    func call(_ entry: ModelEntry) -> Listener.Ear {
        let listener = Listener()
        _ = desk.submit(
            Samples.prepared(entry), deadline: clock.now + .seconds(600), now: clock.now,
            delegate: listener)
        desk.turnEnded()
        ears.append(listener.ear)
        return listener.ear
    }

    func settle() {
        for _ in 0..<4 {
            fleet.drainLoaders()
            fleet.drainShards()
            clock.advance(.milliseconds(6))
            loop.run()
        }
    }

    func work(_ entry: ModelEntry, calls: Int) {
        for _ in 0..<calls {
            call(entry)
            settle()
        }
    }

    /// The plain model has been there once: what it needs is known.
    func learnPlain() {
        work(plain, calls: 1)
        fleet.unload(plain)
        settle()
    }

    /// What the fleet does by itself, some seconds later.
    func look() {
        clock.advance(.seconds(6))
        _ = fleet.look(clock.now)
        fleet.drainPromoter()
        settle()
    }

    func account(_ entry: ModelEntry) -> ModelAccount {
        fleet.accounts(of: [entry], now: clock.now)[0]
    }

    var used: MemoryUse {
        let account = fleet.account(now: clock.now)
        return MemoryUse(anonymous: account.anonymousUsed, mapped: account.mappedUsed)
    }
}

@Suite struct PromotionTests {
    @Test func whoStaysHotIsPromotedAndRunsFaster() {
        let stage = Stage()
        stage.work(stage.hot, calls: 20)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor == nil, "20 calls are too few")
        stage.work(stage.hot, calls: 100)
        stage.look()
        let promoted = stage.account(stage.hot)
        #expect(promoted.promotedFor != nil && promoted.promotedBytes == 120 * mebibyte)
        #expect(promoted.anonymousBytes == 120 * mebibyte + mebibyte / 4)
        #expect(promoted.mappedBytes == 100 * mebibyte, "the mapped session stays beside it")
        #expect(promoted.promotionSaving == 0, "nothing has been measured yet")
        #expect(stage.used.anonymous == 120 * mebibyte + mebibyte / 4)
        stage.work(stage.hot, calls: 60)
        let saving = stage.account(stage.hot).promotionSaving
        #expect(saving > 0.3 && saving < 0.5, "6 instead of 10 ms: \(saving)")
        stage.look()
        #expect(stage.account(stage.hot).promotedFor != nil)
        #expect(stage.engine.count.living == 2 && stage.ears.allSucceeded)
        #expect(stage.account(stage.hot).loads == 1, "a promotion is no wake-up")
    }

    @Test func whoRunsNoFasterIsSentBackAndNotTriedAgain() {
        let stage = Stage(promotedRun: .milliseconds(11))
        stage.work(stage.hot, calls: 120)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor != nil)
        stage.work(stage.hot, calls: 60)
        stage.look()
        let account = stage.account(stage.hot)
        #expect(account.promotedFor == nil)
        #expect(account.promotionNote.contains("% more time"), "\(account.promotionNote)")
        #expect(stage.used.anonymous == mebibyte / 4 && stage.engine.count.living == 1)
        let loads = stage.engine.count.loads
        stage.work(stage.hot, calls: 60)
        stage.look()
        #expect(stage.engine.count.loads == loads)
        #expect(stage.ears.allSucceeded)
    }

    @Test func nobodyGoesForAPromotion() {
        // 60 MiB are free once the plain model is in: the promotion guesses 129.
        let stage = Stage(budget: 130)
        stage.work(stage.plain, calls: 1)
        stage.work(stage.hot, calls: 200)
        for _ in 0..<3 { stage.look() }
        #expect(stage.account(stage.hot).promotedFor == nil)
        #expect(stage.fleet.state(of: stage.plain) == .awake)
        #expect(stage.engine.count.loads == 2)
    }

    @Test func theSettingTurnsItOff() {
        let stage = Stage(promotes: false)
        stage.work(stage.hot, calls: 200)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor == nil && stage.engine.count.loads == 1)
    }

    @Test func thePromotedGoFirstWhenMemoryIsWanted() {
        let stage = Stage(budget: 150)
        stage.learnPlain()
        stage.work(stage.other, calls: 1)
        stage.work(stage.hot, calls: 200)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor != nil)
        let call = stage.call(stage.plain)
        stage.settle()
        #expect(call.succeeded)
        let account = stage.account(stage.hot)
        #expect(account.promotedFor == nil && account.promotionNote.contains("memory was wanted"))
        #expect(stage.fleet.state(of: stage.hot) == .awake)
        #expect(stage.fleet.state(of: stage.other) == .awake, "a promotion goes before a model")
        #expect(account.evictions == 0 && stage.account(stage.other).evictions == 0)
        #expect(stage.engine.count.bytesMost <= 150 * mebibyte)
        // There is no room again for ten minutes.
        stage.work(stage.hot, calls: 100)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor == nil)
    }

    @Test func runsUnderWayEndOnTheSessionTheyBeganOn() {
        let stage = Stage(budget: 150)
        stage.learnPlain()
        stage.work(stage.hot, calls: 200)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor != nil)
        // Queued, its lease is out: it will run on the promoted session.
        let early = stage.call(stage.hot)
        let call = stage.call(stage.plain)
        stage.fleet.drainLoaders()
        #expect(stage.account(stage.hot).promotedFor == nil, "new runs use the mapped session")
        #expect(stage.fleet.state(of: stage.plain) != .awake && !early.isAnswered)
        #expect(stage.engine.count.living == 2, "its memory is not free yet")
        let late = stage.call(stage.hot)
        stage.settle()
        stage.look()
        #expect(early.succeeded && late.succeeded && call.succeeded)
        #expect(stage.engine.count.bytesMost <= 150 * mebibyte)
        #expect(stage.engine.count.living == 2, "the mapped one and the plain model")
        #expect(stage.used.anonymous == 60 * mebibyte + mebibyte / 4)
    }

    @Test func aPromotedModelLeavesWithBothSessions() {
        let stage = Stage()
        stage.work(stage.hot, calls: 200)
        stage.look()
        #expect(stage.engine.count.living == 2)
        let told = Told()
        stage.fleet.unload(stage.hot, done: told.hear)
        stage.settle()
        #expect(told.count == 1 && stage.engine.count.living == 0)
        #expect(stage.used == .zero)
        #expect(stage.account(stage.hot).promotedFor == nil)
        stage.work(stage.hot, calls: 40)
        stage.look()
        #expect(stage.account(stage.hot).promotedFor != nil, "it may have another")
        #expect(stage.ears.allSucceeded)
    }

    @Test func aPromotionThatFailsChangesNothing() {
        let stage = Stage()
        stage.work(stage.hot, calls: 200)
        stage.engine.script.withLock {
            $0.load = { entry throws(CallFailure) in throw entry.brokenFailure("it smells") }
        }
        stage.look()
        #expect(stage.account(stage.hot).promotedFor == nil)
        #expect(stage.used.anonymous == mebibyte / 4)
        let call = stage.call(stage.hot)
        stage.settle()
        #expect(call.succeeded && stage.fleet.state(of: stage.hot) == .awake)
    }

    // MARK: The rule

    @Test func theRuleWeighsCallsAgainstTheLoad() {
        let run = Nanoseconds.milliseconds(26)
        let load = Promotion.presumedLoad(bytes: 470 << 20)
        #expect(load > .milliseconds(900) && load < .seconds(1))
        #expect(!Promotion.isWorth(demand: 100, run: run, load: load))
        #expect(Promotion.isWorth(demand: 200, run: run, load: load))
        #expect(!Promotion.isWorth(demand: 31, run: .seconds(20), load: load))
    }

    @Test func onlySizesThatBothHaveRunAreCompared() throws {
        let comparison = RunComparison()
        func runs(_ count: Int, _ bytes: Int, _ time: Nanoseconds, promoted: Bool) {
            for _ in 0..<count {
                comparison.record(time, forBytes: bytes, isPromoted: promoted)
            }
        }
        runs(100, 16, .milliseconds(10), promoted: false)
        runs(100, 64 << 10, .milliseconds(100), promoted: true)
        #expect(comparison.verdict == nil)
        #expect(comparison.mappedRun == .milliseconds(10))
        runs(100, 16, .milliseconds(5), promoted: true)
        let verdict = try #require(comparison.verdict)
        #expect(verdict.runs == 98 && abs(verdict.saving - 0.5) < 0.01)
        runs(100, 64 << 10, .milliseconds(50), promoted: false)
        #expect(try #require(comparison.verdict).saving < 0, "the large ones weigh more")
        comparison.begin()
        #expect(comparison.verdict == nil)
    }
}
