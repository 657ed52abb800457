// Who is held responsible for a crash, for how long, and who forgives.

import Catalogue
import Contract
import Testing

@Suite struct StrikesTests {
    private let day = Strikes.windowSeconds

    private func suspect(
        _ model: String, _ version: Int64 = 1, files: UInt64 = 7,
        _ activity: Suspect.Activity = .run
    ) -> Suspect {
        Suspect(model: model, version: version, files: files, activity: activity)
    }

    private func names(_ strikes: Strikes) -> [String] { strikes.quarantined.map(\.model) }

    @Test func twoStrikesAndOut() {
        var strikes = Strikes()
        let done1 = strikes.judge([suspect("a")], journal: 1, now: 1_000)
        #expect(done1)
        #expect(names(strikes).isEmpty)
        let done2 = strikes.judge([suspect("a"), suspect("b")], journal: 2, now: 2_000)
        #expect(done2)
        #expect(names(strikes) == ["a"])
        let done3 = strikes.judge([suspect("b")], journal: 3, now: 3_000)
        #expect(done3)
        #expect(names(strikes) == ["a", "b"])
    }

    @Test func oneCrashIsOneStrikeHoweverManyThreadsWereInside() {
        var strikes = Strikes()
        _ = strikes.judge(
            [suspect("a"), suspect("a"), suspect("a", 1, files: 7, .load)], journal: 1, now: 1)
        #expect(names(strikes).isEmpty)
    }

    /// A start that is killed between judging and beginning its own journal finds the old one again.
    @Test func aJournalIsJudgedOnce() {
        var strikes = Strikes()
        let done4 = strikes.judge([suspect("a")], journal: 1, now: 1)
        #expect(done4)
        let done5 = strikes.judge([suspect("a")], journal: 1, now: 2)
        #expect(!done5)
        #expect(names(strikes).isEmpty)
    }

    @Test func anOldStrikeDoesNotCount() {
        var strikes = Strikes()
        _ = strikes.judge([suspect("a")], journal: 1, now: 0)
        _ = strikes.judge([suspect("a")], journal: 2, now: day)
        #expect(names(strikes).isEmpty)
        _ = strikes.judge([suspect("a")], journal: 3, now: day + day - 1)
        #expect(names(strikes) == ["a"])
        // Kept away, it stays so.
        _ = strikes.judge([], journal: 4, now: day * 30)
        #expect(names(strikes) == ["a"])
    }

    @Test func aClockSetBackMakesNoStrikeEternal() {
        var strikes = Strikes()
        _ = strikes.judge([suspect("a")], journal: 1, now: day * 100)
        _ = strikes.judge([suspect("a")], journal: 2, now: 5)
        #expect(names(strikes).isEmpty)
    }

    @Test func otherFilesBeginAnew() throws {
        let old = ModelEntry(index: 0, try Samples.scanned("a", 1))
        let new = ModelEntry(index: 1, try Samples.scanned("a", 1, token: 2))
        #expect(old.contentKey != new.contentKey)
        var strikes = Strikes()
        for journal in UInt64(1)...2 {
            _ = strikes.judge(
                [suspect("a", 1, files: old.contentKey)], journal: journal, now: 1)
        }
        #expect(strikes.count(against: old) == 2 && strikes.count(against: new) == 0)
        let done6 = strikes.forget(changed: [old])
        #expect(!done6)
        #expect(names(strikes) == ["a"])
        let done7 = strikes.forget(changed: [new])
        #expect(done7)
        #expect(names(strikes).isEmpty)
        // One strike of the old files and one of the new are not two.
        _ = strikes.judge([suspect("a", 1, files: old.contentKey)], journal: 8, now: 1)
        _ = strikes.judge([suspect("a", 1, files: new.contentKey)], journal: 9, now: 1)
        #expect(names(strikes).isEmpty)
    }

    @Test func forgivenForOneVersionOrAll() {
        var strikes = Strikes()
        for journal in UInt64(1)...2 {
            _ = strikes.judge(
                [suspect("a", 1), suspect("a", 2), suspect("b")], journal: journal, now: 1)
        }
        #expect(strikes.quarantined.count == 3)
        let done8 = strikes.forgive("a", version: 1)
        #expect(done8)
        let done9 = strikes.forgive("a", version: 1)
        #expect(!done9)
        #expect(strikes.quarantined.map(\.version) == [2, 1])
        let done10 = strikes.forgive("a", version: nil)
        #expect(done10)
        #expect(names(strikes) == ["b"])
    }

    @Test func whatIsRememberedIsBounded() throws {
        var strikes = Strikes()
        for index in 0..<(Strikes.recordsMax + 50) {
            _ = strikes.judge(
                [suspect("m\(index)")], journal: UInt64(index + 1), now: Int64(index))
        }
        for journal in 0..<100 {
            _ = strikes.judge(
                [suspect("m\(Strikes.recordsMax)")], journal: UInt64(journal + 9_000), now: 2_000)
        }
        let bytes = try strikes.encoded()
        #expect(bytes.count < Strikes.byteCountMax)
        #expect(try Strikes(json: bytes) == strikes)
    }

    @Test func theFileIsReadAsItWasWritten() throws {
        var strikes = Strikes()
        _ = strikes.judge([suspect("a", 3, files: .max, .load)], journal: .max, now: 12)
        _ = strikes.judge([suspect("a", 3, files: .max, .load), suspect("b")], journal: 2, now: 13)
        let bytes = try strikes.encoded()
        #expect(try Strikes(json: bytes) == strikes)
        for end in 0..<bytes.count {
            #expect(throws: ModelFault.self) { try Strikes(json: Array(bytes[..<end])) }
        }
    }

    @Test func theCatalogueKeepsThemAwayAndNobodyElse() throws {
        let registry = Registry([
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2),
            try Samples.scanned("digits", 1),
        ])
        let second = try registry.select(name: "iris", version: "2")
        var strikes = Strikes()
        for journal in UInt64(1)...2 {
            _ = strikes.judge(
                [suspect("iris", 2, files: second.contentKey, .load)], journal: journal, now: 1)
        }
        registry.quarantine(strikes.quarantined)
        #expect(registry.isReady(name: "iris", version: "1"))
        #expect(registry.isReady(name: "digits", version: ""))
        do throws(CallFailure) {
            _ = try registry.select(name: "iris", version: "2")
            Issue.record("it was served")
        } catch {
            #expect(error.code == .failedPrecondition && error.reason == .modelQuarantined)
            #expect(error.message.contains("unquarantine iris --version 2"))
            #expect(error.notStarted)
        }
        let line = registry.index().first { $0.name == "iris" && $0.version == "2" }
        #expect(line?.state == "UNAVAILABLE")
        #expect(line?.reason.hasPrefix("quarantined: the gateway ended 2 times") == true)
        #expect(registry.standing(of: second).quarantine != nil)
        // A scan that finds the same files changes nothing; other files are another version.
        registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2),
        ])
        #expect(!registry.isReady(name: "iris", version: "2"))
        registry.quarantine([])
        #expect(registry.isReady(name: "iris", version: "2"))
        registry.quarantine(strikes.quarantined)
        registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2, token: 4),
        ])
        #expect(registry.isReady(name: "iris", version: "2"))
    }
}
