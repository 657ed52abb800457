// Deadlines, cancels and streams of the client.

import Logging
import NIOCore
import ServiceLifecycle
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

@Suite struct TimeTests {
    @Test func theDeadlineIsKeptThoughTheGatewayIsSilent() async throws {
        try await withFakeGateway { gateway, client in
            async let connected: Void = client.connect()
            let connection = try await gateway.accept()
            try await connection.greet()
            try await connected
            let clock = ContinuousClock()
            let start = clock.now
            async let error = failure {
                _ = try await client.infer("iris", inputs: [], timeout: .milliseconds(100))
            }
            let call = try await connection.next(.call)
            #expect(try await error.code == .deadlineExceeded)
            #expect(clock.now - start >= .milliseconds(100))
            #expect(clock.now - start < .seconds(5))
            // The gateway is told, and its late answer disturbs nobody.
            #expect(try await connection.next(.cancel).call == call.call)
            try await connection.echo(call)
            async let next = client.isServerReady()
            try await connection.send(try Messages.reply(try await connection.next(.call).call))
            #expect(try await next == false)
        }
    }

    @Test func theDeadlineIsKeptWithoutAConnection() async throws {
        try await withFakeGateway { gateway, client in
            async let error = failure {
                _ = try await client.infer("iris", inputs: [], timeout: .milliseconds(50))
            }
            // Connected, but the gateway never greets.
            _ = try await gateway.accept()
            #expect(try await error.code == .deadlineExceeded)
        }
    }

    @Test func cancellingTheTaskCancelsTheCall() async throws {
        try await withFakeGateway { gateway, client in
            let task = Task { try await client.infer("iris", inputs: []) }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            task.cancel()
            let error = try await failure { _ = try await task.value }
            #expect(error.code == .cancelled)
            #expect(error.reason == "CANCELLED_BY_CALLER")
            #expect(try await connection.next(.cancel).call == call.call)
        }
    }

    @Test func aCancelledTaskDoesNotEvenCall() async throws {
        try await withFakeGateway { gateway, client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.cancelAll()
                group.addTask {
                    let error = try await failure { _ = try await client.infer("x", inputs: []) }
                    #expect(error.code == .cancelled)
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aDeadGatewayIsNoticed() async throws {
        try await withFakeGateway({
            $0.keepAlive = .init(interval: .milliseconds(20), timeout: .milliseconds(50))
            $0.retry = .never
        }) { gateway, client in
            async let error = failure { _ = try await client.infer("iris", inputs: []) }
            let connection = try await gateway.accept()
            try await connection.greet()
            _ = try await connection.next(.call)
            // The fake gateway answers no PING.
            #expect(try await error.reason == "KEEP_ALIVE_TIMED_OUT")
            try await connection.isClosed()
        }
    }

    @Test func connectingHasATimeout() async throws {
        try await withFakeGateway({ $0.connectTimeout = .milliseconds(100) }) { gateway, client in
            let error = try await failure { try await client.connect() }
            #expect(error.reason == "CONNECT_TIMED_OUT")
            #expect(error.code == .unavailable)
            try await gateway.accept().isClosed()
        }
    }
}

@Suite struct StreamTests {
    private func message(_ number: Int64) throws -> ByteBuffer {
        try Messages.echo(
            InferenceCoding.request(
                model: "m", version: "", inputs: [try Tensor("y", [number])], outputs: []))
    }

    @Test func messagesComeInOrder() async throws {
        try await withFakeGateway { gateway, client in
            let stream = client.inferStream("m", inputs: [try input()])
            async let numbers = stream.reduce(into: [Int64]()) {
                $0 += try $1.output("y").values(as: Int64.self)
            }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            #expect(try connection.header(call).method == .inferStream)
            try await connection.send(
                Frame(.reply, call: call.call, header: try Messages.replyHeader()))
            for number in 1...20 as ClosedRange<Int64> {
                try await connection.send(
                    Frame(.data, call: call.call, payload: try message(number)))
            }
            try await connection.send(try Messages.reply(call.call))
            #expect(try await numbers == Array(1...20))
        }
    }

    @Test func anErrorEndsAStreamAfterItsMessages() async throws {
        try await withFakeGateway { gateway, client in
            let task = Task {
                var seen = 0
                do {
                    for try await _ in client.inferStream("m", inputs: []) { seen += 1 }
                } catch {
                    return (seen, (error as? SluiceError)?.reason)
                }
                return (seen, nil)
            }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            try await connection.send(
                Frame(
                    .reply, call: call.call, header: try Messages.replyHeader(),
                    payload: try message(1)),
                Frame(.data, call: call.call, payload: try message(2)),
                try Messages.reply(call.call, Messages.status(.unavailable, "STOPPING")))
            let (seen, reason) = await task.value
            // Retryable, but a stream that brought messages does not begin anew.
            #expect(seen == 2)
            #expect(reason == "STOPPING")
        }
    }

    @Test func leavingTheLoopCancelsTheCall() async throws {
        try await withFakeGateway { gateway, client in
            let task = Task {
                for try await answer in client.inferStream("m", inputs: []) {
                    return try answer.output("y").values(as: Int64.self)
                }
                return []
            }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            try await connection.send(Frame(.data, call: call.call, payload: try message(5)))
            #expect(try await task.value == [5])
            #expect(try await connection.next(.cancel).call == call.call)
        }
    }

    @Test func cancellingTheTaskEndsAStream() async throws {
        try await withFakeGateway { gateway, client in
            let task = Task { for try await _ in client.inferStream("m", inputs: []) {} }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            task.cancel()
            #expect(try await failure { try await task.value }.code == .cancelled)
            #expect(try await connection.next(.cancel).call == call.call)
        }
    }

    /// Reads one message, waits for the gate, reads the rest. Returns the numbers and the error's reason.
    private func readInTwoGoes(
        _ client: SluiceClient, gate: AsyncStream<Void>
    ) async throws -> ([Int64], String?) {
        var numbers: [Int64] = []
        var iterator = client.inferStream("m", inputs: []).makeAsyncIterator()
        do {
            while let answer = try await iterator.next() {
                numbers += try answer.output("y").values(as: Int64.self)
                if numbers.count == 1 { for await _ in gate { break } }
            }
        } catch {
            let after = try await iterator.next()
            #expect(after == nil)
            return (numbers, error.reason)
        }
        return (numbers, nil)
    }

    @Test func aSlowReaderHoldsTheConnectionAndCatchesUp() async throws {
        try await withFakeGateway({ $0.limits.streamBufferBytes = 10_000 }) { gateway, client in
            let (gate, opener) = AsyncStream.makeStream(of: Void.self)
            async let read = readInTwoGoes(client, gate: gate)
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            for number in 1...1_000 as ClosedRange<Int64> {
                try await connection.send(
                    Frame(.data, call: call.call, payload: try message(number)))
            }
            try await connection.send(try Messages.reply(call.call))
            opener.yield()
            let (numbers, reason) = try await read
            #expect(numbers == Array(1...1_000))
            #expect(reason == nil)
        }
    }

    @Test func aReaderThatStopsLosesItsStreamAndNobodyElseSuffers() async throws {
        try await withFakeGateway({
            $0.limits.streamBufferBytes = 1_000
            $0.limits.slowReaderGrace = .milliseconds(100)
        }) { gateway, client in
            let (gate, opener) = AsyncStream.makeStream(of: Void.self)
            async let read = readInTwoGoes(client, gate: gate)
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            for number in 1...100 as ClosedRange<Int64> {
                try await connection.send(
                    Frame(.data, call: call.call, payload: try message(number)))
            }
            #expect(try await connection.next(.cancel).call == call.call)
            async let bystander = client.infer("iris", inputs: [try input()])
            try await connection.echo(try await connection.next(.call))
            _ = try await bystander
            // What had come is still there, then the reason.
            opener.yield()
            let (numbers, reason) = try await read
            #expect(numbers.count > 1)
            #expect(numbers == Array(1...Int64(numbers.count)))
            #expect(reason == "SLOW_READER")
        }
    }

    @Test func healthIsWatchedAcrossConnections() async throws {
        try await withFakeGateway { gateway, client in
            let (seen, teller) = AsyncStream.makeStream(of: Bool.self)
            let task = Task {
                for try await serving in client.watchHealth() { teller.yield(serving) }
            }
            var values = seen.makeAsyncIterator()
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            #expect(try connection.header(call).method == .healthWatch)
            for serving in [true, true, false, true] {
                try await connection.send(
                    Frame(.data, call: call.call, payload: try Messages.health(serving)))
            }
            #expect(await values.next() == true)
            #expect(await values.next() == false)
            #expect(await values.next() == true)
            try await connection.cut()
            #expect(await values.next() == false)
            let next = try await gateway.accept()
            try await next.greet()
            let again = try await next.next(.call)
            try await next.send(
                Frame(.data, call: again.call, payload: try Messages.health(true)))
            #expect(await values.next() == true)
            try await next.send(
                try Messages.reply(again.call, Messages.status(.permissionDenied, "SCOPE_MISSING")))
            #expect(try await failure { try await task.value }.code == .permissionDenied)
        }
    }
}
