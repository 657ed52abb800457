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

func call(_ client: SluiceClient) async throws -> Inference {
    try await client.infer("iris", inputs: [try Tensor("X", [1] as [Float])])
}

@Suite struct ReconnectTests {
    @Test func aCallAboveTheLastIsMadeAgainElsewhere() async throws {
        try await withFakeGateway({ $0.retry = .never }) { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway({ $0.retry = .never }) { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway({ $0.retry = .never }) { gateway, client in
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
