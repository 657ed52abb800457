// A gateway whose every frame a test decides: a TLS server on loopback that hands what it receives to the test
// and sends what the test says.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

/// A self-signed certificate for localhost, made once by the `openssl` command.
enum TestCertificate {
    struct Files {
        var certificate: String
        var key: String
    }

    static let files: Result<Files, any Error> = Result { try make() }

    private static func make() throws -> Files {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-client-tests-\(ProcessInfo.processInfo.processIdentifier)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = Files(
            certificate: folder.appending(path: "cert.pem").path,
            key: folder.appending(path: "key.pem").path)
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/env")
        openssl.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", files.key, "-out",
            files.certificate,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        guard openssl.terminationStatus == 0 else {
            throw TestTimeout(description: "openssl made no certificate")
        }
        return files
    }
}

/// One accepted connection.
final class FakeConnection: Sendable {
    let channel: any Channel
    private let frames: AsyncStream<Frame>
    private let pending = Mutex<[Frame]>([])

    init(_ channel: any Channel, _ frames: AsyncStream<Frame>) {
        self.channel = channel
        self.frames = frames
    }

    /// The next frame from the client, PING left out.
    func next() async throws -> Frame {
        try await within("a frame") {
            for await frame in self.frames where frame.type != .ping { return frame }
            throw TestTimeout(description: "the client closed the connection")
        }
    }

    func next(_ type: FrameType) async throws -> Frame {
        let frame = try await next()
        #expect(frame.type == type)
        return frame
    }

    /// Reads HELLO and answers it. Returns the token.
    @discardableResult
    func greet(_ hello: Frame? = nil) async throws -> String {
        let frame = try await next(.hello)
        try await send(hello ?? Messages.hello())
        return try Sluice_ClientHello(serializedBytes: frame.header.array).token
    }

    func send(_ frames: Frame...) async throws {
        var bytes = channel.allocator.buffer(capacity: 1_024)
        for frame in frames { bytes.writeFrame(frame) }
        try await channel.writeAndFlush(bytes)
    }

    func send(raw bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    /// Answers an inference with its inputs.
    func echo(_ call: Frame) async throws {
        try await send(try Messages.reply(call.call, payload: try Messages.echo(call.payload)))
    }

    /// From now on a piece each millisecond, so that what the client sends waits at the client.
    func readSlowly() async throws {
        try await channel.setOption(.autoRead, value: false).get()
        let channel = self.channel
        let reading = channel.eventLoop.scheduleRepeatedTask(
            initialDelay: .zero, delay: .milliseconds(1)
        ) { _ in channel.read() }
        channel.closeFuture.whenComplete { _ in reading.cancel() }
    }

    func isClosed() async throws {
        try await within("the client to close") {
            for await _ in self.frames {}
            try await self.channel.closeFuture.get()
        }
    }

    /// Closes in good order, with close_notify.
    func close() async throws { try await channel.close() }

    /// Closes the socket under TLS: no close_notify.
    func cut() async throws {
        let channel = self.channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
                .close(promise: nil)
        }.get()
    }

    func header(_ call: Frame) throws -> Sluice_CallHeader {
        try Sluice_CallHeader(serializedBytes: call.header.array)
    }
}

final class FakeGateway: Sendable {
    private let server: any Channel
    private let connections: AsyncStream<FakeConnection>
    let port: Int
    /// How many connections have been accepted.
    let accepted: Mutex<Int>

    /// - Parameter responder: answers frames on the event loop; a frame it returns nil for is the test's.
    static func start(
        protocols: [String] = ["sluice/1"], port: Int = 0, requiresClientCertificate: Bool = false,
        responder: (@Sendable (Frame) -> [Frame]?)? = nil
    ) async throws -> FakeGateway {
        let files = try TestCertificate.files.get()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(files.certificate)
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem)))
        tls.applicationProtocols = protocols
        if requiresClientCertificate {
            tls.certificateVerification = .noHostnameVerification
            tls.trustRoots = .file(files.certificate)
        }
        let context = try NIOSSLContext(configuration: tls)
        let (connections, arrivals) = AsyncStream.makeStream(of: FakeConnection.self)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (frames, arriving) = AsyncStream.makeStream(of: Frame.self)
                    let handler = FakeHandler(arriving, responder) {
                        arrivals.yield(FakeConnection(channel, frames))
                    }
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLServerHandler(context: context), handler)
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        return FakeGateway(server, connections)
    }

    private init(_ server: any Channel, _ connections: AsyncStream<FakeConnection>) {
        self.server = server
        self.connections = connections
        port = server.localAddress?.port ?? 0
        accepted = Mutex(0)
    }

    /// The next connection whose first bytes have come.
    func accept() async throws -> FakeConnection {
        let connection = try await within("a connection") {
            for await connection in self.connections { return connection }
            throw TestTimeout(description: "no connection")
        }
        accepted.withLock { $0 += 1 }
        return connection
    }

    func stop() async throws { try await server.close() }

    /// A client of this gateway; pauses are short.
    func client(
        _ configure: (inout SluiceClient.Configuration) -> Void = { _ in }
    ) throws -> SluiceClient {
        var configuration = SluiceClient.Configuration(
            security: .tls(
                .init(trust: .file(try TestCertificate.files.get().certificate))))
        configuration.retry.backoff = .init(base: .milliseconds(2), maximum: .milliseconds(20))
        configuration.reconnect = .init(base: .milliseconds(2), maximum: .milliseconds(20))
        configuration.callTimeout = .seconds(20)
        configure(&configuration)
        return try SluiceClient(
            endpoint: .hostPort("localhost", port), configuration: configuration)
    }
}

private final class FakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var decoder = FrameDecoder(
        .server, limits: WireLimits(frameBytes: 16 << 20, headerBytes: 65_535))
    private let frames: AsyncStream<Frame>.Continuation
    private let responder: (@Sendable (Frame) -> [Frame]?)?
    private let announce: () -> Void
    private var isAnnounced = false

    init(
        _ frames: AsyncStream<Frame>.Continuation, _ responder: (@Sendable (Frame) -> [Frame]?)?,
        _ announce: @escaping () -> Void
    ) {
        self.frames = frames
        self.responder = responder
        self.announce = announce
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isAnnounced {
            isAnnounced = true
            announce()
        }
        decoder.append(unwrapInboundIn(data))
        do {
            while let frame = try decoder.next() {
                guard let answers = responder?(frame) else {
                    frames.yield(frame)
                    continue
                }
                var bytes = context.channel.allocator.buffer(capacity: 256)
                for answer in answers { bytes.writeFrame(answer) }
                context.write(wrapOutboundOut(bytes), promise: nil)
            }
        } catch {
            Issue.record("the client broke the protocol: \(error)")
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func channelInactive(context: ChannelHandlerContext) {
        frames.finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
