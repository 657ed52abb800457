// The classification extension (OIP 4.5): the highest values of an output with their places, as byte strings.

import Contract
import NIOCore

enum Classification {
    /// `value:index` or `value:index:label` of the highest values, highest first, equal ones by their place: BYTES,
    /// shape [min(most, k)], with the batch in front when the output has two dimensions or more; k counts the rest.
    ///
    /// - Throws: INVALID_ARGUMENT for an output without numbers.
    static func of(
        _ output: Tensor, most: Int, labels: [String]?
    ) throws(CallFailure) -> Tensor {
        guard let keys = keys(of: output) else {
            throw CallFailure(
                .invalidArgument, .badTensor,
                "output \(Quoted.name(output.name)): classification sorts numbers, not \(output.datatype)"
            )
        }
        let isBatch = output.shape.rank > 1
        let rows = isBatch ? Int(output.shape[0]) : 1
        let row = Shape(output.shape.dimensions.dropFirst(isBatch ? 1 : 0))
        let width = row?.elementCount ?? 0
        let kept = min(most, width)
        var bytes = ByteBuffer()
        for row in 0..<rows {
            let first = row * width
            let order = (0..<width).sorted { left, right in
                let (left, right) = ((keys[first + left], -left), (keys[first + right], -right))
                return left > right
            }
            for place in order.prefix(kept) {
                var text = "\(text(of: output, first + place)):\(place)"
                if let labels, place < labels.count, !labels[place].isEmpty {
                    text += ":" + labels[place]
                }
                bytes.writeInteger(UInt32(text.utf8.count), endianness: .little)
                bytes.writeString(text)
            }
        }
        let shape: Shape = isBatch ? [Int64(rows), Int64(kept)] : [Int64(kept)]
        return Tensor(name: output.name, datatype: .bytes, shape: shape, bytes: bytes)
    }

    /// A number for each element that is in order as the elements are; nil for what is not numbers.
    private static func keys(of output: Tensor) -> [Int64]? {
        switch output.datatype {
        case .fp32:
            keys(UInt32.self, output) { key(Double(Float(bitPattern: $0))) }
        case .fp64:
            keys(UInt64.self, output) { key(Double(bitPattern: $0)) }
        case .uint8: keys(UInt8.self, output) { Int64($0) }
        case .uint16: keys(UInt16.self, output) { Int64($0) }
        case .uint32: keys(UInt32.self, output) { Int64($0) }
        // The first bit is a sign in the one and a digit in the other.
        case .uint64: keys(UInt64.self, output) { Int64(bitPattern: $0 ^ 1 << 63) }
        case .int8: keys(Int8.self, output) { Int64($0) }
        case .int16: keys(Int16.self, output) { Int64($0) }
        case .int32: keys(Int32.self, output) { Int64($0) }
        case .int64: keys(Int64.self, output) { $0 }
        case .bool, .bytes, .fp16, .bf16: nil
        }
    }

    private static func keys<Bits: FixedWidthInteger>(
        _: Bits.Type, _ output: Tensor, _ key: (Bits) -> Int64
    ) -> [Int64] {
        var bytes = output.bytes
        var keys: [Int64] = []
        keys.reserveCapacity(bytes.readableBytes / (Bits.bitWidth / 8))
        while let bits = bytes.readInteger(endianness: .little, as: Bits.self) {
            keys.append(key(bits))
        }
        return keys
    }

    /// The bits of doubles are in order as they are, of negative ones backwards. What is no number is least.
    private static func key(_ value: Double) -> Int64 {
        guard !value.isNaN else { return .min }
        // Adding zero makes one of the two zeros.
        let bits = Int64(bitPattern: (value + 0).bitPattern)
        return bits < 0 ? bits ^ .max : bits
    }

    /// One element as text.
    private static func text(of output: Tensor, _ index: Int) -> String {
        func element<Bits: FixedWidthInteger>(_: Bits.Type) -> Bits {
            let place = output.bytes.readerIndex + index * (Bits.bitWidth / 8)
            return output.bytes.getInteger(at: place, endianness: .little, as: Bits.self) ?? 0
        }
        return switch output.datatype {
        case .fp32: Float(bitPattern: element(UInt32.self)).description
        case .fp64: Double(bitPattern: element(UInt64.self)).description
        case .uint8: String(element(UInt8.self))
        case .uint16: String(element(UInt16.self))
        case .uint32: String(element(UInt32.self))
        case .uint64: String(element(UInt64.self))
        case .int8: String(element(Int8.self))
        case .int16: String(element(Int16.self))
        case .int32: String(element(Int32.self))
        case .int64: String(element(Int64.self))
        case .bool, .bytes, .fp16, .bf16: ""
        }
    }
}
