// A folder of models on a real disk: what is found, what is passed over, what is broken and why.

import Catalogue
import Contract
import Foundation
import Outside
import Testing

/// A models folder that is removed when the test ends.
final class ModelsFolder {
    let path: String
    private let files = FileManager.default

    init() throws {
        path = NSTemporaryDirectory() + "/sluice-models-\(UUID().uuidString)"
        try files.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try files.removeItem(atPath: path)
        } catch {
            print("left behind: \(path)")
        }
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let whole = path + "/" + name
        try files.createDirectory(
            atPath: (whole as NSString).deletingLastPathComponent, withIntermediateDirectories: true
        )
        try Data(bytes).write(to: URL(fileURLWithPath: whole))
    }

    func folder(_ name: String) throws {
        try files.createDirectory(atPath: path + "/" + name, withIntermediateDirectories: true)
    }

    func link(_ name: String, to target: String) throws {
        try files.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: target)
    }

    func hardLink(_ name: String, to target: String) throws {
        try files.linkItem(atPath: path + "/" + target, toPath: path + "/" + name)
    }

    func remove(_ name: String) throws { try files.removeItem(atPath: path + "/" + name) }

    func scan() throws -> FolderRepository.Scan { try FolderRepository(path: path).scan() }

    /// NAME/VERSION with a manifest that fits.
    func model(
        _ name: String, _ version: Int, bytes: Int = 9, claim: Int? = nil, as other: String? = nil,
        file: String = "model.onnx", format: Int = 1
    ) throws {
        try write("\(name)/\(version)/model.onnx", [UInt8](repeating: 7, count: bytes))
        let hash = String(repeating: "ab", count: 32)
        let extra =
            file == "model.onnx" ? "" : #",{"name":"\#(file)","sha256":"\#(hash)","bytes":3}"#
        try write(
            "\(name)/\(version)/manifest.json",
            Array(
                #"""
                {"format":\#(format),"name":"\#(other ?? name)","version":\#(version),"files":[
                {"name":"model.onnx","sha256":"\#(hash)","bytes":\#(claim ?? bytes)}\#(extra)],
                "signature":{"inputs":[{"name":"X","datatype":"FP32","shape":[-1,4]}],
                "outputs":[{"name":"label","datatype":"INT64","shape":[-1]}]},
                "limits":{"timeout_ms":500}}
                """#.utf8))
    }

    /// A model without a manifest: X FP32 [-1,4] -> label INT64 [-1]; weights in `location` if given.
    static func onnx(location: String? = nil) -> [UInt8] {
        func block(_ field: UInt8, _ content: [UInt8]) -> [UInt8] {
            [field << 3 | 2, UInt8(content.count)] + content
        }
        func value(_ name: String, _ element: UInt8, _ shape: [[UInt8]]) -> [UInt8] {
            block(1, Array(name.utf8))
                + block(2, block(1, [8, element] + block(2, shape.flatMap { block(1, $0) })))
        }
        var graph = block(11, value("X", 1, [[], [8, 4]])) + block(12, value("label", 7, [[]]))
        if let location {
            let entry = block(1, Array("location".utf8)) + block(2, Array(location.utf8))
            graph += block(5, block(8, [0x57]) + block(13, entry))
        }
        return block(7, graph)
    }
}

@Suite struct FolderRepositoryTests {
    private static let signature = Signature(
        inputs: [TensorSpecification(name: "X", datatype: .fp32, shape: [-1, 4])],
        outputs: [TensorSpecification(name: "label", datatype: .int64, shape: [-1])])

    @Test func withAndWithoutManifest() throws {
        let models = try ModelsFolder()
        try models.model("with", 2)
        try models.write("without/1/model.onnx", ModelsFolder.onnx())
        try models.write("without/config.pbtxt", [1])
        let scan = try models.scan()
        #expect(scan.notes.isEmpty)
        #expect(scan.models.map { "\($0.name)/\($0.version)" } == ["with/2", "without/1"])
        #expect(scan.models.allSatisfy { $0.fault == nil })
        #expect(scan.models.allSatisfy { $0.signature == FolderRepositoryTests.signature })
        #expect(scan.models[0].limits.timeout == .milliseconds(500))
        #expect(scan.models[0].files[0].sha256.utf8.count == 64)
        #expect(scan.models[1].files.map(\.name) == ["model.onnx"])
        #expect(scan.models[0].directory.hasSuffix("/with/2"))
        #expect(scan.models[0].directory.hasPrefix("/"))
    }

    @Test func anEmptyFolderIsFineAndAMissingOneIsNot() throws {
        let models = try ModelsFolder()
        #expect(try models.scan().models.isEmpty)
        do {
            _ = try FolderRepository(path: models.path + "/none").scan()
            Issue.record("a missing folder was scanned")
        } catch {
            #expect(error.kind == .configuration)
            #expect(error.message.hasSuffix("/none' cannot be read: No such file or directory"))
            #expect(error.mend.contains("models.repository"))
        }
    }

    @Test func theModelsFolderItselfMayBeALink() throws {
        let models = try ModelsFolder()
        try models.model("real/iris", 1, as: "iris")
        try models.link("link", to: "real")
        let scan = try FolderRepository(path: models.path + "/link").scan()
        #expect(scan.models.map(\.name.text) == ["iris"])
        #expect(scan.models[0].directory.hasSuffix("/real/iris/1"))
    }

    @Test func whatIsNoModelIsNoted() throws {
        let models = try ModelsFolder()
        try models.model("iris", 1)
        for version in ["0", "-1", "abc", "01", "1.5"] {
            try models.write("iris/\(version)/model.onnx", ModelsFolder.onnx())
        }
        try models.link("iris/2", to: "1")
        try models.link("alias", to: "iris")
        try models.folder("-bad")
        try models.folder("b\u{1b}d")
        try models.folder(".hidden")
        try models.write("README.md", [1])
        let scan = try models.scan()
        #expect(scan.models.map { "\($0.name)/\($0.version)" } == ["iris/1"])
        let notes = scan.notes.joined(separator: "\n")
        for shown in ["iris/0", "iris/-1", "iris/abc", "iris/01", "iris/1.5", "-bad", "b?d"] {
            #expect(notes.contains("'\(shown)' is passed over"), "\(notes)")
        }
        #expect(notes.contains("'iris/2' is passed over: it is a symbolic link"))
        #expect(notes.contains("'alias' is passed over: it is a symbolic link"))
        #expect(!notes.contains("README.md"))
        #expect(!notes.contains("hidden"))
        #expect(scan.notes.count == 9)
    }

    /// Each makes one version that cannot be served, beside one that can.
    private static let breakages: [(says: String, make: @Sendable (ModelsFolder) throws -> Void)] =
        [
            ("there is no model.onnx", { try $0.folder("m/1") }),
            ("it has no graph", { try $0.write("m/1/model.onnx", []) }),
            ("model.onnx", { try $0.write("m/1/model.onnx", Array("not a model at all".utf8)) }),
            (
                "cut off",
                { try $0.write("m/1/model.onnx", Array(ModelsFolder.onnx().dropLast(3))) }
            ),
            ("has 9 bytes, manifest.json says 8", { try $0.model("m", 1, claim: 8) }),
            ("manifest.json is for 'n' version 1", { try $0.model("m", 1, as: "n") }),
            ("'w.bin' of manifest.json is missing", { try $0.model("m", 1, file: "w.bin") }),
            ("made by a newer sluice", { try $0.model("m", 1, format: 9) }),
            (
                "it is not JSON",
                {
                    try $0.model("m", 1)
                    try $0.write("m/1/manifest.json", Array("{".utf8))
                }
            ),
            (
                "4194304 are allowed",
                {
                    try $0.model("m", 1)
                    try $0.write("m/1/manifest.json", [UInt8](repeating: 32, count: 5 << 20))
                }
            ),
            (
                "'model.onnx' is a symbolic link",
                {
                    try $0.write("m/real", [1])
                    try $0.folder("m/1")
                    try $0.link("m/1/model.onnx", to: "../real")
                }
            ),
            (
                "'model.onnx' has 2 hard links",
                {
                    try $0.write("m/real", ModelsFolder.onnx())
                    try $0.folder("m/1")
                    try $0.hardLink("m/1/model.onnx", to: "m/real")
                }
            ),
            (
                "'deep/w.bin' has 2 hard links",
                {
                    try $0.write("m/secret", [1])
                    try $0.write("m/1/model.onnx", ModelsFolder.onnx())
                    try $0.folder("m/1/deep")
                    try $0.hardLink("m/1/deep/w.bin", to: "m/secret")
                }
            ),
            (
                "weights in '../w.bin', which leads out of the version's folder by '..'",
                { try $0.write("m/1/model.onnx", ModelsFolder.onnx(location: "../w.bin")) }
            ),
            (
                "weights in '/etc/passwd', which is an absolute path",
                { try $0.write("m/1/model.onnx", ModelsFolder.onnx(location: "/etc/passwd")) }
            ),
            (
                "weights in 'w.bin', which is missing",
                { try $0.write("m/1/model.onnx", ModelsFolder.onnx(location: "w.bin")) }
            ),
            (
                "more than 1024 files",
                {
                    try $0.write("m/1/model.onnx", ModelsFolder.onnx())
                    for number in 0..<600 {
                        try $0.write("m/1/a/\(number)", [])
                        try $0.write("m/1/b/\(number)", [])
                    }
                }
            ),
            (
                "more than 8 deep",
                {
                    try $0.write("m/1/model.onnx", ModelsFolder.onnx())
                    try $0.folder("m/1/1/2/3/4/5/6/7/8/9/10")
                }
            ),
        ]

    @Test(arguments: breakages.indices) func aBrokenModelSaysWhyAndOthersServe(_ index: Int) throws
    {
        let (says, make) = FolderRepositoryTests.breakages[index]
        let models = try ModelsFolder()
        try models.model("bystander", 1)
        try make(models)
        let scan = try models.scan()
        let broken = try #require(scan.models.first { $0.name.text == "m" })
        #expect(broken.fault?.contains(says) == true, "\(broken.fault ?? "no fault")")
        #expect(broken.fault?.contains(models.path) == false)
        let registry = Registry(scan.models)
        #expect(registry.isReady(name: "bystander", version: ""))
        #expect(throws: CallFailure.self) { try registry.select(name: "m", version: "") }
    }

    @Test func externalDataBesideTheModelIsFine() throws {
        let models = try ModelsFolder()
        try models.write("m/1/model.onnx", ModelsFolder.onnx(location: "data/w.bin"))
        try models.write("m/1/data/w.bin", [1, 2, 3])
        let model = try #require(try models.scan().models.first)
        #expect(model.fault == nil)
        #expect(model.files.map(\.name) == ["data/w.bin", "model.onnx"])
    }

    @Test func withoutManifestMayMeanNotThere() throws {
        let models = try ModelsFolder()
        try models.model("with", 1)
        try models.write("without/1/model.onnx", ModelsFolder.onnx())
        let scan = try FolderRepository(path: models.path, requiresManifest: true).scan()
        #expect(scan.models.map(\.name.text) == ["with"])
        #expect(scan.notes == ["'without/1' is passed over: it has no manifest.json"])
    }

    @Test func onlyChangedVersionsGetANewEntry() throws {
        let models = try ModelsFolder()
        for version in 1...3 { try models.model("iris", version) }
        let repository = FolderRepository(path: models.path)
        let registry = Registry(try repository.scan().models)
        #expect(registry.replace(with: try repository.scan().models).isEmpty)

        try models.model("iris", 2, bytes: 12)
        try models.remove("iris/3")
        let change = registry.replace(with: try repository.scan().models)
        #expect(change.added.map(\.version) == ["2"])
        #expect(change.removed.map(\.version).sorted() == ["2", "3"])

        // The same size and name, other bytes: the time or the inode tells.
        try models.remove("iris/1/model.onnx")
        try models.write("iris/1/model.onnx", [UInt8](repeating: 8, count: 9))
        #expect(registry.replace(with: try repository.scan().models).added.map(\.version) == ["1"])

        // A version that was being copied heals at the next scan.
        try models.write("iris/4/model.onnx", Array(ModelsFolder.onnx().dropLast(2)))
        registry.replace(with: try repository.scan().models)
        #expect(!registry.isReady(name: "iris", version: "4"))
        try models.write("iris/4/model.onnx", ModelsFolder.onnx())
        registry.replace(with: try repository.scan().models)
        #expect(registry.isReady(name: "iris", version: "4"))
    }

    /// The models that ship with the gateway: manifest and file agree, and every golden case would be taken.
    @Test func theModelsOfThisRepository() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let scan = try FolderRepository(path: root.appendingPathComponent("models").path).scan()
        #expect(scan.notes.isEmpty, "\(scan.notes)")
        #expect(scan.models.map(\.name.text).contains("iris"))
        for model in scan.models {
            #expect(model.fault == nil, "\(model.name): \(model.fault ?? "")")
            let file = try Data(contentsOf: URL(fileURLWithPath: model.directory + "/model.onnx"))
            let header = try OnnxHeader(BytesInMemory(Array(file)))
            #expect(header.externalFiles.isEmpty)
            #expect(
                ModelEntry(index: 0, model).mismatch(with: header.signature) == nil,
                "\(model.name)")
            let manifest = try Data(
                contentsOf: URL(fileURLWithPath: model.directory + "/manifest.json"))
            let golden = try GoldenCase.all(inManifest: Array(manifest))
            #expect(!golden.isEmpty)
            for example in golden {
                let prepared = try ModelEntry(index: 0, model).prepare(
                    InferenceRequest(
                        model: model.name.text, version: "", id: "", inputs: example.inputs,
                        outputs: example.outputs.map(\.name)))
                #expect(prepared.inputs.count == model.signature.inputs.count)
                #expect(example.difference(from: example.outputs) == nil)
            }
        }
    }

    /// Prints what a scan costs; the bound is loose, for a loaded machine.
    @Test func manyModels() throws {
        let models = try ModelsFolder()
        for number in 0..<2_000 { try models.model("model-\(number)", 1) }
        let repository = FolderRepository(path: models.path)
        let start = Instant.now()
        let first = try repository.scan()
        let middle = Instant.now()
        let second = try repository.scan()
        let end = Instant.now()
        #expect(first.models.count == 2_000)
        #expect(first.models.allSatisfy { $0.fault == nil })
        #expect(second.models == first.models)
        print("scan of 2,000 models: \(middle.since(start)), again: \(end.since(middle))")
        #expect(middle.since(start) < .seconds(10))
    }
}
