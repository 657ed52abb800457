// A manifest that is written is one that is read.

import Catalogue
import Contract
import NIOCore
import Testing

@Suite struct ManifestDraftTests {
    private func tensor(_ name: String, _ datatype: ElementType, _ shape: Shape, _ raw: [UInt8])
        -> Tensor
    {
        Tensor(name: name, datatype: datatype, shape: shape, bytes: ByteBuffer(bytes: raw))
    }

    private func draft() throws -> ManifestDraft {
        let name = try #require(ModelName("wine"))
        let version = try #require(ModelVersion(number: 7))
        var draft = ManifestDraft(
            name: name, version: version,
            files: [
                ModelFile(
                    name: "model.onnx", byteCount: 12, sha256: String(repeating: "a", count: 64)),
                ModelFile(
                    name: "model.weights", byteCount: 1 << 33,
                    sha256: String(repeating: "0", count: 64)),
            ],
            signature: Signature(
                inputs: [TensorSpecification(name: "X", datatype: .fp32, shape: [-1, 4])],
                outputs: [TensorSpecification(name: "label", datatype: .bytes, shape: [-1])]))
        draft.measured = Measurements(
            residentBytes: 5, peakBytes: 9, load: .microseconds(120),
            firstRun: .microseconds(3), warmRun: Nanoseconds(3_400))
        draft.origin = ["source": "wine \"best\".pkl", "converter": "skl2onnx 1.20.0"]
        return draft
    }

    @Test func whatIsWrittenIsRead() throws {
        var draft = try draft()
        let nan = Float.nan.bitPattern
        var floats = ByteBuffer()
        for bits in [
            Float(0.1).bitPattern, nan, Float.infinity.bitPattern, Float(-3.5e-9).bitPattern,
        ] { floats.writeInteger(bits, endianness: .little) }
        let inputs = [
            Tensor(name: "X", datatype: .fp32, shape: [1, 4], bytes: floats),
            tensor("flags", .bool, [2], [1, 0]),
            tensor("small", .int8, [2], [0xFF, 5]),
            tensor("large", .uint64, [1], [UInt8](repeating: 0xFF, count: 8)),
        ]
        let word = tensor("label", .bytes, [1], [3, 0, 0, 0] + Array("a\"é".utf8.prefix(3)))
        draft.golden = [GoldenCase(inputs: inputs, outputs: [word], tolerance: 1e-4)]
        // Three bytes of a text that has four: not UTF-8.
        #expect(throws: ModelFault.self) { try draft.json() }
        let good = tensor("label", .bytes, [1], [4, 0, 0, 0] + Array("a\"é".utf8))
        draft.golden = [GoldenCase(inputs: inputs, outputs: [good], tolerance: 1e-4)]
        draft.load = .mapped
        let json = try draft.json()
        let manifest = try Manifest(json: json)
        #expect(manifest.name == draft.name && manifest.version == draft.version)
        #expect(manifest.files == draft.files)
        #expect(manifest.signature == draft.signature)
        #expect(manifest.measured == draft.measured && manifest.load == .mapped)
        let golden = try GoldenCase.all(inManifest: json)
        #expect(golden.count == 1 && golden[0].tolerance == 1e-4)
        // Not a number is not equal to itself, but its bits are.
        #expect(golden[0].inputs.map(\.bytes) == inputs.map(\.bytes))
        #expect(golden[0].outputs == [good])
        let text = String(decoding: json, as: UTF8.self)
        #expect(text.contains("\"load\" : \"mapped\"") && text.contains("skl2onnx"))
    }

    @Test func labelsAreWrittenWithTheirOutput() throws {
        var draft = try draft()
        draft.signature.outputs.append(
            TensorSpecification(name: "probabilities", datatype: .fp32, shape: [-1, 2]))
        draft.labels = ["probabilities": ["no", "yes"]]
        #expect(try Manifest(json: try draft.json()).labels == draft.labels)
        draft.labels = ["probabilities": ["no"]]
        #expect(throws: ModelFault.self) { try draft.json() }
    }

    @Test func whatWouldNotBeReadIsNotWritten() throws {
        var draft = try draft()
        draft.files.removeFirst()
        #expect(throws: ModelFault.self) { try draft.json() }
        draft = try self.draft()
        let many = ByteBuffer(repeating: 0x41, count: 4 * 2_000_000)
        let tensor = Tensor(name: "X", datatype: .fp32, shape: [2_000_000], bytes: many)
        draft.golden = [GoldenCase(inputs: [tensor], outputs: [])]
        #expect(throws: ModelFault.self) { try draft.json() }
    }

    @Test func distancesAreToldByOutput() {
        func floats(_ name: String, _ values: [Float]) -> Tensor {
            var bytes = ByteBuffer()
            for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
            return Tensor(
                name: name, datatype: .fp32, shape: Shape([Int64(values.count)]) ?? Shape(),
                bytes: bytes)
        }
        let right = GoldenCase(
            inputs: [],
            outputs: [
                floats("near", [1_000, 0.5]), floats("shape", [1]), floats("gone", [1]),
                floats("nan", [.nan, 1]),
            ])
        let distances = right.distances(from: [
            floats("near", [1_001, 0.501]), floats("shape", [1, 2]), floats("nan", [.nan, .nan]),
        ])
        #expect(distances.map(\.output) == ["near", "shape", "gone", "nan"])
        #expect(abs((distances[0].relative ?? 0) - 0.001) < 1e-5)
        #expect(distances[0].absolute == 1)
        #expect(distances[0].isWithin(0.0011) && !distances[0].isWithin(0.0009))
        #expect(distances[1].trouble?.contains("FP32") == true && !distances[1].isWithin(1))
        #expect(distances[2].trouble == "is missing")
        #expect(distances[3].trouble != nil)
        #expect(right.scale == 1_000)
    }
}
