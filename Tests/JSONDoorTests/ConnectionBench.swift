// A connection without a network: bytes in, bytes out, time that stands still until it is moved.

import Contract
import JSONDoor
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

/// One connection of a front with a few routes.
final class ConnectionBench {
    let channel: EmbeddedChannel
    let desk = FakeDesk()
    let slow = SlowResource()

    /// `/hello` GET, `/echo` POST up to 100 bytes of JSON, `/slow` GET and POST, `/models/{m}/ready` GET, `/secret` GET with a
    /// token.
    init(
        limits: HTTPLimits = HTTPLimits(), serverName: String = "", hidesUnknown: Bool = false,
        origins: [String] = [], isStrict: Bool = false, observer: (any HTTPObserver)? = nil,
        more: [Route] = []
    ) throws {
        channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let echo = Echo()
        let routes = [
            Route(.GET, "/hello", resource: ReadyAnswer { _ in ConnectionBench.text("hello") }),
            Route(
                .POST, "/echo", bodyBytesMax: 100, mediaTypes: ["application/json"], resource: echo),
            Route(.GET, "/slow", resource: slow),
            Route(.POST, "/slow", bodyBytesMax: 10, resource: slow),
            Route(
                .GET, "/models/{m}/ready",
                resource: ReadyAnswer { ConnectionBench.text($0.captures["m"] ?? "") }),
            Route(
                .GET, "/secret", access: .token,
                resource: ReadyAnswer { _ in ConnectionBench.text("known") }),
            Route(
                .POST, "/secret/{m}", access: .token, bodyBytesMax: 1 << 20, resource: Objecting(),
                needsBody: true),
        ]
        let front = HTTPFront(
            routes: RouteTable(routes + more, hidesUnknown: hidesUnknown), limits: limits,
            desk: desk,
            origins: CrossOrigin(origins: origins), isStrict: isStrict, observer: observer,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try front.open(
            on: channel, peer: Peer(address: "10.0.0.1", serverName: serverName), connection: "c")
    }

    static func text(_ text: String) -> HTTPAnswer {
        HTTPAnswer(status: .ok, contentType: HTTPAnswer.text, text: text)
    }

    var isOpen: Bool { channel.isActive }

    /// Sends the text and returns what has come back by then.
    @discardableResult
    func send(_ text: String) throws -> String {
        _ = try? channel.writeInbound(ByteBuffer(string: text))
        channel.embeddedEventLoop.run()
        return try received()
    }

    func received() throws -> String {
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
            text += String(buffer: bytes)
        }
        return text
    }

    func advance(_ time: TimeAmount) throws -> String {
        channel.embeddedEventLoop.advanceTime(by: time)
        return try received()
    }

    func tell(_ command: DoorCommand) {
        channel.triggerUserOutboundEvent(command, promise: nil)
        channel.embeddedEventLoop.run()
    }

    /// The caller reads, or stops reading.
    func setWritable(_ isWritable: Bool) throws -> String {
        channel.isWritable = isWritable
        channel.pipeline.fireChannelWritabilityChanged()
        channel.embeddedEventLoop.run()
        return try received()
    }

    func end() { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

/// Answers with the body.
struct Echo: HTTPResource {
    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchange.finish(HTTPAnswer(status: .ok, body: request.body))
        return nil
    }
}

/// Asks the session before the body; answers with the body's length.
struct Objecting: HTTPResource {
    func judge(
        _ request: HTTPRequest, by session: (any CallerSession)?, now: Instant
    ) -> HTTPAnswer? {
        guard request.mayBeLarge else { return nil }
        return session?.objection(to: .infer, model: request.captures["m"] ?? "", version: "")
            .map(HTTPAnswer.failure)
    }

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchange.finish(ConnectionBench.text("\(request.body.readableBytes)"))
        return nil
    }
}

/// Answers when the test wants it.
final class SlowResource: HTTPResource, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    final class Handle: CallHandle {
        var isCancelled = false
        func cancel() { isCancelled = true }
    }

    var exchanges: [HTTPExchange] = []
    var handles: [Handle] = []

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchanges.append(exchange)
        let handle = Handle()
        handles.append(handle)
        return handle
    }

    func answer(_ text: String) {
        exchanges.removeFirst().finish(ConnectionBench.text(text))
    }
}

/// Knows the token `good`; answers at once, or when the test wants it.
final class FakeDesk: FrontDesk, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    final class Session: CallerSession {
        let desk: FakeDesk
        init(_ desk: FakeDesk) { self.desk = desk }

        func authenticate(
            _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
        ) {
            desk.shown += 1
            let isGood = token?.matches(Secret("good")) ?? false
            let verdict: Result<Nanoseconds?, CallFailure> =
                isGood
                ? .success(nil)
                : .failure(CallFailure(.unauthenticated, .tokenInactive, "the token is not active"))
            if desk.waits { desk.waiting.append { done(verdict) } } else { done(verdict) }
        }

        func objection(to method: Method, model: String, version: String) -> CallFailure? {
            model == "unknown" || desk.isExpired
                ? CallFailure(.notFound, .modelNotFound, "there is no model of this name") : nil
        }

        func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
            desk.calls.append((call, exchange))
            guard !desk.holdsCalls else { return desk.handle }
            exchange.finish(
                call.model == "unknown" || desk.isExpired
                    ? .failure(
                        CallFailure(.notFound, .modelNotFound, "there is no model of this name"))
                    : .success(.done), timing: Timing(), workContinues: false)
            return nil
        }
        func turnEnded() { desk.turns += 1 }
        func close() { desk.closed += 1 }
    }

    var waits = false
    var waiting: [() -> Void] = []
    var closed = 0
    var shown = 0
    var turns = 0
    var isExpired = false
    var holdsCalls = false
    var calls: [(call: Call, exchange: any Exchange)] = []
    let handle = SlowResource.Handle()

    func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        Session(self)
    }
}
