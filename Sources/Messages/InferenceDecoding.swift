// ModelInferRequest and ModelInferResponse: the hand path, which most calls take.

package import Contract
package import NIOCore

extension InferenceRequest {
    package init(decoding message: ByteBuffer, bounds: MessageBounds) throws(MessageFault) {
        if message.readableBytes <= bounds.messageBytes,
            let request = InferenceRequest.decodePlain(message, bounds: bounds)
        {
            self = request
        } else {
            self = try InferenceRequest.decodeAny(message, bounds: bounds)
        }
    }

    /// The hand path: names, tensors with raw contents, outputs; no parameters, no typed contents. Answers nil
    /// for anything else, also for what is malformed or over a limit, so that ``decodeAny(_:bounds:)`` is the
    /// only one to judge.
    package static func decodePlain(_ message: ByteBuffer, bounds: MessageBounds)
        -> InferenceRequest?
    {
        PlainInference.decode(message, bounds: bounds, rawTag: PlainInference.Tag.field7)
    }
}

extension InferenceReply {
    /// The caller's side: what a `ModelInferResponse` says.
    package init(decoding message: ByteBuffer, bounds: MessageBounds) throws(MessageFault) {
        if let reply = InferenceReply.decodePlain(message, bounds: bounds) {
            self = reply
        } else {
            self = try InferenceReply.decodeAny(message, bounds: bounds)
        }
    }

    /// As ``InferenceRequest/decodePlain(_:bounds:)``.
    package static func decodePlain(_ message: ByteBuffer, bounds: MessageBounds)
        -> InferenceReply?
    {
        guard
            let plain = PlainInference.decode(
                message, bounds: bounds, rawTag: PlainInference.Tag.field6)
        else { return nil }
        return InferenceReply(
            model: plain.model, version: plain.version, id: plain.id, outputs: plain.inputs)
    }
}

/// What the two messages have in common: fields 1 to 3 are names, 5 the tensors, and the raw contents come in
/// field 7 of a request and 6 of a response.
private enum PlainInference {
    enum Tag {
        static let model: UInt8 = 0x0A
        static let version: UInt8 = 0x12
        static let id: UInt8 = 0x1A
        static let tensor: UInt8 = 0x2A
        static let field6: UInt8 = 0x32
        static let field7: UInt8 = 0x3A
    }

    /// The message as a request; of a response, the outputs stand in the inputs' place.
    static func decode(
        _ message: ByteBuffer, bounds: MessageBounds, rawTag: UInt8
    ) -> InferenceRequest? {
        let bytes = message.readableBytesUInt8Span
        var result = InferenceRequest(model: "", version: "", id: "", inputs: [], outputs: [])
        var raws = 0
        var position = 0
        let end = bytes.count
        while position < end {
            let tag = bytes[position]
            position += 1
            guard let range = WireFormat.delimited(bytes, &position, end: end) else { return nil }
            switch tag {
            case Tag.model:
                guard let text = WireFormat.text(bytes, range) else { return nil }
                result.model = text
            case Tag.version:
                guard let text = WireFormat.text(bytes, range) else { return nil }
                result.version = text
            case Tag.id:
                guard let text = WireFormat.text(bytes, range) else { return nil }
                result.id = text
            case Tag.tensor:
                guard result.inputs.count < bounds.tensors,
                    let tensor = tensor(bytes, range, message)
                else { return nil }
                result.inputs.append(tensor)
            case rawTag:
                guard raws < result.inputs.count,
                    let slice = message.getSlice(
                        at: message.readerIndex + range.lowerBound, length: range.count)
                else { return nil }
                result.inputs[raws].bytes = slice
                raws += 1
            case Tag.field6:
                guard result.outputs.count < bounds.tensors, let name = output(bytes, range)
                else { return nil }
                result.outputs.append(name)
            default:
                return nil
            }
        }
        guard raws == result.inputs.count, !result.inputs.hasDuplicateNames else { return nil }
        return result
    }

    /// A tensor's name, datatype and shape; its bytes are set when they come by.
    private static func tensor(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ message: ByteBuffer
    ) -> Tensor? {
        var name = ""
        var datatype: ElementType?
        var shape = Shape()
        var position = range.lowerBound
        let end = range.upperBound
        while position < end {
            let tag = bytes[position]
            position += 1
            if tag == 0x18 {
                guard let dimension = WireFormat.varint(bytes, &position, end: end),
                    shape.append(Int64(bitPattern: dimension))
                else { return nil }
                continue
            }
            guard let inner = WireFormat.delimited(bytes, &position, end: end) else { return nil }
            switch tag {
            case 0x0A:
                guard let text = WireFormat.text(bytes, inner) else { return nil }
                name = text
            case 0x12:
                datatype = elementType(bytes, inner)
            case 0x1A:
                var at = inner.lowerBound
                while at < inner.upperBound {
                    guard let dimension = WireFormat.varint(bytes, &at, end: inner.upperBound),
                        shape.append(Int64(bitPattern: dimension))
                    else { return nil }
                }
            default:
                return nil
            }
        }
        guard let datatype else { return nil }
        return Tensor(name: name, datatype: datatype, shape: shape, bytes: message)
    }

    private static func output(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String? {
        var name = ""
        var position = range.lowerBound
        while position < range.upperBound {
            guard bytes[position] == 0x0A else { return nil }
            position += 1
            guard let inner = WireFormat.delimited(bytes, &position, end: range.upperBound),
                let text = WireFormat.text(bytes, inner)
            else { return nil }
            name = text
        }
        return name
    }

    /// The datatype's name without making a String of it: its bytes as one number.
    private static func elementType(_ bytes: Span<UInt8>, _ range: Range<Int>) -> ElementType? {
        guard range.count <= 8 else { return nil }
        var word: UInt64 = 0
        for index in range { word = word << 8 | UInt64(bytes[index]) }
        switch word {
        case 0x4650_3332: return .fp32  // "FP32"
        case 0x494E_5436_34: return .int64  // "INT64"
        case 0x4259_5445_53: return .bytes  // "BYTES"
        case 0x494E_5433_32: return .int32  // "INT32"
        case 0x4650_3634: return .fp64  // "FP64"
        case 0x424F_4F4C: return .bool  // "BOOL"
        case 0x5549_4E54_38: return .uint8  // "UINT8"
        case 0x494E_5438: return .int8  // "INT8"
        default: return nil  // The rarer ones take the other path.
        }
    }
}

extension [Tensor] {
    /// Whether two tensors have the same name.
    var hasDuplicateNames: Bool {
        if count < 2 { return false }
        if count <= 8 {
            for left in indices.dropLast() {
                for right in (left + 1)..<count where self[left].name == self[right].name {
                    return true
                }
            }
            return false
        }
        return Set(map(\.name)).count != count
    }
}
