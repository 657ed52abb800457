// Who takes a call's answer: a waiting task, or the mailbox of a stream.

import NIOCore
import Synchronization

/// A unary answer, not decoded yet: that is done by the caller's task, not by the event loop.
struct RawAnswer: Sendable {
    var timing: Timing
    var rateLimit: RateLimit?
    var payload: ByteBuffer
}

typealias CallResult = Result<RawAnswer, SluiceError>

enum CallSink: Sendable {
    case unary(CheckedContinuation<CallResult, Never>, onProgress: (@Sendable (Progress) -> Void)?)
    case stream(StreamMailbox)

    func progress(_ progress: Progress) {
        if case .unary(_, let onProgress?) = self { onProgress(progress) }
        if case .stream(let mailbox) = self { mailbox.onProgress?(progress) }
    }

    func succeed(_ answer: RawAnswer) {
        switch self {
        case .unary(let continuation, _): continuation.resume(returning: .success(answer))
        case .stream(let mailbox): mailbox.finish(nil)
        }
    }

    func fail(_ error: SluiceError) {
        switch self {
        case .unary(let continuation, _): continuation.resume(returning: .failure(error))
        case .stream(let mailbox): mailbox.finish(error)
        }
    }
}

/// The messages of one stream between the event loop, which puts them in, and the one task that reads them.
final class StreamMailbox: Sendable {
    /// What a reader gets.
    enum Letter {
        case message(ByteBuffer)
        /// The stream has ended; nil in good order.
        case end(SluiceError?)
    }

    private struct State {
        var messages = CircularBuffer<ByteBuffer>()
        var bytes = 0
        var end: Letter?
        var reader: CheckedContinuation<Letter, Never>?
        /// The loop was told to hold the connection until the reader has caught up.
        var isFull = false
    }

    private let state = Mutex(State())
    private let bytesMax: Int
    let onProgress: (@Sendable (Progress) -> Void)?

    init(bytesMax: Int, onProgress: (@Sendable (Progress) -> Void)?) {
        self.bytesMax = bytesMax
        self.onProgress = onProgress
    }

    /// Bytes received and not read.
    var heldBytes: Int { state.withLock { $0.bytes } }

    /// Takes a message. True when there are now more bytes than there should be.
    func put(_ message: ByteBuffer) -> Bool {
        let (reader, isFull) = state.withLock { state in
            if let reader = state.reader {
                state.reader = nil
                return (Optional(reader), false)
            }
            state.messages.append(message)
            // Each costs something, an empty one too.
            state.bytes += message.readableBytes + 64
            if state.bytes > bytesMax { state.isFull = true }
            return (nil, state.isFull)
        }
        reader?.resume(returning: .message(message))
        return isFull
    }

    func finish(_ error: SluiceError?) {
        let reader = state.withLock { state -> CheckedContinuation<Letter, Never>? in
            guard state.end == nil else { return nil }
            state.end = .end(error)
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: .end(error))
    }

    /// The next message or the end. One reader at a time.
    ///
    /// - Parameter caughtUp: called when the loop was told to hold the connection and may go on.
    func next(caughtUp: () -> Void) async -> Letter {
        let (letter, resumes) = state.withLock { state -> (Letter?, Bool) in
            guard let message = state.messages.popFirst() else { return (state.end, false) }
            state.bytes -= message.readableBytes + 64
            guard state.isFull, state.bytes <= bytesMax / 2 else {
                return (.message(message), false)
            }
            state.isFull = false
            return (.message(message), true)
        }
        if resumes { caughtUp() }
        if let letter { return letter }
        return await withCheckedContinuation { continuation in
            let now = state.withLock { state -> Letter? in
                if let message = state.messages.popFirst() {
                    state.bytes -= message.readableBytes + 64
                    return .message(message)
                }
                if let end = state.end { return end }
                precondition(state.reader == nil, "a stream has one reader")
                state.reader = continuation
                return nil
            }
            if let now { continuation.resume(returning: now) }
        }
    }
}
