// Stands before TLS on connections that come from a listed proxy: takes the PROXY header off and makes way.

import Contract
package import NIOCore

/// Waits for the header, in bounds of bytes and time, tells who the caller is, and removes itself. Whatever is no header
/// ends the connection without an answer.
///
/// Belongs to its channel's event loop.
package final class ProxyHandler: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    package static let time = TimeAmount.seconds(5)

    private let welcome: (ProxyHeader) throws -> Void
    private let refuse: (String) -> Void
    private var arrived = ByteBuffer()
    private var deadline: Scheduled<Void>?
    private var isDone = false

    /// - Parameters:
    ///   - welcome: puts the next handlers behind this one, or throws when the caller is not let in.
    ///   - refuse: is told why a connection ended.
    package init(
        welcome: @escaping (ProxyHeader) throws -> Void, refuse: @escaping (String) -> Void
    ) {
        self.welcome = welcome
        self.refuse = refuse
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: ProxyHandler.time) {
            [self] in
            end(context, "did not come within 5 s")
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        var bytes = unwrapInboundIn(data)
        arrived.writeBuffer(&bytes)
        switch ProxyHeader.read(arrived) {
        case .more: break
        case .refused(let why): end(context, why.rawValue)
        case .whole(let header, let byteCount):
            isDone = true
            deadline?.cancel()
            arrived.moveReaderIndex(forwardBy: byteCount)
            do {
                try welcome(header)
            } catch {
                context.close(promise: nil)
                return
            }
            if arrived.readableBytes > 0 {
                context.fireChannelRead(wrapInboundOut(arrived))
                context.fireChannelReadComplete()
            }
            arrived = ByteBuffer()
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func end(_ context: ChannelHandlerContext, _ why: String) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        refuse("a PROXY header " + why)
        context.close(promise: nil)
    }
}

@available(*, unavailable) extension ProxyHandler: Sendable {}
