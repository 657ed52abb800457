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
    /// Told of requests that were answered without being a call.
    package var observer: (any HTTPObserver)?
    package var logger: Logger
    let turnstiles = Turnstiles()

    package init(
        routes: RouteTable, limits: HTTPLimits, desk: (any FrontDesk)? = nil,
        origins: CrossOrigin = CrossOrigin(), isStrict: Bool = false, aside: Aside = .pool,
        observer: (any HTTPObserver)? = nil, logger: Logger
    ) {
        self.aside = aside
        self.observer = observer
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

/// Stands before the parser: a head which never ends is seen to have begun, and nothing is parsed long before its turn. A hundred
/// requests that come at once would hold up the event loop before the first of them is answered.
final class ArrivalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Bytes that are parsed at once, behind what is left of a body.
    private static let sliceBytes = 2_048

    private let connection: HTTPConnectionHandler
    private var context: ChannelHandlerContext?
    /// What has come and has not been parsed: of one read, as no other follows while there is some.
    private var held = ByteBuffer()

    init(_ connection: HTTPConnectionHandler) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.arrivals = self
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connection.arrivals = nil
    }

    var isHolding: Bool { held.readableBytes > 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.bytesArrived()
        var bytes = unwrapInboundIn(data)
        if isHolding {
            held.writeBuffer(&bytes)
        } else {
            held = bytes
            feed(context)
        }
    }

    /// Goes on with what was held, as far as it has its turn.
    func resume() {
        guard isHolding, let context else { return }
        feed(context)
        context.fireChannelReadComplete()
    }

    private func feed(_ context: ChannelHandlerContext) {
        while isHolding, connection.takesMore {
            let length = connection.bodyBytesAwaited + ArrivalHandler.sliceBytes
            if length < held.readableBytes, let slice = held.readSlice(length: length) {
                context.fireChannelRead(wrapInboundOut(slice))
            } else {
                let rest = held
                held = ByteBuffer()
                context.fireChannelRead(wrapInboundOut(rest))
            }
        }
    }
}

@available(*, unavailable) extension ArrivalHandler: Sendable {}
