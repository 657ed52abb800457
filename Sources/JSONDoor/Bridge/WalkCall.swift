// One call of an HTTP request on its way through the house: the bridge's side of the seam that the binary door has in
// DoorExchange. Same calls, same walk, another alphabet.

package import Contract
import NIOCore

/// Asks the walk one call for a request. Used on the connection's event loop only.
package final class WalkCall: Exchange, CallHandle {
    /// What came back: an answer or why not, where the time went, and what the caller's plan has left.
    package struct Outcome {
        package var result: Result<Answer, CallFailure>
        package var timing: Timing
        package var allowance: Allowance?
    }

    private var handle: (any CallHandle)?
    private var allowance: Allowance?
    private var isOver = false
    private let done: (Outcome) -> Void
    private let whenProgress: ((Progress) -> Void)?
    private let whenMessage: ((Answer) -> Void)?
    private let whenTraced: ((TraceContext) -> Void)?

    /// - Parameters:
    ///   - progress: how far the waking of the model has come; nil: nobody wants to know.
    ///   - message: one message of a server stream; nil for methods without one.
    ///   - traced: the span that the call is exported as.
    ///   - done: called once, possibly before `begin` has returned, and not after `cancel`.
    package init(
        progress: ((Progress) -> Void)? = nil, message: ((Answer) -> Void)? = nil,
        traced: ((TraceContext) -> Void)? = nil, done: @escaping (Outcome) -> Void
    ) {
        whenProgress = progress
        whenMessage = message
        whenTraced = traced
        self.done = done
    }

    /// Starts the call. The session is the one the request's token was shown to.
    package func begin(_ call: Call, by session: any CallerSession) {
        var call = call
        call.door = .http
        call.wantsProgress = whenProgress != nil
        let handle = session.begin(call, exchange: self)
        if !isOver { self.handle = handle }
    }

    /// The caller has gone.
    package func cancel() {
        guard !isOver else { return }
        isOver = true
        let handle = handle
        self.handle = nil
        handle?.cancel()
    }

    package func progress(_ progress: Progress) {
        if !isOver { whenProgress?(progress) }
    }

    package func allow(_ allowance: Allowance) { self.allowance = allowance }

    package func trace(as span: TraceContext) {
        if !isOver { whenTraced?(span) }
    }

    package func send(_ message: Answer) {
        if !isOver { whenMessage?(message) }
    }

    package func finish(
        _ result: Result<Answer, CallFailure>, timing: Timing, workContinues: Bool
    ) {
        guard !isOver else { return }
        isOver = true
        handle = nil
        done(Outcome(result: result, timing: timing, allowance: allowance))
    }

    package func workEnded() {}
}

@available(*, unavailable) extension WalkCall: Sendable {}
