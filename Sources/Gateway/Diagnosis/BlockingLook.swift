// Looks that block a thread, for `sluice doctor`: whoever stops waiting leaves the thread behind, for a file system that hangs
// cannot be told to stop.

import NIOPosix
import Synchronization

enum BlockingLook {
    /// More than there are looks; they end with the process.
    private static let pool: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 32)
        pool.start()
        return pool
    }()

    /// Runs `look` on a thread that may wait. Throws what it throws, or that the task was cancelled.
    static func run<Value: Sendable>(
        _ look: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let place = WaitingPlace<Value>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard place.wait(continuation) else { return }
                pool.submit { _ in place.answer(Result { try look() }) }
            }
        } onCancel: {
            place.answer(.failure(CancellationError()))
        }
    }
}

/// Where one waits for the first of two answers.
private final class WaitingPlace<Value: Sendable>: Sendable {
    private enum State: Sendable {
        case new
        case waiting(CheckedContinuation<Value, any Error>)
        case over
    }

    private let state = Mutex(State.new)

    /// False when there is an answer already: it has been given.
    func wait(_ continuation: CheckedContinuation<Value, any Error>) -> Bool {
        let waits = state.withLock { state in
            guard case .new = state else { return false }
            state = .waiting(continuation)
            return true
        }
        // Only a cancelled task comes before its wait.
        if !waits { continuation.resume(throwing: CancellationError()) }
        return waits
    }

    func answer(_ result: Result<Value, any Error>) {
        let waiting = state.withLock { state in
            defer { state = .over }
            return state
        }
        if case .waiting(let continuation) = waiting { continuation.resume(with: result) }
    }
}
