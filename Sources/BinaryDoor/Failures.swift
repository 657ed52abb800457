// The answers the door gives by itself, in one place: each names the limit, the actual value and the setting.

import Contract
import SluiceWire

extension Reason {
    static let messageStalled = Reason(rawValue: "MESSAGE_STALLED")
    static let bufferFull = Reason(rawValue: "BUFFER_FULL")
    static let readerTooSlow = Reason(rawValue: "READER_TOO_SLOW")
}

extension CallFailure {
    static func tooManyCalls(_ limits: Limits) -> CallFailure {
        CallFailure(
            .resourceExhausted, .tooManyCalls,
            "\(limits.callsPerConnection + 1) calls at once on one connection, the limit is "
                + "\(limits.callsPerConnection) (limits.calls_per_connection)",
            notStarted: true)
    }

    static let draining = CallFailure(
        .unavailable, .draining, "the gateway is leaving this connection", notStarted: true)

    static func stopping(notStarted: Bool) -> CallFailure {
        CallFailure(.unavailable, .stopping, "the gateway is stopping", notStarted: notStarted)
    }

    static let secondMessage = CallFailure(
        .invalidArgument, .badMessage, "a second message came; a call has one")

    static let cancelledBeforeStart = CallFailure(
        .cancelled, .cancelledByCaller, "cancelled by the caller", notStarted: true)

    static let cancelledWhileSending = CallFailure(
        .cancelled, .cancelledByCaller, "cancelled by the caller while the answer was sent")

    static let pastOnArrival = CallFailure(
        .deadlineExceeded, .deadlinePast, "the deadline was past before the call could start",
        notStarted: true)

    static let pastWhileReading = CallFailure(
        .deadlineExceeded, .deadlinePast, "the deadline passed while the message was coming",
        notStarted: true)

    static func stalled(_ limits: Limits) -> CallFailure {
        CallFailure(
            .deadlineExceeded, .messageStalled,
            "no part of the message came for \(limits.stallTime) (limits.stall)",
            notStarted: true)
    }

    static func unknownMethod(_ number: UInt32) -> CallFailure {
        CallFailure(.unimplemented, .unknownMethod, "method \(number) is unknown", notStarted: true)
    }

    static let headerBroken = CallFailure(
        .invalidArgument, .badMessage, "the header is not a CallHeader", notStarted: true)

    static func lengthDiffers(said: UInt64, actual: Int) -> CallFailure {
        CallFailure(
            .invalidArgument, .badMessage, "message_length says \(said) bytes, \(actual) came",
            notStarted: true)
    }

    static func messageTooLarge(_ bytes: Int, _ limits: Limits) -> CallFailure {
        CallFailure(
            .resourceExhausted, .messageTooLarge,
            "a message of \(bytes) bytes, the limit is \(limits.messageBytes) (limits.message)",
            notStarted: true)
    }

    static func readerTooSlow(_ limits: Limits) -> CallFailure {
        CallFailure(
            .resourceExhausted, .readerTooSlow,
            "answers are not read: over \(limits.bufferedBytes) bytes wait (limits.buffered)")
    }

    /// What a message of several parts did wrong.
    init(_ fault: MessageFault, _ limits: Limits) {
        switch fault.rule {
        case .tooLong: self = .messageTooLarge(fault.actual, limits)
        case .noRoom:
            self.init(
                .resourceExhausted, .bufferFull,
                "a message of \(fault.actual) bytes, \(fault.limit) are left of the connection's "
                    + "\(limits.bufferedBytes) (limits.buffered)",
                notStarted: true)
        case .lengthMissing:
            self.init(
                .invalidArgument, .badMessage, "a message of several parts needs message_length",
                notStarted: true)
        case .overrun, .short:
            self = .lengthDiffers(said: UInt64(fault.limit), actual: fault.actual)
        }
    }
}

extension CallFailure {
    /// The same with a text of at most so many bytes.
    func shortened(to bytesMax: Int) -> CallFailure {
        guard message.utf8.count > bytesMax else { return self }
        var shorter = self
        shorter.message = String(decoding: message.utf8.prefix(bytesMax - 3), as: UTF8.self) + "..."
        return shorter
    }
}

extension Result<Nanoseconds?, CallFailure> {
    func shortened(to bytesMax: Int) -> Self { mapError { $0.shortened(to: bytesMax) } }
}
