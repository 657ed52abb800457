// Deflating, a piece at a time, as fast as zlib can: an answer waits for it.

private import CZlib
package import NIOCore

/// One body on its way to its compressed form. Used by one thread at a time. Safe: the pointer is its own and never leaves.
@safe package struct Deflater: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameter level: 1 is fastest, 9 smallest.
    /// - Throws: `memory`.
    package init(_ coding: ContentCoding, level: Int32 = 1) throws(CompressionFault) {
        precondition((1...9).contains(level), "zlib's levels are 1 to 9")
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe deflateInit2_(
            stream, level, Z_DEFLATED, coding.windowBits, Deflater.memoryLevel, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deinitialize(count: 1)
            unsafe stream.deallocate()
            throw .memory
        }
        unsafe self.stream = stream
    }

    /// zlib's default: 128 KiB for a stream beside its window.
    private static let memoryLevel: Int32 = 8

    deinit {
        _ = unsafe deflateEnd(stream)
        unsafe stream.deinitialize(count: 1)
        unsafe stream.deallocate()
    }

    /// Adds a piece; all of it is taken.
    package mutating func add(_ piece: ByteBuffer, into output: inout ByteBuffer) {
        deflate(piece, Z_NO_FLUSH, into: &output)
    }

    /// Writes what is left and the end. Nothing may be added afterwards.
    package mutating func finish(into output: inout ByteBuffer) {
        deflate(ByteBuffer(), Z_FINISH, into: &output)
    }

    private mutating func deflate(
        _ piece: ByteBuffer, _ flush: Int32, into output: inout ByteBuffer
    ) {
        precondition(piece.readableBytes < Int(Int32.max), "a piece is cut before it comes here")
        let stream = unsafe stream
        unsafe piece.withUnsafeReadableBytes { source in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(
                mutating: source.bindMemory(to: UInt8.self).baseAddress)
            unsafe stream.pointee.avail_in = UInt32(source.count)
            var isFull = true
            while isFull {
                unsafe output.writeWithUnsafeMutableBytes(
                    minimumWritableBytes: Deflater.roomBytes
                ) { target in
                    let room = min(target.count, Int(Int32.max))
                    unsafe stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                    unsafe stream.pointee.avail_out = UInt32(room)
                    let status = unsafe CZlib.deflate(stream, flush)
                    precondition(
                        status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR,
                        "deflate returned \(status), which it does not document")
                    isFull = unsafe stream.pointee.avail_out == 0
                    return unsafe room - Int(stream.pointee.avail_out)
                }
            }
        }
    }

    private static let roomBytes = 4_096
}

@available(*, unavailable) extension Deflater: Sendable {}
