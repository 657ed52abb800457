// Tokens that expire, are refused, or come from a provider; and how a client ends.

import Logging
import NIOCore
import ServiceLifecycle
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

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
        try await withFakeGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
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
        try await withFakeGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
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
        try await withFakeGateway({ $0.token = .provider { counter.next() } }) { gateway, client in
            async let connected: Void = client.connect()
            let connection = try await gateway.accept()
            try await connection.greet(try Messages.hello(auth: expired))
            _ = try await connection.next(.auth)
            try await connection.send(try Messages.authResult())
            try await connected
        }
    }

    @Test func aRefusedTokenIsTheErrorOfConnect() async throws {
        try await withFakeGateway({ $0.token = .token("bad") }) { gateway, client in
            async let error = failure { try await client.connect() }
            let connection = try await gateway.accept()
            try await connection.greet(
                try Messages.hello(auth: Messages.status(.unauthenticated, "TOKEN_INACTIVE")))
            #expect(try await error.reason == "TOKEN_INACTIVE")
            try await connection.isClosed()
        }
    }

    @Test func withoutATokenAGatewayMayStillBeAsked() async throws {
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway({ $0.token = .token(token) }) { gateway, client in
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
        try await withFakeGateway({ $0.token = .provider { throw NoToken() } }) { _, client in
            let error = try await failure { _ = try await call(client) }
            #expect(error.code == .unauthenticated)
            #expect(error.cause is NoToken)
        }
    }

    @Test func anotherCallersToken() async throws {
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway({ $0.drainTimeout = .milliseconds(50) }) { gateway, client in
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
