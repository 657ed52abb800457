// Writing protobuf's wire format into a buffer whose room was counted before.

import NIOCore

/// A cursor over exactly the bytes a message takes. Traps when more is written than was counted: the counting
/// functions and the writing ones stand side by side and are tested against protobuf-c.
@unsafe struct WireWriter {
    private var cursor: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    private init(_ room: UnsafeMutableRawBufferPointer, count: Int) {
        guard let start = room.baseAddress, count <= room.count else {
            preconditionFailure("a buffer has at least the room that was asked for")
        }
        unsafe cursor = start
        unsafe end = start + count
    }

    /// Appends `count` bytes to `buffer`, all of which `write` must fill.
    @inline(__always)
    static func append(
        _ count: Int, to buffer: inout ByteBuffer, _ write: (inout WireWriter) -> Void
    ) {
        guard count > 0 else { return }
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            var writer = unsafe WireWriter(room, count: count)
            unsafe write(&writer)
            unsafe precondition(writer.cursor == writer.end, "fewer bytes written than counted")
            return count
        }
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        unsafe precondition(cursor < end, "more bytes written than counted")
        unsafe cursor.storeBytes(of: value, as: UInt8.self)
        unsafe cursor += 1
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            unsafe byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        unsafe byte(UInt8(truncatingIfNeeded: rest))
    }

    /// A varint field with a one-byte tag; left out when zero, as proto3 says.
    @inline(__always)
    mutating func number(_ tag: UInt8, _ value: UInt64) {
        guard value != 0 else { return }
        unsafe byte(tag)
        unsafe varint(value)
    }

    /// A string field with a one-byte tag; left out when empty, as proto3 says.
    @inline(__always)
    mutating func text(_ tag: UInt8, _ value: String) {
        let count = value.utf8.count
        guard count > 0 else { return }
        unsafe element(tag, value)
    }

    /// A string of a repeated field: there even when empty.
    @inline(__always)
    mutating func element(_ tag: UInt8, _ value: String) {
        let count = value.utf8.count
        unsafe byte(tag)
        unsafe varint(UInt64(count))
        unsafe precondition(count <= end - cursor, "more bytes written than counted")
        let room = unsafe UnsafeMutableRawBufferPointer(start: cursor, count: count)
        unsafe room.copyBytes(from: value.utf8)
        unsafe cursor += count
    }

    /// A bytes field of a repeated field: there even when empty.
    @inline(__always)
    mutating func bytes(_ tag: UInt8, _ value: ByteBuffer) {
        let count = value.readableBytes
        unsafe byte(tag)
        unsafe varint(UInt64(count))
        unsafe precondition(count <= end - cursor, "more bytes written than counted")
        unsafe value.withUnsafeReadableBytes { source in
            guard let start = source.baseAddress, count > 0 else { return }
            unsafe cursor.copyMemory(from: start, byteCount: count)
        }
        unsafe cursor += count
    }
}
