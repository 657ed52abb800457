// The bridge's routes on a connection without a network, before a walk that the test plays.

import Compression
import Contract
import JSONDoor
import Logging
import NIOCore
import NIOEmbedded
import Testing

/// One connection of a front with the bridge's routes. The token `good` is known.
final class BridgeBench {
    let channel: EmbeddedChannel
    let desk: Desk
    /// What was to be done on another thread.
    let threads = Threads()

    /// - Parameter walk: answers calls; the default answers nothing.
    init(
        limits: Limits = Limits(), guide: (any ModelGuide)? = nil,
        walk: @escaping (Call) -> Result<Answer, CallFailure>? = { _ in nil }
    ) throws {
        channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        desk = Desk(walk)
        let front = HTTPFront(
            routes: RouteTable(
                BridgeRoutes.all(limits: limits, guide: guide), hidesUnknown: true),
            limits: HTTPLimits(), desk: desk, aside: Aside { [threads] in threads.take($0) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try front.open(on: channel, peer: Peer(address: "10.0.0.1"), connection: "c")
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// Sends a request with the token and returns its answer, when there is one by then.
    func send(
        _ method: String, _ path: String, _ body: ByteBuffer? = nil, fields: String = "",
        token: String? = "good", turns: Bool = true
    ) throws -> Reply? {
        var request = ByteBuffer(
            string: "\(method) \(path) HTTP/1.1\r\nHost: gw\r\n"
                + (token.map { "Authorization: Bearer \($0)\r\n" } ?? "") + fields
                + (body.map { "Content-Length: \($0.readableBytes)\r\n" } ?? "") + "\r\n")
        if let body { request.writeImmutableBuffer(body) }
        try channel.writeInbound(request)
        if turns { turn() }
        return try received()
    }

    func post(
        _ path: String, _ body: String = "{}", fields: String = ""
    ) throws -> Reply? {
        try send("POST", path, ByteBuffer(string: body), fields: fields)
    }

    /// All that is to be done, here and on other threads.
    func turn() {
        repeat { channel.embeddedEventLoop.run() } while threads.work()
    }

    /// The caller goes.
    func leave() {
        channel.close(promise: nil)
        turn()
    }

    func received() throws -> Reply? {
        var bytes = ByteBuffer()
        while let part = try channel.readOutbound(as: ByteBuffer.self) {
            bytes.writeImmutableBuffer(part)
        }
        return bytes.readableBytes == 0 ? nil : try Reply(bytes)
    }

    final class Threads: @unchecked Sendable {
        // Safe: used on the one thread of an embedded event loop.
        private var waiting: [@Sendable (Bool) -> Void] = []
        private(set) var count = 0

        func take(_ work: @escaping @Sendable (Bool) -> Void) {
            waiting.append(work)
            count += 1
        }

        /// False: nothing waited.
        func work() -> Bool {
            let now = waiting
            waiting = []
            for work in now { work(true) }
            return !now.isEmpty
        }
    }

    struct Reply {
        var status: Int
        var head: String
        var body: ByteBuffer
        var text: String { String(buffer: body) }

        init(_ bytes: ByteBuffer) throws {
            let view = bytes.readableBytesView
            let end = try #require(view.firstRange(of: Array("\r\n\r\n".utf8)))
            head = String(decoding: view[..<end.lowerBound], as: UTF8.self) + "\r\n"
            status = Int(head.dropFirst(9).prefix(3)) ?? 0
            body = ByteBuffer(view[end.upperBound...])
            #expect(field("content-length") == String(body.readableBytes))
        }

        func field(_ name: String) -> String? {
            for line in head.split(separator: "\r\n") {
                let parts = line.split(separator: ": ", maxSplits: 1)
                if parts.count == 2, parts[0].lowercased() == name { return String(parts[1]) }
            }
            return nil
        }
    }

    final class Desk: FrontDesk, @unchecked Sendable {
        // Safe: used on the one thread of an embedded event loop.
        let walk: (Call) -> Result<Answer, CallFailure>?
        var calls: [Call] = []
        var exchanges: [any Exchange] = []
        var allowance: Allowance?
        var timing = Timing()
        var cancelled = 0
        var turns = 0

        init(_ walk: @escaping (Call) -> Result<Answer, CallFailure>?) { self.walk = walk }

        func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
            Session(self)
        }
    }

    final class Session: CallerSession, CallHandle {
        let desk: Desk
        init(_ desk: Desk) { self.desk = desk }

        func authenticate(
            _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
        ) {
            done(
                token?.matches(Secret("good")) ?? false
                    ? .success(nil)
                    : .failure(CallFailure(.unauthenticated, .tokenInactive, "not active")))
        }

        func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
            desk.calls.append(call)
            if let allowance = desk.allowance { exchange.allow(allowance) }
            if let result = desk.walk(call) {
                exchange.finish(result, timing: desk.timing, workContinues: false)
                return nil
            }
            desk.exchanges.append(exchange)
            return self
        }

        func cancel() { desk.cancelled += 1 }
        func turnEnded() { desk.turns += 1 }
        func close() {}
    }
}

enum Packed {
    static func deflated(_ body: ByteBuffer, _ coding: ContentCoding) throws -> ByteBuffer {
        var deflater = try Deflater(coding)
        var output = ByteBuffer()
        deflater.add(body, into: &output)
        deflater.finish(into: &output)
        return output
    }

    static func inflated(_ body: ByteBuffer, _ coding: ContentCoding) throws -> ByteBuffer {
        var inflater = try Inflater(coding, bytesMax: 64 << 20)
        var (input, output) = (body, ByteBuffer())
        while try inflater.inflate(&input, into: &output, atMost: 1 << 20) == .more {}
        return output
    }
}
