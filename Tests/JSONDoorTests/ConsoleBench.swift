// The console's routes on one connection in memory, with a walk that answers what the test says.

import Contract
import JSONDoor
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1

final class ConsoleBench {
    let channel = EmbeddedChannel()
    let walk = AnsweringDesk()
    let standings = FixedStandings()

    init() throws {
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let routes = ConsoleRoutes.page() + ConsoleRoutes.data(standings: standings)
        let front = HTTPFront(
            routes: RouteTable(routes, hidesUnknown: true), limits: HTTPLimits(), desk: walk,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try front.open(on: channel, peer: Peer(address: "10.0.0.1"), connection: "c")
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// What comes back, head and body.
    func get(_ path: String, fields: String = "", method: String = "GET") throws -> String {
        try send("\(method) \(path) HTTP/1.1\r\nHost: gw\r\n\(fields)\r\n")
    }

    func known(_ path: String) throws -> String {
        try get(path, fields: "Authorization: Bearer good\r\n")
    }

    func post(_ path: String, _ body: String) throws -> String {
        try send(
            "POST \(path) HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer good\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    private func send(_ text: String) throws -> String {
        try channel.writeInbound(ByteBuffer(string: text))
        channel.embeddedEventLoop.run()
        var answer = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
            answer += String(buffer: bytes)
        }
        return answer
    }
}

/// Knows the token `good`, and answers every call by a closure.
final class AnsweringDesk: FrontDesk, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    final class Session: CallerSession {
        let desk: AnsweringDesk
        init(_ desk: AnsweringDesk) { self.desk = desk }

        func authenticate(
            _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
        ) {
            let isGood = token?.matches(Secret("good")) ?? false
            done(
                isGood
                    ? .success(nil)
                    : .failure(
                        CallFailure(.unauthenticated, .tokenInactive, "the token is not active")))
        }

        func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
            desk.calls.append(call)
            guard !desk.waits else { return Waiting(desk) }
            exchange.finish(desk.answer(call), timing: Timing(), workContinues: false)
            return nil
        }

        func turnEnded() {}
        func close() {}
    }

    final class Waiting: CallHandle {
        let desk: AnsweringDesk
        init(_ desk: AnsweringDesk) { self.desk = desk }
        func cancel() { desk.cancelled += 1 }
    }

    var calls: [Call] = []
    var waits = false
    var cancelled = 0
    var answer: (Call) -> Result<Answer, CallFailure> = { _ in .success(.done) }

    func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        Session(self)
    }

    /// Answers access checks: these methods are allowed.
    func allow(_ methods: Set<Method>) {
        answer = { call in
            guard call.method == .accessCheck,
                let checked = (try? call.body.question())?.checked
            else { return .success(.done) }
            return .success(
                .access(
                    AccessReport(
                        allowed: methods.contains(checked), rule: "", plan: "",
                        why: "because of \"this\"", issuer: "local", client: "app", subject: "",
                        scopes: ["infer:iris"])))
        }
    }
}

final class FixedStandings: StandingsDesk, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    var result: Result<ClientStandings, CallFailure> = .success(
        ClientStandings(clients: [], total: 0))
    var asked = 0

    func standings(
        most: Int, on eventLoop: any EventLoop,
        done: @escaping (Result<ClientStandings, CallFailure>) -> Void
    ) {
        asked += 1
        done(result)
    }
}
