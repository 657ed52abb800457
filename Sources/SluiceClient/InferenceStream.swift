// Streams as asynchronous sequences: the messages of a call, decoded one by one as they are asked for.

import NIOCore
import SluiceMessages

/// The answers of ``SluiceClient/inferStream(_:version:inputs:outputs:timeout:options:onProgress:)``.
///
/// Each iterator makes its own call. What arrives while nobody asks is kept, up to
/// ``SluiceClient/Configuration/Limits/streamBufferBytes``; a reader that stays behind for longer than
/// ``SluiceClient/Configuration/Limits/slowReaderGrace`` loses its stream.
public struct InferenceStream: AsyncSequence, Sendable {
    public typealias Element = Inference
    public typealias Failure = SluiceError

    private let open: @Sendable () async throws(SluiceError) -> MessageReader

    init(_ open: @escaping @Sendable () async throws(SluiceError) -> MessageReader) {
        self.open = open
    }

    public func makeAsyncIterator() -> Iterator { Iterator(open: open) }

    /// Reads one call's answers. For one task.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let open: @Sendable () async throws(SluiceError) -> MessageReader
        private var reader: MessageReader?
        private var isOver = false

        fileprivate init(
            open: @escaping @Sendable () async throws(SluiceError) -> MessageReader
        ) {
            self.open = open
        }

        /// The next answer, or nil when the stream has ended.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(SluiceError) -> Inference? {
            guard !isOver else { return nil }
            do throws(SluiceError) {
                if reader == nil { reader = try await open() }
                if let message = try await reader?.next() {
                    return try InferenceCoding.inference(message)
                }
            } catch {
                isOver = true
                reader = nil
                throw error
            }
            isOver = true
            reader = nil
            return nil
        }

        public mutating func next() async throws(SluiceError) -> Inference? {
            try await next(isolation: nil)
        }
    }
}

/// One stream's call; dropped, it cancels the call.
final class MessageReader: Sendable {
    private let switchboard: Switchboard
    private let mailbox: StreamMailbox
    private let ticket: Ticket

    init(
        _ switchboard: Switchboard, _ request: CallRequest, deadline: NIODeadline,
        onProgress: (@Sendable (Progress) -> Void)?
    ) {
        self.switchboard = switchboard
        mailbox = StreamMailbox(
            bytesMax: switchboard.configuration.limits.streamBufferBytes, onProgress: onProgress)
        ticket = switchboard.nextTicket()
        switchboard.post(
            .call(
                .init(
                    ticket: ticket, request: request, sink: .stream(mailbox), deadline: deadline)))
    }

    deinit { switchboard.post(.cancel(ticket, .callerCancelled)) }

    /// The next message, or nil at the end. One task at a time.
    func next() async throws(SluiceError) -> ByteBuffer? {
        let letter = await withTaskCancellationHandler {
            await mailbox.next { switchboard.post(.caughtUp(ticket)) }
        } onCancel: {
            switchboard.post(.cancel(ticket, .callerCancelled))
        }
        switch letter {
        case .message(let message): return message
        case .end(nil): return nil
        case .end(let error?): throw error
        }
    }
}

/// Whether the gateway serves, from ``SluiceClient/watchHealth()``.
public struct HealthWatch: AsyncSequence, Sendable {
    public typealias Element = Bool
    public typealias Failure = SluiceError

    private let switchboard: Switchboard

    init(_ switchboard: Switchboard) { self.switchboard = switchboard }

    public func makeAsyncIterator() -> Iterator { Iterator(switchboard) }

    /// Watches for one task.
    public struct Iterator: AsyncIteratorProtocol {
        private let switchboard: Switchboard
        private var reader: MessageReader?
        private var last: Bool?
        private var failures = 0

        /// The longest call the protocol knows; the watch then begins anew.
        private static let watchTime = TimeAmount.hours(1)

        fileprivate init(_ switchboard: Switchboard) { self.switchboard = switchboard }

        /// The next change. Throws when the gateway does not allow the watch, and when the task is cancelled or
        /// the client shut down; anything else is a gateway that does not serve.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(SluiceError) -> Bool? {
            while true {
                let serving = try await observe(isolation: actor)
                guard let serving, serving != last else { continue }
                last = serving
                return serving
            }
        }

        public mutating func next() async throws(SluiceError) -> Bool? {
            try await next(isolation: nil)
        }

        /// What is seen next, or nil when the watch has to begin anew.
        private mutating func observe(
            isolation actor: isolated (any Actor)?
        ) async throws(SluiceError) -> Bool? {
            if failures > 0, reader == nil {
                try await Self.pause(switchboard.configuration.reconnect, failures: failures)
            }
            let reader =
                self.reader
                ?? MessageReader(
                    switchboard, CallRequest(method: .healthWatch),
                    deadline: .now() + Self.watchTime, onProgress: nil)
            self.reader = reader
            do throws(SluiceError) {
                guard let message = try await reader.next() else {
                    self.reader = nil
                    failures += 1
                    return nil
                }
                failures = 0
                guard let health: Sluice_HealthStatus = HelloCoding.decoded(message) else {
                    throw SluiceError(
                        .internal, reason: Reason.badReply, "The answer is no HealthStatus.")
                }
                return health.serving
            } catch {
                self.reader = nil
                if error.code == .deadlineExceeded { return nil }
                guard error.isRetryable, error.code != .cancelled else { throw error }
                failures += 1
                return false
            }
        }

        private static func pause(
            _ backoff: SluiceClient.Configuration.Backoff, failures: Int
        ) async throws(SluiceError) {
            let pause = backoff.pause(failures: failures, luck: Double.random(in: 0.5..<1))
            do {
                try await Task.sleep(for: .nanoseconds(pause))
            } catch {
                throw .callerCancelled
            }
        }
    }
}
