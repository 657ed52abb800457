// A call that works, as JSON: a golden case of a model's manifest as the request that asks it and the answer it must get.

package import Contract
import NIOCore
import OpenInference

/// A golden case as the texts of OIP 1.1.
package struct ModelExample: Sendable, Equatable {
    /// Bytes of both texts together.
    package static let bytesMax = 256 << 10

    /// The body of an infer request.
    package let request: String
    /// What is expected: numbers may differ in their last digits.
    package let response: String

    /// Throws NOT_FOUND when JSON cannot carry the case: too large, a number that is not finite, a half-precision tensor.
    package init(
        model: String, version: String, inputs: [Tensor], outputs: [Tensor]
    ) throws(CallFailure) {
        let title = "the golden case of model '\(model)' version \(version)"
        // Each element takes two bytes at least: what is far too large is not written first.
        let elements = (inputs + outputs).reduce(0) { $0 + ($1.shape.elementCount ?? 0) }
        guard elements <= ModelExample.bytesMax / 2 else {
            throw ModelExample.missing(
                "\(title) has \(elements) elements: an example has \(ModelExample.bytesMax) bytes "
                    + "of JSON at most")
        }
        let ins = try ModelExample.tensors(inputs, title)
        let outs = try ModelExample.tensors(outputs, title)
        request = "{\"inputs\":\(ins)}"
        response =
            "{\"model_name\":" + JSONText.quoted(model) + ",\"model_version\":"
            + JSONText.quoted(version) + ",\"outputs\":\(outs)}"
        guard byteCount <= ModelExample.bytesMax else {
            throw ModelExample.missing(
                "\(title) has \(byteCount) bytes as JSON: an example has "
                    + "\(ModelExample.bytesMax) at most")
        }
    }

    package var byteCount: Int { request.utf8.count + response.utf8.count }

    package static func missing(_ message: String) -> CallFailure {
        CallFailure(.notFound, .none, message, notStarted: true)
    }

    private static func tensors(_ tensors: [Tensor], _ title: String) throws(CallFailure) -> String
    {
        var texts: [String] = []
        for tensor in tensors {
            guard let data = elements(tensor) else {
                throw missing(
                    "\(title) cannot be written as JSON: '\(tensor.name)' is \(tensor.datatype) or "
                        + "holds what is no finite number or no text")
            }
            texts.append(
                "{\"name\":" + JSONText.quoted(tensor.name)
                    + ",\"datatype\":\"\(tensor.datatype.name)\",\"shape\":"
                    + "\(tensor.shape),\"data\":[" + data.joined(separator: ",") + "]}")
        }
        return "[" + texts.joined(separator: ",") + "]"
    }

    /// Flat, row-major (OIP 1.1); nil when JSON cannot carry it.
    private static func elements(_ tensor: Tensor) -> [String]? {
        var bytes = tensor.bytes
        func whole<Number: FixedWidthInteger>(_: Number.Type) -> [String] {
            var texts: [String] = []
            while let value = bytes.readInteger(endianness: .little, as: Number.self) {
                texts.append(String(value))
            }
            return texts
        }
        func real<Bits: FixedWidthInteger, Number: BinaryFloatingPoint & LosslessStringConvertible>(
            _: Bits.Type, _ number: (Bits) -> Number
        ) -> [String]? {
            var texts: [String] = []
            while let bits = bytes.readInteger(endianness: .little, as: Bits.self) {
                let value = number(bits)
                guard value.isFinite else { return nil }
                texts.append(String(value))
            }
            return texts
        }
        return switch tensor.datatype {
        case .bool: whole(UInt8.self).map { $0 == "0" ? "false" : "true" }
        case .uint8: whole(UInt8.self)
        case .uint16: whole(UInt16.self)
        case .uint32: whole(UInt32.self)
        case .uint64: whole(UInt64.self)
        case .int8: whole(Int8.self)
        case .int16: whole(Int16.self)
        case .int32: whole(Int32.self)
        case .int64: whole(Int64.self)
        case .fp32: real(UInt32.self) { Float(bitPattern: $0) }
        case .fp64: real(UInt64.self) { Double(bitPattern: $0) }
        case .fp16, .bf16: nil
        case .bytes: texts(&bytes)
        }
    }

    private static func texts(_ bytes: inout ByteBuffer) -> [String]? {
        var texts: [String] = []
        while let count = bytes.readInteger(endianness: .little, as: UInt32.self) {
            guard let element = bytes.readBytes(length: Int(count)),
                let text = String(validating: element, as: UTF8.self)
            else { return nil }
            texts.append(JSONText.quoted(text))
        }
        return texts
    }
}
