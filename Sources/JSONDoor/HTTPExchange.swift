// The resource's side of one request: where its answer goes, at once or piece by piece.

package import Contract
package import NIOCore

/// One request between `begin` and the end of its answer. Used on the connection's event loop only.
///
/// Either `finish` once, or `start`, any number of `send`, and `end` (or `breakOff`). Whatever comes after the end, or after
/// the caller has gone, is dropped.
package final class HTTPExchange {
    /// What the house tells a stream that is open.
    package enum Farewell: Sendable {
        /// No new requests are taken; what is under way may still be finished, what has no end shall end now.
        case draining
        /// The last moment to write anything.
        case stopping
    }

    package let eventLoop: any EventLoop
    /// Who calls: the token of this request was shown to it. nil on a route that is open.
    package let session: (any CallerSession)?
    package let aside: Aside
    /// Asked only between `start` and the end.
    package var onFarewell: ((Farewell) -> Void)?
    private var connection: HTTPConnectionHandler?
    private(set) var isStreaming = false
    /// What to cancel when the caller goes.
    var handle: (any CallHandle)?

    init(
        _ connection: HTTPConnectionHandler, session: (any CallerSession)?,
        eventLoop: any EventLoop
    ) {
        aside = connection.front.aside
        self.connection = connection
        self.session = session
        self.eventLoop = eventLoop
    }

    /// False when the request is answered or its caller has gone: nothing that is sent has an effect any more.
    package var isOpen: Bool { connection != nil }

    /// Bytes that wait for the caller to read.
    package var backlog: Int { connection?.out.byteCount ?? 0 }

    /// The request is exported as this span: the answer's `traceparent` names it. Before the answer's head.
    package func trace(as span: TraceContext) { connection?.request?.span = span }

    /// Answers the request.
    package func finish(_ answer: HTTPAnswer) {
        guard !isStreaming else { return end() }
        release()?.finish(answer, of: self)
    }

    /// Begins an answer whose length nobody knows: its body is the first piece. Chunked for HTTP/1.1, until the connection's
    /// end for HTTP/1.0 (RFC 9112 section 6.3). A HEAD request is answered by this alone.
    package func start(_ head: HTTPAnswer) {
        guard let connection, !isStreaming else { return }
        isStreaming = true
        connection.start(head, of: self)
    }

    /// The next piece. False: it was dropped, because the caller reads too slowly (``HTTPLimits/streamBytes``) or has gone.
    @discardableResult
    package func send(_ bytes: ByteBuffer) -> Bool {
        guard let connection, isStreaming else { return false }
        return connection.send(bytes, of: self)
    }

    /// The streamed answer is whole.
    package func end() {
        guard isStreaming else { return }
        release()?.endStream(of: self, isWhole: true)
    }

    /// The streamed answer cannot be made whole: the connection ends so that the caller sees it.
    package func breakOff() {
        guard isStreaming else { return }
        release()?.endStream(of: self, isWhole: false)
    }

    private func release() -> HTTPConnectionHandler? {
        let connection = connection
        self.connection = nil
        handle = nil
        onFarewell = nil
        return connection
    }

    /// The caller has gone.
    func cancel() {
        connection = nil
        abandon()
    }

    /// Somebody else answers.
    func abandon() {
        let handle = handle
        self.handle = nil
        onFarewell = nil
        handle?.cancel()
    }
}

@available(*, unavailable) extension HTTPExchange: Sendable {}
