// Inputs for a model nobody gave rows for: small, always the same, of the right types.

import Contract
import NIOCore

/// Generated inputs.
enum SampleInputs {
    /// The sizes a free dimension behind the first may want; the first one of a shape is the batch.
    static let freeSizes: [Int64] = [1, 8, 2]
    /// The most elements one input may have.
    static let elementsMax = 1 << 24

    /// One tensor for each input; nil when a shape is too large to fill.
    static func tensors(for signature: Signature, rows: Int64, freeSize: Int64) -> [Tensor]? {
        var tensors: [Tensor] = []
        for (place, input) in signature.inputs.enumerated() {
            var shape = Shape()
            for index in 0..<input.shape.rank {
                let size = input.shape[index]
                _ = shape.append(size >= 0 ? size : index == 0 ? rows : freeSize)
            }
            guard let count = shape.elementCount, count <= elementsMax else { return nil }
            var random = Numbers(seed: UInt64(place + 1))
            var bytes = ByteBuffer()
            for _ in 0..<count { append(input.datatype, &random, to: &bytes) }
            tensors.append(
                Tensor(name: input.name, datatype: input.datatype, shape: shape, bytes: bytes))
        }
        return tensors
    }

    private static func append(
        _ datatype: ElementType, _ random: inout Numbers, to bytes: inout ByteBuffer
    ) {
        let value = random.next()
        // Whole numbers are often indices or masks: 0 and 1 fit both.
        let whole: UInt64 = value >= 0 ? 1 : 0
        switch datatype {
        case .bool: bytes.writeInteger(1, as: UInt8.self)
        case .uint8, .int8: bytes.writeInteger(UInt8(whole))
        case .uint16, .int16: bytes.writeInteger(UInt16(whole), endianness: .little)
        case .uint32, .int32: bytes.writeInteger(UInt32(whole), endianness: .little)
        case .uint64, .int64: bytes.writeInteger(whole, endianness: .little)
        case .fp16: bytes.writeInteger(UInt16(value >= 0 ? 0x3800 : 0xB400), endianness: .little)
        case .bf16:
            bytes.writeInteger(UInt16(Float(value).bitPattern >> 16), endianness: .little)
        case .fp32: bytes.writeInteger(Float(value).bitPattern, endianness: .little)
        case .fp64: bytes.writeInteger(value.bitPattern, endianness: .little)
        case .bytes:
            let word = whole == 1 ? "a" : "b"
            bytes.writeInteger(UInt32(word.utf8.count), endianness: .little)
            bytes.writeString(word)
        }
    }

    /// Numbers from -1 to 1, the same at every run (SplitMix64).
    private struct Numbers {
        private var state: UInt64

        init(seed: UInt64) { state = seed }

        mutating func next() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            mixed ^= mixed >> 31
            return Double(mixed >> 11) / Double(1 << 52) - 1
        }
    }
}
