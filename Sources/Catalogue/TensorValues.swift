// Elements of a tensor's bytes as numbers and back (OIP 2, raw rules). For golden cases, not for calls.

import Contract
import NIOCore

enum TensorValues {
    static func isFloat(_ datatype: ElementType) -> Bool {
        switch datatype {
        case .fp16, .bf16, .fp32, .fp64: true
        default: false
        }
    }

    /// The elements of a floating-point tensor; none for other types. Stops where the bytes end.
    static func floats(of tensor: Tensor) -> [Double] {
        var bytes = tensor.bytes
        var values: [Double] = []
        func next<Bits: FixedWidthInteger>(_: Bits.Type) -> Bits? {
            bytes.readInteger(endianness: .little, as: Bits.self)
        }
        switch tensor.datatype {
        case .fp16:
            while let bits = next(UInt16.self) { values.append(Double(half(bits))) }
        case .bf16:
            while let bits = next(UInt16.self) {
                values.append(Double(Float(bitPattern: UInt32(bits) << 16)))
            }
        case .fp32:
            while let bits = next(UInt32.self) { values.append(Double(Float(bitPattern: bits))) }
        case .fp64:
            while let bits = next(UInt64.self) { values.append(Double(bitPattern: bits)) }
        default: break
        }
        return values
    }

    static func append(_ value: Double, as datatype: ElementType, to bytes: inout ByteBuffer) {
        switch datatype {
        case .fp16: bytes.writeInteger(halfBits(Float(value)), endianness: .little)
        case .bf16: bytes.writeInteger(brainBits(Float(value)), endianness: .little)
        case .fp32: bytes.writeInteger(Float(value).bitPattern, endianness: .little)
        default: bytes.writeInteger(value.bitPattern, endianness: .little)
        }
    }

    /// Writes a whole number; false when it does not fit the type.
    static func append(_ value: Int64, as datatype: ElementType, to bytes: inout ByteBuffer) -> Bool
    {
        func write<Number: FixedWidthInteger>(_: Number.Type) -> Bool {
            guard let number = Number(exactly: value) else { return false }
            bytes.writeInteger(number, endianness: .little)
            return true
        }
        return switch datatype {
        case .uint8: write(UInt8.self)
        case .uint16: write(UInt16.self)
        case .uint32: write(UInt32.self)
        case .uint64: write(UInt64.self)
        case .int8: write(Int8.self)
        case .int16: write(Int16.self)
        case .int32: write(Int32.self)
        case .int64: write(Int64.self)
        default: false
        }
    }

    static func append(_ text: String, to bytes: inout ByteBuffer) {
        bytes.writeInteger(UInt32(text.utf8.count), endianness: .little)
        bytes.writeString(text)
    }

    /// IEEE 754 binary16 to a float: exact.
    private static func half(_ bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10) & 0x1F
        let fraction = Float(bits & 0x3FF)
        switch exponent {
        case 0: return sign * fraction * 0x1p-24
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default:
            return sign * (1 + fraction * 0x1p-10)
                * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
    }

    /// A float to IEEE 754 binary16, to nearest, ties to even.
    private static func halfBits(_ value: Float) -> UInt16 {
        let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
        if value.isNaN { return sign | 0x7E00 }
        let size = value.magnitude
        if size >= 65_520 { return sign | 0x7C00 }
        if size < 0x1p-14 { return sign | UInt16((size * 0x1p24).rounded(.toNearestOrEven)) }
        let exponent = Int(size.exponent)
        let scaled = size / Float(sign: .plus, exponent: exponent, significand: 1)
        let fraction = UInt16(((scaled - 1) * 1_024).rounded(.toNearestOrEven))
        // A fraction that rounds up to 1024 carries into the exponent, which is what adding does.
        return sign | (UInt16(exponent + 15) << 10 &+ fraction)
    }

    /// A float to bfloat16, to nearest, ties to even.
    private static func brainBits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (UInt64(bits) + 0x7FFF + UInt64((bits >> 16) & 1)) >> 16)
    }
}
