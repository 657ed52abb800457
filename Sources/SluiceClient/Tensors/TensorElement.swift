// What may be an element of a tensor, and how each is written: little-endian, row-major, unpadded; an element
// of BYTES is a 32-bit length and its bytes (Open Inference Protocol, raw contents).

public import NIOCore

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A type whose values a ``Tensor`` can hold.
///
/// The SDK conforms all it can; there is no need for further conformances.
public protocol TensorElement: Sendable {
    /// The type of a tensor of such elements.
    static var datatype: Datatype { get }
    /// Writes all values behind each other.
    static func write(_ values: [Self], to bytes: inout ByteBuffer)
    /// Reads `count` values, or returns nil when the bytes are not exactly so many.
    static func read(_ count: Int, from bytes: ByteBuffer) -> [Self]?
}

// MARK: - Whole numbers

extension TensorElement where Self: FixedWidthInteger {
    public static func write(_ values: [Self], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.count * MemoryLayout<Self>.size)
        for value in values { bytes.writeInteger(value, endianness: .little) }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [Self]? {
        readFixed(count, from: bytes, as: Self.self) { $0 }
    }
}

extension Int8: TensorElement { public static var datatype: Datatype { .int8 } }
extension Int16: TensorElement { public static var datatype: Datatype { .int16 } }
extension Int32: TensorElement { public static var datatype: Datatype { .int32 } }
extension Int64: TensorElement { public static var datatype: Datatype { .int64 } }
extension UInt8: TensorElement { public static var datatype: Datatype { .uint8 } }
extension UInt16: TensorElement { public static var datatype: Datatype { .uint16 } }
extension UInt32: TensorElement { public static var datatype: Datatype { .uint32 } }
extension UInt64: TensorElement { public static var datatype: Datatype { .uint64 } }

/// Reads `count` numbers of a fixed width and makes an element of each.
@inline(__always)
private func readFixed<Bits: FixedWidthInteger, Element>(
    _ count: Int, from bytes: ByteBuffer, as: Bits.Type, _ make: (Bits) -> Element
) -> [Element]? {
    let size = MemoryLayout<Bits>.size
    let (total, overflow) = count.multipliedReportingOverflow(by: size)
    guard count >= 0, !overflow, bytes.readableBytes == total else { return nil }
    var values: [Element] = []
    values.reserveCapacity(count)
    var index = bytes.readerIndex
    for _ in 0..<count {
        guard let bits = bytes.getInteger(at: index, endianness: .little, as: Bits.self) else {
            return nil
        }
        values.append(make(bits))
        index += size
    }
    return values
}

// MARK: - Floating point

extension Float: TensorElement {
    public static var datatype: Datatype { .fp32 }

    public static func write(_ values: [Float], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.count * 4)
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [Float]? {
        readFixed(count, from: bytes, as: UInt32.self, Float.init(bitPattern:))
    }
}

extension Double: TensorElement {
    public static var datatype: Datatype { .fp64 }

    public static func write(_ values: [Double], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.count * 8)
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [Double]? {
        readFixed(count, from: bytes, as: UInt64.self, Double.init(bitPattern:))
    }
}

#if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
    extension Float16: TensorElement {
        public static var datatype: Datatype { .fp16 }

        public static func write(_ values: [Float16], to bytes: inout ByteBuffer) {
            bytes.reserveCapacity(minimumWritableBytes: values.count * 2)
            for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
        }

        public static func read(_ count: Int, from bytes: ByteBuffer) -> [Float16]? {
            readFixed(count, from: bytes, as: UInt16.self, Float16.init(bitPattern:))
        }
    }
#endif

/// A number of BF16: the upper half of a `Float`.
public struct BFloat16: Hashable, Sendable, TensorElement {
    public var bitPattern: UInt16

    public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

    /// The nearest number of BF16, ties to even; NaN stays NaN.
    public init(_ value: Float) {
        let bits = value.bitPattern
        if value.isNaN {
            bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x0040
        } else {
            bitPattern = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
        }
    }

    /// Exact.
    public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }

    public static var datatype: Datatype { .bf16 }

    public static func write(_ values: [BFloat16], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.count * 2)
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [BFloat16]? {
        readFixed(count, from: bytes, as: UInt16.self, BFloat16.init(bitPattern:))
    }
}

// MARK: - Truth values

extension Bool: TensorElement {
    public static var datatype: Datatype { .bool }

    public static func write(_ values: [Bool], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.count)
        for value in values { bytes.writeInteger(value ? 1 : 0, as: UInt8.self) }
    }

    /// Every byte but 0 is true.
    public static func read(_ count: Int, from bytes: ByteBuffer) -> [Bool]? {
        readFixed(count, from: bytes, as: UInt8.self) { $0 != 0 }
    }
}

// MARK: - Strings and blobs

extension String: TensorElement {
    public static var datatype: Datatype { .bytes }

    public static func write(_ values: [String], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.reduce(0) { $0 + 4 + $1.utf8.count })
        for value in values {
            bytes.writeInteger(UInt32(clamping: value.utf8.count), endianness: .little)
            bytes.writeString(value)
        }
    }

    /// Nil also when an element is not UTF-8: read it as `[UInt8]`.
    public static func read(_ count: Int, from bytes: ByteBuffer) -> [String]? {
        readElements(count, from: bytes) { String(validating: $0.readableBytesView, as: UTF8.self) }
    }
}

extension [UInt8]: TensorElement {
    public static var datatype: Datatype { .bytes }

    public static func write(_ values: [[UInt8]], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.reduce(0) { $0 + 4 + $1.count })
        for value in values {
            bytes.writeInteger(UInt32(clamping: value.count), endianness: .little)
            bytes.writeBytes(value)
        }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [[UInt8]]? {
        readElements(count, from: bytes) { [UInt8]($0.readableBytesView) }
    }
}

extension Data: TensorElement {
    public static var datatype: Datatype { .bytes }

    public static func write(_ values: [Data], to bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: values.reduce(0) { $0 + 4 + $1.count })
        for value in values {
            bytes.writeInteger(UInt32(clamping: value.count), endianness: .little)
            bytes.writeBytes(value)
        }
    }

    public static func read(_ count: Int, from bytes: ByteBuffer) -> [Data]? {
        readElements(count, from: bytes) { Data($0.readableBytesView) }
    }
}

private func readElements<Element>(
    _ count: Int, from bytes: ByteBuffer, _ make: (ByteBuffer) -> Element?
) -> [Element]? {
    // Each element takes at least its length: a count beyond the bytes reserves nothing.
    guard count >= 0, count <= bytes.readableBytes / 4 else { return nil }
    var rest = bytes
    var values: [Element] = []
    values.reserveCapacity(count)
    for _ in 0..<count {
        guard let length = rest.readInteger(endianness: .little, as: UInt32.self),
            let slice = rest.readSlice(length: Int(length)), let value = make(slice)
        else { return nil }
        values.append(value)
    }
    return rest.readableBytes == 0 ? values : nil
}
