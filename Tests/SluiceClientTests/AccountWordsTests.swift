// Accounts in words, as tables: why a model is or is not in memory, what more memory would be worth, and the numbers.

import SluiceClient
import Testing

private func model(
    _ state: ModelAccount.State, _ name: String = "iris",
    _ fill: (inout ModelAccount) -> Void = { _ in }
) -> ModelAccount {
    var account = ModelAccount(name: name, version: "1", state: state)
    fill(&account)
    return account
}

private func fleet(
    budget: UInt64 = 1 << 30, _ models: [ModelAccount] = []
) -> FleetAccount {
    var fleet = FleetAccount()
    fleet.anonymousBudget = budget
    fleet.models = models
    return fleet
}

@Suite struct AccountWordsTests {
    @Test(arguments: [
        (
            model(.awake) {
                $0.awakeFor = .seconds(240)
                $0.callsSinceWake = 23
                $0.sinceLastCall = .seconds(2)
                $0.anonymousBytes = 1_258_291
                $0.isPinned = true
            },
            "awake for 4 min, 23 calls since, the last 2 s ago; holds 1.2 MiB of its own and 0 mapped; is pinned"
        ),
        (
            model(.awake) {
                $0.awakeFor = .milliseconds(20)
                $0.anonymousBytes = 300 << 10
                $0.mappedBytes = 461 << 20
            },
            "awake for 20 ms, not called since; holds 300 KiB of its own and 461 MiB mapped"
        ),
        (
            model(.awake) {
                $0.callsSinceWake = 1
                $0.sinceLastCall = .milliseconds(1)
            },
            "awake, 1 call, the last just now; its memory has not been measured"
        ),
        (model(.asleep), "asleep: never called since the start"),
        (model(.asleep) { $0.loads = 1 }, "asleep: it was awake, but never called"),
        (
            model(.asleep) {
                $0.loads = 2
                $0.sinceEviction = .seconds(180)
                $0.sinceLastCall = .seconds(3_600)
                $0.evictedFor = "wine"
                $0.loadTime = .milliseconds(1_400)
            },
            "asleep: evicted 3 min ago to make room for wine; last called 60 min ago; "
                + "its last load took 1.4 s"
        ),
        (
            model(.asleep) {
                $0.sinceEviction = .seconds(5)
                $0.unreturnedBytes = 3 << 20
            },
            "asleep: evicted 5 s ago; 3 MiB of its memory did not come back"
        ),
        // Called after that eviction: it was put to sleep in another way since.
        (
            model(.asleep) {
                $0.sinceEviction = .seconds(86_400 * 3)
                $0.sinceLastCall = .seconds(7_200)
                $0.evictedFor = "wine"
            },
            "asleep: last called 2 h ago"
        ),
        (
            model(.asleep) { $0.isPinned = true },
            "asleep: never called since the start; pinned, so it stays once it is awake"
        ),
        (model(.queued), "being woken: its load waits for a free loader"),
        (
            model(.loading) { $0.loadTime = .milliseconds(1_500) },
            "being woken; its last load took 1.5 s"
        ),
        (model(.leaving), "going to sleep: it goes when the calls that use it have ended"),
        (model(.broken) { $0.failure = "cut off" }, "broken: cut off"),
        (model(.broken), "broken"),
        (model(.init(rawValue: "state 42")), "state 42"),
    ])
    func oneModel(account: ModelAccount, words: String) {
        #expect(account.description == words)
    }

    @Test(
        arguments: [
            ([], 1 << 30, "would be the next to go"),
            ([0.5], 1 << 30, "1 other would go before it"),
            ([0.5, 0.9, 2], 1 << 30, "2 others would go before it"),
            ([1, 3], 1 << 30, "would be the next to go"),
            ([0.5], 0, "its memory has not been measured"),
        ] as [([Double], UInt64, String)])
    func whoseTurnItIs(others: [Double], budget: UInt64, end: String) {
        let mine = model(.awake) { $0.score = 1 }
        // Those that cannot go, and one that has gone, are nobody's turn.
        var models = [
            mine, model(.awake, "pinned") { $0.isPinned = true }, model(.asleep, "gone"),
            model(.loading, "coming"),
        ]
        models += others.map { score in model(.awake, "other") { $0.score = score } }
        let words = fleet(budget: budget, models).explanation(of: mine)
        #expect(words.hasSuffix("; " + end), "\(words)")
    }

    @Test func aPinnedModelIsNobodysTurn() {
        let mine = model(.awake) { $0.isPinned = true }
        #expect(fleet([mine]).explanation(of: mine).hasSuffix("; is pinned"))
    }

    @Test(arguments: [
        (model(.awake) { $0.anonymousBytes = 1_258_291 }, "1.2 MiB"),
        (
            model(.awake) {
                $0.anonymousBytes = 300 << 10
                $0.mappedBytes = 461 << 20
            }, "300 KiB + 461 MiB mapped"
        ),
        (model(.leaving) { $0.anonymousBytes = 1 << 20 }, "1 MiB"),
        (model(.asleep) { $0.anonymousBytes = 1 << 20 }, "-"),
        (
            model(.awake) {
                $0.isPinned = true
                $0.anonymousBytes = 5
            }, "5 B, pinned"
        ),
        (model(.asleep) { $0.isPinned = true }, "-, pinned"),
        (model(.awake), "unknown"),
    ])
    func aColumn(account: ModelAccount, words: String) {
        #expect(account.holdings == words)
    }

    private static let mebi: UInt64 = 1 << 20

    @Test(
        arguments: [
            // The first point that brings most of the gain, not the last that brings a little more.
            (
                100, 12, [(100, 0.09), (400, 0.03), (800, 0.025)],
                "with 400 MiB more, cold calls would fall from 12 % to 3 %"
            ),
            // The curve's own zero is what the others are to be compared with.
            (
                100, 90, [(0, 0.5), (1_024, 0.004)],
                "with 1 GiB more, cold calls would fall from 50 % to 0.4 %"
            ),
            (100, 12, [(64, 0)], "with 64 MiB more, cold calls would fall from 12 % to 0 %"),
            (100, 12, [(100, 0.115)], nil),
            (100, 12, [(100, 0.2)], nil),
            (100, 12, [], nil),
            (100, 12, [(0, 0.12)], nil),
            (0, 0, [(100, 0.1)], nil),
            (100, 12, [(100, .nan), (200, -1), (300, .infinity), (400, 7)], nil),
            (1, .max, [(100, 0.5)], "with 100 MiB more, cold calls would fall from 100 % to 50 %"),
        ] as [(UInt64, UInt64, [(UInt64, Double)], String?)])
    func advice(calls: UInt64, cold: UInt64, curve: [(UInt64, Double)], words: String?) {
        var fleet = fleet()
        fleet.calls = calls
        fleet.coldCalls = cold
        fleet.missCurve = curve.map { .init(extraBytes: $0.0 * Self.mebi, coldShare: $0.1) }
        #expect(fleet.advice == words)
    }

    @Test(
        arguments: [
            (0, "0"), (1, "1 B"), (1_023, "1023 B"), (1_024, "1 KiB"), (1_258_291, "1.2 MiB"),
            (10_485_760, "10 MiB"), (400 << 20, "400 MiB"), ((1 << 20) - 1, "1 MiB"),
            (1_536 << 20, "1.5 GiB"), (1 << 40, "1 TiB"), (.max, "16 EiB"),
        ] as [(UInt64, String)])
    func bytes(count: UInt64, words: String) { #expect(AccountWords.bytes(count) == words) }

    @Test(
        arguments: [
            (.zero, "less than 1 ms"), (.seconds(-5), "less than 1 ms"), (.milliseconds(3), "3 ms"),
            (.microseconds(999_700), "1 s"), (.milliseconds(1_400), "1.4 s"),
            (.seconds(90), "90 s"),
            (.seconds(150), "2.5 min"), (.seconds(240), "4 min"), (.seconds(5_400), "90 min"),
            (.seconds(3 * 3_600), "3 h"), (.seconds(5 * 86_400), "5 days"),
            (.milliseconds(Int64.max), "1000000000 days"),
        ] as [(Duration, String)])
    func times(time: Duration, words: String) { #expect(AccountWords.time(time) == words) }

    @Test(arguments: [
        (
            model(.awake) {
                $0.promotedFor = .seconds(180)
                $0.promotedBytes = 470 << 20
                $0.promotionSaving = 0.4
            }, "promoted 3 min ago: runs take 40 % less time for 470 MiB"
        ),
        (
            model(.awake) {
                $0.promotedFor = .seconds(5)
                $0.promotedBytes = 1 << 20
            }, "promoted 5 s ago: what it gains for 1 MiB is being measured"
        ),
        (model(.awake) { $0.promotionNote = "was sent back" }, "was sent back"),
        (model(.awake) { $0.isKeptWarm = true }, "kept warm by a rule at this time of day"),
        (
            model(.awake) { $0.idleLimit = .seconds(600) },
            "goes to sleep when it was not called for 10 min"
        ),
    ])
    func promotionsAndRules(model: ModelAccount, says: String) {
        let parts = AccountWords.words(for: model).split(separator: "; ").map(String.init)
        #expect(parts.contains(says), "\(parts)")
    }

    @Test func manyLoadsAreWarnedOf() {
        var fleet = fleet()
        fleet.loadsLastHour = 61
        #expect(fleet.warning == nil)
        fleet.loadsWarn = 61
        #expect(fleet.warning == nil)
        fleet.loadsWarn = 60
        #expect(
            fleet.warning
                == "warning: 61 loads in the last hour, more than 60 (memory.loads_warn)")
    }
}
