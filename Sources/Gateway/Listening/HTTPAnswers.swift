// The smallest HTTP server the house needs: a fixed answer for each request, nothing read but the head. The
// admin port answers probes with it, and until the JSON bridge exists the callers' port answers 404.

import NIOCore
import NIOHTTP1

/// What one request is answered with.
struct HTTPAnswer: Sendable {
    var status: HTTPResponseStatus
    var contentType = "text/plain; charset=utf-8"
    var headers: [(String, String)] = []
    var body: String

    /// An error as the Open Inference Protocol shows it: `{"error": ...}` (OIP 1.1).
    static func error(_ status: HTTPResponseStatus, _ message: StaticString) -> HTTPAnswer {
        HTTPAnswer(
            status: status, contentType: "application/json", body: "{\"error\":\"\(message)\"}\n")
    }
}

/// Answers each request from its head alone; a body is read and dropped.
final class HTTPAnswers: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: (HTTPRequestHead) -> HTTPAnswer
    private var head: HTTPRequestHead?

    init(answer: @escaping (HTTPRequestHead) -> HTTPAnswer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            write(answer(head), for: head, context: context)
        }
    }

    private func write(
        _ answer: HTTPAnswer, for request: HTTPRequestHead, context: ChannelHandlerContext
    ) {
        let body = ByteBuffer(string: answer.body)
        var head = HTTPResponseHead(version: request.version, status: answer.status)
        head.headers.add(name: "content-type", value: answer.contentType)
        head.headers.add(name: "content-length", value: String(body.readableBytes))
        head.headers.add(name: "x-content-type-options", value: "nosniff")
        head.headers.add(name: "cache-control", value: "no-store")
        for (name, value) in answer.headers { head.headers.add(name: name, value: value) }
        if !request.isKeepAlive { head.headers.add(name: "connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        if request.isKeepAlive {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        } else {
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
                channel.close(promise: nil)
            }
        }
    }

    /// The parser has answered a malformed request already; the connection is of no more use.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension ChannelPipeline.SynchronousOperations {
    /// Speaks HTTP/1.1 on this channel and answers by `answer`.
    func addHTTPAnswers(_ answer: @escaping (HTTPRequestHead) -> HTTPAnswer) throws {
        try configureHTTPServerPipeline(
            withPipeliningAssistance: true, withErrorHandling: true)
        try addHandler(HTTPAnswers(answer: answer))
    }
}
