// A case with the right answer, from the manifest: what a model must say before it is believed. Used by
// verification and by the tests that send every case through the whole gateway.

package import Contract
internal import NIOCore

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// One golden case of a manifest.
package struct GoldenCase: Sendable, Equatable {
    package var inputs: [Tensor]
    package var outputs: [Tensor]
    /// The largest absolute difference of a floating-point element.
    package var tolerance: Double

    package static let toleranceDefault = 1e-5

    /// The golden cases of a manifest; empty when it has none.
    package static func all(inManifest json: [UInt8]) throws(ModelFault) -> [GoldenCase] {
        guard json.count <= Manifest.byteCountMax else {
            throw ModelFault(
                "manifest.json has \(json.count) bytes, \(Manifest.byteCountMax) are allowed")
        }
        return try Manifest.decode(Cases.self, from: Data(json)).golden ?? []
    }

    private struct Cases: Decodable { var golden: [GoldenCase]? }

    package init(
        inputs: [Tensor], outputs: [Tensor], tolerance: Double = GoldenCase.toleranceDefault
    ) {
        self.inputs = inputs
        self.outputs = outputs
        self.tolerance = tolerance
    }

    /// How an answer differs from the right one, or nil when it is right. Outputs are found by name; the case
    /// need not name all of them.
    package func difference(from answer: [Tensor]) -> String? {
        for expected in outputs {
            guard let actual = answer.first(where: { $0.name == expected.name }) else {
                return "output '\(expected.name)' is missing"
            }
            if actual.datatype != expected.datatype || actual.shape != expected.shape {
                return "output '\(expected.name)' is \(actual.datatype) \(actual.shape), "
                    + "expected \(expected.datatype) \(expected.shape)"
            }
            let isFloat = TensorValues.isFloat(expected.datatype)
            if !isFloat {
                if actual.bytes == expected.bytes { continue }
                return "output '\(expected.name)' differs"
            }
            let got = TensorValues.floats(of: actual)
            let right = TensorValues.floats(of: expected)
            guard got.count == right.count else { return "output '\(expected.name)' is cut off" }
            for index in right.indices
            where !GoldenCase.isNear(got[index], right[index], tolerance) {
                return "output '\(expected.name)' element \(index) is \(got[index]), "
                    + "expected \(right[index]) within \(tolerance)"
            }
        }
        return nil
    }

    private static func isNear(_ left: Double, _ right: Double, _ tolerance: Double) -> Bool {
        if left.isNaN || right.isNaN { return left.isNaN && right.isNaN }
        return left == right || abs(left - right) <= tolerance
    }
}

extension GoldenCase: Decodable {
    enum CodingKeys: String, CodingKey { case inputs, outputs, tolerance }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        inputs = try container.decode([WrittenTensor].self, forKey: .inputs).map(\.tensor)
        outputs = try container.decode([WrittenTensor].self, forKey: .outputs).map(\.tensor)
        tolerance =
            try container.decodeIfPresent(Double.self, forKey: .tolerance)
            ?? GoldenCase.toleranceDefault
    }
}

/// A tensor as JSON: name, datatype, shape and flat row-major data.
private struct WrittenTensor: Decodable {
    var tensor: Tensor

    private enum CodingKeys: String, CodingKey { case name, datatype, shape, data }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let word = try container.decode(String.self, forKey: .datatype)
        guard let datatype = ElementType(name: word) else {
            throw DecodingError.dataCorruptedError(
                forKey: .datatype, in: container, debugDescription: "it is no datatype")
        }
        let dimensions = try container.decode([Int64].self, forKey: .shape)
        guard let shape = Shape(dimensions), let elements = shape.elementCount else {
            throw DecodingError.dataCorruptedError(
                forKey: .shape, in: container, debugDescription: "it is no shape of a tensor")
        }
        var bytes = ByteBuffer()
        let count: Int?
        switch datatype {
        case .bool:
            let values = try container.decode([Bool].self, forKey: .data)
            for value in values { bytes.writeInteger(value ? 1 : 0, as: UInt8.self) }
            count = values.count
        case .bytes:
            let values = try container.decode([String].self, forKey: .data)
            for value in values { TensorValues.append(value, to: &bytes) }
            count = values.count
        case .fp16, .bf16, .fp32, .fp64:
            let values = try container.decode([Double].self, forKey: .data)
            for value in values { TensorValues.append(value, as: datatype, to: &bytes) }
            count = values.count
        case .uint64:
            let values = try container.decode([UInt64].self, forKey: .data)
            for value in values { bytes.writeInteger(value, endianness: .little) }
            count = values.count
        default:
            let values = try container.decode([Int64].self, forKey: .data)
            let fit = values.allSatisfy { TensorValues.append($0, as: datatype, to: &bytes) }
            count = fit ? values.count : nil
        }
        guard count == elements else {
            throw DecodingError.dataCorruptedError(
                forKey: .data, in: container,
                debugDescription: count == nil
                    ? "a number does not fit \(datatype)"
                    : "\(count ?? 0) elements do not fill \(shape)")
        }
        tensor = Tensor(
            name: try container.decode(String.self, forKey: .name), datatype: datatype,
            shape: shape, bytes: bytes)
    }
}
