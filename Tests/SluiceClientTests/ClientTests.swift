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

func input(_ count: Int = 2) throws -> Tensor {
    try Tensor("X", [Float](repeating: 1.5, count: count))
}

@Suite struct ClientTests {
    @Test func helloAndACall() async throws {
        try await withFakeGateway({ $0.token = .token("secret") }) { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway(responder: responder) { _, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway(responder: responder) { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway { gateway, client in
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
        try await withFakeGateway({ $0.limits.messageBytes = 1_000 }) { gateway, client in
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
