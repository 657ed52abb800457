// The resource's side of one request: where its answer goes.

import Contract
package import NIOCore

/// One request between `begin` and its answer. Used on the connection's event loop only.
package final class HTTPExchange {
    package let eventLoop: any EventLoop
    private var connection: HTTPConnectionHandler?
    /// What to cancel when the caller goes.
    var handle: (any CallHandle)?

    init(_ connection: HTTPConnectionHandler, eventLoop: any EventLoop) {
        self.connection = connection
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
