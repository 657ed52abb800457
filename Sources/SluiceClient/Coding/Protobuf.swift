// The few lines of protobuf's encoding that the messages of every call need, straight into and out of a
// ByteBuffer. Everything rarer goes through SwiftProtobuf; the tests hold both against each other.
// Source: https://protobuf.dev/programming-guides/encoding/

package import NIOCore

/// Bytes that are not the protobuf message they must be.
package struct MalformedMessage: Error {}

package enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case delimited = 2
    case fixed32 = 5
}

/// How long what will be written is.
package enum ProtobufSize {
    package static func varint(_ value: UInt64) -> Int {
        max(1, (70 - value.leadingZeroBitCount) / 7)
    }

    /// A delimited field with a number below 16: tag, length, bytes.
    package static func delimited(_ bytes: Int) -> Int { 1 + varint(UInt64(bytes)) + bytes }
}

extension ByteBuffer {
    package mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest > 0x7F {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func writeTag(_ field: UInt8, _ type: WireType) {
        // Numbers below 16 are all the messages written here have.
        writeInteger(field << 3 | type.rawValue)
    }

    /// Writes nothing for 0, as proto3 does.
    package mutating func writeVarintField(_ field: UInt8, _ value: UInt64) {
        guard value != 0 else { return }
        writeTag(field, .varint)
        writeVarint(value)
    }

    /// Writes nothing for an empty string.
    package mutating func writeStringField(_ field: UInt8, _ value: String) {
        guard !value.isEmpty else { return }
        writeDelimitedHead(field, bytes: value.utf8.count)
        writeString(value)
    }

    /// Tag and length; the bytes follow from the caller.
    package mutating func writeDelimitedHead(_ field: UInt8, bytes: Int) {
        writeTag(field, .delimited)
        writeVarint(UInt64(bytes))
    }
}

/// Reads one message, field by field.
package struct ProtobufReader {
    package private(set) var rest: ByteBuffer

    package init(_ bytes: ByteBuffer) { rest = bytes }

    /// The next field's number and type, or nil at the end.
    package mutating func next() throws(MalformedMessage) -> (field: Int, type: WireType)? {
        guard rest.readableBytes > 0 else { return nil }
        let tag = try varint()
        guard tag <= UInt64(UInt32.max), tag >> 3 > 0,
            let type = WireType(rawValue: UInt8(truncatingIfNeeded: tag & 7))
        else { throw MalformedMessage() }
        return (Int(tag >> 3), type)
    }

    package mutating func varint() throws(MalformedMessage) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 70, by: 7) {
            guard let byte = rest.readInteger(as: UInt8.self) else { throw MalformedMessage() }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw MalformedMessage()
    }

    /// A 32-bit number; protobuf cuts longer ones.
    package mutating func varint32() throws(MalformedMessage) -> UInt32 {
        UInt32(truncatingIfNeeded: try varint())
    }

    package mutating func delimited() throws(MalformedMessage) -> ByteBuffer {
        guard let slice = rest.readSlice(length: Int(clamping: try varint())) else {
            throw MalformedMessage()
        }
        return slice
    }

    package mutating func string() throws(MalformedMessage) -> String {
        let bytes = try delimited()
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw MalformedMessage()
        }
        return text
    }

    package mutating func skip(_ type: WireType) throws(MalformedMessage) {
        switch type {
        case .varint: _ = try varint()
        case .delimited: _ = try delimited()
        case .fixed64: try skip(bytes: 8)
        case .fixed32: try skip(bytes: 4)
        }
    }

    private mutating func skip(bytes: Int) throws(MalformedMessage) {
        guard rest.readableBytes >= bytes else { throw MalformedMessage() }
        rest.moveReaderIndex(forwardBy: bytes)
    }
}
