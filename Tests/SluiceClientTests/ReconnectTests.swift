// What happens when gateways go away, die, refuse, or are not what they should be.

import Logging
import NIOCore
import ServiceLifecycle
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

private func call(_ client: SluiceClient) async throws -> Inference {
    try await client.infer("iris", inputs: [try Tensor("X", [1] as [Float])])
}

/// Ends a client without waiting for calls.
private func end(_ client: SluiceClient) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await client.shutdown() }
        group.cancelAll()
    }
}

private func withGateway(
    _ configure: @escaping @Sendable (inout SluiceClient.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (FakeGateway, SluiceClient) async throws -> Void
) async throws {
    let gateway = try await FakeGateway.start()
    let client = try gateway.client(configure)
    try await within("the whole test", seconds: 30) { try await body(gateway, client) }
    await end(client)
    try await gateway.stop()
}

@Suite struct ReconnectTests {
    @Test func aCallAboveTheLastIsMadeAgainElsewhere() async throws {
        try await withGateway({ $0.retry = .never }) { gateway, client in
            async let first = call(client)
            let connection = try await gateway.accept()
            try await connection.greet()
            let one = try await connection.next(.call)
            async let second = call(client)
            let two = try await connection.next(.call)
            try await connection.send(
                try Messages.goAway(last: .max), try Messages.goAway(last: one.call))
            #expect(two.call > one.call)
            // The first is still answered here, the second there.
            let other = try await gateway.accept()
            try await other.greet()
            try await other.echo(try await other.next(.call))
            _ = try await second
            try await connection.echo(one)
            _ = try await first
            try await connection.isClosed()
        }
    }

    @Test func afterGoAwayLaterCallsTakeANewConnection() async throws {
        try await withGateway { gateway, client in
            try await connectAndServe(gateway, client) { connection in
                try await connection.send(try Messages.goAway(last: .max))
                try await connection.isClosed()
            }
            async let answer = call(client)
            let other = try await gateway.accept()
            try await other.greet()
            try await other.echo(try await other.next(.call))
            _ = try await answer
        }
    }

    private func connectAndServe(
        _ gateway: FakeGateway, _ client: SluiceClient,
        then body: (FakeConnection) async throws -> Void
    ) async throws {
        async let answer = call(client)
        let connection = try await gateway.accept()
        try await connection.greet()
        try await connection.echo(try await connection.next(.call))
        _ = try await answer
        try await body(connection)
    }

    @Test func aGatewayThatDiesInACallIsTriedAgain() async throws {
        try await withGateway { gateway, client in
            async let answer = call(client)
            for attempt in 0...1 {
                let connection = try await gateway.accept()
                try await connection.greet()
                let frame = try await connection.next(.call)
                #expect(try connection.header(frame).attempt == attempt)
                if attempt == 0 {
                    try await connection.close()
                } else {
                    try await connection.echo(frame)
                }
            }
            #expect(try await answer.outputs.count == 1)
        }
    }

    @Test func truncatedTLSIsAnErrorNeverAShortMessage() async throws {
        try await withGateway({ $0.retry = .never }) { gateway, client in
            async let error = failure { _ = try await call(client) }
            let connection = try await gateway.accept()
            try await connection.greet()
            let frame = try await connection.next(.call)
            try await connection.send(
                Frame(
                    .reply, .more, call: frame.call,
                    header: try Messages.replyHeader(messageLength: 100),
                    payload: ByteBuffer(repeating: 0, count: 50)))
            try await connection.cut()
            let seen = try await error
            #expect(seen.code == .unavailable)
            #expect(seen.reason == "CONNECTION_TRUNCATED")
        }
    }

    @Test func retriesEndWithTheirBudget() async throws {
        let attempts = Mutex(0)
        let gateway = try await FakeGateway.start { frame in
            do {
                switch frame.type {
                case .hello: return [try Messages.hello()]
                case .call:
                    attempts.withLock { $0 += 1 }
                    return [
                        try Messages.reply(frame.call, Messages.status(.unavailable, "BUSY"))
                    ]
                default: return nil
                }
            } catch {
                Issue.record(error)
                return []
            }
        }
        let client = try gateway.client {
            $0.retry.budgetReserve = 5
            $0.retry.attempts = 3
        }
        try await within("the calls") {
            for _ in 0..<10 {
                let error = try await failure { _ = try await call(client) }
                #expect(error.reason == "BUSY")
            }
        }
        // Ten first attempts and what the budget allowed.
        #expect(attempts.withLock { $0 } == 15)
        await end(client)
        try await gateway.stop()
    }

    @Test func pushbackIsObeyed() async throws {
        try await withGateway { gateway, client in
            let clock = ContinuousClock()
            async let answer = call(client)
            let connection = try await gateway.accept()
            try await connection.greet()
            let first = try await connection.next(.call)
            let start = clock.now
            try await connection.send(
                try Messages.reply(
                    first.call,
                    Messages.status(
                        .resourceExhausted, "QUEUE_FULL", notStarted: true, retryAfter: 150)))
            let second = try await connection.next(.call)
            #expect(clock.now - start >= .milliseconds(150))
            #expect(try connection.header(second).attempt == 1)
            try await connection.echo(second)
            _ = try await answer
        }
    }

    @Test func nobodyListens() async throws {
        let gateway = try await FakeGateway.start()
        let client = try gateway.client { $0.retry.attempts = 2 }
        try await gateway.stop()
        try await within("the error") {
            let error = try await failure { _ = try await call(client) }
            #expect(error.code == .unavailable)
            #expect(error.reason == "CONNECT_FAILED")
            #expect(error.cause != nil)
            #expect(try await failure { try await client.connect() }.reason == "CONNECT_FAILED")
        }
        await end(client)
    }

    @Test func whoStaysConnectedFindsTheGatewayAgain() async throws {
        let gateway = try await FakeGateway.start()
        let client = try gateway.client()
        let running = Task { try await client.run() }
        try await within("two connections") {
            let connection = try await gateway.accept()
            try await connection.greet()
            try await connection.close()
            let other = try await gateway.accept()
            try await other.greet()
            try await gateway.stop()
            try await other.close()
        }
        let port = gateway.port
        let again = try await FakeGateway.start(port: port)
        try await within("a third") { _ = try await again.accept().greet() }
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        try await again.stop()
    }

    @Test func unknownFramesAreSkippedAndBrokenOnesEndTheConnection() async throws {
        try await withGateway { gateway, client in
            async let answer = call(client)
            let connection = try await gateway.accept()
            try await connection.greet()
            let frame = try await connection.next(.call)
            try await connection.send(
                Frame(.extension(0x7F), header: ByteBuffer(string: "?")),
                Frame(.extension(0x40), .more, call: 99))
            try await connection.send(raw: [0, 0, 0, 8, 0x20, 0, 0, 0, 0, 0, 0, 0])
            #expect(try await connection.next().type == .goAway)
            try await connection.isClosed()
            #expect(frame.call == 1)
            let other = try await gateway.accept()
            try await other.greet()
            try await other.echo(try await other.next(.call))
            _ = try await answer
        }
    }

    @Test func goAwayInPlaceOfHello() async throws {
        try await withGateway({ $0.retry = .never }) { gateway, client in
            async let error = failure { _ = try await call(client) }
            let connection = try await gateway.accept()
            _ = try await connection.next(.hello)
            try await connection.send(
                try Messages.goAway(last: 0, code: .goAwayLimit, reason: "too many connections"))
            let seen = try await error
            #expect(seen.reason == "GOING_AWAY")
            #expect(seen.message.contains("too many connections"))
        }
    }
}

@Suite struct TrustTests {
    @Test func anUnknownCertificateIsRefusedAndNotTriedAgain() async throws {
        let gateway = try await FakeGateway.start()
        let client = try gateway.client { $0.security = .tls(.init(trust: .system)) }
        try await within("the error") {
            let error = try await failure { _ = try await call(client) }
            #expect(error.code == .failedPrecondition)
            #expect(error.reason == "TLS_FAILED")
        }
        await end(client)
        try await gateway.stop()
    }

    @Test func theNameMustMatchUnlessItIsOverridden() async throws {
        let gateway = try await FakeGateway.start()
        let files = try TestCertificate.files.get()
        for (host, name, works) in [
            ("localhost", nil, true), ("127.0.0.1", nil, true), ("127.0.0.1", "localhost", true),
            // The certificate bears 127.0.0.1, which is not what is asked for.
            ("localhost", "other.example", false), ("127.0.0.1", "other.example", false),
        ] as [(String, String?, Bool)] {
            let client = try SluiceClient(
                endpoint: .hostPort(host, gateway.port),
                configuration: .init(
                    security: .tls(.init(trust: .file(files.certificate), serverName: name))))
            try await within("\(host) \(name ?? "")") {
                if works {
                    async let connected: Void = client.connect()
                    try await gateway.accept().greet()
                    try await connected
                } else {
                    let error = try await failure { try await client.connect() }
                    #expect(error.reason == "TLS_FAILED")
                }
            }
            await end(client)
        }
        try await gateway.stop()
    }

    @Test(arguments: [
        ("gateway.example", "gateway.example", true), ("GATEWAY.example", "gateway.Example", true),
        ("gateway.example.", "gateway.example", true),
        ("a.gateway.example", "*.gateway.example", true),
        ("gateway.example", "*.gateway.example", false), ("a.b.example", "*.example", false),
        ("a.b.gateway.example", "*.gateway.example", false), ("a.example", "*.example", false),
        ("a.gateway.example", "a*.gateway.example", false), ("example", "*", false),
        ("gateway.example", "", false), ("", "", false),
        ("gateway..example", "gateway..example", false),
    ])
    func names(asked: String, borne: String, matches: Bool) {
        #expect(ServerIdentity.matches(asked, borne) == matches)
    }

    @Test func aServerThatSpeaksSomethingElse() async throws {
        for protocols in [["http/1.1"], []] {
            let gateway = try await FakeGateway.start(protocols: protocols)
            let client = try gateway.client()
            try await within("the error") {
                let error = try await failure { try await client.connect() }
                #expect(error.code == .failedPrecondition)
                #expect(["PROTOCOL_NOT_SPOKEN", "TLS_FAILED"].contains(error.reason))
            }
            await end(client)
            try await gateway.stop()
        }
    }

    @Test func clientCertificates() async throws {
        let gateway = try await FakeGateway.start(requiresClientCertificate: true)
        let files = try TestCertificate.files.get()
        let without = try gateway.client { $0.retry = .never }
        try await within("the refusal") {
            let error = try await failure { try await without.connect() }
            #expect(error.reason == "TLS_FAILED" || error.code == .unavailable)
        }
        await end(without)
        let with = try gateway.client {
            $0.security = .tls(
                .init(
                    trust: .file(files.certificate),
                    clientCertificate: .init(
                        certificateFile: files.certificate, keyFile: files.key)))
        }
        try await within("the connection") {
            async let connected: Void = with.connect()
            try await gateway.accept().greet()
            try await connected
        }
        await end(with)
        try await gateway.stop()
    }
}

@Suite struct TokenTests {
    /// A provider that counts: token-1, token-2, ...
    private final class Counter: Sendable {
        let count = Mutex(0)
        func next() -> String {
            count.withLock {
                $0 += 1
                return "token-\($0)"
            }
        }
    }

    private let expired = Messages.status(.unauthenticated, "TOKEN_EXPIRED")

    @Test func anExpiredTokenIsReplacedOnceForAllCalls() async throws {
        let counter = Counter()
        try await withGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
            async let first = call(client)
            let connection = try await gateway.accept()
            #expect(try await connection.greet() == "token-1")
            let one = try await connection.next(.call)
            async let second = call(client)
            let two = try await connection.next(.call)
            try await connection.send(
                try Messages.reply(one.call, expired), try Messages.reply(two.call, expired))
            let auth = try await connection.next(.auth)
            #expect(
                try Sluice_AuthUpdate(serializedBytes: auth.header.array).token == "token-2")
            try await connection.send(try Messages.authResult())
            try await connection.echo(try await connection.next(.call))
            try await connection.echo(try await connection.next(.call))
            _ = try await (first, second)
            #expect(counter.count.withLock { $0 } == 2)
        }
    }

    @Test func aTokenThatIsRefusedAgainFailsTheCall() async throws {
        let counter = Counter()
        try await withGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
            async let error = failure { _ = try await call(client) }
            let connection = try await gateway.accept()
            try await connection.greet()
            try await connection.send(
                try Messages.reply(try await connection.next(.call).call, expired))
            _ = try await connection.next(.auth)
            try await connection.send(try Messages.authResult(expired))
            let seen = try await error
            #expect(seen.code == .unauthenticated)
            #expect(seen.reason == "TOKEN_EXPIRED")
        }
    }

    @Test func helloWithAnExpiredTokenAsksOnce() async throws {
        let counter = Counter()
        try await withGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
            async let connected: Void = client.connect()
            let connection = try await gateway.accept()
            try await connection.greet(try Messages.hello(auth: expired))
            _ = try await connection.next(.auth)
            try await connection.send(try Messages.authResult())
            try await connected
        }
    }

    @Test func aRefusedTokenIsTheErrorOfConnect() async throws {
        try await withGateway({ $0.token = .token("bad") }) { gateway, client in
            async let error = failure { try await client.connect() }
            let connection = try await gateway.accept()
            try await connection.greet(
                try Messages.hello(auth: Messages.status(.unauthenticated, "TOKEN_INACTIVE")))
            #expect(try await error.reason == "TOKEN_INACTIVE")
            try await connection.isClosed()
        }
    }

    @Test func withoutATokenAGatewayMayStillBeAsked() async throws {
        try await withGateway { gateway, client in
            async let ready = client.isServerReady()
            let connection = try await gateway.accept()
            try await connection.greet(
                try Messages.hello(auth: Messages.status(.unauthenticated, "TOKEN_MISSING")))
            try await connection.send(try Messages.reply(try await connection.next(.call).call))
            #expect(try await ready == false)
        }
    }

    @Test func aLongTokenFollowsInAuth() async throws {
        let token = String(repeating: "t", count: 8_000)
        try await withGateway({ $0.token = .token(token) }) { gateway, client in
            async let answer = call(client)
            let connection = try await gateway.accept()
            let hello = try Messages.hello(
                auth: Messages.status(.unauthenticated, "TOKEN_MISSING"))
            #expect(try await connection.greet(hello) == "")
            let auth = try await connection.next(.auth)
            #expect(try Sluice_AuthUpdate(serializedBytes: auth.header.array).token == token)
            try await connection.send(try Messages.authResult())
            try await connection.echo(try await connection.next(.call))
            _ = try await answer
        }
    }

    @Test func aProviderThatFails() async throws {
        struct NoToken: Error {}
        try await withGateway({ $0.token = .provider { throw NoToken() } }) { _, client in
            let error = try await failure { _ = try await call(client) }
            #expect(error.code == .unauthenticated)
            #expect(error.cause is NoToken)
        }
    }

    @Test func anotherCallersToken() async throws {
        try await withGateway { gateway, client in
            var options = CallOptions()
            options.token = .provider { "theirs" }
            options.metadata = [("k", "v")]
            async let answer = client.infer("iris", inputs: [], options: options)
            let connection = try await gateway.accept()
            try await connection.greet()
            let frame = try await connection.next(.call)
            let header = try connection.header(frame)
            #expect(header.token == "theirs")
            #expect(header.metadata.map(\.value) == ["v"])
            try await connection.echo(frame)
            _ = try await answer
        }
    }
}

@Suite struct ShutdownTests {
    @Test func callsUnderWayFinishAndLaterOnesDoNotBegin() async throws {
        try await withGateway { gateway, client in
            async let answer = call(client)
            let connection = try await gateway.accept()
            try await connection.greet()
            let frame = try await connection.next(.call)
            async let done: Void = client.shutdown()
            // Refused as soon as the shutdown has begun, which it does at its own time.
            var refused: SluiceError?
            while refused?.reason != "CLIENT_SHUT_DOWN" {
                refused = try await failure {
                    _ = try await client.infer("x", inputs: [], timeout: .milliseconds(1))
                }
            }
            try await connection.echo(frame)
            _ = try await answer
            await done
            try await connection.isClosed()
            await client.shutdown()
        }
    }

    @Test func theDrainEnds() async throws {
        try await withGateway({ $0.drainTimeout = .milliseconds(50) }) { gateway, client in
            async let error = failure { _ = try await call(client) }
            let connection = try await gateway.accept()
            try await connection.greet()
            _ = try await connection.next(.call)
            await client.shutdown()
            #expect(try await error.reason == "CLIENT_SHUT_DOWN")
            try await connection.isClosed()
        }
    }

    @Test func theScopedFormEndsTheClient() async throws {
        let gateway = try await FakeGateway.start()
        let configuration = try gateway.client().configuration
        let port = gateway.port
        try await within("the scope") {
            async let answer = withSluiceClient(
                endpoint: .hostPort("localhost", port), configuration: configuration
            ) { client in
                try await call(client)
            }
            let connection = try await gateway.accept()
            try await connection.greet()
            try await connection.echo(try await connection.next(.call))
            #expect(try await answer.outputs.count == 1)
            try await connection.isClosed()
        }
        try await gateway.stop()
    }

    private func connectAndForget(_ gateway: FakeGateway) async throws -> FakeConnection {
        let client = try gateway.client()
        async let connected: Void = client.connect()
        let connection = try await gateway.accept()
        try await connection.greet()
        try await connected
        return connection
    }

    @Test func aForgottenClientCloses() async throws {
        let gateway = try await FakeGateway.start()
        try await within("the connection to close") {
            try await connectAndForget(gateway).isClosed()
        }
        try await gateway.stop()
    }

    @Test func aServiceGroupShutsItDown() async throws {
        let gateway = try await FakeGateway.start()
        let client = try gateway.client()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(services: [client], logger: logger)
        let running = Task { try await group.run() }
        try await within("the group") {
            let connection = try await gateway.accept()
            try await connection.greet()
            await group.triggerGracefulShutdown()
            try await running.value
            try await connection.isClosed()
        }
        try await gateway.stop()
    }
}
