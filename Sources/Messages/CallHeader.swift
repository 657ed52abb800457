// CALL's header: everything that must be decided before a tensor is looked at.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// Opens a call. Names are untrusted: they are UTF-8 without NUL and no longer than the header, nothing more.
package struct CallHeader: HeaderMessage {
    /// The number as it came; ``method`` is what it means here.
    package var methodNumber: UInt32
    /// Relative, in microseconds; 0 for the server's default.
    package var timeoutMicroseconds: UInt64
    package var model: String
    package var modelVersion: String
    package var trace: TraceContext?
    /// Bytes of the whole message; 0 when not said.
    package var messageLength: UInt64
    package var metadata: [MetadataEntry]
    /// 0 for a first try, 1 for a first retry.
    package var attempt: UInt32
    package var idempotencyKey: String
    /// 0 is normal, higher is less urgent.
    package var priority: UInt32
    /// The token of another caller for this one call; nil when absent.
    package var token: Secret?
    package var wantsProgress: Bool

    /// Nil when the number means nothing here.
    package var method: Method? { Method(rawValue: methodNumber) }

    package init(
        method: Method, model: String = "", modelVersion: String = "",
        timeoutMicroseconds: UInt64 = 0, trace: TraceContext? = nil, messageLength: UInt64 = 0,
        metadata: [MetadataEntry] = [], attempt: UInt32 = 0, idempotencyKey: String = "",
        priority: UInt32 = 0, token: Secret? = nil, wantsProgress: Bool = false
    ) {
        self.init(methodNumber: method.rawValue)
        self.model = model
        self.modelVersion = modelVersion
        self.timeoutMicroseconds = timeoutMicroseconds
        self.trace = trace
        self.messageLength = messageLength
        self.metadata = metadata
        self.attempt = attempt
        self.idempotencyKey = idempotencyKey
        self.priority = priority
        self.token = token
        self.wantsProgress = wantsProgress
    }

    private init(methodNumber: UInt32) {
        self.methodNumber = methodNumber
        timeoutMicroseconds = 0
        model = ""
        modelVersion = ""
        messageLength = 0
        metadata = []
        attempt = 0
        idempotencyKey = ""
        priority = 0
        wantsProgress = false
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        if buffer.readableBytes <= limits.headerBytes,
            let header = CallHeader.decodePlain(buffer.readableBytesUInt8Span)
        {
            self = header
        } else {
            self = try CallHeader.decodeAny(buffer, limits: limits)
        }
    }

    /// The hand path: the fields nearly every call has. Answers nil for anything else, also for what is
    /// malformed, so that ``decodeAny(_:limits:)`` is the only one to judge.
    package static func decodePlain(_ bytes: Span<UInt8>) -> CallHeader? {
        var header = CallHeader(methodNumber: 0)
        var position = 0
        let end = bytes.count
        while position < end {
            let tag = bytes[position]
            position += 1
            switch tag {
            case Tag.method, Tag.timeout, Tag.messageLength, Tag.attempt, Tag.priority,
                Tag.wantsProgress:
                guard let number = WireFormat.varint(bytes, &position, end: end) else { return nil }
                header.set(tag, number)
            case Tag.model:
                guard let range = WireFormat.delimited(bytes, &position, end: end),
                    let text = WireFormat.text(bytes, range)
                else { return nil }
                header.model = text
            case Tag.modelVersion:
                guard let range = WireFormat.delimited(bytes, &position, end: end),
                    let text = WireFormat.text(bytes, range)
                else { return nil }
                header.modelVersion = text
            case Tag.trace:
                guard let range = WireFormat.delimited(bytes, &position, end: end),
                    range.count == 25
                else { return nil }
                let trace = unsafe [UInt8](unsafeUninitializedCapacity: 25) { room, count in
                    for offset in 0..<25 {
                        unsafe room.initializeElement(
                            at: offset, to: bytes[range.lowerBound + offset])
                    }
                    count = 25
                }
                header.trace = TraceContext(trace)
            default:
                return nil
            }
        }
        return header
    }

    private enum Tag {
        static let method: UInt8 = 0x08
        static let timeout: UInt8 = 0x10
        static let model: UInt8 = 0x1A
        static let modelVersion: UInt8 = 0x22
        static let trace: UInt8 = 0x2A
        static let messageLength: UInt8 = 0x30
        static let attempt: UInt8 = 0x40
        static let priority: UInt8 = 0x50
        static let wantsProgress: UInt8 = 0x60
    }

    private mutating func set(_ tag: UInt8, _ number: UInt64) {
        switch tag {
        case Tag.method: methodNumber = UInt32(truncatingIfNeeded: number)
        case Tag.timeout: timeoutMicroseconds = number
        case Tag.messageLength: messageLength = number
        case Tag.attempt: attempt = UInt32(truncatingIfNeeded: number)
        case Tag.priority: priority = UInt32(truncatingIfNeeded: number)
        default: wantsProgress = number != 0
        }
    }

    /// The whole message, by protobuf-c.
    package static func decodeAny(
        _ buffer: ByteBuffer, limits: Limits
    ) throws(MessageFault) -> CallHeader {
        let rule = unsafe metadataRule(Sluice__V1__CallHeader.self, field: 7, limits: limits)
        return try unsafe unpack(
            Sluice__V1__CallHeader.self, from: buffer, limits: limits, rules: [rule]
        ) { message throws(MessageFault) in
            var header = unsafe CallHeader(methodNumber: message.method.rawValue)
            unsafe header.timeoutMicroseconds = message.timeout_us
            header.model = unsafe text(message.model)
            header.modelVersion = unsafe text(message.model_version)
            let trace = unsafe Array(
                UnsafeBufferPointer(start: message.trace.data, count: message.trace.len))
            // One that is wrong is none: whoever sends it wants its call answered all the same (W3C Trace Context, 3.2).
            header.trace = TraceContext(trace)
            unsafe header.messageLength = message.message_length
            header.metadata = try unsafe Messages.metadata(
                message.metadata, count: message.n_metadata, limits: limits)
            unsafe header.attempt = message.attempt
            header.idempotencyKey = try unsafe note(message.idempotency_key, "an idempotency key")
            unsafe header.priority = message.priority
            header.token = try unsafe secret(message.token, limits: limits)
            unsafe header.wantsProgress = message.want_progress != 0
            return header
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__CallHeader.self) { message in
            unsafe message.method = Sluice__V1__Method(rawValue: methodNumber)
            unsafe message.timeout_us = timeoutMicroseconds
            unsafe message.model = arena.text(model)
            unsafe message.model_version = arena.text(modelVersion)
            if let trace { unsafe message.trace = arena.bytes(trace.bytes) }
            unsafe message.message_length = messageLength
            unsafe message.n_metadata = metadata.count
            unsafe message.metadata = arena.metadata(metadata)
            unsafe message.attempt = attempt
            unsafe message.idempotency_key = arena.text(idempotencyKey)
            unsafe message.priority = priority
            unsafe message.token = arena.secret(token)
            unsafe message.want_progress = wantsProgress ? 1 : 0
        }
        unsafe arena.pack(message, into: &buffer)
    }

    package static func == (left: CallHeader, right: CallHeader) -> Bool {
        left.methodNumber == right.methodNumber
            && left.timeoutMicroseconds == right.timeoutMicroseconds
            && left.model == right.model && left.modelVersion == right.modelVersion
            && left.trace == right.trace && left.messageLength == right.messageLength
            && left.metadata == right.metadata && left.attempt == right.attempt
            && left.idempotencyKey == right.idempotencyKey && left.priority == right.priority
            && equal(left.token, right.token) && left.wantsProgress == right.wantsProgress
    }
}
