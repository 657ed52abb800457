// Status: a call's failure on the wire.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// `sluice.v1.Status`, alone or inside a REPLY, an AUTH answer or the server's HELLO.
package struct StatusMessage: HeaderMessage {
    package var code: StatusCode
    package var message: String
    /// A stable upper-case word, or empty.
    package var reason: String
    package var details: [MetadataEntry]
    package var notStarted: Bool
    /// 0 when nothing is known.
    package var retryAfterMilliseconds: UInt32

    package init(
        code: StatusCode, message: String = "", reason: String = "",
        details: [MetadataEntry] = [], notStarted: Bool = false, retryAfterMilliseconds: UInt32 = 0
    ) {
        self.code = code
        self.message = message
        self.reason = reason
        self.details = details
        self.notStarted = notStarted
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }

    /// The failure as it goes on the wire; a wait is rounded up to milliseconds.
    package init(_ failure: CallFailure) {
        self.init(
            code: failure.code, message: failure.message, reason: failure.reason.rawValue,
            notStarted: failure.notStarted,
            retryAfterMilliseconds: failure.retryAfter?.wireMilliseconds ?? 0)
    }

    /// The failure that came over the wire; nil when the status says OK.
    package var failure: CallFailure? {
        guard code != .ok else { return nil }
        return CallFailure(
            code, Reason(rawValue: reason), message, notStarted: notStarted,
            retryAfter: retryAfterMilliseconds == 0
                ? nil : .milliseconds(UInt64(retryAfterMilliseconds)))
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        let rule = unsafe metadataRule(Sluice__V1__Status.self, field: 4, limits: limits)
        self = try unsafe unpack(
            Sluice__V1__Status.self, from: buffer, limits: limits, rules: [rule]
        ) { message throws(MessageFault) in try unsafe StatusMessage(message, limits: limits) }
    }

    init(_ message: Sluice__V1__Status, limits: Limits) throws(MessageFault) {
        try unsafe self.init(
            // A number from a newer peer is UNKNOWN, as gRPC has it.
            code: StatusCode(rawValue: message.code) ?? .unknown,
            message: text(message.message),
            reason: note(message.reason, "a reason"),
            details: metadata(message.details, count: message.n_details, limits: limits),
            notStarted: message.not_started != 0,
            retryAfterMilliseconds: message.retry_after_ms)
    }

    func make(in arena: borrowing Arena) -> UnsafeMutablePointer<Sluice__V1__Status> {
        unsafe arena.make(Sluice__V1__Status.self) { status in
            unsafe status.code = code.rawValue
            unsafe status.message = arena.text(message)
            unsafe status.reason = arena.text(reason)
            unsafe status.n_details = details.count
            unsafe status.details = arena.metadata(details)
            unsafe status.not_started = notStarted ? 1 : 0
            unsafe status.retry_after_ms = retryAfterMilliseconds
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        unsafe arena.pack(make(in: arena), into: &buffer)
    }
}
