// The queue in front of the issuer's file: bounded, in order, and nobody is answered who has left.

import Contract
import Gateway
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite struct AuthorizationQueueTests {
    /// Answers when the test opens the gate, and notes who asked.
    private final class Server: AuthorizationServer {
        let asked = Mutex<[String]>([])
        private let gate = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>(
            (false, []))

        func answer(
            _ request: AuthorizationRequest, from credential: ClientCredential, now: Instant
        ) async throws(AuthorizationRefusal) -> AuthorizationAnswer {
            asked.withLock { $0.append(credential.id) }
            await withCheckedContinuation { waiting in
                let isOpen = gate.withLock { gate in
                    if !gate.isOpen { gate.waiting.append(waiting) }
                    return gate.isOpen
                }
                if isOpen { waiting.resume() }
            }
            if credential.id == "wrong" { throw AuthorizationRefusal(.invalidClient, "no") }
            return .revoked
        }

        func open() {
            let waiting = gate.withLock { gate in
                gate.isOpen = true
                return gate.waiting
            }
            for one in waiting { one.resume() }
        }
    }

    private final class Audit: AuditLog {
        let events = Mutex<[AuditEvent]>([])
        func note(_ event: AuditEvent) { events.withLock { $0.append(event) } }
    }

    private struct Late: Error {}

    private func until(_ condition: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while !condition() {
            guard ContinuousClock.now < end else { throw Late() }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func ask(
        _ queue: AuthorizationQueue, _ id: String, _ answers: Answers, cancels: Bool = false
    ) async throws -> Bool {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        return try await loop.submit {
            do throws(AuthorizationRefusal) {
                let handle = try queue.ask(
                    .revoke(Secret("x")), credential: ClientCredential(id: id, secret: Secret("s")),
                    address: "10.0.0.1", on: loop
                ) { result in
                    loop.preconditionInEventLoop()
                    answers.add(id, result)
                }
                if cancels { handle.cancel() }
                return true
            } catch {
                #expect(error.code == .temporarilyUnavailable && error.retryAfter == .seconds(1))
                return false
            }
        }.get()
    }

    private final class Answers: Sendable {
        private let said = Mutex<[String: String]>([:])
        func add(_ id: String, _ result: Result<AuthorizationAnswer, AuthorizationRefusal>) {
            let text =
                switch result {
                case .success: "revoked"
                case .failure(let refusal): refusal.code.rawValue
                }
            said.withLock { $0[id, default: ""] += text }
        }
        var all: [String: String] { said.withLock { $0 } }
    }

    @Test func itIsBoundedAndAnswersOnTheLoop() async throws {
        let server = Server()
        let audit = Audit()
        let revoked = Mutex(0)
        let queue = AuthorizationQueue(server: server, queueMax: 3, audit: audit) { _ in
            revoked.withLock { $0 += 1 }
        }
        let answers = Answers()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await queue.run() }
            let atOnce = AuthorizationQueue.atOnceMax
            for number in 0..<atOnce {
                #expect(try await ask(queue, "at-once-\(number)", answers))
                try await until { server.asked.withLock { $0.count } == number + 1 }
            }
            // One more is in the hands of the queue, waiting for its turn.
            #expect(try await ask(queue, "next", answers, cancels: true))
            var taken = 0
            while try await ask(queue, "waits-\(taken)", answers), taken < 10 { taken += 1 }
            #expect((2...4).contains(taken))
            #expect(answers.all.isEmpty)
            server.open()
            try await until { answers.all.count == atOnce + taken }
            #expect(try await ask(queue, "wrong", answers))
            try await until { answers.all["wrong"] != nil }
            group.cancelAll()
        }
        #expect(answers.all["wrong"] == "invalid_client")
        // Told before the client was, and not of the one that was refused.
        #expect(
            revoked.withLock { $0 } == answers.all.values.count { $0 == "revoked" })
        #expect(answers.all["at-once-0"] == "revoked")
        // Whoever left before his turn is not asked for.
        #expect(answers.all["next"] == nil && !server.asked.withLock { $0.contains("next") })
        let events = audit.events.withLock { $0 }
        let refused = try #require(events.first { $0.client == "wrong" })
        #expect(refused.act == "token.revoke" && refused.outcome == .refused)
        #expect(refused.detail == "invalid_client" && refused.address == "10.0.0.1")
        // A queue that has ended takes nothing.
        #expect(try await !ask(queue, "late", answers))
    }
}
