// An HTTP server on loopback that answers introspections wrongly in every way we know, and remembers what it was
// asked.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// How a question is answered.
enum Fault: Sendable {
    case answer(
        status: Int = 200, type: String? = "application/json", body: String,
        headers: [(String, String)] = [])
    /// An answer of that many bytes, in chunks without a length.
    case endless(bytes: Int)
    /// Nothing at all.
    case silence
    /// The head at once, the body never.
    case headThenSilence
    /// The connection is closed without an answer.
    case hangUp
    /// These bytes, which are no HTTP.
    case garbage(String)
}

struct Question: Sendable, Equatable {
    var method: String
    var path: String
    var headers: [String: String]
    var body: String
}

final class FaultyServer: Sendable {
    private struct State {
        var fault: Fault
        /// Faults for the next questions, before `fault` counts.
        var once: [Fault] = []
        /// Faults of paths of their own.
        var paths: [String: Fault] = [:]
        var questions: [Question] = []
        var connections = 0
        var channel: (any Channel)?
    }

    private let state: Mutex<State>

    private init(_ fault: Fault) { state = Mutex(State(fault: fault)) }

    static func start(_ fault: Fault) async throws -> FaultyServer {
        let server = FaultyServer(fault)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                server.state.withLock { $0.connections += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(FaultyHandler(server))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        server.state.withLock { $0.channel = channel }
        return server
    }

    var base: String {
        "http://127.0.0.1:\(state.withLock { $0.channel?.localAddress?.port ?? 0 })"
    }
    var url: String { base + "/introspect" }
    var questions: [Question] { state.withLock { $0.questions } }
    var connections: Int { state.withLock { $0.connections } }

    func answer(_ fault: Fault, once: [Fault] = []) {
        state.withLock {
            $0.fault = fault
            $0.once = once
        }
    }

    func answer(_ path: String, _ fault: Fault) { state.withLock { $0.paths[path] = fault } }

    /// How often a path was asked for.
    func count(_ path: String) -> Int { questions.count { $0.path == path } }

    func stop() async throws { try await state.withLock { $0.channel }?.close() }

    func take(_ question: Question) -> Fault {
        state.withLock { state in
            state.questions.append(question)
            if let fault = state.paths[question.path] { return fault }
            return state.once.isEmpty ? state.fault : state.once.removeFirst()
        }
    }
}

private final class FaultyHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let server: FaultyServer
    private var question = Question(method: "", path: "", headers: [:], body: "")

    init(_ server: FaultyServer) { self.server = server }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            question = Question(
                method: head.method.rawValue, path: head.uri, headers: [:], body: "")
            for (name, value) in head.headers { question.headers[name.lowercased()] = value }
        case .body(let part): question.body += String(buffer: part)
        case .end: answer(server.take(question), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The client hung up in the middle of a bad answer, as it should.
        context.close(promise: nil)
    }

    private func answer(_ fault: Fault, _ context: ChannelHandlerContext) {
        switch fault {
        case .silence: break
        case .hangUp: context.close(promise: nil)
        case .garbage(let text):
            let head = context.pipeline.syncOperations
            if let first = try? head.context(handlerType: HTTPResponseEncoder.self) {
                first.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
            }
        case .headThenSilence:
            head(context, 200, "application/json", [("Content-Length", "100")])
            context.flush()
        case .endless(let bytes):
            head(context, 200, "application/json", [])
            let part = ByteBuffer(repeating: UInt8(ascii: " "), count: 16_384)
            for _ in 0..<bytes / 16_384 {
                context.write(wrapOutboundOut(.body(.byteBuffer(part))), promise: nil)
            }
            let text = ByteBuffer(string: #"{"active":true}"#)
            context.write(wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        case .answer(let status, let type, let body, let headers):
            head(context, status, type, headers + [("Content-Length", "\(body.utf8.count)")])
            let buffer = ByteBuffer(string: body)
            context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    private func head(
        _ context: ChannelHandlerContext, _ status: Int, _ type: String?,
        _ headers: [(String, String)]
    ) {
        var fields = HTTPHeaders(headers)
        if let type { fields.add(name: "Content-Type", value: type) }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }
}
