// The client over real TLS against a gateway whose every frame the test decides.

import Logging
import NIOCore
import ServiceLifecycle
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

/// Runs `body` with a fake gateway and a client of it, and ends both.
private func withGateway(
    _ configure: @escaping @Sendable (inout SluiceClient.Configuration) -> Void = { _ in },
    protocols: [String] = ["sluice/1"],
    responder: (@Sendable (Frame) -> [Frame]?)? = nil,
    _ body: @escaping @Sendable (FakeGateway, SluiceClient) async throws -> Void
) async throws {
    let gateway = try await FakeGateway.start(protocols: protocols, responder: responder)
    let client = try gateway.client(configure)
    try await within("the whole test", seconds: 30) { try await body(gateway, client) }
    await within(client)
    try await gateway.stop()
}

/// Ends a client without waiting for calls.
private func within(_ client: SluiceClient) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await client.shutdown() }
        group.cancelAll()
    }
}

private func input(_ count: Int = 2) throws -> Tensor {
    try Tensor("X", [Float](repeating: 1.5, count: count))
}

@Suite struct ClientTests {
    @Test func helloAndACall() async throws {
        try await withGateway({ $0.token = .token("secret") }) { gateway, client in
            async let answer = client.infer(
                "iris", version: "3", inputs: [try input()], outputs: ["X"], timeout: .seconds(5))
            let connection = try await gateway.accept()
            #expect(try await connection.greet() == "secret")
            let call = try await connection.next(.call)
            #expect(call.flags == .end)
            let header = try connection.header(call)
            #expect(header.method == .infer)
            #expect(header.model == "iris")
            #expect(header.modelVersion == "3")
            #expect((1...5_000_000).contains(header.timeoutUs))
            #expect(header.attempt == 0)
            #expect(!header.wantProgress)
            let request = try Inference_ModelInferRequest(serializedBytes: call.payload.array)
            #expect(request.outputs.map(\.name) == ["X"])
            try await connection.echo(call)
            let inference = try await answer
            #expect(inference.version == "7")
            #expect(try inference.output("X").values(as: Float.self) == [1.5, 1.5])
            #expect(inference.timing.isCold)
            #expect(inference.timing.run == .microseconds(4))
        }
    }

    @Test func errorsAreTheGateways() async throws {
        try await withGateway { gateway, client in
            async let error = failure { _ = try await client.infer("iris", inputs: []) }
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            try await connection.send(
                try Messages.reply(call.call, Messages.status(.notFound, "MODEL_NOT_FOUND")))
            let seen = try await error
            #expect(seen.code == .notFound)
            #expect(seen.reason == "MODEL_NOT_FOUND")
            #expect(seen.message == "said by the fake gateway")
        }
    }

    @Test func smallQuestions() async throws {
        let responder: @Sendable (Frame) -> [Frame]? = { frame in
            do {
                return try Self.answerSmallQuestion(frame)
            } catch {
                Issue.record(error)
                return []
            }
        }
        try await withGateway(responder: responder) { _, client in
            let metadata = try await client.metadata(of: "iris", version: "2")
            #expect(metadata.name == "iris")
            #expect(metadata.versions == ["2"])
            #expect(metadata.inputs == [.init(name: "X", datatype: .fp32, shape: [-1, 4])])
            #expect(try await client.isReady("iris"))
            #expect(try await !client.isReady("other"))
            #expect(try await client.isServerReady())
            #expect(try await client.serverMetadata().name == "fake")
            #expect(try await client.index().map(\.name) == ["iris", "sleepy"])
            #expect(try await client.index(readyOnly: true).map(\.isReady) == [true])
            try await client.load("iris")
            try await client.unload("iris")
            let statistics = try await client.statistics("iris")
            #expect(statistics.map(\.inferences) == [12])
            #expect(statistics.first?.run == .init(count: 3, time: .nanoseconds(900)))
        }
    }

    private static func answerSmallQuestion(_ frame: Frame) throws -> [Frame]? {
        if frame.type == .hello { return [try Messages.hello()] }
        guard frame.type == .call else { return nil }
        func answer(_ message: some Message) throws -> [Frame] {
            [try Messages.reply(frame.call, payload: try HelloCoding.encoded(message))]
        }
        let header = try Sluice_CallHeader(serializedBytes: frame.header.array)
        switch header.method {
        case .modelMetadata:
            let request = try Inference_ModelMetadataRequest(serializedBytes: frame.payload.array)
            var reply = Inference_ModelMetadataResponse()
            reply.name = request.name
            reply.versions = [request.version]
            var tensor = Inference_ModelMetadataResponse.TensorMetadata()
            tensor.name = "X"
            tensor.datatype = "FP32"
            tensor.shape = [-1, 4]
            reply.inputs = [tensor]
            return try answer(reply)
        case .modelReady:
            var reply = Inference_ModelReadyResponse()
            reply.ready = header.model == "iris"
            return try answer(reply)
        case .serverReady:
            var reply = Inference_ServerReadyResponse()
            reply.ready = true
            return try answer(reply)
        case .serverMetadata:
            var reply = Inference_ServerMetadataResponse()
            reply.name = "fake"
            return try answer(reply)
        case .repositoryIndex:
            let request = try Inference_RepositoryIndexRequest(serializedBytes: frame.payload.array)
            var iris = Inference_RepositoryIndexResponse.ModelIndex()
            iris.name = "iris"
            iris.state = "READY"
            var sleepy = iris
            sleepy.name = "sleepy"
            sleepy.state = "UNAVAILABLE"
            var reply = Inference_RepositoryIndexResponse()
            reply.models = request.ready ? [iris] : [iris, sleepy]
            return try answer(reply)
        case .modelStatistics:
            var model = Inference_ModelStatistics()
            model.name = header.model
            model.inferenceCount = 12
            model.inferenceStats.computeInfer.count = 3
            model.inferenceStats.computeInfer.ns = 900
            var reply = Inference_ModelStatisticsResponse()
            reply.modelStats = [model]
            return try answer(reply)
        default: return [try Messages.reply(frame.call)]
        }
    }

    @Test func progressIsTold() async throws {
        try await withGateway { gateway, client in
            let (seen, teller) = AsyncStream.makeStream(of: SluiceClient.Progress.self)
            async let answer = client.infer(
                "iris", inputs: [try input()], onProgress: { teller.yield($0) })
            let connection = try await gateway.accept()
            try await connection.greet()
            let call = try await connection.next(.call)
            #expect(try connection.header(call).wantProgress)
            var progress = Sluice_Progress()
            progress.state = .progressLoading
            progress.fraction = 0.5
            try await connection.send(
                Frame(.progress, call: call.call, header: try HelloCoding.encoded(progress)))
            try await connection.echo(call)
            _ = try await answer
            teller.finish()
            var states: [SluiceClient.Progress] = []
            for await progress in seen { states.append(progress) }
            #expect(states.map(\.state) == [.loading])
            #expect(states.map(\.fraction) == [0.5])
        }
    }

    @Test func manyCallsAtOnceOverOneConnection() async throws {
        let responder: @Sendable (Frame) -> [Frame]? = { frame in
            do {
                switch frame.type {
                case .hello: return [try Messages.hello(calls: 16)]
                case .call:
                    return [
                        try Messages.reply(frame.call, payload: try Messages.echo(frame.payload))
                    ]
                default: return nil
                }
            } catch {
                Issue.record(error)
                return []
            }
        }
        try await withGateway(responder: responder) { gateway, client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<2_000 {
                    group.addTask {
                        let tensor = try Tensor("X", [Int64(number)])
                        let inference = try await client.infer("iris", inputs: [tensor])
                        #expect(inference.outputs == [tensor])
                    }
                }
                try await group.waitForAll()
            }
            _ = try await gateway.accept()
        }
    }

    @Test func noMoreCallsAreOpenThanTheGatewayAllows() async throws {
        try await withGateway { gateway, client in
            async let first = client.infer("a", inputs: [try input()])
            async let second = client.infer("b", inputs: [try input()])
            let connection = try await gateway.accept()
            try await connection.greet(try Messages.hello(calls: 1))
            let call = try await connection.next(.call)
            // The other one waits: what comes next is the answer to this PING, not a CALL.
            try await connection.send(Frame(.ping, payload: ByteBuffer(integer: UInt64(1))))
            try await connection.echo(call)
            let other = try await connection.next(.call)
            #expect(other.call == call.call + 1)
            try await connection.echo(other)
            _ = try await (first, second)
        }
    }

    @Test func largeMessagesBothWays() async throws {
        try await withGateway { gateway, client in
            let tensor = try input(1_000_000)
            async let answer = client.infer("big", inputs: [tensor])
            let connection = try await gateway.accept()
            try await connection.greet(try Messages.hello(maxFrame: 100_000))
            var frame = try await connection.next(.call)
            let call = frame.call
            let length = Int(try connection.header(frame).messageLength)
            var message = frame.payload
            while frame.flags.contains(.more) {
                frame = try await connection.next(.data)
                #expect(frame.payload.readableBytes <= 100_000)
                message.writeImmutableBuffer(frame.payload)
            }
            #expect(message.readableBytes == length)
            #expect(length > 4_000_000)
            let echo = try Messages.echo(message)
            var splitter = MessageSplitter(
                .reply, call: call,
                header: try Messages.replyHeader(messageLength: echo.readableBytes), payload: echo,
                ends: true)
            while let part = splitter.next(bodyMax: 100_000) { try await connection.send(part) }
            #expect(try await answer.outputs == [tensor])
        }
    }

    @Test func aSmallCallOvertakesALargeOne() async throws {
        try await withGateway { gateway, client in
            let large = Task { try await client.infer("big", inputs: [try input(8_000_000)]) }
            let connection = try await gateway.accept()
            try await connection.readSlowly()
            try await connection.greet()
            let first = try await connection.next(.call)
            #expect(first.flags == .more)
            async let small = client.infer("small", inputs: [try input()])
            var overtook: Frame?
            var parts = 0
            while overtook == nil {
                let frame = try await connection.next()
                if frame.type == .call { overtook = frame } else { parts += 1 }
            }
            // Eight million floats are more than a hundred parts of 256 KiB.
            #expect(parts < 60)
            if let overtook { try await connection.echo(overtook) }
            _ = try await small
            large.cancel()
            let error = try await failure { _ = try await large.value }
            #expect(error.code == .cancelled)
        }
    }

    @Test func whatIsTooLargeFailsHereAndThere() async throws {
        try await withGateway({ $0.limits.messageBytes = 1_000 }) { gateway, client in
            async let error = failure { _ = try await client.infer("big", inputs: [input(500)]) }
            let connection = try await gateway.accept()
            try await connection.greet(try Messages.hello(maxMessage: 1_000))
            #expect(try await error.reason == "MESSAGE_TOO_LARGE")
            async let answer = failure { _ = try await client.infer("big", inputs: [input(2)]) }
            let call = try await connection.next(.call)
            try await connection.send(
                Frame(
                    .reply, .more, call: call.call,
                    header: try Messages.replyHeader(messageLength: 1_001),
                    payload: ByteBuffer(repeating: 0, count: 500)))
            #expect(try await answer.reason == "MESSAGE_TOO_LARGE")
            #expect(try await connection.next().type == .cancel)
        }
    }
}

@Suite struct TimeTests {
    @Test func theDeadlineIsKeptThoughTheGatewayIsSilent() async throws {
        try await withGateway { gateway, client in
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
        try await withGateway { gateway, client in
            async let error = failure {
                _ = try await client.infer("iris", inputs: [], timeout: .milliseconds(50))
            }
            // Connected, but the gateway never greets.
            _ = try await gateway.accept()
            #expect(try await error.code == .deadlineExceeded)
        }
    }

    @Test func cancellingTheTaskCancelsTheCall() async throws {
        try await withGateway { gateway, client in
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
        try await withGateway { gateway, client in
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
        try await withGateway({
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
        try await withGateway({ $0.connectTimeout = .milliseconds(100) }) { gateway, client in
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
        try await withGateway { gateway, client in
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
        try await withGateway { gateway, client in
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
        try await withGateway { gateway, client in
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
        try await withGateway { gateway, client in
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
        try await withGateway({ $0.limits.streamBufferBytes = 10_000 }) { gateway, client in
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
        try await withGateway({
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
        try await withGateway { gateway, client in
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
