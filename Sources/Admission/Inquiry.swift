// One caller that waits for a look-up, on its own event loop and with its own deadline.

package import Contract
import NIOCore
private import Synchronization

/// A wait for ``Gatekeeper``'s answer. `done` is called once, on the event loop, unless ``cancel()`` came
/// first. Usable from every thread.
package final class Inquiry: Sendable {
    package typealias Done = @Sendable (Result<Credential, CallFailure>) -> Void

    /// The credential as the waiter's session may use it.
    typealias Present = @Sendable (Credential) -> Result<Credential, CallFailure>

    private struct State {
        var done: Done?
        var timer: Scheduled<Void>?
    }

    let key: CacheKey
    let id: UInt64
    private let eventLoop: any EventLoop
    private let present: Present
    private let state: Mutex<State>

    init(
        key: CacheKey, id: UInt64, eventLoop: any EventLoop, done: @escaping Done,
        present: @escaping Present
    ) {
        self.key = key
        self.id = id
        self.eventLoop = eventLoop
        self.present = present
        state = Mutex(State(done: done))
    }

    /// Calls `overdue` at the deadline unless the inquiry is settled before.
    func arm(deadline: Instant, overdue: @escaping @Sendable () -> Void) {
        let timer = eventLoop.scheduleTask(
            deadline: .uptimeNanoseconds(deadline.nanoseconds), overdue)
        let late = state.withLock { state in
            guard state.done != nil else { return true }
            state.timer = timer
            return false
        }
        if late { timer.cancel() }
    }

    /// The caller is gone: `done` will not be called. The look-up itself goes on.
    func abandon() {
        let timer = state.withLock { state in
            state.done = nil
            return state.timer.take()
        }
        timer?.cancel()
    }

    func settle(_ result: Result<Credential, CallFailure>) {
        eventLoop.execute { self.finish(result) }
    }

    private func finish(_ result: Result<Credential, CallFailure>) {
        let (done, timer) = state.withLock { ($0.done.take(), $0.timer.take()) }
        timer?.cancel()
        guard let done else { return }
        switch result {
        case .success(let credential): done(present(credential))
        case .failure: done(result)
        }
    }
}
