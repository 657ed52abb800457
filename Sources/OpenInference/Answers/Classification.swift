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
        guard let values = values(of: output) else {
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
                precedes(values[first + left], values[first + right]) ?? (left < right)
            }
            for place in order.prefix(kept) {
                var text = "\(values[first + place].text):\(place)"
                if let labels, place < labels.count { text += ":" + labels[place] }
                bytes.writeInteger(UInt32(text.utf8.count), endianness: .little)
                bytes.writeString(text)
            }
        }
        let shape: Shape = isBatch ? [Int64(rows), Int64(kept)] : [Int64(kept)]
        return Tensor(name: output.name, datatype: .bytes, shape: shape, bytes: bytes)
    }

    private struct Value {
        var text: String
        /// Integers of 64 bits are compared as such.
        var double: Double
        var integer: Int128?
    }

    /// Nil for equal values. What is no number comes last.
    private static func precedes(_ left: Value, _ right: Value) -> Bool? {
        if let left = left.integer, let right = right.integer {
            return left == right ? nil : left > right
        }
        if left.double.isNaN || right.double.isNaN {
            return left.double.isNaN == right.double.isNaN ? nil : right.double.isNaN
        }
        return left.double == right.double ? nil : left.double > right.double
    }

    private static func values(of output: Tensor) -> [Value]? {
        var bytes = output.bytes
        var values: [Value] = []
        func integers<Number: FixedWidthInteger>(_: Number.Type) -> [Value] {
            while let number = bytes.readInteger(endianness: .little, as: Number.self) {
                values.append(
                    Value(text: String(number), double: Double(number), integer: Int128(number)))
            }
            return values
        }
        switch output.datatype {
        case .fp32:
            while let bits = bytes.readInteger(endianness: .little, as: UInt32.self) {
                let value = Float(bitPattern: bits)
                values.append(Value(text: value.description, double: Double(value)))
            }
            return values
        case .fp64:
            while let bits = bytes.readInteger(endianness: .little, as: UInt64.self) {
                let value = Double(bitPattern: bits)
                values.append(Value(text: value.description, double: value))
            }
            return values
        case .uint8: return integers(UInt8.self)
        case .uint16: return integers(UInt16.self)
        case .uint32: return integers(UInt32.self)
        case .uint64: return integers(UInt64.self)
        case .int8: return integers(Int8.self)
        case .int16: return integers(Int16.self)
        case .int32: return integers(Int32.self)
        case .int64: return integers(Int64.self)
        case .bool, .bytes, .fp16, .bf16: return nil
        }
    }
}
