// A tensor's elements as JSON, straight from its bytes: flat, row-major, numbers in the shortest form that reads back as the
// same bits.

import Contract
import NIOCore

/// Writes one tensor's elements, separated by commas.
struct TensorWriter {
    private let tensor: Tensor
    /// BYTES elements as base64 instead of text.
    private let isBase64: Bool

    init(_ tensor: Tensor, isBase64: Bool) {
        self.tensor = tensor
        self.isBase64 = isBase64
    }

    /// - Throws: INVALID_ARGUMENT when an element has no JSON form.
    func write(into json: inout ByteBuffer) throws(CallFailure) {
        switch tensor.datatype {
        case .bool: try writeNumbers(UInt8.self, into: &json) { $0 == 0 ? "false" : "true" }
        case .uint8: try writeNumbers(UInt8.self, into: &json) { String($0) }
        case .uint16: try writeNumbers(UInt16.self, into: &json) { String($0) }
        case .uint32: try writeNumbers(UInt32.self, into: &json) { String($0) }
        case .uint64: try writeNumbers(UInt64.self, into: &json) { String($0) }
        case .int8: try writeNumbers(Int8.self, into: &json) { String($0) }
        case .int16: try writeNumbers(Int16.self, into: &json) { String($0) }
        case .int32: try writeNumbers(Int32.self, into: &json) { String($0) }
        case .int64: try writeNumbers(Int64.self, into: &json) { String($0) }
        case .fp32:
            try writeNumbers(UInt32.self, into: &json) { bits in
                let value = Float(bitPattern: bits)
                return value.isFinite ? value.description : nil
            }
        case .fp64:
            try writeNumbers(UInt64.self, into: &json) { bits in
                let value = Double(bitPattern: bits)
                return value.isFinite ? value.description : nil
            }
        case .fp16, .bf16:
            throw failure("\(tensor.datatype) does not travel in JSON")
        case .bytes: try writeStrings(into: &json)
        }
    }

    /// - Parameter text: nil for what is no number in JSON.
    private func writeNumbers<Bits: FixedWidthInteger>(
        _: Bits.Type, into json: inout ByteBuffer, _ text: (Bits) -> String?
    ) throws(CallFailure) {
        var bytes = tensor.bytes
        var element = 0
        while let bits = bytes.readInteger(endianness: .little, as: Bits.self) {
            if element > 0 { json.writeInteger(JSONBytes.comma) }
            guard let text = text(bits) else {
                throw failure("element \(element) is not finite, and JSON has no such number")
            }
            json.writeString(text)
            element += 1
        }
    }

    private func writeStrings(into json: inout ByteBuffer) throws(CallFailure) {
        var bytes = tensor.bytes
        var element = 0
        while bytes.readableBytes > 0 {
            guard let length = bytes.readInteger(endianness: .little, as: UInt32.self),
                let slice = bytes.readSlice(length: Int(length))
            else {
                throw CallFailure(
                    .internal, .runFailed,
                    "output \(Quoted.name(tensor.name)): element \(element) has no end")
            }
            if element > 0 { json.writeInteger(JSONBytes.comma) }
            if isBase64 {
                var text: [UInt8] = [JSONBytes.quote]
                Base64.encode(slice.readableBytesUInt8Span, into: &text)
                json.writeBytes(text)
                json.writeInteger(JSONBytes.quote)
            } else {
                guard let text = try? UTF8Span(validating: slice.readableBytesUInt8Span) else {
                    throw failure(
                        "element \(element) is not UTF-8, ask for it with parameters.content_type base64"
                    )
                }
                json.writeString(JSONText.quoted(String(copying: text)))
            }
            element += 1
        }
    }

    private func failure(_ what: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badTensor,
            "output \(Quoted.name(tensor.name)): \(what); ask for the binary form "
                + "(parameters.binary_data of the output, or binary_data_output of the request)")
    }
}
