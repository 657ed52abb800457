// CANCEL, GOAWAY and PROGRESS.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// The caller is no longer interested.
package struct CancelMessage: HeaderMessage {
    /// For logs; at most 128 bytes.
    package var reason: String

    package init(reason: String = "") { self.reason = reason }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        self = try unsafe unpack(Sluice__V1__Cancel.self, from: buffer, limits: limits) {
            message throws(MessageFault) in
            try unsafe CancelMessage(reason: note(message.reason, "a reason"))
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__Cancel.self) { message in
            unsafe message.reason = arena.text(reason)
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

/// The sender will end the connection.
package struct GoAway: HeaderMessage {
    /// A number a newer peer sends is kept as it came.
    package struct Code: RawRepresentable, Sendable, Hashable {
        package var rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let noError = Code(rawValue: 0)
        package static let protocolBroken = Code(rawValue: 1)
        package static let calmDown = Code(rawValue: 2)
        package static let timeout = Code(rawValue: 3)
        package static let limit = Code(rawValue: 4)
    }

    /// ``lastCall`` of the first phase: "open no more".
    package static let anyCall = UInt32.max

    /// The last call the sender will answer.
    package var lastCall: UInt32
    package var code: Code
    /// For people; at most 1,024 bytes.
    package var reason: String
    package var drainMilliseconds: UInt32

    package init(
        lastCall: UInt32, code: Code = .noError, reason: String = "", drainMilliseconds: UInt32 = 0
    ) {
        self.lastCall = lastCall
        self.code = code
        self.reason = reason
        self.drainMilliseconds = drainMilliseconds
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        self = try unsafe unpack(Sluice__V1__GoAway.self, from: buffer, limits: limits) {
            message throws(MessageFault) in
            try unsafe GoAway(
                lastCall: message.last_call, code: Code(rawValue: message.code.rawValue),
                reason: note(message.reason, "a reason", bytesMax: 1_024),
                drainMilliseconds: message.drain_ms)
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__GoAway.self) { message in
            unsafe message.last_call = lastCall
            unsafe message.code = Sluice__V1__GoAwayCode(rawValue: code.rawValue)
            unsafe message.reason = arena.text(reason)
            unsafe message.drain_ms = drainMilliseconds
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

/// How far the waking of a model has come.
package struct ProgressMessage: HeaderMessage {
    /// The number as it came; 0 is "not said".
    package var stateNumber: UInt32
    /// 0...1; negative when unknown.
    package var fraction: Float
    /// 0 when unknown.
    package var remainingMilliseconds: UInt32

    package init(stateNumber: UInt32, fraction: Float = -1, remainingMilliseconds: UInt32 = 0) {
        self.stateNumber = stateNumber
        self.fraction = fraction
        self.remainingMilliseconds = remainingMilliseconds
    }

    package init(_ progress: Progress) {
        self.init(
            stateNumber: progress.state.rawValue, fraction: progress.fraction.map(Float.init) ?? -1,
            remainingMilliseconds: progress.remaining?.wireMilliseconds ?? 0)
    }

    /// What it means here; nil when the state is not known.
    package var progress: Progress? {
        guard let state = Progress.State(rawValue: stateNumber) else { return nil }
        return Progress(
            state: state, fraction: 0...1 ~= fraction ? Double(fraction) : nil,
            remaining: remainingMilliseconds == 0
                ? nil : .milliseconds(UInt64(remainingMilliseconds)))
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        self = try unsafe unpack(Sluice__V1__Progress.self, from: buffer, limits: limits) {
            message throws(MessageFault) in
            unsafe ProgressMessage(
                stateNumber: message.state.rawValue, fraction: message.fraction,
                remainingMilliseconds: message.remaining_ms)
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__Progress.self) { message in
            unsafe message.state = Sluice__V1__ProgressState(rawValue: stateNumber)
            unsafe message.fraction = fraction
            unsafe message.remaining_ms = remainingMilliseconds
        }
        unsafe arena.pack(message, into: &buffer)
    }
}
