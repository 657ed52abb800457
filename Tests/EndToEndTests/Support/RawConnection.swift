// A connection under full control of a test: real TLS, any bytes.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import SluiceMessages
import SluiceWire
import SwiftProtobuf

/// What came from the gateway.
enum RawEvent: Sendable {
    case frame(Frame)
    /// The connection is over; the text is TLS's complaint, if it had one.
    case closed(String)
}

/// One TLS connection of a test. Frames are read in order with a deadline.
final class RawConnection: Sendable {
    private let channel: any Channel
    private let inbox: Inbox

    /// Frames that have come, for one reader.
    private actor Inbox {
        private var events: [RawEvent] = []
        private var isClosed = false

        func add(_ event: RawEvent) {
            if case .closed = event {
                if isClosed { return }
                isClosed = true
            }
            events.append(event)
        }

        func take() -> RawEvent? { events.isEmpty ? nil : events.removeFirst() }
    }

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// Connects and completes the TLS handshake, or throws what TLS said.
    static func open(
        to gateway: TestGateway, from address: String = "127.0.0.1",
        protocols: [String] = ["sluice/1"], maximumTLSVersion: TLSVersion? = nil
    ) async throws -> RawConnection {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(gateway.ca))
        tls.applicationProtocols = protocols
        if let maximumTLSVersion {
            tls.minimumTLSVersion = .tlsv1
            tls.maximumTLSVersion = maximumTLSVersion
        }
        let context = try NIOSSLContext(configuration: tls)
        let inbox = Inbox()
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let handshake = loop.makePromise(of: Void.self)
        let (events, feed) = AsyncStream<RawEvent>.makeStream()
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .bind(to: try SocketAddress(ipAddress: address, port: 0))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([
                            NIOSSLClientHandler(context: context, serverHostname: nil),
                            RawHandler(handshake: handshake, feed: feed),
                        ])
                    }
                }
                .connect(host: gateway.host, port: gateway.port).get()
        } catch {
            handshake.fail(error)
            throw error
        }
        try await handshake.futureResult.get()
        let connection = RawConnection(channel: channel, inbox: inbox)
        // Drains what the handler delivers into the inbox for as long as the connection lives.
        channel.eventLoop.makeFutureWithTask {
            for await event in events { await inbox.add(event) }
        }.whenComplete { _ in }
        return connection
    }

    /// The same, greeted with a token.
    static func greeted(
        to gateway: TestGateway, token: String
    ) async throws -> (connection: RawConnection, hello: Sluice_ServerHello) {
        let connection = try await open(to: gateway)
        try await connection.send(.hello(token: token))
        let frame = try await connection.frame()
        return (
            connection,
            try Sluice_ServerHello(serializedBytes: Array(frame.header.readableBytesView))
        )
    }

    func send(_ frame: Frame) async throws {
        var bytes = ByteBuffer()
        bytes.writeFrame(frame)
        try await send(bytes: bytes)
    }

    func send(bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// Sends without waiting for anything: also to a gateway that has stopped reading.
    func post(bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

    /// Whether anything is taken from the socket.
    func reads(_ does: Bool) async throws {
        try await channel.setOption(.autoRead, value: does).get()
    }

    /// The next event. Throws when none comes in time.
    func next(within seconds: Double = 10) async throws -> RawEvent {
        var event: RawEvent?
        try await eventually(within: seconds, "something from the gateway") {
            event = await inbox.take()
            return event != nil
        }
        guard let event else { throw TestTrouble("no event") }
        return event
    }

    /// The next frame. Throws when the connection ends instead.
    func frame(within seconds: Double = 10) async throws -> Frame {
        switch try await next(within: seconds) {
        case .frame(let frame): return frame
        case .closed(let why): throw TestTrouble("closed instead of a frame: \(why)")
        }
    }

    /// The reply that ends a call, other frames skipped.
    func reply(to call: UInt32, within seconds: Double = 20) async throws -> Sluice_ReplyHeader {
        while true {
            let frame = try await frame(within: seconds)
            guard frame.type == .reply, frame.call == call else { continue }
            return try Sluice_ReplyHeader(serializedBytes: Array(frame.header.readableBytesView))
        }
    }

    /// Waits for the end of the connection. Returns the GOAWAY that came before it, if one did.
    @discardableResult
    func goodbye(within seconds: Double = 15) async throws -> Sluice_GoAway? {
        var goAway: Sluice_GoAway?
        while true {
            let event: RawEvent
            do {
                event = try await next(within: seconds)
            } catch ChannelError.ioOnClosedChannel {
                // Something was still being written when the gateway ended it.
                return goAway
            }
            switch event {
            case .closed: return goAway
            case .frame(let frame) where frame.type == .goAway:
                goAway = try Sluice_GoAway(serializedBytes: Array(frame.header.readableBytesView))
            case .frame: continue
            }
        }
    }

    func close() async throws {
        do {
            try await channel.close()
        } catch ChannelError.alreadyClosed {
            // The gateway was faster.
        }
    }

    /// Goes without a word, in the middle of whatever was being said: no close_notify, a TCP reset or FIN.
    func vanish() async throws {
        let channel = channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.context(handlerType: NIOSSLClientHandler.self)
                .close(promise: nil)
        }.get()
    }
}

private final class RawHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let handshake: EventLoopPromise<Void>
    private let feed: AsyncStream<RawEvent>.Continuation
    private var decoder = FrameDecoder(.client, limits: WireLimits(frameBytes: 16 << 20))
    private var complaint = ""

    init(handshake: EventLoopPromise<Void>, feed: AsyncStream<RawEvent>.Continuation) {
        self.handshake = handshake
        self.feed = feed
        // Tests name calls as they like.
        decoder.opened(Frame.callMax)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { handshake.succeed(()) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do {
            while let frame = try decoder.next() { feed.yield(.frame(frame)) }
        } catch {
            complaint = "the gateway broke the framing: \(error)"
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        complaint = "\(error)"
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshake.fail(TestTrouble("closed during the handshake: \(complaint)"))
        feed.yield(.closed(complaint))
        feed.finish()
    }
}

extension Frame {
    static func hello(token: String) throws -> Frame {
        var hello = Sluice_ClientHello()
        hello.userAgent = "test"
        hello.token = token
        return Frame(.hello, header: ByteBuffer(bytes: try hello.serializedBytes() as [UInt8]))
    }

    /// A unary call in one frame.
    static func call(
        _ id: UInt32, _ model: String = "iris", method: Sluice_Method = .infer,
        payload: ByteBuffer? = nil, change: (inout Sluice_CallHeader) -> Void = { _ in }
    ) throws -> Frame {
        var header = Sluice_CallHeader()
        header.method = method
        header.model = model
        change(&header)
        return Frame(
            .call, .end, call: id,
            header: ByteBuffer(bytes: try header.serializedBytes() as [UInt8]),
            payload: try payload ?? iris())
    }

    /// One row for iris as an encoded `ModelInferRequest`.
    static func iris() throws -> ByteBuffer {
        var input = Inference_ModelInferRequest.InferInputTensor()
        input.name = "X"
        input.datatype = "FP32"
        input.shape = [1, 4]
        var request = Inference_ModelInferRequest()
        request.inputs = [input]
        request.rawInputContents = [
            [5.1, 3.5, 1.4, 0.2].reduce(into: Data()) { bytes, value in
                unsafe withUnsafeBytes(of: Float(value).bitPattern.littleEndian) {
                    unsafe bytes.append(contentsOf: $0)
                }
            }
        ]
        return ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
    }
}
