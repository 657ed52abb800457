// Golden cases on their way into a manifest, and how far an answer is from the right one: for importing and proving
// models, beside the walk.

package import Contract
import NIOCore

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// How far one output of an answer is from the right one.
package struct OutputDistance: Sendable, Equatable, Codable {
    package var output: String
    /// The largest difference of an element, divided by the right one where that is above 1; nil when the two cannot be
    /// compared: another datatype or shape, or a text, a whole number or a NaN that differs.
    package var relative: Double?
    /// The same, not divided.
    package var absolute: Double?
    /// What cannot be compared, in words; nil when nothing.
    package var trouble: String?

    package init(
        output: String, relative: Double? = nil, absolute: Double? = nil, trouble: String? = nil
    ) {
        self.output = output
        self.relative = relative
        self.absolute = absolute
        self.trouble = trouble
    }

    package func isWithin(_ tolerance: Double) -> Bool {
        relative.map { $0 <= tolerance } ?? false
    }
}

extension GoldenCase {
    /// The distance of each output this case names.
    package func distances(from answer: [Tensor]) -> [OutputDistance] {
        outputs.map { expected in
            guard let actual = answer.first(where: { $0.name == expected.name }) else {
                return OutputDistance(output: expected.name, trouble: "is missing")
            }
            return GoldenCase.distance(expected, actual)
        }
    }

    private static func distance(_ expected: Tensor, _ actual: Tensor) -> OutputDistance {
        var distance = OutputDistance(output: expected.name)
        guard actual.datatype == expected.datatype, actual.shape == expected.shape else {
            distance.trouble =
                "is \(actual.datatype) \(actual.shape), the original's is \(expected.datatype) "
                + "\(expected.shape)"
            return distance
        }
        guard TensorValues.isFloat(expected.datatype) else {
            if actual.bytes == expected.bytes {
                (distance.relative, distance.absolute) = (0, 0)
            } else {
                distance.trouble = "differs from the original's"
            }
            return distance
        }
        var (relative, absolute) = (0.0, 0.0)
        let pairs = zip(TensorValues.floats(of: actual), TensorValues.floats(of: expected))
        for (index, (got, right)) in pairs.enumerated() {
            if got == right || got.isNaN && right.isNaN { continue }
            let difference = abs(got - right)
            guard difference.isFinite else {
                distance.trouble = "element \(index) is \(got), the original's is \(right)"
                return distance
            }
            absolute = max(absolute, difference)
            relative = max(relative, difference / max(1, abs(right)))
        }
        (distance.relative, distance.absolute) = (relative, absolute)
        return distance
    }

    /// The largest of the right answers' numbers; 1 when all are smaller.
    package var scale: Double {
        outputs.flatMap { TensorValues.floats(of: $0) }.filter(\.isFinite)
            .reduce(1) { max($0, abs($1)) }
    }

    /// Elements of all its tensors.
    package var elementCount: Int {
        (inputs + outputs).reduce(0) { $0 + ($1.shape.elementCount ?? 0) }
    }
}

extension GoldenCase: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(inputs.map { ShownTensor(tensor: $0) }, forKey: .inputs)
        try container.encode(outputs.map { ShownTensor(tensor: $0) }, forKey: .outputs)
        try container.encode(tolerance, forKey: .tolerance)
    }
}

/// A tensor as JSON: name, datatype, shape and flat row-major data. A text that is not UTF-8 cannot be written.
private struct ShownTensor: Encodable {
    var tensor: Tensor

    private enum CodingKeys: String, CodingKey { case name, datatype, shape, data }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tensor.name, forKey: .name)
        try container.encode(tensor.datatype.name, forKey: .datatype)
        try container.encode(
            (0..<tensor.shape.rank).map { tensor.shape[$0] }, forKey: .shape)
        switch tensor.datatype {
        case .bool:
            try container.encode(tensor.bytes.readableBytesView.map { $0 != 0 }, forKey: .data)
        case .bytes:
            try container.encode(try TensorValues.texts(of: tensor), forKey: .data)
        case .fp16, .bf16, .fp32, .fp64:
            try container.encode(TensorValues.floats(of: tensor), forKey: .data)
        case .uint8: try container.encode(integers(UInt8.self), forKey: .data)
        case .uint16: try container.encode(integers(UInt16.self), forKey: .data)
        case .uint32: try container.encode(integers(UInt32.self), forKey: .data)
        case .uint64: try container.encode(integers(UInt64.self), forKey: .data)
        case .int8: try container.encode(integers(Int8.self), forKey: .data)
        case .int16: try container.encode(integers(Int16.self), forKey: .data)
        case .int32: try container.encode(integers(Int32.self), forKey: .data)
        case .int64: try container.encode(integers(Int64.self), forKey: .data)
        }
    }

    private func integers<Number: FixedWidthInteger>(_: Number.Type) -> [Number] {
        var bytes = tensor.bytes
        var values: [Number] = []
        while let value = bytes.readInteger(endianness: .little, as: Number.self) {
            values.append(value)
        }
        return values
    }
}

extension TensorValues {
    /// The elements of a BYTES tensor.
    static func texts(of tensor: Tensor) throws(ModelFault) -> [String] {
        var bytes = tensor.bytes
        var texts: [String] = []
        while let count = bytes.readInteger(endianness: .little, as: UInt32.self) {
            guard let part = bytes.readBytes(length: Int(count)),
                let text = String(validating: part, as: UTF8.self)
            else { throw ModelFault("a text of '\(tensor.name)' is not UTF-8") }
            texts.append(text)
        }
        return texts
    }
}
