// Rules for some models' memory: windows in which they are kept warm, idle times of their own, pins.

import Catalogue
import Contract
import Shards
import Synchronization
import Testing

private let mebibyte: UInt64 = 1 << 20

private final class Watch {
    let clock = ManualClock()
    let time = WallTime()
    let engine = ScriptedEngine()
    let fleet: Fleet
    let models: [ModelEntry]
    let warned = Warned()

    /// Each model holds 40 MiB.
    init(
        budget: UInt64, models names: [String], rules: [ModelRule], idle: Nanoseconds = .zero,
        loadsWarn: UInt64 = 0
    ) {
        var settings = ShardSettings(cores: 2)
        settings.memory = MemoryUse(anonymous: budget * mebibyte, mapped: .max)
        settings.awakeMin = .zero
        settings.rules = rules
        settings.idleMax = idle
        settings.loadsWarn = loadsWarn
        let (clock, time) = (clock, time)
        fleet = Fleet(
            settings: settings, engine: engine, observer: warned,
            clock: .manual({ clock.now }, wall: { time.seconds }))
        models = names.enumerated().map { Samples.entry($0.offset, $0.element) }
        let all = models
        fleet.keepWarm { all }
        engine.script.withLock {
            $0.bytes = { _ in 40 * mebibyte }
            $0.load = { _ in clock.advance(.milliseconds(10)) }
        }
        // Sizes are known from here on.
        for model in models {
            fleet.load(model) { _ in }
            fleet.drainLoaders()
            fleet.unload(model)
            fleet.drainLoaders()
        }
    }

    func wake(_ model: ModelEntry) -> Told {
        let told = Told()
        fleet.load(model, done: told.hear)
        fleet.drainLoaders()
        clock.advance(.milliseconds(6))
        return told
    }

    /// Some minutes later.
    func pass(minutes: UInt64) {
        clock.advance(.seconds(60 * minutes))
        time.advance(Int64(60 * minutes))
        _ = fleet.look(clock.now)
        fleet.drainLoaders()
    }

    var awake: [String] { models.filter { fleet.state(of: $0) == .awake }.map(\.name) }
}

private final class WallTime: Sendable {
    /// Seconds since 1970: 00:00 UTC of a Thursday.
    private let value = Atomic<Int64>(1_709_164_800)
    var seconds: Int64 { value.load(ordering: .relaxed) }
    func advance(_ by: Int64) { value.add(by, ordering: .relaxed) }
}

private final class Warned: FleetObserver {
    private let accounts = Mutex<[FleetAccount]>([])
    var all: [FleetAccount] { accounts.withLock { $0 } }
    func loadsAreMany(_ account: FleetAccount, limit: UInt64) {
        accounts.withLock { $0.append(account) }
    }
    func modelLoaded(_ entry: ModelEntry, time: Nanoseconds) {}
    func modelFailedToLoad(
        _ entry: ModelEntry, failure: CallFailure, retryAfter: Nanoseconds
    ) {}
    func modelReleased(_ entry: ModelEntry) {}
    func modelEvicted(_ entry: ModelEntry, for other: ModelEntry, holding: MemoryUse) {}
    func memoryUnreturned(_ entry: ModelEntry, bytes: UInt64) {}
    func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds) {}
    func modelPromoted(_ entry: ModelEntry, time: Nanoseconds, bytes: UInt64) {}
    func modelNotPromoted(_ entry: ModelEntry, failure: CallFailure) {}
    func modelDemoted(_ entry: ModelEntry, _ why: Demotion) {}
}

@Suite struct KeepWarmTests {
    private func rule(
        _ match: String, warm: String? = nil, idle: Nanoseconds? = nil, pin: Bool = false
    ) throws -> ModelRule {
        var rule = ModelRule()
        rule.match = match
        rule.keepWarm = try warm.map { try Cron($0) }
        rule.idle = idle
        rule.isPinned = pin
        return rule
    }

    @Test func theWindowWakesAndItsEndLetsGo() throws {
        let watch = Watch(
            budget: 100, models: ["fraud-1", "fraud-2", "other"],
            rules: [try rule("fraud-*", warm: "* 1 * * *", idle: .seconds(600))])
        watch.pass(minutes: 30)
        #expect(watch.awake.isEmpty, "half past midnight")
        watch.pass(minutes: 30)
        #expect(watch.awake == ["fraud-1", "fraud-2"])
        let account = watch.fleet.accounts(of: [watch.models[0]], now: watch.clock.now)[0]
        #expect(account.isKeptWarm && account.idleMax == .seconds(600))
        watch.pass(minutes: 59)
        #expect(watch.awake == ["fraud-1", "fraud-2"], "nobody called, and they stay")
        watch.pass(minutes: 1)
        watch.pass(minutes: 1)
        #expect(watch.awake.isEmpty, "two o'clock, and idle for longer than ten minutes")
    }

    @Test func aWindowMakesNobodyGoWhoIsWarmToo() throws {
        let watch = Watch(
            budget: 100, models: ["a", "b", "c", "d"], rules: [try rule("*", warm: "* * * * *")])
        watch.pass(minutes: 1)
        #expect(watch.awake.count == 2, "as many as there is room for: \(watch.awake)")
        let first = watch.awake
        let loads = watch.engine.count.loads
        watch.pass(minutes: 1)
        #expect(watch.awake == first && watch.engine.count.loads == loads)
    }

    @Test func aWindowSendsAwayWhoIsNotWanted() throws {
        let watch = Watch(
            budget: 50, models: ["usual", "warm"], rules: [try rule("warm", warm: "* * * * *")])
        #expect(watch.wake(watch.models[0]).failure == nil)
        watch.pass(minutes: 1)
        #expect(watch.awake == ["warm"])
    }

    @Test func whoIsKeptWarmGoesLastButGoes() throws {
        let watch = Watch(
            budget: 100, models: ["warm", "usual", "new"],
            rules: [try rule("warm", warm: "* * * * *")])
        watch.pass(minutes: 1)
        #expect(watch.wake(watch.models[1]).failure == nil)
        #expect(watch.awake == ["warm", "usual"])
        #expect(watch.wake(watch.models[2]).failure == nil)
        #expect(watch.awake == ["warm", "new"], "the usual one goes first")
        // Kept warm and nothing else: a call still gets its model.
        let full = Watch(
            budget: 50, models: ["warm", "new"], rules: [try rule("warm", warm: "* * * * *")])
        full.pass(minutes: 1)
        #expect(full.wake(full.models[1]).failure == nil)
        #expect(full.awake == ["new"])
    }

    @Test func aRulesPinHoldsAgainstEverybody() throws {
        let watch = Watch(
            budget: 50, models: ["pinned", "new"], rules: [try rule("pinned", pin: true)])
        #expect(watch.wake(watch.models[0]).failure == nil)
        let failure = watch.wake(watch.models[1]).failure
        #expect(failure?.reason == .memoryLimit && watch.awake == ["pinned"])
    }

    @Test func theFirstRuleThatCoversAModelCounts() throws {
        let watch = Watch(
            budget: 1_000, models: ["fast-1", "fast-2", "slow"],
            rules: [
                try rule("fast-1", idle: .zero), try rule("fast-*", idle: .seconds(120)),
            ], idle: .seconds(3_600))
        for model in watch.models { #expect(watch.wake(model).failure == nil) }
        watch.pass(minutes: 3)
        #expect(watch.awake == ["fast-1", "slow"])
        watch.pass(minutes: 60)
        #expect(watch.awake == ["fast-1"])
    }

    @Test func manyLoadsAreToldOnceAnHour() throws {
        let watch = Watch(budget: 50, models: ["a", "b", "c"], rules: [], loadsWarn: 5)
        watch.pass(minutes: 1)
        #expect(watch.warned.all.isEmpty)
        for _ in 0..<3 { for model in watch.models { _ = watch.wake(model) } }
        watch.pass(minutes: 1)
        let told = watch.warned.all
        #expect(told.count == 1 && told.first?.loadsLastHour == 12)
        #expect(told.first?.loadsWarn == 5)
        for model in watch.models { _ = watch.wake(model) }
        watch.pass(minutes: 10)
        #expect(watch.warned.all.count == 1)
        watch.pass(minutes: 51)
        for _ in 0..<3 { for model in watch.models { _ = watch.wake(model) } }
        watch.pass(minutes: 1)
        #expect(watch.warned.all.count == 2)
    }
}
