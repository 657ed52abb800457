// Frames into bytes, appended to a buffer that may hold many: one write to the socket for all of them.

package import NIOCore

/// A frame whose head has been written and whose lengths are filled in when header and payload are.
package struct OpenFrame {
    fileprivate let start: Int
    fileprivate let kind: UInt64
    fileprivate var headerBytes = 0
}

extension ByteBuffer {
    /// Appends a whole frame, copying header and payload.
    package mutating func writeFrame(_ frame: Frame) {
        writeFrameHead(
            frame.type, frame.flags, call: frame.call, headerBytes: frame.header.readableBytes,
            payloadBytes: frame.payload.readableBytes)
        writeImmutableBuffer(frame.header)
        writeImmutableBuffer(frame.payload)
    }

    /// Appends the twelve bytes of a frame's head; header and payload follow from the caller.
    package mutating func writeFrameHead(
        _ type: FrameType, _ flags: FrameFlags, call: UInt32, headerBytes: Int, payloadBytes: Int
    ) {
        precondition(headerBytes <= UInt16.max, "a frame's header has at most 65,535 bytes")
        let length = UInt64(Frame.countedHeadBytes + headerBytes + payloadBytes)
        precondition(length <= UInt32.max, "a frame's length has 32 bits")
        let first =
            length << 32 | UInt64(type.byte) << 24 | UInt64(flags.rawValue) << 16
            | UInt64(headerBytes)
        writeMultipleIntegers(first, call)
    }

    /// Begins a frame whose header and payload will be encoded right behind its head: write the header,
    /// ``closeHeader(of:)``, write the payload, ``closeFrame(_:)``.
    package mutating func openFrame(
        _ type: FrameType, _ flags: FrameFlags = [], call: UInt32 = 0
    ) -> OpenFrame {
        let kind = UInt64(type.byte) << 24 | UInt64(flags.rawValue) << 16
        let frame = OpenFrame(start: writerIndex, kind: kind)
        writeMultipleIntegers(kind, call)
        return frame
    }

    /// What was written since ``openFrame(_:_:call:)`` is the header. Without a header: not called.
    package func closeHeader(of frame: inout OpenFrame) {
        frame.headerBytes = writerIndex - frame.start - Frame.headBytes
        precondition(frame.headerBytes <= UInt16.max, "a frame's header has at most 65,535 bytes")
    }

    /// Fills in the lengths. Returns the bytes of header and payload, which the caller holds against the
    /// peer's `max_frame`.
    @discardableResult
    package mutating func closeFrame(_ frame: OpenFrame) -> Int {
        let body = writerIndex - frame.start - Frame.headBytes
        let length = UInt64(Frame.countedHeadBytes + body)
        precondition(length <= UInt32.max, "a frame's length has 32 bits")
        setInteger(length << 32 | frame.kind | UInt64(frame.headerBytes), at: frame.start)
        return body
    }

    /// Takes a frame that turned out too long for one frame off the end again, as header and payload.
    package mutating func takeBack(_ frame: OpenFrame) -> (header: ByteBuffer, payload: ByteBuffer)
    {
        let body = frame.start + Frame.headBytes
        guard let header = getSlice(at: body, length: frame.headerBytes),
            let payload = getSlice(
                at: body + frame.headerBytes, length: writerIndex - body - frame.headerBytes)
        else { preconditionFailure("an open frame lies whole in its buffer") }
        moveWriterIndex(to: frame.start)
        return (header, payload)
    }
}
