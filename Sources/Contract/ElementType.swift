// The datatypes of a tensor, as the Open Inference Protocol names them (OIP 1.2).

/// The type of one element of a tensor.
package enum ElementType: UInt8, Sendable, Hashable, CaseIterable {
    case bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64
    case fp16, bf16, fp32, fp64
    /// Byte strings of any length: on the wire each is a 32-bit little-endian length and its bytes.
    case bytes

    /// The Open Inference Protocol's word, for example `FP32`.
    package var name: String {
        switch self {
        case .bool: "BOOL"
        case .uint8: "UINT8"
        case .uint16: "UINT16"
        case .uint32: "UINT32"
        case .uint64: "UINT64"
        case .int8: "INT8"
        case .int16: "INT16"
        case .int32: "INT32"
        case .int64: "INT64"
        case .fp16: "FP16"
        case .bf16: "BF16"
        case .fp32: "FP32"
        case .fp64: "FP64"
        case .bytes: "BYTES"
        }
    }

    /// The element type with this Open Inference Protocol name, or nil when there is none.
    package init?(name: String) {
        switch name {
        case "BOOL": self = .bool
        case "UINT8": self = .uint8
        case "UINT16": self = .uint16
        case "UINT32": self = .uint32
        case "UINT64": self = .uint64
        case "INT8": self = .int8
        case "INT16": self = .int16
        case "INT32": self = .int32
        case "INT64": self = .int64
        case "FP16": self = .fp16
        case "BF16": self = .bf16
        case "FP32": self = .fp32
        case "FP64": self = .fp64
        case "BYTES": self = .bytes
        default: return nil
        }
    }

    /// Bytes of one element; nil for `bytes`, whose elements vary.
    package var width: Int? {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .fp16, .bf16: 2
        case .uint32, .int32, .fp32: 4
        case .uint64, .int64, .fp64: 8
        case .bytes: nil
        }
    }
}

extension ElementType: CustomStringConvertible {
    package var description: String { name }
}
