// Inflating, a bounded piece at a time: whoever calls decides how much of its time a piece may take, and a body that grows
// without end stops at its limit having cost no more than that.

private import CZlib
package import NIOCore

/// One compressed body on its way to what it was. Used by one thread at a time. Safe: the pointer is its own and never leaves.
@safe package struct Inflater: ~Copyable {
    package enum Step: Sendable, Equatable {
        /// There is more to inflate in the input.
        case more
        /// All of the input is used, and the body has not ended.
        case starved
        /// The body has ended, and so has the input.
        case ended
    }

    /// zlib keeps the address of its state's owner, so that it may not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let bytesMax: Int
    private var count = 0

    /// - Parameter bytesMax: of the inflated body.
    /// - Throws: `memory`.
    package init(_ coding: ContentCoding, bytesMax: Int) throws(CompressionFault) {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        self.bytesMax = bytesMax
        let status = unsafe inflateInit2_(
            stream, coding.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deinitialize(count: 1)
            unsafe stream.deallocate()
            throw .memory
        }
        unsafe self.stream = stream
    }

    deinit {
        _ = unsafe inflateEnd(stream)
        unsafe stream.deinitialize(count: 1)
        unsafe stream.deallocate()
    }

    /// How large a body may become: any size up to `floor`, then `ratio` times what it is compressed, never more than `most`.
    /// Deflate reaches 1,032; what people send stays far below it, and what does not is small.
    package static func bytesMax(
        compressed: Int, most: Int, floor: Int = 4 << 20, ratio: Int = 200
    ) -> Int {
        let (scaled, overflow) = compressed.multipliedReportingOverflow(by: ratio)
        return min(most, overflow ? most : max(floor, scaled))
    }

    /// Inflates some of the input, and moves its reader index.
    ///
    /// - Parameter atMost: bytes of output; at least 1.
    /// - Throws: `corrupt`, `trailing`, `tooLarge`, `memory`.
    package mutating func inflate(
        _ input: inout ByteBuffer, into output: inout ByteBuffer, atMost: Int
    ) throws(CompressionFault) -> Step {
        // One byte more than is allowed tells the largest body from one that is too large.
        let room = min(atMost, bytesMax - count + 1)
        let available = min(input.readableBytes, Int(Int32.max))
        var status = Z_OK
        var used = 0
        let stream = unsafe stream
        let made = unsafe output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
            unsafe input.withUnsafeReadableBytes { source in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: source.bindMemory(to: UInt8.self).baseAddress)
                unsafe stream.pointee.avail_in = UInt32(available)
                unsafe stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                unsafe stream.pointee.avail_out = UInt32(room)
                status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
                used = unsafe available - Int(stream.pointee.avail_in)
                return unsafe room - Int(stream.pointee.avail_out)
            }
        }
        input.moveReaderIndex(forwardBy: used)
        count += made
        guard count <= bytesMax else { throw .tooLarge(bytesMax) }
        switch status {
        case Z_STREAM_END:
            guard input.readableBytes == 0 else { throw .trailing }
            return .ended
        // Z_BUF_ERROR is no error: nothing could be done with what was there.
        case Z_OK, Z_BUF_ERROR:
            return input.readableBytes == 0 && made < room ? .starved : .more
        case Z_MEM_ERROR: throw .memory
        case Z_DATA_ERROR, Z_NEED_DICT: throw .corrupt
        default: preconditionFailure("inflate returned \(status), which it does not document")
        }
    }
}

@available(*, unavailable) extension Inflater: Sendable {}

extension ContentCoding {
    /// zlib's word for the format, with the largest window.
    var windowBits: Int32 {
        switch self {
        case .gzip: MAX_WBITS + 16
        case .deflate: MAX_WBITS
        }
    }
}
