// HTTP over real TLS under full control of a test: any bytes out, and whatever comes back as text.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization

/// One TLS connection that speaks `http/1.1`.
final class RawHTTP: Sendable {
    private let channel: any Channel
    private let inbox: Inbox

    /// What has come, and whether more may.
    private final class Inbox: Sendable {
        private let state = Mutex((text: "", isClosed: false))
        var text: String { state.withLock { $0.text } }
        var isClosed: Bool { state.withLock { $0.isClosed } }
        func add(_ text: String) { state.withLock { $0.text += text } }
        func close() { state.withLock { $0.isClosed = true } }
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let inbox: Inbox
        private let handshake: EventLoopPromise<Void>

        init(_ inbox: Inbox, _ handshake: EventLoopPromise<Void>) {
            self.inbox = inbox
            self.handshake = handshake
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSUserEvent { handshake.succeed(()) }
            context.fireUserInboundEventTriggered(event)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            inbox.add(String(buffer: unwrapInboundIn(data)))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            handshake.fail(TestTrouble("closed during the handshake"))
            inbox.close()
        }
    }

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// - Parameters:
    ///   - name: the name asked for by SNI; nil: none.
    ///   - protocols: of ALPN.
    static func open(
        to gateway: TestGateway, name: String? = "localhost", protocols: [String] = ["http/1.1"]
    ) async throws -> RawHTTP {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(gateway.ca))
        tls.applicationProtocols = protocols
        // Some tests ask for a name that the certificate does not have.
        tls.certificateVerification = .noHostnameVerification
        let context = try NIOSSLContext(configuration: tls)
        let inbox = Inbox()
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let handshake = loop.makePromise(of: Void.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([
                            NIOSSLClientHandler(context: context, serverHostname: name),
                            Reader(inbox, handshake),
                        ])
                    }
                }
                .connect(host: gateway.host, port: gateway.port).get()
        } catch {
            handshake.fail(error)
            throw error
        }
        try await handshake.futureResult.get()
        return RawHTTP(channel: channel, inbox: inbox)
    }

    var received: String { inbox.text }
    var isClosed: Bool { inbox.isClosed }

    func send(_ text: String) async throws {
        do {
            try await channel.writeAndFlush(ByteBuffer(string: text))
        } catch ChannelError.ioOnClosedChannel {
            // The gateway had heard enough.
        }
    }

    /// Waits for the gateway to close the connection, and returns all that came.
    func end(within seconds: Double = 10) async throws -> String {
        try await eventually(within: seconds, "the end of the connection: \(received)") {
            isClosed
        }
        return received
    }

    func close() async throws {
        do {
            try await channel.close()
        } catch ChannelError.alreadyClosed {
            // The gateway was faster.
        }
    }
}
