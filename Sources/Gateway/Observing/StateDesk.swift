// `GET /debug/state` on the operator's port, and SIGUSR1, which writes the same document into STATE/debug-state.json. Asked for
// when something waits: it holds up nothing, and waits for nothing longer than a second.

import Admission
import Catalogue
import Contract
import Files
import Foundation
import JSONDoor
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Shards

final class StateDesk: Service {
    static let fileName = "debug-state.json"
    /// How long an event loop may take to answer.
    private static let patience = TimeAmount.seconds(1)

    private let rooms: Rooms
    private let book: ConnectionBook
    private let reloader: Reloader
    private let accessLog: AccessLog
    private let state: String
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let began = Instant.now()
    private let rung: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    init(
        _ rooms: Rooms, book: ConnectionBook, reloader: Reloader, accessLog: AccessLog,
        state: String, eventLoop: any EventLoop, logger: Logger
    ) {
        self.rooms = rooms
        self.book = book
        self.reloader = reloader
        self.accessLog = accessLog
        self.state = state
        self.eventLoop = eventLoop
        self.logger = logger
        // One at a time, however often somebody asks.
        (rung, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The document; the future is of `eventLoop`. Any thread may ask.
    func document(on eventLoop: any EventLoop) -> EventLoopFuture<ByteBuffer> {
        let now = Instant.now()
        return rooms.walk.ask(on: eventLoop, patience: StateDesk.patience) {
            $0.look(now: now, most: StateDocument.most)
        }.flatMap { loops in
            // Very many models take longer than a loop should.
            NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
                self.document(of: loops).encoded()
            }
        }
    }

    private func document(of loops: [LoopState?]) -> StateDocument {
        let now = Instant.now()
        let walk = rooms.walk
        let (generation, since) = reloader.standing
        return StateDocument(
            version: Version.text,
            time: Date().ISO8601Format(.init(includingFractionalSeconds: true)),
            uptime: now.since(began), isServing: rooms.readiness.isServing,
            generation: generation, settingsAge: now.since(since), connections: book.count,
            loops: loops, fleet: walk.fleet.state(now: now, most: StateDocument.most),
            account: walk.fleet.account(now: now), gate: walk.gatekeeper.statistics,
            quarantined: rooms.fence.quarantined, accessLog: accessLog.counts)
    }

    // MARK: - SIGUSR1

    func ring() { bell.yield() }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await _ in rung { await write() }
        }
    }

    private func write() async {
        do {
            let bytes = try await document(on: eventLoop).get()
            try await NIOThreadPool.singleton.runIfActive { [state] in
                try Folder(path: state).replace(
                    StateDesk.fileName, with: Array(bytes.readableBytesView))
            }
            logger.notice(
                "the state was written down",
                metadata: ["file": "\(state)/\(StateDesk.fileName)"])
        } catch {
            logger.error(
                "the state could not be written down",
                metadata: ["file": "\(state)/\(StateDesk.fileName)", "error": "\(error)"])
        }
    }
}

/// The document as an answer of the operator's port.
struct StateResource: HTTPResource {
    let desk: StateDesk

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        let waiting = NIOLoopBound(exchange, eventLoop: exchange.eventLoop)
        desk.document(on: exchange.eventLoop).whenComplete { result in
            switch result {
            case .success(let document):
                waiting.value.finish(HTTPAnswer(status: .ok, body: document))
            case .failure:
                waiting.value.finish(
                    .failure(CallFailure(.unavailable, .stopping, "the gateway is stopping")))
            }
        }
        return nil
    }
}
