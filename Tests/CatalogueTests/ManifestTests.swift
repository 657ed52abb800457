// manifest.json: what is read, what is refused and how it says so.

import Catalogue
import Contract
import NIOCore
import Testing

@Suite struct ManifestTests {
    static let hash = String(repeating: "0a", count: 32)

    static func json(
        format: String = "1", name: String = "\"iris\"", version: String = "3",
        files: String? = nil, inputs: String? = nil, outputs: String? = nil, rest: String = ""
    ) -> [UInt8] {
        let files = files ?? #"[{"name":"model.onnx","sha256":"\#(hash)","bytes":123}]"#
        let inputs = inputs ?? #"[{"name":"X","datatype":"FP32","shape":[-1,4]}]"#
        let outputs =
            outputs
                ?? #"""
                {"name":"label","datatype":"INT64","shape":[-1]},
                {"name":"probabilities","datatype":"FP32","shape":[-1,3]}
                """#
        return Array(
            #"""
            {"format":\#(format),"name":\#(name),"version":\#(version),"files":\#(files),
            "signature":{"inputs":\#(inputs),"outputs":[
            \#(outputs)]}\#(rest)}
            """#.utf8)
    }

    private func fault(_ json: [UInt8]) -> String? {
        do {
            _ = try Manifest(json: json)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func everythingIsRead() throws {
        let manifest = try Manifest(
            json: ManifestTests.json(
                rest: #"""
                    ,"measured":{"resident_bytes":400000,"load_us":500.5,"warm_run_us":4}
                    ,"limits":{"timeout_ms":1000,"concurrency":2,"batch":64}
                    ,"origin":{"source":"x"},"later":[1,2],"load":"mapped"
                    """#))
        #expect(manifest.load == .mapped)
        #expect(manifest.name.text == "iris")
        #expect(manifest.version.number == 3)
        #expect(
            manifest.files
                == [ModelFile(name: "model.onnx", byteCount: 123, sha256: ManifestTests.hash)])
        #expect(manifest.signature == Samples.iris)
        #expect(manifest.limits == ModelLimits(timeout: .seconds(1), concurrency: 2, batch: 64))
        #expect(manifest.measured.residentBytes == 400_000)
        #expect(manifest.measured.load == Nanoseconds(500_500))
        #expect(manifest.measured.warmRun == .microseconds(4))
        #expect(manifest.measured.peakBytes == nil)
    }

    @Test func aNewerFormatIsNamedAsSuch() {
        let text = fault(Array(#"{"format":2,"shape_of_things":"to come"}"#.utf8))
        #expect(
            text == "manifest.json was made by a newer sluice: format 2, this one reads up to 1")
    }

    @Test func weightsAreCopiedUnlessItSaysOtherwise() throws {
        #expect(try Manifest(json: ManifestTests.json()).load == .plain)
        #expect(try Manifest(json: ManifestTests.json(rest: #","load":"plain""#)).load == .plain)
    }

    // MARK: - Labels

    private static func labelled(_ shape: String, _ labels: String) -> [UInt8] {
        json(outputs: #"{"name":"y","datatype":"FP32","shape":\#(shape),"labels":\#(labels)}"#)
    }

    @Test func labelsAreThoseOfTheLastDimension() throws {
        #expect(try Manifest(json: ManifestTests.json()).labels.isEmpty)
        for shape in ["[-1,3]", "[4,3]", "[3]"] {
            let manifest = try Manifest(
                json: ManifestTests.labelled(shape, #"["cat","","a \"b\":c"]"#))
            #expect(manifest.labels == ["y": ["cat", "", "a \"b\":c"]], "\(shape)")
            var scanned = try Samples.scanned("m", 1)
            scanned.labels = manifest.labels
            #expect(ModelEntry(index: 0, scanned).labels == manifest.labels)
        }
        // An input has no classes: a key that nobody knows.
        let inputs = #"[{"name":"X","datatype":"FP32","shape":[-1,4],"labels":["a"]}]"#
        #expect(try Manifest(json: ManifestTests.json(inputs: inputs)).labels.isEmpty)
    }

    @Test(
        arguments: [
            ("[-1,3]", #"["a","b"]"#, "2 labels do not fit its last dimension, which is 3"),
            ("[3]", "[]", "0 labels do not fit its last dimension, which is 3"),
            ("[-1,-1]", #"["a"]"#, "labels need a last dimension of a fixed size"),
            ("[]", #"["a"]"#, "labels are for an output of one or two dimensions"),
            ("[1,2,2]", #"["a","b"]"#, "labels are for an output of one or two dimensions"),
            (
                "[1]", #"["\#(String(repeating: "x", count: 513))"]"#,
                "a label is longer than 512 bytes"
            ), ("[1]", "[1]", "signature.outputs[0].labels[0] has the wrong type"),
            ("[1]", #""a""#, "signature.outputs[0].labels has the wrong type"),
        ])
    func labelsThatDoNotFitAreRefused(shape: String, labels: String, says: String) {
        let text = fault(ManifestTests.labelled(shape, labels)) ?? "no fault"
        #expect(text.hasPrefix("manifest.json: ") && text.contains(says), "\(text)")
        #expect(!says.contains("label ") || text.contains("signature.outputs 'y'"), "\(text)")
    }

    static let file = #"{"name":"model.onnx","sha256":"\#(hash)","bytes":1}"#

    static let wrongs: [(json: [UInt8], says: String)] = [
        (Array("".utf8), "manifest.json: it is not JSON"),
        (Array("{".utf8), "manifest.json: it is not JSON"),
        (Array("[]".utf8), "has the wrong type"),
        (Array("{}".utf8), "manifest.json: format is missing"),
        (json(format: "0"), "format is 0, must be 1 or more"),
        (json(format: "\"1\""), "format has the wrong type"),
        (json(name: "\"../iris\""), "name '../iris' is no model name"),
        (json(name: "7"), "name has the wrong type"),
        (json(rest: #","load":"fast""#), "load is 'fast', must be one of plain, mapped"),
        (json(rest: #","load":true"#), "load has the wrong type"),
        (json(version: "0"), "version is 0, must be 1 or more"),
        (json(version: "-3"), "version is -3, must be 1 or more"),
        (json(files: "[]"), "does not list model.onnx"),
        (json(files: "[\(file),\(file)]"), "lists 'model.onnx' twice"),
        (json(files: #"[{"name":"model.onnx","sha256":"\#(hash)"}]"#), "files[0].bytes is missing"),
        (
            json(files: #"[{"name":"../x","sha256":"\#(hash)","bytes":1}]"#),
            "file name '../x' is not a path inside the version's folder"
        ),
        (
            json(files: #"[{"name":"/etc/passwd","sha256":"\#(hash)","bytes":1}]"#),
            "'/etc/passwd' is not a path inside"
        ),
        (
            json(files: #"[{"name":"model.onnx","sha256":"ABC","bytes":1}]"#),
            "sha256 of 'model.onnx' must be 64 lower-case hexadecimal digits"
        ),
        (
            json(files: #"[{"name":"model.onnx","sha256":"\#(hash)","bytes":-1}]"#),
            "bytes of 'model.onnx' is -1"
        ),
        (
            json(inputs: #"[{"name":"X","datatype":"FLOAT","shape":[1]}]"#),
            "signature.inputs 'X': datatype 'FLOAT' is not one of BOOL"
        ),
        (
            json(inputs: #"[{"name":"X","datatype":"FP32","shape":[-2]}]"#),
            "a shape has at most 8 dimensions of -1 or more"
        ),
        (
            json(inputs: #"[{"name":"X","datatype":"FP32","shape":[1,1,1,1,1,1,1,1,1]}]"#),
            "a shape has at most 8 dimensions"
        ),
        (json(inputs: #"[{"name":"","datatype":"FP32","shape":[]}]"#), "is empty or longer"),
        (
            json(
                inputs:
                    #"[{"name":"X","datatype":"FP32","shape":[]},{"name":"X","datatype":"FP32","shape":[]}]"#
            ), "'X' comes twice"
        ),
        (json(rest: #","limits":{"timeout_ms":0}"#), "limits.timeout_ms must be 1 to 86400000"),
        (json(rest: #","limits":{"batch":-1}"#), "limits.batch must be"),
    ]

    @Test(arguments: wrongs.indices) func theFaultSaysWhere(_ index: Int) {
        let (json, says) = ManifestTests.wrongs[index]
        let text = fault(json)
        #expect(text?.contains(says) == true, "\(text ?? "no fault")")
    }

    @Test func aManifestThatIsTooLongIsNotParsed() {
        let text = fault([UInt8](repeating: 0x20, count: Manifest.byteCountMax + 1))
        #expect(text?.contains("4194304 are allowed") == true)
    }

    @Test(arguments: [
        ("model.onnx", true), ("a/b.bin", true), ("a b", true), ("", false), ("/a", false),
        ("a/", false), ("a//b", false), ("..", false), ("a/../b", false), ("./a", false),
        ("a\\b", false), ("a\u{0}", false), ("a\n", false), ("1/2/3/4/5/6/7/8/9", false),
    ])
    func relativePaths(_ path: String, _ right: Bool) {
        #expect((RelativePath.parts(path) != nil) == right)
    }

    @Test func fuzz() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("ManifestTests.fuzz seed \(seed)")
        var random = SeededRandom(seed: seed)
        let right = ManifestTests.json(rest: #","limits":{"batch":64}"#)
        var kept = 0
        for _ in 0..<4_000 {
            var json = right
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<json.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: json[place] = UInt8.random(in: 0...255, using: &random)
                case 1: json.remove(at: place)
                default:
                    json.insert(json[Int.random(in: 0..<json.count, using: &random)], at: place)
                }
            }
            if let manifest = try? Manifest(json: json) {
                kept += 1
                #expect(manifest.files.contains { $0.name == "model.onnx" }, "seed \(seed)")
            }
        }
        #expect(kept < 4_000)
    }
}

@Suite struct GoldenCaseTests {
    private static let manifest = Array(
        #"""
        {"golden":[{"inputs":[
          {"name":"X","datatype":"FP32","shape":[1,2],"data":[1,-0.5]},
          {"name":"W","datatype":"BYTES","shape":[2],"data":["ab",""]},
          {"name":"B","datatype":"BOOL","shape":[2],"data":[true,false]},
          {"name":"H","datatype":"FP16","shape":[1],"data":[1.0]},
          {"name":"F","datatype":"BF16","shape":[1],"data":[1.0]},
          {"name":"I","datatype":"INT16","shape":[1],"data":[-2]},
          {"name":"U","datatype":"UINT64","shape":[1],"data":[18446744073709551615]}],
         "outputs":[
          {"name":"label","datatype":"INT64","shape":[1],"data":[2]},
          {"name":"odds","datatype":"FP32","shape":[2],"data":["NaN",0.25]}],
         "tolerance":0.01}]}
        """#.utf8)

    @Test func tensorsAreTheBytesOfTheWire() throws {
        let golden = try #require(try GoldenCase.all(inManifest: GoldenCaseTests.manifest).first)
        let bytes = golden.inputs.map { Array($0.bytes.readableBytesView) }
        #expect(bytes[0] == [0, 0, 0x80, 0x3F, 0, 0, 0, 0xBF])
        #expect(bytes[1] == [2, 0, 0, 0, 0x61, 0x62, 0, 0, 0, 0])
        #expect(bytes[2] == [1, 0])
        #expect(bytes[3] == [0, 0x3C])
        #expect(bytes[4] == [0x80, 0x3F])
        #expect(bytes[5] == [0xFE, 0xFF])
        #expect(bytes[6] == [UInt8](repeating: 0xFF, count: 8))
        #expect(golden.tolerance == 0.01)
        #expect(golden.outputs.map(\.name) == ["label", "odds"])
    }

    @Test func answersAreCompared() throws {
        let golden = try #require(try GoldenCase.all(inManifest: GoldenCaseTests.manifest).first)
        let label = golden.outputs[0]
        let near = Samples.floats("odds", [2], [.nan, 0.255])
        #expect(golden.difference(from: [near, label]) == nil)
        #expect(golden.difference(from: [near]) == "output 'label' is missing")
        let far = Samples.floats("odds", [2], [.nan, 0.27])
        #expect(
            golden.difference(from: [label, far])?.hasPrefix("output 'odds' element 1") == true)
        let number = Samples.floats("odds", [2], [0, 0.25])
        #expect(golden.difference(from: [label, number])?.contains("element 0") == true)
        let reshaped = Samples.floats("odds", [1, 2], [.nan, 0.25])
        #expect(golden.difference(from: [label, reshaped])?.contains("FP32 [1,2]") == true)
        var other = label
        other.bytes = ByteBuffer(bytes: [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(golden.difference(from: [other, near]) == "output 'label' differs")
    }

    @Test(arguments: [
        #"{"name":"a","datatype":"INT8","shape":[1],"data":[128]}"#,
        #"{"name":"a","datatype":"UINT8","shape":[1],"data":[-1]}"#,
        #"{"name":"a","datatype":"INT8","shape":[2],"data":[1]}"#,
        #"{"name":"a","datatype":"INT8","shape":[-1],"data":[]}"#,
        #"{"name":"a","datatype":"BOOL","shape":[1],"data":[1.5]}"#,
        #"{"name":"a","datatype":"WORD","shape":[1],"data":[1]}"#,
        #"{"name":"a","datatype":"FP32","shape":[1],"data":["much"]}"#,
    ])
    func wrongTensorsAreRefused(_ tensor: String) {
        let json = Array(#"{"golden":[{"inputs":[\#(tensor)],"outputs":[]}]}"#.utf8)
        #expect(throws: ModelFault.self) { try GoldenCase.all(inManifest: json) }
    }

    @Test func noneIsFine() throws {
        #expect(try GoldenCase.all(inManifest: ManifestTests.json()).isEmpty)
    }

    /// Values of half precision with known bits (IEEE 754), through JSON and back into a comparison.
    @Test(
        arguments: [
            ("0", [0x00, 0x00]), ("-0.0", [0x00, 0x80]), ("65504", [0xFF, 0x7B]),
            ("65520", [0x00, 0x7C]), ("5.960464477539063e-08", [0x01, 0x00]),
            ("6.103515625e-05", [0x00, 0x04]), ("0.333251953125", [0x55, 0x35]),
            ("2049", [0x00, 0x68]), ("2051", [0x02, 0x68]), ("\"Infinity\"", [0x00, 0x7C]),
        ] as [(String, [UInt8])])
    func halves(_ text: String, _ bits: [UInt8]) throws {
        let json = Array(
            #"{"golden":[{"inputs":[],"outputs":[{"name":"a","datatype":"FP16","shape":[1],"data":[\#(text)]}]}]}"#
                .utf8)
        let golden = try #require(try GoldenCase.all(inManifest: json).first)
        #expect(Array(golden.outputs[0].bytes.readableBytesView) == bits)
        #expect(golden.difference(from: golden.outputs) == nil)
    }
}
