// The resource's side of one request: where its answer goes.

package import Contract
package import NIOCore

/// One request between `begin` and its answer. Used on the connection's event loop only.
package final class HTTPExchange {
    package let eventLoop: any EventLoop
    /// Who calls: the token of this request was shown to it. nil on a route that is open.
    package let session: (any CallerSession)?
    private var connection: HTTPConnectionHandler?
    /// What to cancel when the caller goes.
    var handle: (any CallHandle)?

    init(
        _ connection: HTTPConnectionHandler, session: (any CallerSession)?,
        eventLoop: any EventLoop
    ) {
        self.connection = connection
        self.session = session
        self.eventLoop = eventLoop
    }

    /// Answers the request; what comes after the first answer, or after the caller has gone, is dropped.
    package func finish(_ answer: HTTPAnswer) {
        let connection = connection
        self.connection = nil
        handle = nil
        connection?.finish(answer, of: self)
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
        handle?.cancel()
    }
}

@available(*, unavailable) extension HTTPExchange: Sendable {}
