// Which entry a call gets, what scans and load/unload change, and what the index says.

import Catalogue
import Contract
import Testing

@Suite struct RegistryTests {
    private func registry() throws -> Registry {
        Registry([
            try Samples.scanned("iris", 2), try Samples.scanned("iris", 10),
            try Samples.scanned("iris", 1), try Samples.scanned("digits", 1, Samples.mixed),
            try Samples.scanned("broken", 1), try Samples.scanned("broken", 2, fault: "cut off"),
        ])
    }

    private func failure(_ body: () throws(CallFailure) -> Void) -> CallFailure? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func emptyVersionMeansHighest() throws {
        let registry = try registry()
        #expect(try registry.select(name: "iris", version: "").version == "10")
        #expect(try registry.select(name: "iris", version: "2").versionNumber == 2)
        #expect(
            try registry.select(name: "iris", version: "1").modelPath
                == "/models/iris/1/model.onnx")
        #expect(registry.count == 6)
        #expect(Set(registry.entries.map(\.index)) == Set(0..<6))
    }

    @Test(arguments: ["0", "-1", "01", "+1", "1.0", " 1", "1 ", "Latest", "٣", "1\u{0}"])
    func versionTextIsStrict(_ version: String) throws {
        let registry = try registry()
        let refused = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iris", version: version)
        }
        #expect(refused?.code == .invalidArgument)
        #expect(!registry.isReady(name: "iris", version: version))
    }

    /// For what is done to a model whoever may call it: broken and out of service is no obstacle.
    @Test func versionsAreAllOrOne() throws {
        let registry = try registry()
        #expect(
            try registry.versions(of: "iris", version: "").map(\.version) == ["1", "2", "10"])
        #expect(try registry.versions(of: "iris", version: "2").map(\.version) == ["2"])
        #expect(try registry.versions(of: "broken", version: "").count == 2)
        try registry.takeOutOfService("iris")
        #expect(try registry.versions(of: "iris", version: "10").count == 1)
        for (name, version, code) in [
            ("iri", "", StatusCode.notFound), ("iri", "1", .notFound), ("iris", "3", .notFound),
            ("iris", "Latest", .invalidArgument), ("iris", "abc", .notFound),
        ] {
            let refused = failure { () throws(CallFailure) in
                _ = try registry.versions(of: name, version: version)
            }
            #expect(refused?.code == code, "\(name) \(version)")
        }
    }

    @Test func unknownAndForbiddenAreOneText() throws {
        let registry = try registry()
        let unknown = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iri", version: "")
        }
        #expect(unknown == Registry.notFound("iri"))
        #expect(unknown?.code == .notFound)
        #expect(unknown?.reason == .modelNotFound)
        let version = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iris", version: "3")
        }
        #expect(version?.code == .notFound)
        #expect(version?.message == "model 'iris' has no version 3")
    }

    @Test(arguments: [
        "../../etc/passwd", "a\u{0}b", "a\r\nSet-Cookie: x", "%2e%2e%2f", "ünï", "'x'",
    ])
    func oddNamesAreOnlyLookedUp(_ name: String) throws {
        let refused = failure { () throws(CallFailure) in
            _ = try Registry().select(name: name, version: "")
        }
        #expect(refused?.code == .notFound)
        #expect(refused?.message.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } == true)
    }

    @Test func longNamesAreCutInMessages() {
        let message = Registry.notFound(String(repeating: "x", count: 100_000)).message
        #expect(message.utf8.count < 200)
    }

    @Test func aBrokenVersionSaysWhyAndOthersServe() throws {
        let registry = try registry()
        let refused = failure { () throws(CallFailure) in
            _ = try registry.select(name: "broken", version: "2")
        }
        #expect(refused?.code == .failedPrecondition)
        #expect(refused?.reason == .modelBroken)
        #expect(refused?.message == "model 'broken' version 2 cannot be served: cut off")
        #expect(registry.isReady(name: "broken", version: "1"))
        #expect(!registry.isReady(name: "broken", version: "2"))
        #expect(registry.isReady(name: "broken", version: ""), "the latest that can be served")
        #expect(throws: CallFailure.self) { try registry.metadata(name: "broken", version: "2") }
    }

    @Test func unloadTakesOutOfServiceUntilLoad() throws {
        let registry = try registry()
        let taken = try registry.takeOutOfService("iris")
        #expect(taken.map(\.version) == ["1", "2", "10"])
        let refused = failure { () throws(CallFailure) in
            _ = try registry.select(name: "iris", version: "2")
        }
        #expect(refused?.code == .unavailable)
        #expect(refused?.reason == .modelUnloaded)
        #expect(refused?.notStarted == true)
        #expect(!registry.isReady(name: "iris", version: ""))
        #expect(registry.isReady(name: "digits", version: ""))
        #expect(try registry.metadata(name: "iris", version: "").versions == ["1", "2", "10"])
        let line = registry.index().first { $0.name == "iris" }
        #expect(line?.state == "UNAVAILABLE")
        #expect(line?.reason == "unloaded by CLIENT")
        // A scan in between changes nothing about it.
        registry.replace(with: [try Samples.scanned("iris", 11)])
        #expect(!registry.isReady(name: "iris", version: ""))
        #expect(try registry.putInService("iris").version == "11")
        #expect(registry.isReady(name: "iris", version: ""))
    }

    @Test func loadAndUnloadOfUnknownAndBroken() throws {
        let registry = try registry()
        #expect(throws: Registry.notFound("nobody")) { try registry.putInService("nobody") }
        #expect(throws: Registry.notFound("nobody")) { try registry.takeOutOfService("nobody") }
        let refused = failure { () throws(CallFailure) in
            _ = try registry.putInService("broken", version: "2")
        }
        #expect(refused?.reason == .modelBroken)
    }

    @Test func unchangedFilesKeepTheirEntry() throws {
        let registry = try registry()
        let iris = try registry.select(name: "iris", version: "2")
        let before = registry.generation
        let same = registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2),
            try Samples.scanned("iris", 10), try Samples.scanned("digits", 1, Samples.mixed),
            try Samples.scanned("broken", 1), try Samples.scanned("broken", 2, fault: "cut off"),
        ])
        #expect(same.isEmpty)
        #expect(registry.generation == before)
        #expect(try registry.select(name: "iris", version: "2") === iris)

        let change = registry.replace(with: [
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 2, token: 2),
            try Samples.scanned("new", 1),
        ])
        #expect(change.added.map { "\($0.name)/\($0.version)" }.sorted() == ["iris/2", "new/1"])
        #expect(
            change.removed.map { "\($0.name)/\($0.version)" }.sorted()
                == ["broken/1", "broken/2", "digits/1", "iris/10", "iris/2"])
        #expect(change.added.allSatisfy { $0.index >= 6 })
        #expect(try registry.select(name: "iris", version: "2") !== iris)
        #expect(registry.generation > before)
    }

    @Test func aVersionGivenTwiceCountsOnce() throws {
        let registry = Registry([
            try Samples.scanned("iris", 1), try Samples.scanned("iris", 1, fault: "second"),
        ])
        #expect(registry.count == 1)
        #expect(registry.isReady(name: "iris", version: ""))
    }

    @Test func indexShowsWhatACallerMaySee() throws {
        let registry = try registry()
        #expect(registry.index().count == 6)
        #expect(registry.index().map(\.name).first == "broken")
        let ready = registry.index(readyOnly: true)
        #expect(ready.count == 5)
        #expect(ready.allSatisfy { $0.state == "READY" })
        let own = registry.index(visible: { $0 == "iris" }, reason: { _ in "asleep" })
        #expect(own.map(\.version) == ["1", "2", "10"])
        #expect(own.allSatisfy { $0.reason == "asleep" })
        let broken = registry.index().last { $0.name == "broken" }
        #expect(
            broken
                == IndexEntry(name: "broken", version: "2", state: "UNAVAILABLE", reason: "cut off")
        )
    }

    @Test func metadataIsTheSignature() throws {
        let metadata = try registry().metadata(name: "iris", version: "")
        #expect(metadata.name == "iris")
        #expect(metadata.versions == ["1", "2", "10"])
        #expect(metadata.platform == "onnxruntime_onnx")
        #expect(metadata.signature == Samples.iris)
    }

    @Test func recentSelectionFollowsEveryChange() throws {
        let registry = try registry()
        var recent = RecentSelection()
        let first = try recent.select(name: "iris", version: "", from: registry)
        #expect(try recent.select(name: "iris", version: "", from: registry) === first)
        #expect(try recent.select(name: "iris", version: "1", from: registry) !== first)
        #expect(try recent.select(name: "digits", version: "", from: registry).name == "digits")
        try registry.takeOutOfService("digits")
        #expect(throws: CallFailure.self) {
            try recent.select(name: "digits", version: "", from: registry)
        }
        _ = try registry.putInService("digits")
        #expect(try recent.select(name: "digits", version: "", from: registry).name == "digits")
        registry.replace(with: [])
        #expect(throws: Registry.notFound("digits")) {
            try recent.select(name: "digits", version: "", from: registry)
        }
    }

    /// Random scans, loads and unloads against a plain model of the same.
    @Test func randomWalk() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("RegistryTests.randomWalk seed \(seed)")
        var random = SeededRandom(seed: seed)
        let registry = Registry()
        var present: [String: Set<Int64>] = [:]
        var unloaded: Set<String> = []
        var latest: [String: Int64] = [:]
        let names = (0..<6).map { "m\($0)" }
        for _ in 0..<2_000 {
            let name = names[Int.random(in: 0..<6, using: &random)]
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                var models: [ScannedModel] = []
                present = [:]
                for name in names where Bool.random(using: &random) {
                    for version in Int64(1)...4 where Bool.random(using: &random) {
                        models.append(
                            try Samples.scanned(
                                name, version, token: UInt64.random(in: 0...1, using: &random)))
                        present[name, default: []].insert(version)
                    }
                }
                registry.replace(with: models.shuffled(using: &random))
                unloaded.formIntersection(present.keys)
                // What serves goes on serving while it is there.
                latest = Dictionary(
                    uniqueKeysWithValues: present.compactMap { name, versions in
                        let kept = latest[name].flatMap { versions.contains($0) ? $0 : nil }
                        return (kept ?? versions.max()).map { (name, $0) }
                    })
            case 1:
                let known = present[name] != nil
                let taken = (try? registry.takeOutOfService(name)) != nil
                #expect(taken == known)
                if known { unloaded.insert(name) }
            case 2:
                let loaded = (try? registry.putInService(name)) != nil
                #expect(loaded == (present[name] != nil))
                unloaded.remove(name)
            default: break
            }
            let selected = try? registry.select(name: name, version: "")
            let expected = unloaded.contains(name) ? nil : latest[name]
            #expect(selected?.versionNumber == expected, "seed \(seed)")
            let number = Int64.random(in: 1...4, using: &random)
            #expect(
                registry.isReady(name: name, version: String(number))
                    == (present[name]?.contains(number) == true && !unloaded.contains(name)),
                "seed \(seed)")
        }
    }
}
