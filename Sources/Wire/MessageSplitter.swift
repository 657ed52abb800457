// A message that is longer than a frame leaves as several: the first with the header, the rest as DATA, each
// but the last with MORE. Parts are slices of the message's pieces; no byte is copied.

package import NIOCore

/// Cuts one message into frames, on demand, so that parts of several messages can take turns.
package struct MessageSplitter: Sendable {
    package let call: UInt32
    private var first: FrameType?
    private var header: ByteBuffer
    private var rest: ByteBuffer
    /// The pieces behind `rest`, the next one last; none is empty.
    private var later: [ByteBuffer]
    private let ends: Bool
    private var isDone = false

    /// - Parameters:
    ///   - type: CALL or REPLY with a header, or DATA with an empty one.
    ///   - pieces: the message; a part never spans two of them.
    ///   - ends: whether the last part bears END.
    package init(
        _ type: FrameType, call: UInt32, header: ByteBuffer, pieces: [ByteBuffer], ends: Bool
    ) {
        self.call = call
        self.first = type
        self.header = header
        self.later = pieces.reversed().filter { $0.readableBytes > 0 }
        self.rest = later.popLast() ?? ByteBuffer()
        self.ends = ends
    }

    package init(
        _ type: FrameType, call: UInt32, header: ByteBuffer, payload: ByteBuffer, ends: Bool
    ) {
        self.init(type, call: call, header: header, pieces: [payload], ends: ends)
    }

    /// Bytes still to go, heads not counted.
    package var remainingBytes: Int {
        later.reduce(header.readableBytes + rest.readableBytes) { $0 + $1.readableBytes }
    }

    /// True before the first part was taken.
    package var isUntouched: Bool { first != nil }

    /// The next part with at most `bodyMax` bytes of header and payload, or nil after the last.
    package mutating func next(bodyMax: Int) -> Frame? {
        guard !isDone else { return nil }
        let room = bodyMax - header.readableBytes
        precondition(room > 0, "a frame must have room for a part behind the header")
        let length = min(room, rest.readableBytes)
        guard let part = rest.readSlice(length: length) else {
            preconditionFailure("the length is at most what is readable")
        }
        if rest.readableBytes == 0, let next = later.popLast() { rest = next }
        isDone = rest.readableBytes == 0
        let frame = Frame(
            first ?? .data, isDone ? FrameFlags(ends: ends) : .more, call: call, header: header,
            payload: part)
        first = nil
        header = ByteBuffer()
        return frame
    }
}
