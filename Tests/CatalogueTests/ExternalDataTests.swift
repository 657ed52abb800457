// Where a model keeps weights: found wherever a tensor can stand, and held against the rules.

import Catalogue
import Contract
import Foundation
import Testing

@Suite struct ExternalDataTests {
    private func locations(_ bytes: [UInt8]) throws -> [String] {
        try ExternalData.locations(in: BytesInMemory(bytes))
    }

    private func message(_ body: () throws(ModelFault) -> Void) -> String? {
        do throws(ModelFault) {
            try body()
            return nil
        } catch {
            return error.message
        }
    }

    /// Every place onnx.proto has for a tensor, as the field numbers that lead to it from the model.
    static let places: [[UInt64]] = [
        [7, 5], [7, 15, 1], [7, 15, 2], [7, 1, 5, 5], [7, 1, 5, 10], [7, 1, 5, 22, 1],
        [7, 1, 5, 23, 2], [7, 1, 5, 6, 5], [7, 1, 5, 11, 5], [7, 1, 5, 6, 1, 5, 6, 1, 5, 5],
        [20, 1, 5], [20, 2, 5], [25, 7, 5, 5], [25, 11, 5], [25, 7, 5, 6, 15, 1],
    ]

    @Test(arguments: places) func aTensorIsFoundWhereverItStands(_ place: [UInt64]) throws {
        var bytes = OnnxSamples.initializer("W", weights: 8, location: "w.bin")
        for field in place.reversed() {
            bytes = ProtobufWriter.message {
                // Something else before and after.
                $0.number(31, 7)
                $0.block(field, bytes)
                $0.text(30, "other")
            }
        }
        #expect(try locations(bytes) == ["w.bin"])
    }

    @Test func whatIsNoTensorCountsNot() throws {
        // Metadata has the same keys and values (ModelProto.metadata_props = 14).
        let entry = ProtobufWriter.message {
            $0.text(1, "location")
            $0.text(2, "/etc/passwd")
        }
        let bytes = OnnxSamples.iris() + ProtobufWriter.message { $0.block(14, entry) }
        #expect(try locations(bytes) == [])
        #expect(try locations(OnnxSamples.iris()) == [])
        #expect(try locations([]) == [])
    }

    /// Readers take the last of a field that comes twice, or the first: both are held against the rules.
    @Test func everyValueOfAnEntryCounts() throws {
        let entry = ProtobufWriter.message {
            $0.text(2, "first")
            $0.text(1, "offset")
            $0.text(1, "location")
            $0.text(2, "second")
        }
        let bytes = OnnxSamples.model {
            $0.block(5, ProtobufWriter.message { $0.block(13, entry) })
            $0.block(5, OnnxSamples.initializer("a", location: "third"))
            $0.block(5, OnnxSamples.initializer("b", location: "third"))
        }
        #expect(try locations(bytes) == ["first", "second", "third"])
    }

    /// As the onnx package writes it: weights of a branch, of a constant and of the graph itself.
    @Test func aModelOfARealConverter() throws {
        let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/models")
        for (name, expected) in [
            ("external", ["external.weights"]),
            ("external-nested", ["branch.weights", "constant.weights", "external.weights"]),
            ("linear", []),
        ] {
            let file = try Data(contentsOf: fixtures.appendingPathComponent("\(name).onnx"))
            #expect(try locations(Array(file)) == expected, "\(name)")
            #expect(
                file.range(of: Data(ExternalData.mark.utf8)) != nil || expected.isEmpty, "\(name)")
        }
    }

    static let wrongs: [(location: String, says: String)] = [
        ("/etc/passwd", "which is an absolute path"),
        ("//w.bin", "which is an absolute path"),
        ("..", "leads out of the version's folder by '..'"),
        ("../w.bin", "leads out of the version's folder by '..'"),
        ("a/../../w.bin", "leads out of the version's folder by '..'"),
        ("../\u{301}w.bin", "leads out of the version's folder by '..'"),
        ("*/_ORT_MEM_ADDR_/*", "is a place in memory"),
        ("", "is no plain path"), ("./w.bin", "is no plain path"), ("a//b", "is no plain path"),
        ("a/", "is no plain path"), ("a\\b", "is no plain path"), ("a\u{0}b", "is no plain path"),
        ("a\nb", "is no plain path"), ("1/2/3/4/5/6/7/8/9", "is no plain path"),
    ]

    @Test(arguments: wrongs.indices) func locationsThatBreakARule(_ index: Int) {
        let (location, says) = ExternalDataTests.wrongs[index]
        let text = message { () throws(ModelFault) in
            try ExternalData.check(location, manifest: nil)
        }
        #expect(text?.contains(says) == true, "\(text ?? "no fault")")
        #expect(text?.hasPrefix("the model keeps weights in '") == true, "\(text ?? "")")
        #expect(text?.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } == true)
    }

    @Test func aManifestNamesThemAll() {
        let files = [
            ModelFile(name: "model.onnx", byteCount: 1), ModelFile(name: "d/w", byteCount: 1),
        ]
        #expect(
            message { () throws(ModelFault) in try ExternalData.check("d/w", manifest: files) }
                == nil)
        #expect(
            message { () throws(ModelFault) in try ExternalData.check("w", manifest: nil) } == nil)
        let text = message { () throws(ModelFault) in try ExternalData.check("w", manifest: files) }
        #expect(text?.contains("'w', which manifest.json does not name") == true, "\(text ?? "")")
    }

    @Test func depthAndNumberHaveLimits() {
        // A node in a graph in an attribute in a node, and so on.
        var bytes = OnnxSamples.initializer("W", location: "w.bin")
        bytes = ProtobufWriter.message { $0.block(5, bytes) }
        for _ in 0..<40 {
            for field: UInt64 in [6, 5, 1] {
                bytes = ProtobufWriter.message { $0.block(field, bytes) }
            }
        }
        let deep = ProtobufWriter.message { $0.block(7, bytes) }
        #expect(throws: ModelFault("model.onnx has parts more than 100 deep")) {
            try locations(deep)
        }
        let many = OnnxSamples.model {
            for number in 0...OnnxHeader.externalFilesMax {
                $0.block(5, OnnxSamples.initializer("w", location: "w\(number)"))
            }
        }
        #expect(throws: ModelFault("model.onnx keeps weights in too many files")) {
            try locations(many)
        }
        let entry = ProtobufWriter.message {
            $0.text(1, "location")
            for _ in 0...OnnxHeader.externalFilesMax { $0.text(2, "w") }
        }
        let repeated = OnnxSamples.model {
            $0.block(5, ProtobufWriter.message { $0.block(13, entry) })
        }
        #expect(throws: ModelFault("model.onnx keeps weights in too many files")) {
            try locations(repeated)
        }
        let long = OnnxSamples.model {
            $0.block(
                5, OnnxSamples.initializer("w", location: String(repeating: "w", count: 1_025)))
        }
        #expect(throws: ModelFault.self) { try locations(long) }
    }

    /// A forest keeps its trees in unpacked numbers, five bytes each: all of them are gone through.
    @Test func aForestIsGoneThroughInReasonableTime() throws {
        let floats = [UInt8](
            (0..<400_000).flatMap { _ in [0x3D, 1, 2, 3, 4] as [UInt8] })
        let bytes = OnnxSamples.model {
            $0.block(1, ProtobufWriter.message { $0.block(5, floats) })
            $0.block(5, OnnxSamples.initializer("W", location: "w.bin"))
        }
        let began = ContinuousClock.now
        #expect(try locations(bytes) == ["w.bin"])
        let time = ContinuousClock.now - began
        print("external data of a model with 400,000 numbers: \(time)")
        #expect(time < .seconds(2))
    }

    @Test func fuzz() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("ExternalDataTests.fuzz seed \(seed)")
        var random = SeededRandom(seed: seed)
        var right = OnnxSamples.initializer("W", weights: 8, location: "w.bin")
        for field: UInt64 in [5, 6, 5, 1, 7] {
            right = ProtobufWriter.message { $0.block(field, right) }
        }
        var faults = 0
        for _ in 0..<20_000 {
            var bytes = right
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            }
            do {
                let found = try locations(bytes)
                #expect(found.count <= 2, "seed \(seed)")
            } catch {
                faults += 1
            }
        }
        #expect(faults > 1_000)
    }

    @Test func aCombiningMarkHidesNoSlash() {
        #expect(RelativePath.parts("../\u{301}x") == nil)
        #expect(RelativePath.parts("a/\u{301}x") == ["a", "\u{301}x"])
    }
}
