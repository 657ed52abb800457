// REPLY's header: how the call ended and where its time went.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// Opens an answer. Times travel in microseconds, so a decoded ``timing`` is rounded down to them.
package struct ReplyHeader: HeaderMessage {
    /// Nil when the call succeeded.
    package var status: StatusMessage?
    /// Bytes of the whole message; 0 when not said.
    package var messageLength: UInt64
    package var metadata: [MetadataEntry]
    package var timing: Timing?

    package init(
        status: StatusMessage? = nil, messageLength: UInt64 = 0, metadata: [MetadataEntry] = [],
        timing: Timing? = nil
    ) {
        self.status = status
        self.messageLength = messageLength
        self.metadata = metadata
        self.timing = timing
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        let rules = unsafe [
            metadataRule(Sluice__V1__ReplyHeader.self, field: 3, limits: limits),
            metadataRule(Sluice__V1__Status.self, field: 4, limits: limits),
        ]
        self = try unsafe unpack(
            Sluice__V1__ReplyHeader.self, from: buffer, limits: limits, rules: rules
        ) { message throws(MessageFault) in
            var header = ReplyHeader()
            if let status = unsafe message.status {
                header.status = try unsafe StatusMessage(status.pointee, limits: limits)
            }
            unsafe header.messageLength = message.message_length
            header.metadata = try unsafe Messages.metadata(
                message.metadata, count: message.n_metadata, limits: limits)
            if let timing = unsafe message.timing {
                header.timing = unsafe Timing(timing.pointee)
            }
            return header
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        if status == nil && metadata.isEmpty {
            encodePlain(into: &buffer)
        } else {
            encodeAny(into: &buffer)
        }
    }

    /// The hand path, for a call that succeeded: the same bytes as ``encodeAny(into:)``.
    private func encodePlain(into buffer: inout ByteBuffer) {
        // Seven numbers of at most ten bytes, with their tags.
        unsafe WireWriter.append(room: 80, count: 80, to: &buffer) { writer in
            unsafe writer.number(0x10, messageLength)
            guard let timing else { return }
            unsafe writer.message(0x22) { writer in unsafe timing.write(to: &writer) }
        }
    }

    /// The whole message, by protobuf-c.
    package func encodeAny(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__ReplyHeader.self) { message in
            if let status { unsafe message.status = status.make(in: arena) }
            unsafe message.message_length = messageLength
            unsafe message.n_metadata = metadata.count
            unsafe message.metadata = arena.metadata(metadata)
            if let timing { unsafe message.timing = timing.make(in: arena) }
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

extension Timing {
    fileprivate init(_ message: Sluice__V1__Timing) {
        self.init()
        unsafe admission = Timing.time(message.auth_us)
        unsafe queue = Timing.time(message.queue_us)
        unsafe load = Timing.time(message.load_us)
        unsafe run = Timing.time(message.run_us)
        unsafe batch = message.batch
        unsafe cold = message.cold != 0
    }

    private static func time(_ microseconds: UInt64) -> Nanoseconds {
        .microseconds(min(microseconds, .max / 1_000))
    }

    fileprivate func make(in arena: borrowing Arena) -> UnsafeMutablePointer<Sluice__V1__Timing> {
        unsafe arena.make(Sluice__V1__Timing.self) { message in
            unsafe message.auth_us = admission.microseconds
            unsafe message.queue_us = queue.microseconds
            unsafe message.load_us = load.microseconds
            unsafe message.run_us = run.microseconds
            unsafe message.batch = batch
            unsafe message.cold = cold ? 1 : 0
        }
    }

    fileprivate func write(to writer: inout WireWriter) {
        unsafe writer.number(0x08, admission.microseconds)
        unsafe writer.number(0x10, queue.microseconds)
        unsafe writer.number(0x18, load.microseconds)
        unsafe writer.number(0x20, run.microseconds)
        unsafe writer.number(0x28, UInt64(batch))
        unsafe writer.number(0x30, cold ? 1 : 0)
    }
}
