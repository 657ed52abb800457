// What the catalogue's tests are made of: models, tensors, random numbers with a printed seed.

import Catalogue
import Contract
import NIOCore

enum Samples {
    static let iris = Signature(
        inputs: [TensorSpecification(name: "X", datatype: .fp32, shape: [-1, 4])],
        outputs: [
            TensorSpecification(name: "label", datatype: .int64, shape: [-1]),
            TensorSpecification(name: "probabilities", datatype: .fp32, shape: [-1, 3]),
        ])

    /// One input of each sort that is checked differently.
    static let mixed = Signature(
        inputs: [
            TensorSpecification(name: "numbers", datatype: .fp32, shape: [-1, 2]),
            TensorSpecification(name: "words", datatype: .bytes, shape: [-1]),
            TensorSpecification(name: "flags", datatype: .bool, shape: [2]),
            TensorSpecification(name: "scalar", datatype: .int64, shape: []),
        ],
        outputs: [
            TensorSpecification(name: "a", datatype: .fp32, shape: [-1]),
            TensorSpecification(name: "b", datatype: .fp32, shape: [-1]),
            TensorSpecification(name: "c", datatype: .fp32, shape: [-1]),
        ])

    static func scanned(
        _ name: String, _ version: Int64, _ signature: Signature = iris, fault: String? = nil,
        token: UInt64 = 1
    ) throws -> ScannedModel {
        guard let checked = ModelName(name), let number = ModelVersion(number: version) else {
            throw CallFailure(.internal, .none, "the test names no model: \(name) \(version)")
        }
        return ScannedModel(
            name: checked, version: number, directory: "/models/\(name)/\(version)",
            files: [ModelFile(name: "model.onnx", byteCount: 10)], signature: signature,
            fault: fault, token: ChangeToken([token]))
    }

    static func entry(_ name: String, _ signature: Signature) throws -> ModelEntry {
        ModelEntry(index: 0, try scanned(name, 1, signature))
    }

    static func floats(_ name: String, _ shape: Shape, _ values: [Float]) -> Tensor {
        var bytes = ByteBuffer()
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
        return Tensor(name: name, datatype: .fp32, shape: shape, bytes: bytes)
    }

    static func raw(
        _ name: String, _ datatype: ElementType, _ shape: Shape, _ bytes: [UInt8]
    ) -> Tensor {
        Tensor(name: name, datatype: datatype, shape: shape, bytes: ByteBuffer(bytes: bytes))
    }

    static func words(_ name: String, _ words: [String]) -> Tensor {
        var bytes = ByteBuffer()
        for word in words {
            bytes.writeInteger(UInt32(word.utf8.count), endianness: .little)
            bytes.writeString(word)
        }
        return Tensor(name: name, datatype: .bytes, shape: [Int64(words.count)], bytes: bytes)
    }

    static func request(
        _ inputs: [Tensor], outputs: [String] = [], model: String = "", version: String = ""
    ) -> InferenceRequest {
        InferenceRequest(model: model, version: version, id: "7", inputs: inputs, outputs: outputs)
    }
}

/// SplitMix64: small, seeded, the same everywhere.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
