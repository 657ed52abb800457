// HTTP over real TLS, request by request, with bodies of any bytes: what the bridge's tests call a gateway with.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// What came back.
struct HTTPReply: Sendable {
    var status: Int
    /// Names in lower case.
    var fields: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func json() throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
        else { throw TestTrouble("no object: \(text)") }
        return object
    }

    /// The JSON before binary tensors, and their bytes.
    func split() throws -> (json: [String: Any], tensors: [UInt8]) {
        guard let length = fields["inference-header-content-length"].flatMap({ Int($0) }),
            length <= body.count
        else { throw TestTrouble("no length of the JSON: \(fields)") }
        var head = self
        head.body = Array(body[..<length])
        return (try head.json(), Array(body[length...]))
    }
}

/// One connection that is kept alive; a new one is opened when the gateway has closed it.
final class HTTPCaller {
    private let gateway: TestGateway
    var token: String?
    private let tls: NIOSSLContext
    private var connection: (channel: any Channel, inbox: Inbox)?

    private final class Inbox: Sendable {
        private let state = Mutex((bytes: ByteBuffer(), isClosed: false))
        var isClosed: Bool { state.withLock { $0.isClosed } }
        func add(_ bytes: ByteBuffer) {
            state.withLock { _ = $0.bytes.writeImmutableBuffer(bytes) }
        }
        func close() { state.withLock { $0.isClosed = true } }

        /// The next whole answer. Interim ones are passed over.
        func take(isHead: Bool) throws -> HTTPReply? {
            try state.withLock { state in
                while true {
                    let view = state.bytes.readableBytesView
                    guard let end = view.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
                    let head = String(decoding: view[..<end.lowerBound], as: UTF8.self)
                    let lines = head.components(separatedBy: "\r\n")
                    guard let status = Int(lines[0].dropFirst(9).prefix(3)) else {
                        throw TestTrouble("no answer: \(head)")
                    }
                    let size = end.upperBound - view.startIndex
                    guard status >= 200 else {
                        state.bytes.moveReaderIndex(forwardBy: size)
                        continue
                    }
                    var fields: [String: String] = [:]
                    for line in lines.dropFirst() {
                        let parts = line.split(separator: ":", maxSplits: 1)
                        guard parts.count == 2 else { throw TestTrouble("no field: \(line)") }
                        fields[parts[0].lowercased()] = parts[1].trimmingCharacters(
                            in: .whitespaces)
                    }
                    let length = isHead ? 0 : Int(fields["content-length"] ?? "") ?? 0
                    guard state.bytes.readableBytes >= size + length else { return nil }
                    state.bytes.moveReaderIndex(forwardBy: size)
                    return HTTPReply(
                        status: status, fields: fields,
                        body: state.bytes.readBytes(length: length) ?? [])
                }
            }
        }
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let inbox: Inbox

        init(_ inbox: Inbox) { self.inbox = inbox }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            inbox.add(unwrapInboundIn(data))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { inbox.close() }
    }

    /// - Parameter token: sent with every request; nil: none.
    init(_ gateway: TestGateway, token: String?) throws {
        self.gateway = gateway
        self.token = token
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(gateway.ca))
        tls.applicationProtocols = ["http/1.1"]
        self.tls = try NIOSSLContext(configuration: tls)
    }

    private func open() async throws -> (channel: any Channel, inbox: Inbox) {
        if let connection, !connection.inbox.isClosed { return connection }
        let inbox = Inbox()
        let tls = tls
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        NIOSSLClientHandler(context: tls, serverHostname: "localhost"),
                        Reader(inbox),
                    ])
                }
            }
            .connect(host: gateway.host, port: gateway.port).get()
        connection = (channel, inbox)
        return (channel, inbox)
    }

    func get(_ path: String, _ fields: [String: String] = [:]) async throws -> HTTPReply {
        try await send("GET", path, nil, fields)
    }

    func post(
        _ path: String, _ body: String = "{}", _ fields: [String: String] = [:]
    ) async throws -> HTTPReply {
        try await send("POST", path, Array(body.utf8), fields)
    }

    /// Sends a request and waits for its answer.
    ///
    /// - Parameter length: said to be the body's; nil: what it is.
    func send(
        _ method: String, _ path: String, _ body: [UInt8]?, _ fields: [String: String] = [:],
        length: Int? = nil, within seconds: Double = 20
    ) async throws -> HTTPReply {
        let (channel, inbox) = try await open()
        var head = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(length ?? body.count)\r\n" }
        var bytes = ByteBuffer(string: head + "\r\n")
        if let body { bytes.writeBytes(body) }
        // Not awaited: a gateway that has heard enough answers and closes before it has taken all of it.
        channel.writeAndFlush(bytes, promise: nil)
        var reply: HTTPReply?
        try await eventually(within: seconds, "an answer to \(method) \(path)") {
            reply = try inbox.take(isHead: method == "HEAD")
            if reply == nil, inbox.isClosed {
                throw TestTrouble("closed without an answer to \(method) \(path)")
            }
            return reply != nil
        }
        guard let reply else { throw TestTrouble("no answer") }
        if reply.fields["connection"] == "close" {
            connection = nil
            channel.close(promise: nil)
        }
        return reply
    }

    func close() {
        connection?.channel.close(promise: nil)
        connection = nil
    }
}

/// A caller with a token that may do everything an inference client does, and its end.
func withCaller<Outcome>(
    _ gateway: TestGateway, scope: String = "infer:* models:read models:write",
    _ body: (HTTPCaller) async throws -> Outcome
) async throws -> Outcome {
    let caller = try HTTPCaller(gateway, token: try await gateway.token(scope: scope))
    defer { caller.close() }
    return try await body(caller)
}
