// A small object store in process that can do what real ones should not: objects from a dictionary, and a list of mischiefs
// for the questions to come. It checks no signature: the real store (EndToEndTests) does.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// How a question is answered, instead of rightly.
enum Mischief: Sendable {
    case status(Int, code: String)
    /// All of the object, with 200, whatever part was asked for.
    case whole
    /// Nothing at all.
    case silence
    /// So many bytes of the body, then nothing.
    case hangAfter(Int)
    /// So many bytes of the body, then the connection ends.
    case cutAfter(Int)
    /// The right length, other bytes.
    case otherBytes
    /// Another object of another length.
    case longer
    /// The right part, under another ETag.
    case otherTag
}

struct StoreQuestion: Sendable, Equatable {
    var method: String
    var uri: String
    var headers: [String: String]
    var key: String
    var range: Range<Int>?
}

final class FakeStore: Sendable {
    private struct State {
        var objects: [String: [UInt8]] = [:]
        var questions: [StoreQuestion] = []
        /// For the next GETs of objects, in order.
        var once: [Mischief] = []
        /// For all that come after those; keys that end with the text.
        var always: [(suffix: String, mischief: Mischief)] = []
        var pageKeys = 1_000
        var channel: (any Channel)?
    }

    private let state = Mutex(State())
    static let bucket = "models"

    static func start() async throws -> FakeStore {
        let store = FakeStore()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(FakeStoreHandler(store))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        store.state.withLock { $0.channel = channel }
        return store
    }

    func stop() async throws { try await state.withLock { $0.channel }?.close() }

    var endpoint: String {
        "http://127.0.0.1:\(state.withLock { $0.channel?.localAddress?.port ?? 0 })"
    }
    var questions: [StoreQuestion] { state.withLock { $0.questions } }
    func asked(_ suffix: String) -> [StoreQuestion] {
        questions.filter { $0.method == "GET" && $0.key.hasSuffix(suffix) }
    }
    func forget() { state.withLock { $0.questions = [] } }
    func put(_ key: String, _ bytes: [UInt8]) { state.withLock { $0.objects[key] = bytes } }
    func remove(_ key: String) { state.withLock { $0.objects[key] = nil } }
    func object(_ key: String) -> [UInt8]? { state.withLock { $0.objects[key] } }
    func pages(of count: Int) { state.withLock { $0.pageKeys = count } }

    /// - Parameters:
    ///   - once: for the next GETs of objects whose key ends with `suffix`.
    ///   - always: for the rest; nil answers rightly.
    func misbehave(
        once: [Mischief] = [], always: Mischief? = nil, for suffix: String = "model.onnx"
    ) {
        state.withLock {
            $0.once = once
            $0.always = always.map { [(suffix, $0)] } ?? []
        }
    }

    /// What is done about a question; `listing` for those about the bucket.
    fileprivate func take(
        _ question: StoreQuestion, _ body: [UInt8]
    ) -> (mischief: Mischief?, object: [UInt8]?) {
        state.withLock { state in
            state.questions.append(question)
            if question.method == "PUT" { state.objects[question.key] = body }
            let object = state.objects[question.key]
            if question.method == "DELETE" { state.objects[question.key] = nil }
            if question.key.isEmpty {
                return (state.always.first { $0.suffix.isEmpty }?.mischief, nil)
            }
            if !state.once.isEmpty, question.key.hasSuffix("model.onnx") {
                return (state.once.removeFirst(), object)
            }
            let always = state.always.first {
                !$0.suffix.isEmpty && question.key.hasSuffix($0.suffix)
            }
            return (always?.mischief, object)
        }
    }

    fileprivate func listing(prefix: String, after: String) -> String {
        state.withLock { state in
            let keys = state.objects.keys.filter { $0.hasPrefix(prefix) && $0 > after }.sorted()
            let page = keys.prefix(state.pageKeys)
            var text = "<?xml version=\"1.0\"?><ListBucketResult>"
            for key in page {
                let bytes = state.objects[key] ?? []
                text +=
                    "<Contents><Key>\(key)</Key><ETag>\(FakeStore.tag(bytes))</ETag>"
                    + "<Size>\(bytes.count)</Size></Contents>"
            }
            if let last = page.last, keys.count > page.count {
                text +=
                    "<IsTruncated>true</IsTruncated><NextContinuationToken>\(last)"
                    + "</NextContinuationToken>"
            }
            return text + "</ListBucketResult>"
        }
    }

    static func tag(_ bytes: [UInt8]) -> String {
        let hash = bytes.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        return "\"\(String(hash, radix: 16))-\(bytes.count)\""
    }
}

private final class FakeStoreHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let store: FakeStore
    private var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
    private var body: [UInt8] = []

    init(_ store: FakeStore) { self.store = store }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let part): body += part.readableBytesView
        case .end: answer(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The client hung up in the middle, as it may.
        context.close(promise: nil)
    }

    private func answer(_ context: ChannelHandlerContext) {
        let question = question()
        let (mischief, object) = store.take(question, body)
        if case .status(let status, let code)? = mischief {
            return send(context, status, "<Error><Code>\(code)</Code></Error>")
        }
        if case .silence? = mischief { return }
        if question.key.isEmpty { return list(context) }
        if question.method != "GET" { return send(context, 200, "") }
        guard let object else {
            return send(context, 404, "<Error><Code>NoSuchKey</Code></Error>")
        }
        if let wanted = question.headers["if-match"], wanted != FakeStore.tag(object) {
            return send(context, 412, "<Error><Code>PreconditionFailed</Code></Error>")
        }
        send(context, object, question.range, mischief)
    }

    private func question() -> StoreQuestion {
        var headers: [String: String] = [:]
        for (name, value) in head.headers { headers[name.lowercased()] = value }
        let path = head.uri.split(separator: "?", maxSplits: 1).first.map { String($0) } ?? ""
        var range: Range<Int>?
        if let text = headers["range"]?.dropFirst("bytes=".count) {
            let ends = text.split(separator: "-").compactMap { Int($0) }
            if ends.count == 2 { range = ends[0]..<(ends[1] + 1) }
        }
        let key = path.dropFirst("/\(FakeStore.bucket)/".count)
        return StoreQuestion(
            method: head.method.rawValue, uri: head.uri, headers: headers,
            key: String(key.replacing("%20", with: " ")), range: range)
    }

    private func list(_ context: ChannelHandlerContext) {
        var values: [String: String] = [:]
        for pair in head.uri.split(separator: "?").last?.split(separator: "&") ?? [] {
            let halves = pair.split(separator: "=", omittingEmptySubsequences: false)
            values[String(halves[0])] = String((halves.last ?? "").replacing("%2F", with: "/"))
        }
        send(
            context, 200,
            store.listing(
                prefix: values["prefix"] ?? "", after: values["continuation-token"] ?? ""))
    }

    private func send(_ context: ChannelHandlerContext, _ status: Int, _ text: String) {
        let fields = HTTPHeaders([("Content-Length", "\(text.utf8.count)")])
        write(context, status, fields)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func send(
        _ context: ChannelHandlerContext, _ object: [UInt8], _ asked: Range<Int>?,
        _ mischief: Mischief?
    ) {
        var (object, range, tag) = (object, asked, FakeStore.tag(object))
        switch mischief {
        case .whole: range = nil
        case .otherBytes: object = object.map { $0 ^ 1 }
        case .longer: object += [1]
        case .otherTag: tag = "\"other\""
        default: break
        }
        let part = range.map { Array(object[$0.clamped(to: 0..<object.count)]) } ?? object
        var fields = HTTPHeaders([("Content-Length", "\(part.count)"), ("ETag", tag)])
        if let range {
            fields.add(
                name: "Content-Range",
                value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(object.count)")
        }
        write(context, range == nil ? 200 : 206, fields)
        var sent = part
        switch mischief {
        case .hangAfter(let count), .cutAfter(let count): sent = Array(part.prefix(count))
        default: break
        }
        let bytes = ByteBuffer(bytes: sent)
        switch mischief {
        case .hangAfter:
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        case .cutAfter:
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes)))).whenComplete { _ in
                channel.close(promise: nil)
            }
        default:
            context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    private func write(_ context: ChannelHandlerContext, _ status: Int, _ fields: HTTPHeaders) {
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }
}
