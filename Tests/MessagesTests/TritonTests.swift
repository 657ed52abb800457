// Messages that tritonclient and its generated classes wrote: read here, and written here to the same bytes.

import Contract
import Messages
import NIOCore
import Testing

@Suite struct TritonTests {
    private let iris = Tensor(
        name: "X", datatype: .fp32, shape: [2, 4],
        bytes: bytes("3333a340000060403333b33fcdcc4c3e6666c6409a9939409a9989406666a63f"))

    private func request(_ hex: String) throws -> InferenceRequest {
        try InferenceBody(bytes(hex)).inferenceRequest()
    }

    @Test func requests() throws {
        let plain = try request(TritonFixtures.inferPlain)
        #expect(
            plain
                == InferenceRequest(
                    model: "iris", version: "", id: "42", inputs: [iris], outputs: []))
        #expect(encoded { plain.encode(into: &$0) } == bytes(TritonFixtures.inferPlain))

        let outputs = try request(TritonFixtures.inferOutputs)
        #expect(outputs.outputs == ["label", "probabilities"])
        #expect(outputs.version == "1")
        #expect(encoded { outputs.encode(into: &$0) } == bytes(TritonFixtures.inferOutputs))

        let hints = try request(TritonFixtures.inferHints)
        #expect(hints.inputs == [iris])
    }

    private static let elements: [(String, ElementType, Shape, String)] = [
        ("bool", .bool, [2], "0100"), ("uint8", .uint8, [1], "FF"),
        ("uint16", .uint16, [1], "FFFF"),
        ("uint32", .uint32, [1], "FFFFFFFF"), ("uint64", .uint64, [1], "FFFFFFFFFFFFFFFF"),
        ("int8", .int8, [1], "FF"), ("int16", .int16, [1], "FEFF"),
        ("int32", .int32, [1], "FDFFFFFF"), ("int64", .int64, [1], "FCFFFFFFFFFFFFFF"),
        ("fp32", .fp32, [1], "0000803F"), ("fp64", .fp64, [1], "000000000000F03F"),
        ("bytes", .bytes, [2], "02000000616200000000"),
    ]

    @Test func everyDatatype() throws {
        let raw = try request(TritonFixtures.inferAllTypes).inputs
        #expect(raw.count == 13)
        #expect(raw.first { $0.datatype == .fp16 }?.bytes == bytes("003C"))
        let typed = try request(TritonFixtures.inferTyped).inputs
        #expect(typed.count == 13)
        for (name, datatype, shape, hex) in TritonTests.elements {
            let tensor = Tensor(name: name, datatype: datatype, shape: shape, bytes: bytes(hex))
            #expect(raw.contains(tensor), "raw \(name)")
            #expect(typed.contains(tensor), "typed \(name)")
        }
        #expect(
            typed.last
                == Tensor(name: "empty", datatype: .fp32, shape: [0, 3], bytes: ByteBuffer()))
    }

    @Test(arguments: [
        (TritonFixtures.inferSequence, StatusCode.unimplemented, "sequence"),
        (TritonFixtures.inferSharedMemory, .unimplemented, "shared memory"),
        (TritonFixtures.inferClassification, .unimplemented, "classification"),
        (TritonFixtures.inferMixed, .invalidArgument, "raw contents"),
    ]) func refusals(hex: String, code: StatusCode, word: String) throws {
        let failure = try #require(InferenceBody(bytes(hex)).refusal())
        #expect(failure.code == code)
        #expect(failure.message.contains(word), "\(failure.message)")
    }

    @Test(arguments: [
        (
            TritonFixtures.metadataRequest, Method.modelMetadata,
            Question(model: "iris", version: "3")
        ),
        (TritonFixtures.readyRequest, .modelReady, Question(model: "iris")),
        (TritonFixtures.statisticsRequest, .modelStatistics, Question(model: "iris", version: "3")),
        (TritonFixtures.indexRequest, .repositoryIndex, Question(readyOnly: true)),
        (TritonFixtures.loadRequest, .repositoryLoad, Question(model: "iris")),
        (TritonFixtures.unloadRequest, .repositoryUnload, Question(model: "iris")),
    ]) func questions(hex: String, method: Method, question: Question) throws {
        let body = InferenceBody(method: method, message: bytes(hex), limits: Limits())
        #expect(try body.question() == question)
        if hex != TritonFixtures.unloadRequest {
            #expect(encoded { question.encode(for: method, into: &$0) } == bytes(hex))
        }
    }

    @Test func loadWithConfigurationIsRefused() {
        let body = InferenceBody(
            method: .repositoryLoad, message: bytes(TritonFixtures.loadWithConfiguration),
            limits: Limits())
        #expect {
            try body.question()
        } throws: { ($0 as? CallFailure)?.code == .unimplemented }
    }

    private static let probabilities = "0000403F0000803E00000000000000000000003F0000003F"

    private static let answers: [(String, Method, Answer)] = [
        (
            TritonFixtures.inferResponse, .infer,
            .inference(
                InferenceReply(
                    model: "iris", version: "1", id: "42",
                    outputs: [
                        Tensor(
                            name: "label", datatype: .int64, shape: [2],
                            bytes: bytes("0000000000000000 0100000000000000")),
                        Tensor(
                            name: "probabilities", datatype: .fp32, shape: [2, 3],
                            bytes: bytes(probabilities)),
                    ]))
        ),
        (
            TritonFixtures.metadataResponse, .modelMetadata,
            .modelMetadata(
                ModelMetadata(
                    name: "iris", versions: ["1", "3"], platform: "onnxruntime_onnx",
                    signature: Signature(
                        inputs: [.init(name: "X", datatype: .fp32, shape: [-1, 4])],
                        outputs: [
                            .init(name: "label", datatype: .int64, shape: [-1]),
                            .init(name: "scalar", datatype: .bytes, shape: []),
                        ])))
        ),
        (TritonFixtures.readyResponse, .modelReady, .modelReady(true)),
        (TritonFixtures.notReadyResponse, .modelReady, .modelReady(false)),
        (TritonFixtures.readyResponse, .serverReady, .serverReady(true)),
        (
            TritonFixtures.serverMetadataResponse, .serverMetadata,
            .serverMetadata(
                ServerMetadata(
                    name: "sluice", version: "0.1",
                    extensions: ["binary_tensor_data", "statistics"]))
        ),
        (
            TritonFixtures.indexResponse, .repositoryIndex,
            .index([
                IndexEntry(name: "iris", version: "1", state: "READY", reason: ""),
                IndexEntry(
                    name: "other", version: "", state: "UNAVAILABLE",
                    reason: "unloaded by CLIENT"),
            ])
        ),
        (TritonFixtures.statisticsResponse, .modelStatistics, .statistics([statistics])),
        (TritonFixtures.loadResponse, .repositoryLoad, .done),
    ]

    private static var statistics: ModelStatistics {
        var statistics = ModelStatistics(name: "iris", version: "1")
        statistics.lastInference = 1_700_000_000_123
        statistics.inferences = 7
        statistics.executions = 5
        statistics.success = CountedTime(count: 7, nanoseconds: 900)
        statistics.failure = CountedTime(count: 1, nanoseconds: 20)
        statistics.queue = CountedTime(count: 7, nanoseconds: 30)
        statistics.run = CountedTime(count: 5, nanoseconds: 400)
        return statistics
    }

    @Test func answersBothWays() throws {
        for (hex, method, answer) in TritonTests.answers {
            let decoded = try AnswerDecoder.decode(bytes(hex), for: method, limits: Limits())
            #expect(decoded == answer)
            let written = encoded { AnswerEncoder.encode(answer, into: &$0) }
            #expect(written == bytes(hex), "\(method)")
            #expect(AnswerEncoder.byteCount(of: answer) == written.readableBytes)
        }
    }
}
