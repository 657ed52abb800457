// A connection without a network whose front has an API's description and examples: a walk that knows a few models, and a
// guide that answers at once.

import Contract
import Foundation
import JSONDoor
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

/// Knows models by name; asked on one thread.
final class FakeGuide: ModelGuide, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    var cards: [ModelCard] = []
    var generation: UInt64 = 1
    var failure: CallFailure?
    var written = 0
    var asked: [String] = []
    /// By model and version, then by output.
    var names: [String: [String: [String]]] = [:]

    func labels(of model: String, version: String) -> [String: [String]] {
        asked.append("labels of \(model) \(version)")
        return names["\(model) \(version)"] ?? [:]
    }

    func example(
        of model: String, version: String, on loop: any EventLoop,
        done: @escaping (Result<ModelExample, CallFailure>) -> Void
    ) {
        asked.append("\(model) \(version)")
        if let failure { return done(.failure(failure)) }
        guard let example = cards.first(where: { $0.name == model })?.example else {
            return done(.failure(ModelExample.missing("no golden case")))
        }
        done(.success(example))
    }

    func cards(
        _ names: [String], on loop: any EventLoop,
        write: @escaping @Sendable ([ModelCard]) -> TaggedText,
        done: @escaping (Result<TaggedText, CallFailure>) -> Void
    ) {
        written += 1
        if let failure { return done(.failure(failure)) }
        done(.success(write(names.compactMap { name in cards.first { $0.name == name } })))
    }
}

/// Takes any token and answers the index and metadata.
final class FakeWalk: FrontDesk, @unchecked Sendable {
    // Safe: used on the one thread of an embedded event loop.
    final class Session: CallerSession {
        let walk: FakeWalk
        init(_ walk: FakeWalk) { self.walk = walk }

        func authenticate(
            _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
        ) { done(.success(nil)) }

        func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
            walk.calls.append("\(call.method) \(call.model) \(call.version)")
            exchange.finish(walk.answer(call), timing: Timing(), workContinues: false)
            return nil
        }
        func turnEnded() {}
        func close() {}
    }

    var answer: (Call) -> Result<Answer, CallFailure> = { _ in .success(.done) }
    var calls: [String] = []

    func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        Session(self)
    }
}

final class APIBench {
    let channel = EmbeddedChannel()
    let walk = FakeWalk()
    let guide = FakeGuide()

    init(_ routes: [Route] = []) throws {
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let all = OpenAPIResource.describing(
            routes + ExampleResource.routes(guide), guide: guide, version: "1")
        let front = HTTPFront(
            routes: RouteTable(all, hidesUnknown: true), limits: HTTPLimits(), desk: walk,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try front.open(
            on: channel, peer: Peer(address: "10.0.0.1", serverName: ""), connection: "c")
    }

    /// Sends GET with a token and returns the whole answer.
    func get(_ path: String, _ fields: String = "") throws -> String {
        _ = try? channel.writeInbound(
            ByteBuffer(
                string:
                    "GET \(path) HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer t\r\n\(fields)\r\n"))
        channel.embeddedEventLoop.run()
        var all = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
            all += String(buffer: bytes)
        }
        return all
    }

    func end() { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

/// JSON as a test looks at it.
@dynamicMemberLookup
struct Looked {
    var value: Any?

    init(_ value: Any?) { self.value = value }

    init(answer: String) throws {
        let body = try #require(answer.firstRange(of: "\r\n\r\n")).upperBound
        value = try JSONSerialization.jsonObject(with: Data(answer[body...].utf8))
    }

    subscript(dynamicMember name: String) -> Looked { self[name] }
    subscript(name: String) -> Looked { Looked((value as? [String: Any])?[name]) }
    subscript(index: Int) -> Looked {
        let array = value as? [Any] ?? []
        return Looked(array.indices.contains(index) ? array[index] : nil)
    }
    var keys: [String] { ((value as? [String: Any]) ?? [:]).keys.sorted() }
    var texts: [String] { value as? [String] ?? [] }
    var text: String? { value as? String }
    var number: Double? { value as? Double }
    var count: Int { (value as? [Any])?.count ?? (value as? [String: Any])?.count ?? -1 }

    /// Every value of this name, however deep.
    func all(_ name: String) -> [Any] {
        if let object = value as? [String: Any] {
            return object.flatMap { $0 == name ? [$1] : Looked($1).all(name) }
        }
        return (value as? [Any] ?? []).flatMap { Looked($0).all(name) }
    }
}
