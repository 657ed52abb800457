// Files against their manifest and their model, on a real disk: what differs is said by name, what was compared is
// not read again, what changed is.

import Catalogue
import Contract
import Foundation
import Outside
import Synchronization
import TLS
import Testing

/// A clock ahead of the disk's, so that files which were just written have settled.
private final class LateClock: Sendable {
    private let ahead = Atomic<Int64>(10_000_000_000)

    var now: Int64 {
        Int64(Date().timeIntervalSince1970 * 1e9) + ahead.load(ordering: .relaxed)
    }

    func set(ahead seconds: Int64) { ahead.store(seconds * 1_000_000_000, ordering: .relaxed) }
}

/// A version `m/1` and somebody who looks at it.
private struct Bench {
    let models: ModelsFolder
    let clock = LateClock()
    let inspector: FolderInspector

    init(rememberedMax: Int = 100) throws {
        models = try ModelsFolder()
        let clock = clock
        inspector = FolderInspector(rememberedMax: rememberedMax) { clock.now }
    }

    /// Writes files and the entry whose manifest names them, or some of them.
    func entry(
        _ files: [String: [UInt8]], named: [String]? = nil, version: Int = 1
    ) throws -> ModelEntry {
        for (name, bytes) in files { try models.write("m/\(version)/\(name)", bytes) }
        let listed = (named ?? files.keys.sorted()).map { name in
            let bytes = files[name] ?? []
            return ModelFile(
                name: name, byteCount: UInt64(bytes.count),
                sha256: Cryptography.hex(Cryptography.sha256(bytes)))
        }
        return try entry(listed, version: version)
    }

    func entry(_ files: [ModelFile], version: Int = 1) throws -> ModelEntry {
        let name = try #require(ModelName("m"))
        let number = try #require(ModelVersion(number: Int64(version)))
        return ModelEntry(
            index: version,
            ScannedModel(
                name: name, version: number,
                directory: URL(fileURLWithPath: models.path).resolvingSymlinksInPath().path
                    + "/m/\(version)",
                files: files, signature: Signature(inputs: [], outputs: [])))
    }

    func fault(_ entry: ModelEntry) -> String? {
        do throws(ModelFault) {
            try inspector.inspect(entry).confirm()
            return nil
        } catch {
            return error.message
        }
    }
}

@Suite struct FolderInspectorTests {
    private static let weights: [UInt8] = Array("weights".utf8)

    @Test func filesThatAgreeAreLoadedByTheirDescriptor() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let bytes = ModelsFolder.onnx()
        let entry = try bench.entry(["model.onnx": bytes, "notes.txt": [1, 2, 3]])
        let files = try bench.inspector.inspect(entry)
        #expect(files.path.hasPrefix("/proc/self/fd/"))
        // The name may lead elsewhere by now.
        try bench.models.remove("m/1/model.onnx")
        try bench.models.write("m/1/model.onnx", [9])
        #expect(try Data(contentsOf: URL(fileURLWithPath: files.path)) == Data(bytes))
        #expect(throws: ModelFault.self, "its name was taken away, which the system notes") {
            try files.confirm()
        }
    }

    @Test func anotherContentOfTheSameSize() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let right = ModelsFolder.onnx()
        let entry = try bench.entry(["model.onnx": right])
        #expect(bench.fault(entry) == nil)
        var wrong = right
        wrong[wrong.count / 2] ^= 1
        try bench.models.write("m/1/model.onnx", wrong)
        let fault = try #require(bench.fault(entry))
        let digests = [right, wrong].map { Cryptography.hex(Cryptography.sha256($0)) }
        #expect(
            fault == "'model.onnx' has SHA-256 \(digests[1]), manifest.json says \(digests[0]): "
                + "copy the version again, or import the model anew")
        // Put right again, it is.
        try bench.models.write("m/1/model.onnx", right)
        #expect(bench.fault(entry) == nil)
    }

    @Test func anotherSizeAndMissingFiles() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry([
            "model.onnx": ModelsFolder.onnx(), "deep/w.bin": FolderInspectorTests.weights,
        ])
        #expect(bench.fault(entry) == nil)
        let before = bench.inspector.counts
        try bench.models.write("m/1/deep/w.bin", FolderInspectorTests.weights + [0])
        #expect(
            bench.fault(entry)?.hasPrefix("'deep/w.bin' has 8 bytes, manifest.json says 7: copy")
                == true)
        #expect(bench.inspector.counts.filesRead == before.filesRead, "a size needs no reading")
        try bench.models.remove("m/1/deep/w.bin")
        #expect(
            bench.fault(entry)?.hasPrefix("the file 'deep/w.bin' of manifest.json is missing")
                == true)
        try bench.models.remove("m/1/deep")
        #expect(bench.fault(entry)?.contains("'deep/w.bin' of manifest.json is missing") == true)
        try bench.models.remove("m/1/model.onnx")
        try bench.models.remove("m/1")
        #expect(bench.fault(entry) == "its folder is gone")
    }

    @Test func linksInPlaceOfFilesAndFolders() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let model = ModelsFolder.onnx()
        let entry = try bench.entry(["model.onnx": model, "d/w.bin": [1]])
        let models = bench.models
        try models.write("secret", model)
        try models.remove("m/1/model.onnx")
        try models.link("m/1/model.onnx", to: "../../secret")
        #expect(bench.fault(entry) == "'model.onnx' is a symbolic link: copy the file")
        try models.remove("m/1/model.onnx")
        try models.hardLink("m/1/model.onnx", to: "secret")
        #expect(
            bench.fault(entry) == "'model.onnx' has 2 hard links, it must have one: copy the file")
        try models.remove("secret")
        #expect(bench.fault(entry) == nil)

        try models.write("elsewhere/w.bin", [1])
        try models.remove("m/1/d")
        try models.link("m/1/d", to: "../../elsewhere")
        #expect(bench.fault(entry) == "'d/w.bin' is a symbolic link: copy the file")
        try models.remove("m/1/d")
        try models.write("m/1/d/w.bin", [1])
        #expect(bench.fault(entry) == nil)

        // The version's folder itself, and the model's.
        try FileManager.default.moveItem(atPath: models.path + "/m", toPath: models.path + "/n")
        try models.link("m", to: "n")
        #expect(bench.fault(entry) == "its folder cannot be opened: it is a symbolic link")
    }

    @Test func aPipeOrAFolderIsNoFile() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry(["model.onnx": ModelsFolder.onnx(), "w.bin": []])
        try bench.models.remove("m/1/w.bin")
        try bench.models.folder("m/1/w.bin")
        #expect(bench.fault(entry)?.hasPrefix("'w.bin' cannot be read") == true)
        try bench.models.remove("m/1/w.bin")
        let maker = try Process.run(
            URL(fileURLWithPath: "/usr/bin/mkfifo"), arguments: [bench.models.path + "/m/1/w.bin"])
        maker.waitUntilExit()
        #expect(maker.terminationStatus == 0)
        #expect(bench.fault(entry)?.hasPrefix("'w.bin' cannot be read") == true)
    }

    // MARK: Remembering

    @Test func theSecondLoadReadsNothing() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let model = ModelsFolder.onnx(location: "w.bin")
        let entry = try bench.entry(["model.onnx": model, "w.bin": FolderInspectorTests.weights])
        #expect(bench.fault(entry) == nil)
        let first = bench.inspector.counts
        #expect(first.filesRead == 2 && first.filesRemembered == 0)
        #expect(first.bytesRead == UInt64(model.count + 7))
        for _ in 0..<3 { #expect(bench.fault(entry) == nil) }
        let later = bench.inspector.counts
        #expect(later.filesRead == 2 && later.filesRemembered == 6)
        // What the model refers to is remembered with it.
        let unnamed = try bench.entry(["model.onnx": model, "w.bin": []], named: ["model.onnx"])
        #expect(
            bench.fault(unnamed)?.contains("'w.bin', which manifest.json does not name") == true)
    }

    @Test func aFileThatWasReplacedIsReadAgain() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let right = ModelsFolder.onnx()
        let entry = try bench.entry(["model.onnx": right])
        #expect(bench.fault(entry) == nil)
        let path = bench.models.path + "/m/1/model.onnx"

        // Another file of the same size and time in its place.
        let times = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate]
        var wrong = right
        wrong[3] ^= 4
        try bench.models.write("m/1/new", wrong)
        try bench.models.remove("m/1/model.onnx")
        try FileManager.default.moveItem(atPath: bench.models.path + "/m/1/new", toPath: path)
        try FileManager.default.setAttributes(
            [.modificationDate: times ?? Date()], ofItemAtPath: path)
        #expect(bench.fault(entry)?.hasPrefix("'model.onnx' has SHA-256") == true)
        #expect(bench.inspector.counts.filesRead == 2)

        // A wrong file that did not change is not read again either: a load is tried again and again.
        #expect(bench.fault(entry)?.hasPrefix("'model.onnx' has SHA-256") == true)
        #expect(bench.inspector.counts.filesRead == 2)

        // Written in place, the time set back.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.write(contentsOf: Data(right))
        try handle.close()
        try FileManager.default.setAttributes(
            [.modificationDate: times ?? Date()], ofItemAtPath: path)
        #expect(bench.fault(entry) == nil)
        #expect(bench.inspector.counts.filesRead == 3)
    }

    /// A file may change within one step of the system's clock and show nothing.
    @Test func whatChangedJustNowIsNotRemembered() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        bench.clock.set(ahead: 1)
        let entry = try bench.entry(["model.onnx": ModelsFolder.onnx()])
        for _ in 0..<2 { #expect(bench.fault(entry) == nil) }
        #expect(bench.inspector.counts.filesRead == 2)
        bench.clock.set(ahead: 10)
        for _ in 0..<3 { #expect(bench.fault(entry) == nil) }
        #expect(bench.inspector.counts.filesRead == 3)
        // A clock that goes behind the files' believes nothing it did not know.
        bench.clock.set(ahead: -100)
        let other = try bench.entry(["model.onnx": ModelsFolder.onnx()], version: 2)
        for _ in 0..<2 { #expect(bench.fault(other) == nil) }
        #expect(bench.inspector.counts.filesRead == 5)
    }

    @Test func theTableIsBounded() throws {
        let bench = try Bench(rememberedMax: 3)
        defer { withExtendedLifetime(bench) {} }
        let entries = try (1...4).map {
            try bench.entry(["model.onnx": ModelsFolder.onnx()], version: $0)
        }
        for entry in entries { #expect(bench.fault(entry) == nil) }
        #expect(bench.inspector.counts.filesRead == 4)
        // The oldest gave way, and coming back takes the place of the next.
        for entry in entries.reversed() { #expect(bench.fault(entry) == nil) }
        #expect(bench.inspector.counts.filesRead == 5)
        #expect(bench.inspector.counts.filesRemembered == 3)
        #expect(bench.fault(entries[1]) == nil)
        #expect(bench.inspector.counts.filesRead == 6)
    }

    @Test func aChangeDuringTheLoadIsNoticed() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry([
            "model.onnx": ModelsFolder.onnx(location: "w.bin"), "w.bin": [1, 2, 3],
            "unused.txt": [1],
        ])
        for name in ["model.onnx", "w.bin"] {
            let files = try bench.inspector.inspect(entry)
            #expect(files.path.hasSuffix("/model.onnx"))
            try files.confirm()
            let path = bench.models.path + "/m/1/" + name
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            // The same bytes again, but another file: the engine may have opened either.
            try bench.models.write("m/1/" + name, Array(before))
            #expect(throws: ModelFault.changed(name)) { try files.confirm() }
            try bench.models.remove("m/1/" + name)
            #expect(throws: ModelFault.changed(name)) { try files.confirm() }
            try bench.models.write("m/1/" + name, Array(before))
        }
        let files = try bench.inspector.inspect(entry)
        try bench.models.write("m/1/unused.txt", [2])
        try files.confirm()
        #expect(bench.fault(entry)?.hasPrefix("'unused.txt' has SHA-256") == true)
    }

    // MARK: External data

    /// Each makes a version without a manifest whose model refers to something it may not.
    private static let wrongs:
        [(location: String, says: String, make: @Sendable (ModelsFolder) throws -> Void)] = [
            ("/etc/passwd", "'/etc/passwd', which is an absolute path", { _ in }),
            ("../w.bin", "which leads out of the version's folder by '..'", { _ in }),
            ("d/../../w.bin", "which leads out of the version's folder by '..'", { _ in }),
            (
                "*/_ORT_MEM_ADDR_/*", "which is a place in memory and no file",
                { try $0.write("m/1/*/_ORT_MEM_ADDR_/*", [1]) }
            ),
            ("none", "'none', which is missing", { _ in }),
            ("d", "'d', which cannot be read", { try $0.folder("m/1/d") }),
            (
                "link", "'link', which is a symbolic link",
                {
                    try $0.write("m/1/real", [1])
                    try $0.link("m/1/link", to: "real")
                }
            ),
            (
                "d/w.bin", "'d/w.bin', which is a symbolic link or lies behind one",
                {
                    try $0.write("secret/w.bin", [1])
                    try $0.link("m/1/d", to: "../../secret")
                }
            ),
            (
                "w.bin", "'w.bin', which has 2 hard links",
                {
                    try $0.write("secret", [1])
                    try $0.hardLink("m/1/w.bin", to: "secret")
                }
            ),
        ]

    @Test(arguments: wrongs.indices) func externalDataThatIsNotTheVersions(_ index: Int) throws {
        let (location, says, make) = FolderInspectorTests.wrongs[index]
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let bytes = ModelsFolder.onnx(location: location)
        // Without a manifest: the files have no hash.
        _ = try bench.entry(["model.onnx": bytes])
        let bare = try bench.entry([
            ModelFile(name: "model.onnx", byteCount: UInt64(bytes.count))
        ])
        try make(bench.models)
        let fault = bench.fault(bare)
        #expect(fault?.contains(says) == true, "\(fault ?? "no fault")")
        #expect(fault?.contains(bench.models.path) == false)
        // With one, the rules that need no look at the disk are the same, and the manifest must name it.
        let listed = try bench.entry(["model.onnx": bytes])
        #expect(bench.fault(listed)?.hasPrefix("the model keeps weights in '") == true)
        // A model beside it goes on.
        let other = try bench.entry(["model.onnx": ModelsFolder.onnx()], version: 2)
        #expect(bench.fault(other) == nil)
    }

    @Test func externalDataOfTheVersionIsFine() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let bytes = ModelsFolder.onnx(location: "d/w.bin")
        let files = ["model.onnx": bytes, "d/w.bin": FolderInspectorTests.weights]
        #expect(bench.fault(try bench.entry(files)) == nil)
        let bare = try bench.entry([
            ModelFile(name: "model.onnx", byteCount: UInt64(bytes.count)),
            ModelFile(name: "d/w.bin", byteCount: 7),
        ])
        #expect(bench.fault(bare) == nil)
        let named = try bench.entry(files, named: ["model.onnx"])
        #expect(
            bench.fault(named)?.contains("'d/w.bin', which manifest.json does not name") == true)
    }

    /// The models that ship with the gateway agree with their manifests. Prints what the look costs.
    @Test func theModelsOfThisRepository() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let scan = try FolderRepository(path: root.appendingPathComponent("models").path).scan()
        let inspector = FolderInspector()
        #expect(scan.models.count >= 6)
        for model in scan.models {
            let entry = ModelEntry(index: 0, model)
            let began = Instant.now()
            try inspector.inspect(entry).confirm()
            let middle = Instant.now()
            try inspector.inspect(entry).confirm()
            let end = Instant.now()
            print(
                "inspect \(model.name) (\(entry.fileBytes) bytes): \(middle.since(began)), again: "
                    + "\(end.since(middle))")
        }
    }

    // MARK: Between two lives

    @Test func anotherInspectorBelievesWhatWasKept() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry([
            "model.onnx": ModelsFolder.onnx(), "w.bin": FolderInspectorTests.weights,
        ])
        #expect(bench.inspector.news() == nil)
        #expect(bench.fault(entry) == nil)
        let kept = try #require(bench.inspector.news())
        #expect(bench.inspector.news() == nil, "nothing new since")
        bench.inspector.newsWereLost()
        #expect(bench.inspector.news() == kept)

        let clock = bench.clock
        let second = FolderInspector { clock.now }
        try second.recall(kept)
        #expect(second.news() == nil, "it is kept already")
        try second.inspect(entry).confirm()
        #expect(second.counts.filesRead == 0 && second.counts.filesRemembered == 2)
        // What changed since is read, and is wrong.
        try bench.models.write("m/1/w.bin", Array("weightz".utf8))
        #expect(throws: ModelFault.self) { try second.inspect(entry) }
        #expect(second.counts.filesRead == 1)
    }

    @Test func whatIsNotWholeIsNotBelieved() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry(["model.onnx": ModelsFolder.onnx()])
        #expect(bench.fault(entry) == nil)
        let kept = try #require(bench.inspector.news())
        func refusal(_ bytes: [UInt8]) -> String? {
            let inspector = FolderInspector()
            do throws(SealBookFault) {
                try inspector.recall(bytes)
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(refusal(kept) == nil)
        #expect(refusal([]) == "it has no checksum")
        for length in stride(from: 0, to: kept.count, by: 7) {
            #expect(refusal(Array(kept[..<length])) != nil, "\(length) bytes")
        }
        for place in stride(from: 0, to: kept.count, by: 5) {
            var wrong = kept
            wrong[place] ^= 4
            #expect(refusal(wrong) != nil, "byte \(place)")
        }
        let later = Array(#"{"format":2,"files":[]}"#.utf8)
        let sealed = Array((Cryptography.hex(Cryptography.sha256(later)) + "\n").utf8) + later
        #expect(refusal(sealed) == "it is of another version of sluice")
    }

    @Test func aStoppedInspectorReadsNoFurther() throws {
        let bench = try Bench()
        defer { withExtendedLifetime(bench) {} }
        let entry = try bench.entry(["model.onnx": ModelsFolder.onnx()])
        bench.inspector.stop()
        #expect(bench.fault(entry)?.contains("the gateway stops") == true)
        #expect(bench.inspector.counts.filesRead == 0)
        #expect(bench.inspector.news() == nil)
    }
}
