// Inflating, a bounded piece at a time: whoever calls decides how much of its time a piece may take, and a body that grows
// without end stops at its limit having cost no more than that. A gzip body may be several members, one behind the other
// (RFC 1952 section 2.2): what they are together is the body, and the limit is that of all of them.

private import CZlib
package import NIOCore

/// One compressed body on its way to what it was. Used by one thread at a time. Safe: the pointer is its own and never leaves.
@safe package struct Inflater: ~Copyable {
    package enum Step: Sendable, Equatable {
        /// There is more to inflate in the input.
        case more
        /// All of the input is used, and the body has not ended.
        case starved
        /// The body has ended, and so has the input. A further member of a gzip body may still come with more input.
        case ended
    }

    /// zlib keeps the address of its state's owner, so that it may not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let coding: ContentCoding
    private let bytesMax: Int
    private var count = 0
    /// A member has ended, and no other has begun.
    private var isBetweenMembers = false
    private var isFirstMember = true

    /// - Parameter bytesMax: of the inflated body.
    /// - Throws: `memory`.
    package init(_ coding: ContentCoding, bytesMax: Int) throws(CompressionFault) {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        self.coding = coding
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

    /// Inflates some of the input, of one member at most, and moves its reader index.
    ///
    /// - Parameter atMost: bytes of output; at least 1.
    /// - Throws: `corrupt`, `trailing`, `tooLarge`, `memory`.
    package mutating func inflate(
        _ input: inout ByteBuffer, into output: inout ByteBuffer, atMost: Int
    ) throws(CompressionFault) -> Step {
        if isBetweenMembers {
            try beginMember(of: input)
            if isBetweenMembers { return .ended }
        }
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
            isBetweenMembers = true
            try beginMember(of: input)
            return isBetweenMembers ? .ended : .more
        // Z_BUF_ERROR is no error: nothing could be done with what was there.
        case Z_OK, Z_BUF_ERROR:
            return input.readableBytes == 0 && made < room ? .starved : .more
        case Z_MEM_ERROR: throw .memory
        // Two bytes that begin no member are none of the body's.
        case Z_DATA_ERROR where unsafe !isFirstMember && stream.pointee.total_in <= 2:
            throw .trailing
        case Z_DATA_ERROR, Z_NEED_DICT: throw .corrupt
        default: preconditionFailure("inflate returned \(status), which it does not document")
        }
    }

    /// What stands behind a member: nothing, the next one, or bytes that have no business there. Each member takes 18 bytes or
    /// more of what was sent, so that empty ones do not come for nothing.
    private mutating func beginMember(of input: ByteBuffer) throws(CompressionFault) {
        guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return }
        guard coding == .gzip, first == Self.memberStart else { throw .trailing }
        let status = unsafe inflateReset(stream)
        precondition(status == Z_OK, "inflateReset returned \(status) for a stream that was made")
        isBetweenMembers = false
        isFirstMember = false
    }

    /// ID1 of RFC 1952 section 2.3.1.
    private static let memberStart: UInt8 = 0x1F
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
