// The parts of a long message become one message, in one allocation made when the length is known to be
// allowed.

package import NIOCore

/// Why a message of several parts is refused. Ends the call, never the connection.
package struct MessageFault: Error, Sendable, Hashable {
    package enum Rule: String, Sendable, Hashable, CaseIterable {
        /// MORE without `message_length` in the header.
        case lengthMissing
        /// `max_message`.
        case tooLong
        /// The connection's byte budget has no room for it now.
        case noRoom
        /// More bytes than `message_length` said.
        case overrun
        /// Fewer bytes than `message_length` said.
        case short
    }

    package var rule: Rule
    package var limit: Int
    package var actual: Int

    package init(_ rule: Rule, limit: Int, actual: Int) {
        self.rule = rule
        self.limit = limit
        self.actual = actual
    }
}

/// One message being put together. For one owner.
package struct MessageAssembler: Sendable {
    /// What `message_length` said, in bytes.
    package let length: Int
    /// When the last part came.
    package private(set) var latest: NIODeadline
    private var bytes: ByteBuffer

    /// Checks the length and allocates for it, once.
    ///
    /// - Parameters:
    ///   - length: `message_length` of the header; 0 when it was absent.
    ///   - messageMax: `max_message`.
    ///   - room: what is left of the connection's byte budget.
    ///   - lead: bytes left free before the message, to move what lies inside it to an aligned address.
    package init(
        length: UInt64, messageMax: Int, room: Int, lead: Int = 0, at now: NIODeadline
    ) throws(MessageFault) {
        guard length > 0 else { throw MessageFault(.lengthMissing, limit: 1, actual: 0) }
        guard length <= UInt64(messageMax) else {
            throw MessageFault(.tooLong, limit: messageMax, actual: Int(clamping: length))
        }
        self.length = Int(length)
        guard self.length <= room else {
            throw MessageFault(.noRoom, limit: room, actual: self.length)
        }
        latest = now
        bytes = ByteBufferAllocator().buffer(capacity: lead + self.length)
        bytes.moveWriterIndex(to: lead)
        bytes.moveReaderIndex(to: lead)
    }

    /// Adds the next part.
    package mutating func append(_ part: ByteBuffer, at now: NIODeadline) throws(MessageFault) {
        let total = bytes.readableBytes + part.readableBytes
        guard total <= length else { throw MessageFault(.overrun, limit: length, actual: total) }
        bytes.writeImmutableBuffer(part)
        latest = now
    }

    /// The whole message, after the part without MORE.
    package consuming func finish() throws(MessageFault) -> ByteBuffer {
        guard bytes.readableBytes == length else {
            throw MessageFault(.short, limit: length, actual: bytes.readableBytes)
        }
        return bytes
    }

    package func isStalled(at now: NIODeadline, after patience: TimeAmount) -> Bool {
        now >= latest + patience
    }
}
