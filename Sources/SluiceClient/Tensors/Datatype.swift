// The element types of the Open Inference Protocol, version 2.

/// The type of a tensor's elements, by its name in the Open Inference Protocol.
public struct Datatype: RawRepresentable, Hashable, Sendable {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public static let bool = Datatype(rawValue: "BOOL")
    public static let uint8 = Datatype(rawValue: "UINT8")
    public static let uint16 = Datatype(rawValue: "UINT16")
    public static let uint32 = Datatype(rawValue: "UINT32")
    public static let uint64 = Datatype(rawValue: "UINT64")
    public static let int8 = Datatype(rawValue: "INT8")
    public static let int16 = Datatype(rawValue: "INT16")
    public static let int32 = Datatype(rawValue: "INT32")
    public static let int64 = Datatype(rawValue: "INT64")
    /// IEEE 754 binary16.
    public static let fp16 = Datatype(rawValue: "FP16")
    public static let fp32 = Datatype(rawValue: "FP32")
    public static let fp64 = Datatype(rawValue: "FP64")
    /// The upper half of a binary32.
    public static let bf16 = Datatype(rawValue: "BF16")
    /// Strings or blobs: each element has its own length.
    public static let bytes = Datatype(rawValue: "BYTES")

    /// Bytes of one element; nil for ``bytes`` and for types this SDK does not know.
    public var elementBytes: Int? {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .fp16, .bf16: 2
        case .uint32, .int32, .fp32: 4
        case .uint64, .int64, .fp64: 8
        default: nil
        }
    }
}

extension Datatype: CustomStringConvertible {
    public var description: String { rawValue }
}
