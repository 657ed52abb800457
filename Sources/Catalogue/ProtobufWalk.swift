// Walks a protobuf message by offsets, in a file of any size, without a schema and without holding it: what is
// skipped is never read. Limits on bytes and steps bound the work a hostile file can ask for.

/// Bytes that can be read at any offset.
package protocol RandomAccess {
    var byteCount: UInt64 { get }
    /// Exactly `count` bytes from `offset`; throws when the source does not have them.
    func read(at offset: UInt64, count: Int) throws -> [UInt8]
}

/// Bytes in memory, for tests and small files.
package struct BytesInMemory: RandomAccess {
    package struct OutOfBounds: Error {}

    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var byteCount: UInt64 { UInt64(bytes.count) }

    package func read(at offset: UInt64, count: Int) throws -> [UInt8] {
        guard offset <= byteCount, count >= 0, UInt64(count) <= byteCount - offset else {
            throw OutOfBounds()
        }
        return Array(bytes[Int(offset)..<(Int(offset) + count)])
    }
}

/// The position in a protobuf message and the window of bytes around it.
struct ProtobufWalk {
    /// One field: its number and either its scalar or where its bytes lie.
    struct Field {
        var number: UInt64
        /// The scalar of wire type 0; 0 for others.
        var scalar: UInt64 = 0
        /// The bytes of wire type 2; nil for others.
        var bytes: Range<UInt64>?
    }

    static let windowBytes = 4_096

    private let source: any RandomAccess
    private var window: [UInt8] = []
    private var windowStart: UInt64 = 0
    private var bytesLeft: Int
    private var stepsLeft: Int

    init(_ source: any RandomAccess, bytesMax: Int, stepsMax: Int) {
        self.source = source
        bytesLeft = bytesMax
        stepsLeft = stepsMax
    }

    /// The field at `position`, which moves behind it; nil at the end of the message.
    mutating func next(
        _ position: inout UInt64, end: UInt64
    ) throws(ModelFault) -> Field? {
        guard position < end else { return nil }
        guard stepsLeft > 0 else { throw ModelFault("model.onnx has more parts than are read") }
        stepsLeft -= 1
        let tag = try varint(&position, end: end)
        var field = Field(number: tag >> 3)
        guard field.number > 0, field.number < 1 << 29 else { throw ProtobufWalk.broken }
        switch tag & 7 {
        case 0: field.scalar = try varint(&position, end: end)
        case 1: try skip(8, &position, end: end)
        case 2:
            let length = try varint(&position, end: end)
            let start = position
            try skip(length, &position, end: end)
            field.bytes = start..<position
        case 5: try skip(4, &position, end: end)
        default: throw ProtobufWalk.broken
        }
        return field
    }

    /// A short text; throws when it is longer than `byteCountMax` or not UTF-8.
    mutating func text(_ range: Range<UInt64>, byteCountMax: Int) throws(ModelFault) -> String {
        guard range.upperBound - range.lowerBound <= UInt64(byteCountMax) else {
            throw ModelFault(
                "model.onnx holds a name of \(range.upperBound - range.lowerBound) bytes, "
                    + "\(byteCountMax) are allowed")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(range.upperBound - range.lowerBound))
        for offset in range { bytes.append(try byte(at: offset)) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ModelFault("model.onnx holds a name that is not UTF-8")
        }
        return text
    }

    private static let broken = ModelFault("model.onnx is not an ONNX file, or damaged")

    private func skip(
        _ count: UInt64, _ position: inout UInt64, end: UInt64
    ) throws(ModelFault) {
        guard count <= end - position else {
            throw ModelFault("model.onnx is cut off or damaged: a part is longer than its whole")
        }
        position += count
    }

    private mutating func varint(
        _ position: inout UInt64, end: UInt64
    ) throws(ModelFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end, shift < 64 {
            let next = try byte(at: position)
            position += 1
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return value }
            shift += 7
        }
        throw ProtobufWalk.broken
    }

    private mutating func byte(at offset: UInt64) throws(ModelFault) -> UInt8 {
        if offset < windowStart || offset - windowStart >= UInt64(window.count) {
            guard offset < source.byteCount else { throw ProtobufWalk.broken }
            let count = Int(min(UInt64(ProtobufWalk.windowBytes), source.byteCount - offset))
            guard count <= bytesLeft else {
                throw ModelFault("model.onnx has a longer head than is read; add a manifest.json")
            }
            bytesLeft -= count
            do {
                window = try source.read(at: offset, count: count)
            } catch {
                throw ModelFault("model.onnx cannot be read: \(error)")
            }
            guard window.count == count else {
                throw ModelFault("model.onnx changed under the scan")
            }
            windowStart = offset
        }
        return window[Int(offset - windowStart)]
    }
}
