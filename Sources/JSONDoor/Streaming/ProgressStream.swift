// An inference as server-sent events: how the model's waking goes, then the answer, then the end.

package import Contract
package import NIOCore
import OpenInference

/// What a resource puts between a ``WalkCall`` and its exchange when the request accepts `text/event-stream`:
///
///     let stream = ProgressStream(exchange)
///     let call = WalkCall(progress: stream.progress, message: { stream.message(json($0)) }) { outcome in ... }
///
/// The stream begins with the first thing to be told, so that a refusal before that still has its own status.
package final class ProgressStream {
    private let exchange: HTTPExchange
    private let fields: [(name: String, value: String)]
    private var events: EventStream?

    /// - Parameter fields: of the answer's head, when it becomes a stream.
    package init(_ exchange: HTTPExchange, fields: [(name: String, value: String)] = []) {
        self.exchange = exchange
        self.fields = fields
    }

    /// `{"state":"loading","fraction":0.5,"remaining_ms":120}`; fraction and remaining when they are known.
    package func progress(_ progress: Progress) {
        open().progress(ByteBuffer(string: "{" + ProgressStream.members(progress) + "}"))
    }

    /// One answer, as JSON.
    package func message(_ json: ByteBuffer) { open().message(json) }

    /// `{"timing":{"admission_us":9,"queue_us":0,"load_us":0,"run_us":7,"batch":1,"cold":false}}`, when the times are known.
    package func end(_ timing: Timing? = nil) {
        let json = timing.map { "{\"timing\":\(ProgressStream.object($0))}" } ?? "{}"
        open().end(ByteBuffer(string: json))
    }

    /// An `error` event, or a whole answer with the failure's status when nothing has been told yet.
    package func fail(_ failure: CallFailure) {
        if let events { return events.fail(failure) }
        exchange.finish(.failure(failure))
    }

    private func open() -> EventStream {
        if let events { return events }
        let events = EventStream(exchange, fields: fields)
        self.events = events
        exchange.onFarewell = { [weak self] farewell in
            // An inference has an end: draining waits for it.
            guard farewell == .stopping else { return }
            self?.stopped()
        }
        return events
    }

    private func stopped() {
        let handle = exchange.handle
        exchange.handle = nil
        events?.fail(CallFailure(.unavailable, .stopping, "the gateway is stopping"))
        handle?.cancel()
    }

    private static func object(_ timing: Timing) -> String {
        "{\"admission_us\":\(timing.admission.microseconds),\"queue_us\":\(timing.queue.microseconds)"
            + ",\"load_us\":\(timing.load.microseconds),\"run_us\":\(timing.run.microseconds)"
            + ",\"batch\":\(timing.batch),\"cold\":\(timing.cold)}"
    }

    /// The members of a JSON object that tell a progress.
    static func members(_ progress: Progress) -> String {
        var text = "\"state\":\"\(word(progress.state))\""
        if let fraction = progress.fraction, fraction.isFinite {
            text += ",\"fraction\":\(max(0, min(1, fraction)))"
        }
        if let remaining = progress.remaining {
            text += ",\"remaining_ms\":\(remaining.milliseconds)"
        }
        return text
    }

    private static func word(_ state: Progress.State) -> String {
        switch state {
        case .queued: "queued"
        case .fetching: "fetching"
        case .loading: "loading"
        case .warming: "warming"
        }
    }
}

@available(*, unavailable) extension ProgressStream: Sendable {}
