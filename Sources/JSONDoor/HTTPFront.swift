// The HTTP front of a port: what all its connections share, and how one is put behind TLS, or behind nothing.

package import Contract
package import Logging
package import NIOCore
import NIOHTTP1

/// Routes and limits of a port. Callers' port and operator's port each have one.
package struct HTTPFront: Sendable {
    package var routes: RouteTable
    package var limits: HTTPLimits
    /// Judges tokens; nil: no route of this port asks for one.
    package var desk: (any FrontDesk)?
    /// Whose pages may read the answers.
    package var origins: CrossOrigin
    /// Browsers are told to come by TLS only; never for localhost, where every port would be meant.
    package var isStrict: Bool
    /// Where what would hold up an event loop is done.
    package var aside: Aside
    package var logger: Logger
    let turnstiles = Turnstiles()

    package init(
        routes: RouteTable, limits: HTTPLimits, desk: (any FrontDesk)? = nil,
        origins: CrossOrigin = CrossOrigin(), isStrict: Bool = false, aside: Aside = .pool,
        logger: Logger
    ) {
        self.aside = aside
        self.origins = origins
        self.isStrict = isStrict
        self.routes = routes
        self.limits = limits
        self.desk = desk
        self.logger = logger
    }

    /// Speaks HTTP/1.1 on this channel from here on. On its event loop.
    ///
    /// - Parameter connection: names the connection in logs and request ids.
    package func open(on channel: any Channel, peer: Peer, connection: String) throws {
        var parsing = NIOHTTPDecoderLimitConfiguration()
        parsing.maxHeaderFieldSize = limits.headBytes
        parsing.maxHeaderListSize = limits.headBytes
        parsing.maxHeaderFieldCount = limits.headFields
        let handler = HTTPConnectionHandler(front: self, peer: peer, connection: connection)
        let handlers = channel.pipeline.syncOperations
        try handlers.addHandlers(
            ArrivalHandler(handler),
            ByteToMessageHandler(
                HTTPRequestDecoder(
                    leftOverBytesStrategy: .dropBytes, limitConfiguration: parsing)),
            handler)
    }
}

/// Stands before the parser, so that a head which never ends is seen to have begun.
final class ArrivalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connection: HTTPConnectionHandler

    init(_ connection: HTTPConnectionHandler) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.bytesArrived()
        context.fireChannelRead(data)
    }
}

@available(*, unavailable) extension ArrivalHandler: Sendable {}
