// What `latest`, numbers and aliases lead to, how they move, and what is remembered of them.

import Catalogue
import Contract
import Testing

@Suite struct VersionsTests {
    private func failure(_ body: () throws(CallFailure) -> Void) -> CallFailure? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func alias(_ text: String) throws -> AliasName { try #require(AliasName(text)) }

    private func registry(_ versions: Int64...) throws -> Registry {
        Registry(try versions.map { try Samples.scanned("iris", $0) })
    }

    private func latest(_ registry: Registry) throws -> Int64 {
        try registry.select(name: "iris", version: "").versionNumber
    }

    /// As the house does it: draft, decide, adopt.
    private func move<Outcome>(
        _ registry: Registry, _ body: (inout Registry.Draft) throws -> Outcome
    ) rethrows -> Outcome {
        var draft = registry.draft(of: "iris")
        let outcome = try body(&draft)
        registry.adopt(draft.book, for: "iris")
        return outcome
    }

    private func prove(_ registry: Registry, _ version: Int64) throws -> Bool {
        try move(registry) { draft in
            let entry = try #require(draft.entry(numbered: version))
            let latest = try #require(draft.latest)
            draft.book.prove(entry)
            return draft.book.advance(to: entry, from: latest)
        }
    }

    private func set(_ registry: Registry, _ name: String, _ version: Int64) throws -> Int64? {
        try move(registry) { draft in
            try draft.book.set(
                try alias(name), to: try #require(draft.entry(numbered: version)))
        }
    }

    private func rollBack(_ registry: Registry) throws -> Int64 {
        try move(registry) { draft in
            let latest = try #require(draft.latest)
            let target = try #require(
                draft.book.beforeLatest(among: draft.entries, latest: latest))
            draft.book.rollBack(to: target, from: latest)
            return target.versionNumber
        }
    }

    // MARK: - Names

    @Test func aliasNamesAreBounded() {
        let good = ["a", "prod", "canary-2", "a" + String(repeating: "b", count: 63)]
        for text in good { #expect(AliasName(text)?.text == text) }
        let bad = [
            "", "latest", "Prod", "1a", "-a", "a_b", "a.b", "a/b", "..", "a\u{0}", "a b", "ä",
            "a" + String(repeating: "b", count: 64),
        ]
        for text in bad { #expect(AliasName(text) == nil, "\(text)") }
    }

    @Test func choicesAreWhatTheirTextsSay() throws {
        #expect(VersionChoice("") == .latest)
        #expect(VersionChoice("latest") == .latest)
        #expect(VersionChoice("12") == .number(try #require(ModelVersion("12"))))
        #expect(VersionChoice("prod") == .alias(try alias("prod")))
        for text in ["0", "-1", "01", "1.0", "../1", "LATEST", "1\u{0}", "prod/"] {
            #expect(VersionChoice(text) == nil, "\(text)")
        }
    }

    // MARK: - Latest

    @Test func theFirstScanTakesTheHighest() throws {
        #expect(try latest(registry(1, 3, 2)) == 3)
        let registry = Registry([
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2, fault: "cut off"),
        ])
        #expect(try latest(registry) == 1, "a version that cannot be served is not latest")
    }

    @Test func aNewerVersionWaitsUntilItHasProvedItself() throws {
        let registry = try registry(1)
        let change = registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2),
        ])
        #expect(change.candidates.map(\.versionNumber) == [2])
        #expect(try latest(registry) == 1)
        #expect(try registry.select(name: "iris", version: "latest").versionNumber == 1)
        #expect(try registry.select(name: "iris", version: "2").versionNumber == 2)
        let second = try registry.select(name: "iris", version: "2")
        #expect(registry.standing(of: second).trial.contains("proved itself"))
        #expect(registry.index().last?.reason.contains("latest stays at version 1") == true)
        let generation = registry.generation
        #expect(try prove(registry, 2))
        #expect(registry.generation > generation, "who kept a selection must ask again")
        #expect(try latest(registry) == 2)
        #expect(registry.standing(of: second) == Registry.Standing(aliases: ["latest"]))
        #expect(registry.candidate("iris") == nil)
    }

    @Test func aFailedTrialIsSaidAndNotTriedAgainUntilTheFilesChange() throws {
        let registry = try registry(1)
        let both = [try Samples.scanned("iris", 1), try Samples.scanned("iris", 2)]
        let second = try #require(registry.replace(with: both).candidates.first)
        registry.doubt(second, "its trial failed: wrong answer")
        #expect(registry.candidate("iris") == nil)
        #expect(registry.replace(with: both).candidates.isEmpty)
        #expect(registry.index().last?.reason.contains("wrong answer") == true)
        #expect(try latest(registry) == 1)
        // Loaded by hand, it may try again; and so it may with other files.
        _ = try registry.putInService("iris")
        #expect(registry.candidate("iris") === second)
        registry.doubt(second, "again")
        let changed = registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2, token: 9),
        ])
        #expect(changed.candidates.map(\.versionNumber) == [2])
        // The older one is tried when the newest has failed.
        let three = registry.replace(with: both + [try Samples.scanned("iris", 3)])
        let third = try #require(three.candidates.first)
        #expect(third.versionNumber == 3)
        registry.doubt(third, "no")
        #expect(registry.candidate("iris")?.versionNumber == 2)
    }

    @Test func latestFallsBackWhenItsVersionGoes() throws {
        let registry = try registry(1, 2)
        #expect(try latest(registry) == 2)
        registry.replace(with: [try Samples.scanned("iris", 1)])
        #expect(try latest(registry) == 1)
        registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2, fault: "broken"),
        ])
        #expect(try latest(registry) == 1)
    }

    @Test func aRollbackHoldsUntilAStillNewerOneIsProved() throws {
        let registry = try registry(1, 2)
        #expect(try rollBack(registry) == 1)
        #expect(try latest(registry) == 1)
        #expect(registry.candidate("iris") == nil, "2 was rolled back from")
        #expect(try !prove(registry, 2), "proved or not")
        #expect(try latest(registry) == 1)
        let all = [1, 2, 3].map { Int64($0) }
        let change = registry.replace(with: try all.map { try Samples.scanned("iris", $0) })
        #expect(change.candidates.map(\.versionNumber) == [3])
        #expect(try prove(registry, 3))
        #expect(try latest(registry) == 3)
        // Back, and back again.
        #expect(try rollBack(registry) == 1)
        #expect(try rollBack(registry) == 3)
        #expect(try latest(registry) == 3)
    }

    @Test func letGoUndoesARollback() throws {
        let registry = try registry(1, 2)
        _ = try prove(registry, 2)
        _ = try rollBack(registry)
        #expect(try latest(registry) == 1)
        let now = try move(registry) { draft in
            draft.book.letGo(among: draft.entries, from: try #require(draft.latest))
        }
        #expect(now.versionNumber == 2)
        #expect(try latest(registry) == 2)
    }

    @Test func nothingBeforeIsNothingToGoBackTo() throws {
        let draft = try registry(4).draft(of: "iris")
        let latest = try #require(draft.latest)
        #expect(draft.book.beforeLatest(among: draft.entries, latest: latest) == nil)
    }

    // MARK: - Aliases

    @Test func anAliasIsAVersionWhereverOneIsNamed() throws {
        let registry = try registry(1, 2, 3)
        #expect(try set(registry, "prod", 2) == nil)
        #expect(try registry.select(name: "iris", version: "prod").versionNumber == 2)
        #expect(try registry.versions(of: "iris", version: "prod").map(\.version) == ["2"])
        #expect(registry.isReady(name: "iris", version: "prod"))
        let metadata = try registry.metadata(name: "iris", version: "prod")
        #expect(metadata.aliases == ["latest": "3", "prod": "2"])
        #expect(try set(registry, "prod", 3) == 2)
        let book = registry.draft(of: "iris").book
        #expect(book.before(try alias("prod")) == 2)
        // Setting what it is changes nothing, so that a rollback still means something.
        #expect(try set(registry, "prod", 3) == 3)
        #expect(registry.draft(of: "iris").book == book)
        let third = try registry.select(name: "iris", version: "3")
        #expect(registry.standing(of: third).aliases == ["latest", "prod"])
        let unknown = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iris", version: "canary")
        }
        #expect(unknown?.code == .notFound)
        #expect(unknown?.message.contains("no alias 'canary'") == true)
        // Its version has gone: it leads nowhere, and is not another's.
        registry.replace(with: [try Samples.scanned("iris", 1)])
        let gone = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iris", version: "prod")
        }
        #expect(gone?.code == .notFound)
    }

    @Test func aliasesAreBounded() throws {
        let registry = try registry(1, 2)
        for number in 0..<FamilyBook.aliasesMax { _ = try set(registry, "a\(number)", 1) }
        #expect(throws: CallFailure.self) { try set(registry, "one-more", 1) }
        #expect(try set(registry, "a3", 2) == 1, "those there are can move")
    }

    @Test func proofsAndPinsAreBounded() throws {
        let count = Int64(FamilyBook.versionsMax) + 20
        let registry = Registry(try (1...count).map { try Samples.scanned("iris", $0) })
        _ = try set(registry, "old", 1)
        for version in 1...count { _ = try prove(registry, version) }
        let book = registry.draft(of: "iris").book
        #expect(book.proofs.count <= FamilyBook.versionsMax)
        #expect(book.proofs[1] != nil, "an alias stands for it")
        #expect(book.proofs[count] != nil)
        var pins = FamilyBook()
        for version in 1...count { pins.pin(true, version, known: []) }
        #expect(pins.pins.count == FamilyBook.versionsMax)
    }

    @Test func pinsAreOfOneOrOfEvery() {
        var book = FamilyBook()
        book.pin(true, 2, known: [1, 2, 3])
        #expect(book.isPinned(2) && !book.isPinned(1))
        book.pin(true, nil, known: [1, 2, 3])
        #expect(book.isPinned(9), "also what is to come")
        book.pin(false, 2, known: [1, 2, 3])
        #expect(book.isPinned(1) && !book.isPinned(2) && book.isPinned(3) && !book.isPinned(9))
        book.pin(false, nil, known: [1, 2, 3])
        #expect(book.isEmpty)
    }

    // MARK: - In and out of service

    @Test func oneVersionGoesAndComesAlone() throws {
        let registry = try registry(1, 2)
        #expect(try registry.takeOutOfService("iris", version: "1").map(\.version) == ["1"])
        #expect(!registry.isReady(name: "iris", version: "1"))
        #expect(registry.isReady(name: "iris", version: "2"))
        try registry.takeOutOfService("iris")
        #expect(!registry.isReady(name: "iris", version: "2"))
        #expect(try registry.putInService("iris", version: "1").version == "1")
        #expect(registry.isReady(name: "iris", version: "1"))
        #expect(!registry.isReady(name: "iris", version: "2"), "only the one was asked for")
        #expect(try registry.putInService("iris").version == "2")
        #expect(registry.isReady(name: "iris", version: "2"))
        #expect(throws: CallFailure.self) { try registry.takeOutOfService("iris", version: "7") }
    }

    // MARK: - Over a restart

    @Test func whatWasLatestIsLatestAgain() throws {
        let first = try registry(1)
        _ = try prove(first, 1)
        _ = try move(first) { draft in
            let entry = try #require(draft.latest)
            draft.book.latest = FamilyBook.Proof(
                version: entry.versionNumber, files: entry.contentKey)
        }
        _ = try set(first, "prod", 1)
        let bytes = try first.books.encoded()
        let second = Registry()
        second.remember(try VersionBooks(json: bytes))
        let change = second.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2),
        ])
        #expect(try latest(second) == 1)
        #expect(change.candidates.map(\.versionNumber) == [2])
        #expect(try second.select(name: "iris", version: "prod").versionNumber == 1)
        // With other files it is not what was proved: nothing is known, so the highest is latest.
        let third = Registry()
        third.remember(try VersionBooks(json: bytes))
        third.replace(with: [
            try Samples.scanned("iris", 1, token: 5), try Samples.scanned("iris", 2),
        ])
        #expect(try latest(third) == 2)
    }

    @Test func theFileIsReadAsItWasWritten() throws {
        var books = VersionBooks()
        var book = FamilyBook()
        book.latest = FamilyBook.Proof(version: 3, files: .max)
        book.before = 2
        book.hold = 4
        book.aliases = [
            try alias("prod"): FamilyBook.Target(version: 3, before: 1),
            try alias("canary"): FamilyBook.Target(version: 4),
        ]
        book.proofs = [3: .max, 4: 0]
        book.pins = [1, 3]
        book.pinsEvery = true
        books.families = ["iris": book]
        let bytes = try books.encoded()
        #expect(try VersionBooks(json: bytes) == books)
        #expect(try VersionBooks(json: bytes).encoded() == bytes)
        books.families["nothing"] = FamilyBook()
        #expect(try books.encoded() == bytes, "what says nothing is not written")
    }

    /// A file that somebody else wrote, or half of one, is refused and never half believed.
    @Test func aDamagedFileIsRefused() throws {
        let registry = try registry(1, 2)
        _ = try set(registry, "prod", 1)
        let bytes = try registry.books.encoded()
        for end in 0..<bytes.count {
            #expect(throws: ModelFault.self) { try VersionBooks(json: Array(bytes[..<end])) }
        }
        let bad = [
            #"{"format":2,"models":{}}"#, #"{"format":1,"models":{"../x":{}}}"#,
            #"{"format":1,"models":{"m":{"aliases":{"latest":{"version":1}}}}}"#,
            #"{"format":1,"models":{"m":{"aliases":{"A":{"version":1}}}}}"#,
            #"{"format":1,"models":{"m":{"proved":[{"version":1,"files":"x"}]}}}"#,
        ]
        for text in bad {
            #expect(throws: ModelFault.self, "\(text)") { try VersionBooks(json: Array(text.utf8)) }
        }
    }

    /// Random scans, proofs, doubts, rollbacks and restarts: latest is always a version that is there, never one that
    /// failed its trial while another could serve, and a restart changes nothing.
    @Test func randomWalk() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("VersionsTests.randomWalk seed \(seed)")
        var random = SeededRandom(seed: seed)
        var registry = Registry()
        var models: [ScannedModel] = []
        for _ in 0..<2_000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                models = try (Int64(1)...5).filter { _ in Bool.random(using: &random) }
                    .map { try Samples.scanned("iris", $0) }
                registry.replace(with: models)
            case 2:
                if let candidate = registry.candidate("iris") {
                    #expect(try prove(registry, candidate.versionNumber), "seed \(seed)")
                    #expect(try latest(registry) == candidate.versionNumber, "seed \(seed)")
                }
            case 3:
                if let candidate = registry.candidate("iris") { registry.doubt(candidate, "no") }
            case 4:
                let draft = registry.draft(of: "iris")
                if let latest = draft.latest,
                    draft.book.beforeLatest(among: draft.entries, latest: latest) != nil
                {
                    let target = try rollBack(registry)
                    #expect(try self.latest(registry) == target, "seed \(seed)")
                }
            default:
                guard !models.isEmpty, registry.draft(of: "iris").book.latest != nil else { break }
                let before = try latest(registry)
                let remembered = registry.draft(of: "iris").book.latest?.version
                let again = Registry()
                again.remember(try VersionBooks(json: try registry.books.encoded()))
                again.replace(with: models)
                if remembered == before { #expect(try latest(again) == before, "seed \(seed)") }
                registry = again
            }
            if !models.isEmpty {
                let number = try latest(registry)
                #expect(models.contains { $0.version.number == number }, "seed \(seed)")
            }
        }
    }
}
