// Writing protobuf's wire format straight into a buffer.

import NIOCore

/// A cursor over the writable bytes of a buffer. Traps when more is written than there is room for: the functions
/// that count room stand beside those that write, and are tested together.
@unsafe struct WireWriter {
    private var cursor: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    /// Appends to `buffer` what `write` writes.
    /// - Parameters:
    ///   - room: at least as many bytes as `write` will write; quickly found.
    ///   - count: exactly as many. Asked for only when the buffer has less than `room`, so that a buffer of
    ///     the right size is never grown.
    @inline(__always)
    static func append(
        room: Int, count: @autoclosure () -> Int, to buffer: inout ByteBuffer,
        _ write: (inout WireWriter) -> Void
    ) {
        let room = room <= buffer.writableBytes ? room : count()
        guard room > 0 else { return }
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { bytes in
            guard let start = bytes.baseAddress else { return 0 }
            var writer = unsafe WireWriter(cursor: start, end: start + bytes.count)
            unsafe write(&writer)
            return unsafe writer.cursor - start
        }
    }

    /// A message field with a one-byte tag whose length is known once `write` has written it.
    @inline(__always)
    mutating func message(_ tag: UInt8, _ write: (inout WireWriter) -> Void) {
        unsafe byte(tag)
        unsafe byte(0)
        let start = unsafe cursor
        unsafe write(&self)
        let count = unsafe cursor - start
        if count < 0x80 {
            unsafe (start - 1).storeBytes(of: UInt8(truncatingIfNeeded: count), as: UInt8.self)
            return
        }
        // A longer length needs more than the byte that was kept for it: make room.
        let more = WireFormat.varintByteCount(UInt64(count)) - 1
        unsafe precondition(more <= end - cursor, "more bytes written than there is room for")
        unsafe (start + more).copyMemory(from: start, byteCount: count)
        unsafe cursor = start - 1
        unsafe varint(UInt64(count))
        unsafe cursor += count
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        unsafe precondition(cursor < end, "more bytes written than there is room for")
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
        unsafe precondition(count <= end - cursor, "more bytes written than there is room for")
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
        unsafe precondition(count <= end - cursor, "more bytes written than there is room for")
        unsafe value.withUnsafeReadableBytes { source in
            guard let start = source.baseAddress, count > 0 else { return }
            unsafe cursor.copyMemory(from: start, byteCount: count)
        }
        unsafe cursor += count
    }
}
