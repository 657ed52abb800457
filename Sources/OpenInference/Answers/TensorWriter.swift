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
        case .bool: try write(BooleanForm(), into: &json)
        case .uint8: try write(IntegerForm<UInt8>(), into: &json)
        case .uint16: try write(IntegerForm<UInt16>(), into: &json)
        case .uint32: try write(IntegerForm<UInt32>(), into: &json)
        case .uint64: try write(IntegerForm<UInt64>(), into: &json)
        case .int8: try write(IntegerForm<Int8>(), into: &json)
        case .int16: try write(IntegerForm<Int16>(), into: &json)
        case .int32: try write(IntegerForm<Int32>(), into: &json)
        case .int64: try write(IntegerForm<Int64>(), into: &json)
        case .fp32: try write(FloatForm(), into: &json)
        case .fp64: try write(DoubleForm(), into: &json)
        case .fp16, .bf16:
            throw failure("\(tensor.datatype) does not travel in JSON")
        case .bytes: try writeStrings(into: &json)
        }
    }

    /// Some hundred elements at a time: room for the longest forms is made, and what is left is used by the next.
    private func write<Form: ElementForm>(
        _ form: Form, into json: inout ByteBuffer
    ) throws(CallFailure) {
        let body = tensor.bytes
        let bytes = body.readableBytesUInt8Span
        let width = Form.Bits.bitWidth / 8
        let count = bytes.count / width
        var done = 0
        // What most elements come to; growing by doubling would copy a large answer several times.
        if count > TensorWriter.chunk {
            json.reserveCapacity(
                minimumWritableBytes: count * Form.lengthUsual
                    + TensorWriter.chunk * (Form.lengthMax + 1))
        }
        while done < count {
            let end = min(count, done + TensorWriter.chunk)
            let first = json.readerIndex
            var at = json.readableBytes
            json.writeRepeatingByte(0, count: (end - done) * (Form.lengthMax + 1))
            var room = json.mutableReadableBytesSpan
            for element in done..<end {
                var bits: Form.Bits = 0
                for index in 0..<width {
                    bits |=
                        Form.Bits(truncatingIfNeeded: bytes[element &* width &+ index])
                        << Form.Bits(truncatingIfNeeded: 8 &* index)
                }
                guard form.put(bits, &room, &at) else {
                    throw failure("element \(element) is not finite, and JSON has no such number")
                }
                NumberText.put(JSONBytes.comma, &room, &at)
            }
            json.moveWriterIndex(to: first + at)
            done = end
        }
        // Behind the last element stands no comma.
        if count > 0 { json.moveWriterIndex(to: json.writerIndex - 1) }
    }

    private static let chunk = 256

    private func writeStrings(into json: inout ByteBuffer) throws(CallFailure) {
        let body = tensor.bytes
        let bytes = body.readableBytesUInt8Span
        var text: [UInt8] = []
        var position = 0
        var element = 0
        while position < bytes.count {
            guard bytes.count - position >= 4, let end = TensorWriter.end(bytes, position) else {
                throw CallFailure(
                    .internal, .runFailed,
                    "output \(Quoted.name(tensor.name)): element \(element) has no end")
            }
            if element > 0 { text.append(JSONBytes.comma) }
            text.append(JSONBytes.quote)
            let string = bytes.extracting((position + 4)..<end)
            if isBase64 {
                Base64.encode(string, into: &text)
            } else {
                guard (try? UTF8Span(validating: string)) != nil else {
                    throw failure(
                        "element \(element) is not UTF-8; ask for parameters.content_type base64")
                }
                JSONText.escape(string, into: &text)
            }
            text.append(JSONBytes.quote)
            if text.count >= TensorWriter.textChunk {
                json.writeBytes(text)
                text.removeAll(keepingCapacity: true)
            }
            position = end
            element += 1
        }
        json.writeBytes(text)
    }

    private static let textChunk = 16 << 10

    /// Where the byte string that begins at `position` with its length ends; nil when that is behind all.
    private static func end(_ bytes: Span<UInt8>, _ position: Int) -> Int? {
        var length = 0
        for index in 0..<4 { length |= Int(bytes[position + index]) << (8 * index) }
        return length <= bytes.count - position - 4 ? position + 4 + length : nil
    }

    private func failure(_ what: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badTensor,
            "output \(Quoted.name(tensor.name)): \(what); ask for the binary form "
                + "(parameters.binary_data of the output, or binary_data_output of the request)")
    }
}

/// How elements of one datatype are written.
private protocol ElementForm {
    associatedtype Bits: FixedWidthInteger
    /// Characters of one element.
    static var lengthMax: Int { get }
    /// Those of a usual one and its comma.
    static var lengthUsual: Int { get }
    /// False when JSON has no such element.
    func put(_ bits: Bits, _ room: inout MutableRawSpan, _ at: inout Int) -> Bool
}

private struct IntegerForm<Bits: FixedWidthInteger>: ElementForm {
    static var lengthMax: Int { NumberText.lengthMax }
    static var lengthUsual: Int { 4 }

    @inline(__always)
    func put(_ bits: Bits, _ room: inout MutableRawSpan, _ at: inout Int) -> Bool {
        NumberText.putInteger(bits, &room, &at)
        return true
    }
}

private struct FloatForm: ElementForm {
    static var lengthMax: Int { NumberText.lengthMax }
    static var lengthUsual: Int { 11 }
    private let powers = PowersOfTen.shared

    @inline(__always)
    func put(_ bits: UInt32, _ room: inout MutableRawSpan, _ at: inout Int) -> Bool {
        guard bits & 0x7F80_0000 != 0x7F80_0000 else { return false }
        var decimal = ShortestDecimal(floatBits: bits, powers: powers)
        decimal.dropZeros()
        NumberText.put(decimal, isNegative: bits >> 31 == 1, &room, &at)
        return true
    }
}

private struct DoubleForm: ElementForm {
    static var lengthMax: Int { NumberText.lengthMax }
    static var lengthUsual: Int { 20 }
    private let powers = PowersOfTen.shared

    @inline(__always)
    func put(_ bits: UInt64, _ room: inout MutableRawSpan, _ at: inout Int) -> Bool {
        guard bits >> 52 & 0x7FF != 0x7FF else { return false }
        var decimal = ShortestDecimal(doubleBits: bits, powers: powers)
        decimal.dropZeros()
        NumberText.put(decimal, isNegative: bits >> 63 == 1, &room, &at)
        return true
    }
}

private struct BooleanForm: ElementForm {
    static let lengthMax = 5
    static let lengthUsual = 6

    @inline(__always)
    func put(_ bits: UInt8, _ room: inout MutableRawSpan, _ at: inout Int) -> Bool {
        // The last letter of "true" is its fourth, of "false" its fifth.
        let word: UInt32 = bits == 0 ? 0x736C_6166 : 0x6575_7274
        room.storeBytes(of: word.littleEndian, toByteOffset: at, as: UInt32.self)
        at &+= 4
        if bits == 0 { NumberText.put(UInt8(ascii: "e"), &room, &at) }
        return true
    }
}
