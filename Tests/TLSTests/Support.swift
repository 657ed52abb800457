// What the tests share: files of certificates, a handler that writes down what it sees, and a server in memory
// joined to a client.

import Foundation
import NIOCore
import NIOEmbedded
import TLS
import Testing

/// Runs a command and gives its status and output (both streams).
@discardableResult
func shell(_ arguments: [String], input: String? = nil) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    let feed = Pipe()
    process.standardInput = feed
    try process.run()
    if let input { try feed.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
    try feed.fileHandleForWriting.close()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
}

/// A folder of its own for one test, removed at the end.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "sluice-tls-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("the folder \(path) stays: \(error)")
        }
    }
}

/// Certificates made once for all tests.
struct Fixtures: Sendable {
    static let shared = Result { try Fixtures() }

    let folder: String
    let certificate: String
    let key: String

    private init() throws {
        folder = NSTemporaryDirectory() + "sluice-tls-fixtures-\(getpid())"
        let files = try SelfSignedCertificate.ensure(folder: folder)
        certificate = files.certificate
        key = files.key
        try makeAuthority("authority")
        try makeAuthority("stranger")
        try makeClient("client", by: "authority")
        try makeClient("intruder", by: "stranger")
        try makeSelfSigned("other", name: "other.example")
    }

    private func makeSelfSigned(_ file: String, name: String) throws {
        let made = try shell([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-keyout", path("\(file).key"),
            "-out", path("\(file).pem"),
        ])
        try #require(made.status == 0, "\(made.output)")
    }

    private func makeAuthority(_ name: String) throws { try makeSelfSigned(name, name: name) }

    private func makeClient(_ name: String, by authority: String) throws {
        try shell([
            "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
        ])
        let made = try shell([
            "openssl", "x509", "-req", "-in", path("\(name).csr"), "-CA", path("\(authority).pem"),
            "-CAkey", path("\(authority).key"), "-CAcreateserial", "-days", "2", "-out",
            path("\(name).pem"),
        ])
        try #require(made.status == 0, "\(made.output)")
    }

    func path(_ file: String) -> String { folder + "/" + file }

    static func settings(
        _ protocols: [String] = ["sluice/1", "http/1.1"]
    ) throws -> TLSServerSettings {
        let fixtures = try shared.get()
        return TLSServerSettings(
            certificateFile: fixtures.certificate, keyFile: fixtures.key,
            applicationProtocols: protocols)
    }
}

/// The end of a pipeline: writes down everything that reaches it.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var log: [String] = []
    var bytes: [UInt8] = []
    var buffers: [ByteBuffer] = []
    var errors: [TLSError] = []
    var completed: TLSHandshakeCompleted?
    /// Keeps the buffers themselves, to see that they are not overwritten.
    var keepsBuffers = false
    var onCompleted: ((ChannelHandlerContext) -> Void)?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        log.append("read \(buffer.readableBytes)")
        bytes.append(contentsOf: buffer.readableBytesView)
        if keepsBuffers { buffers.append(buffer) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSHandshakeCompleted:
            log.append("completed")
            completed = event
            onCompleted?(context)
        case ChannelEvent.inputClosed: log.append("inputClosed")
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? TLSError else {
            log.append("other \(error)")
            return
        }
        log.append("error \(error.code)")
        errors.append(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        log.append("inactive")
        context.fireChannelInactive()
    }
}

/// Stands before the TLS handler and counts what it asks of the socket.
final class SocketWatch: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var reads = 0
    var writes: [Int] = []
    var flushes = 0
    /// Called once, from within the next write: as a channel that stops being writable calls the pipeline.
    var onWrite: (() -> Void)?

    func read(context: ChannelHandlerContext) {
        reads += 1
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        writes.append(unwrapOutboundIn(data).readableBytes)
        context.write(data, promise: promise)
        let call = onWrite
        onWrite = nil
        call?()
    }

    func flush(context: ChannelHandlerContext) {
        flushes += 1
        context.flush()
    }
}

/// A server's handler in an embedded channel, joined to a client over memory.
final class Pair {
    let channel: EmbeddedChannel
    let recorder = Recorder()
    let watch = SocketWatch()
    let client: TLSClient

    init(
        _ options: ClientOptions = ClientOptions(), context: TLSServerContext? = nil,
        settings: TLSConnectionSettings = TLSConnectionSettings()
    ) throws {
        let context = try context ?? TLSServerContext(Fixtures.settings())
        client = try TLSClient(options)
        channel = EmbeddedChannel()
        let sync = channel.pipeline.syncOperations
        try sync.addHandlers([
            watch, try TLSServerHandler(context: context, settings: settings), recorder,
        ])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    var keepChannel = false
    deinit { if !keepChannel { _ = try? channel.finish(acceptAlreadyClosed: true) } }

    func toServer(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, channel.isActive else { return }
        do {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
        } catch {
            Issue.record("the pipeline let an error through: \(error)")
        }
    }

    /// What the server sent since the last time.
    func fromServer() throws -> [UInt8] {
        var all: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            all.append(contentsOf: buffer.readableBytesView)
        }
        return all
    }

    /// Carries bytes both ways until there are none.
    func shuttle() throws {
        while true {
            let out = client.take()
            toServer(out)
            let back = try fromServer()
            client.receive(back)
            if out.isEmpty && back.isEmpty { return }
        }
    }

    /// Runs the handshake to its end on both sides.
    func handshake() throws {
        while true {
            let done = try client.handshake()
            try shuttle()
            if done { break }
        }
        // Takes the session tickets in.
        _ = try client.read()
    }

    /// Runs a handshake that the client is expected to see fail, and gives its reason.
    func failingHandshake() -> ClientFailure? {
        do {
            for _ in 0..<10 {
                let done = try client.handshake()
                try shuttle()
                if done { _ = try client.read() }
            }
        } catch { return error as? ClientFailure }
        return nil
    }

    @discardableResult
    func write(_ bytes: [UInt8], flush: Bool = true) -> EventLoopFuture<Void> {
        let buffer = ByteBuffer(bytes: bytes)
        return flush ? channel.writeAndFlush(buffer) : channel.write(buffer)
    }

    /// What the client reads of what the server has sent.
    func read() throws -> [UInt8] {
        client.receive(try fromServer())
        return try client.read()
    }
}

/// Bytes that differ from place to place.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SplitMix(seed: seed)
    var bytes = [UInt8](repeating: 0, count: count)
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: generator.next()) }
    return bytes
}

/// A small seeded generator (SplitMix64), so that a failing walk can be walked again.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
