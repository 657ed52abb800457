// The hand-written protobuf against SwiftProtobuf: two implementations hold each other.

import Foundation
import NIOCore
import SluiceClient
import SluiceMessages
import SwiftProtobuf
import Testing

@Suite struct CodingTests {
    @Test(arguments: [0, 1, 127, 128, 300, 16_383, 16_384, UInt64(UInt32.max), .max])
    func varints(_ value: UInt64) throws {
        var bytes = ByteBuffer()
        bytes.writeVarint(value)
        #expect(bytes.readableBytes == ProtobufSize.varint(value))
        var reader = ProtobufReader(bytes)
        let read = try reader.varint()
        #expect(read == value)
    }

    @Test func brokenFieldsThrow() {
        for bytes: [UInt8] in [
            [0x80], [0x00, 1], [0x0B], [0x0C], [0x0A, 5, 1], [0x0D, 1],
            [0x08] + [UInt8](repeating: 0xFF, count: 10), [0x0A, 2, 0xFF, 0xFF],
        ] {
            #expect(throws: MalformedMessage.self) {
                var reader = ProtobufReader(ByteBuffer(bytes: bytes))
                while let (field, type) = try reader.next() {
                    if field == 1, type == .delimited {
                        _ = try reader.string()
                    } else {
                        try reader.skip(type)
                    }
                }
            }
        }
    }

    @Test func callHeader() throws {
        var request = CallRequest(method: .infer, model: "iris", version: "3")
        request.wantsProgress = true
        request.options.priority = 200
        request.options.idempotencyKey = "key"
        request.options.trace = Array(1...25)
        request.options.metadata = [
            ("a", "b"), ("", ""), ("c", String(repeating: "d", count: 200)),
        ]
        request.token = "token"
        var bytes = ByteBuffer()
        request.writeHeader(to: &bytes, timeout: 1_500_000, attempt: 2, messageLength: 77)
        let header = try Sluice_CallHeader(serializedBytes: bytes.array)
        #expect(header.method == .infer)
        #expect(header.timeoutUs == 1_500_000)
        #expect(header.model == "iris")
        #expect(header.modelVersion == "3")
        #expect([UInt8](header.trace) == Array(1...25))
        #expect(header.messageLength == 77)
        #expect(header.metadata.map(\.key) == ["a", "", "c"])
        #expect(header.metadata[2].value.count == 200)
        #expect(header.attempt == 2)
        #expect(header.idempotencyKey == "key")
        #expect(header.priority == 200)
        #expect(header.token == "token")
        #expect(header.wantProgress)
        #expect(header.unknownFields.data.isEmpty)
        #expect(try header.serializedBytes() as [UInt8] == bytes.array)
    }

    @Test func headersHaveBounds() throws {
        var request = CallRequest(method: .infer, model: String(repeating: "m", count: 257))
        #expect(throws: SluiceError.self) { try request.checkHeader() }
        request.model = "m"
        try request.checkHeader()
        request.options.metadata = Array(repeating: ("k", "v"), count: 65)
        #expect(throws: SluiceError.self) { try request.checkHeader() }
        request.options.metadata = [("k", String(repeating: "v", count: 9_000))]
        #expect(throws: SluiceError.self) { try request.checkHeader() }
        request.options.metadata = []
        request.options.trace = [1]
        #expect(throws: SluiceError.self) { try request.checkHeader() }
    }

    @Test func replyHeader() throws {
        var message = Sluice_ReplyHeader()
        message.status.code = 14
        message.status.message = "Möglich"
        message.status.reason = "MODEL_LOADING"
        message.status.notStarted = true
        message.status.retryAfterMs = 250
        var detail = Sluice_Metadata()
        detail.key = "limit"
        detail.value = "5"
        message.status.details = [detail]
        message.messageLength = 1 << 40
        message.metadata = [detail]
        message.timing.authUs = 1
        message.timing.queueUs = 2
        message.timing.loadUs = 3
        message.timing.runUs = 4
        message.timing.batch = 5
        message.timing.cold = true
        let header = try ReplyHeader(try HelloCoding.encoded(message))
        let error = try #require(header.status)
        #expect(error.code == .unavailable)
        #expect(error.message == "Möglich")
        #expect(error.reason == "MODEL_LOADING")
        #expect(error.notStarted)
        #expect(error.retryAfter == .milliseconds(250))
        #expect(error.details == ["limit": "5"])
        #expect(header.messageLength == 1 << 40)
        #expect(
            header.timing
                == Timing(
                    authentication: .microseconds(1), queue: .microseconds(2),
                    load: .microseconds(3), run: .microseconds(4), batch: 5, isCold: true))
        message.status.code = 0
        #expect(try ReplyHeader(try HelloCoding.encoded(message)).status == nil)
        #expect(try ReplyHeader(ByteBuffer()).status == nil)
    }

    @Test func whatAPlanHasLeftIsRead() throws {
        func header(_ limit: String?, _ policy: String?, failed: Bool) throws -> ReplyHeader {
            var message = Sluice_ReplyHeader()
            if failed {
                message.status.code = 8
                message.status.reason = "RATE_LIMIT"
            }
            for (key, value) in [("ratelimit", limit), ("ratelimit-policy", policy)] {
                guard let value else { continue }
                var entry = Sluice_Metadata()
                (entry.key, entry.value) = (key, value)
                message.metadata.append(entry)
            }
            return try ReplyHeader(try HelloCoding.encoded(message))
        }
        let expected = RateLimit(
            name: "calls", limit: 100, window: .seconds(60), remaining: 50, reset: .seconds(30))
        let whole = ("\"calls\";r=50;t=30", "\"calls\";q=100;w=60")
        #expect(try header(whole.0, whole.1, failed: false).rateLimit == expected)
        #expect(try header(whole.0, whole.1, failed: true).status?.rateLimit == expected)
        #expect(try header(whole.0 + ";pk=:x:", whole.1, failed: false).rateLimit == expected)
        for (limit, policy) in [
            (whole.0, nil), (nil, whole.1), (whole.0, "\"day\";q=1;w=1"),
            ("calls;r=1;t=1", whole.1),
            ("\"calls\";r=-1;t=30", whole.1), ("\"calls\";t=30", whole.1), ("\"", whole.1),
            ("", whole.1), (String(repeating: "x", count: 10_000), whole.1),
        ] as [(String?, String?)] {
            #expect(try header(limit, policy, failed: false).rateLimit == nil, "\(limit ?? "nil")")
        }
    }

    @Test func inferRequest() throws {
        let inputs = [
            try Tensor("X", shape: [2, 300], [Float](repeating: 1.5, count: 600)),
            try Tensor("scalar", shape: [], [7] as [Int64]),
            try Tensor("empty", shape: [0], [] as [Double]),
            try Tensor("text", ["a", "b"]),
        ]
        let bytes = InferenceCoding.request(
            model: "iris", version: "2", inputs: inputs, outputs: ["label", ""])
        let request = try Inference_ModelInferRequest(serializedBytes: bytes.array)
        #expect(request.modelName == "iris")
        #expect(request.modelVersion == "2")
        #expect(request.inputs.map(\.name) == ["X", "scalar", "empty", "text"])
        #expect(request.inputs.map(\.datatype) == ["FP32", "INT64", "FP64", "BYTES"])
        #expect(request.inputs.map(\.shape) == [[2, 300], [], [0], [2]])
        #expect(request.outputs.map(\.name) == ["label", ""])
        #expect(request.rawInputContents.map { [UInt8]($0) } == inputs.map(\.rawContents))
        #expect(try request.serializedBytes() as [UInt8] == bytes.array)
    }

    @Test func inferResponse() throws {
        let inputs = [
            try Tensor("X", shape: [1, 2], [1.5, 2.5] as [Float]), try Tensor("text", ["a"]),
        ]
        let echo = try Messages.echo(
            InferenceCoding.request(model: "iris", version: "", inputs: inputs, outputs: []))
        let inference = try InferenceCoding.inference(echo)
        #expect(inference.model == "iris")
        #expect(inference.version == "7")
        #expect(inference.outputs == inputs)
        #expect(inference["text"] == inputs[1])
        #expect(inference["none"] == nil)
        let error = #expect(throws: SluiceError.self) { try inference.output("none") }
        #expect(error?.message.contains("there are: X, text") == true)
    }

    @Test func typedContents() throws {
        func output(
            _ datatype: String, _ fill: (inout Inference_InferTensorContents) -> Void
        ) throws -> Tensor {
            var response = Inference_ModelInferResponse()
            var output = Inference_ModelInferResponse.InferOutputTensor()
            output.name = "y"
            output.datatype = datatype
            output.shape = [2]
            fill(&output.contents)
            response.outputs = [output]
            return try InferenceCoding.inference(try HelloCoding.encoded(response)).output("y")
        }
        #expect(try output("INT8", { $0.intContents = [-1, 5] }).values() == [-1, 5] as [Int8])
        #expect(try output("INT16", { $0.intContents = [-1, 5] }).values() == [-1, 5] as [Int16])
        #expect(try output("INT32", { $0.intContents = [-1, 5] }).values() == [-1, 5] as [Int32])
        #expect(
            try output("INT64", { $0.int64Contents = [-1, 5] }).values() == [-1, 5] as [Int64])
        #expect(try output("UINT8", { $0.uintContents = [1, 5] }).values() == [1, 5] as [UInt8])
        #expect(try output("UINT16", { $0.uintContents = [1, 5] }).values() == [1, 5] as [UInt16])
        #expect(try output("UINT32", { $0.uintContents = [1, 5] }).values() == [1, 5] as [UInt32])
        #expect(
            try output("UINT64") { $0.uint64Contents = [1, 5] }.values() == [1, 5] as [UInt64])
        #expect(try output("FP32", { $0.fp32Contents = [1, 5] }).values() == [1, 5] as [Float])
        #expect(try output("FP64", { $0.fp64Contents = [1, 5] }).values() == [1, 5] as [Double])
        #expect(try output("BOOL", { $0.boolContents = [true, false] }).values() == [true, false])
        let strings = try output("BYTES") { $0.bytesContents = [Data("a".utf8), Data()] }.strings()
        #expect(strings == ["a", ""])
        #expect(throws: SluiceError.self) { try output("INT8") { $0.intContents = [300, 5] } }
        #expect(throws: SluiceError.self) { try output("FP32") { $0.fp32Contents = [1] } }
        #expect(throws: SluiceError.self) { try output("FP16") { $0.fp32Contents = [1, 2] } }
    }

    @Test func brokenAnswersAreErrorsNotCrashes() throws {
        let whole = try Messages.echo(
            InferenceCoding.request(
                model: "iris", version: "",
                inputs: [try Tensor("X", shape: [2], [1, 2] as [Float]), try Tensor("t", ["ab"])],
                outputs: []))
        let header = try Messages.replyHeader(
            Messages.status(.unavailable, "R", retryAfter: 5), messageLength: 9)
        var generator = SeededGenerator(0xC0DE)
        for _ in 0..<20_000 {
            for original in [whole, header] {
                var bytes = original.array
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let index = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes.remove(at: index)
                    default: bytes.removeSubrange(index...)
                    }
                    if bytes.isEmpty { break }
                }
                do {
                    _ = try InferenceCoding.inference(ByteBuffer(bytes: bytes))
                } catch {
                    #expect(error.code == .internal)
                }
                _ = try? ReplyHeader(ByteBuffer(bytes: bytes))
            }
        }
    }

    @Test func helloCarriesWhatFits() throws {
        let token = String(repeating: "t", count: HelloCoding.helloTokenBytesMax)
        let agent = String(repeating: "ä", count: 200)
        let bytes = try HelloCoding.hello(userAgent: agent, token: token)
        #expect(bytes.readableBytes <= 4_096)
        let hello = try Sluice_ClientHello(serializedBytes: bytes.array)
        #expect(hello.token == token)
        #expect(hello.userAgent == String(repeating: "ä", count: 64))
        let late = try HelloCoding.hello(userAgent: "", token: token + "t")
        #expect(try Sluice_ClientHello(serializedBytes: late.array).token.isEmpty)
        #expect(throws: SluiceError.self) {
            try HelloCoding.authUpdate(String(repeating: "t", count: 16 << 10))
        }
    }
}
