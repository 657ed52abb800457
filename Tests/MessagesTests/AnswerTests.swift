// Answers and questions both ways, and against the SDK's messages, which SwiftProtobuf reads and writes.

import Contract
import Messages
import NIOCore
import SluiceMessages
import SwiftProtobuf
import Testing

@Suite struct AnswerTests {
    private let limits = Limits()

    @Test func roundTrips() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<400 {
            for method in Method.allCases {
                let answer = random.answer(to: method)
                let message = encoded { AnswerEncoder.encode(answer, into: &$0) }
                #expect(AnswerEncoder.byteCount(of: answer) == message.readableBytes)
                #expect(
                    try AnswerDecoder.decode(message, for: method, limits: limits) == answer,
                    "seed \(seed)")
            }
        }
    }

    @Test func questionsBothWays() throws {
        var random = Seeded(3)
        for _ in 0..<300 {
            for method in Method.allCases where method != .infer && method != .inferStream {
                var question = Question()
                switch method {
                case .modelMetadata, .modelReady, .modelStatistics:
                    question.model = random.text()
                    question.version = random.text()
                case .repositoryIndex: question.readyOnly = random.chance()
                case .repositoryLoad, .repositoryUnload: question.model = random.text()
                case .modelControl:
                    question.control =
                        ModelControl.allCases[
                            random.below(ModelControl.allCases.count)]
                case .modelAlias:
                    let actions = AliasMove.Action.allCases
                    question.aliasMove = AliasMove(
                        actions[random.below(actions.count)], alias: random.text(),
                        version: random.text(4))
                case .gatewayControl: question.order = random.order()
                case .accessCheck:
                    question.checked = Method.allCases[random.below(Method.allCases.count)]
                default: break
                }
                let message = encoded { question.encode(for: method, into: &$0) }
                let body = InferenceBody(method: method, message: message, limits: limits)
                #expect(try body.question() == question)
            }
        }
    }

    /// The message as SwiftProtobuf writes it after reading what we wrote: one more implementation agrees.
    private func through<Twin: SwiftProtobuf.Message>(
        _ type: Twin.Type, _ buffer: ByteBuffer
    ) throws -> ByteBuffer {
        let twin = try Twin(serializedBytes: array(buffer))
        #expect(twin.unknownFields.data.isEmpty)
        let back: [UInt8] = try twin.serializedBytes()
        #expect(back == array(buffer))
        return embedded(back)
    }

    @Test func swiftProtobufAgrees() throws {
        var random = Seeded(17)
        for _ in 0..<500 {
            let request = random.request()
            let call = try through(
                Inference_ModelInferRequest.self, encoded { request.encode(into: &$0) })
            #expect(try InferenceBody(call).inferenceRequest() == request)
            let reply = random.reply()
            let answer = try through(
                Inference_ModelInferResponse.self, encoded { reply.encode(into: &$0) })
            #expect(
                try AnswerDecoder.decode(answer, for: .infer, limits: limits) == .inference(reply))
            let header = random.callHeader()
            let opening = try through(Sluice_CallHeader.self, encoded { header.encode(into: &$0) })
            #expect(try CallHeader(decoding: opening, limits: limits) == header)
            var closing = ReplyHeader(messageLength: random.number(), timing: random.timing())
            if random.chance() { closing.status = random.status() }
            let end = try through(Sluice_ReplyHeader.self, encoded { closing.encode(into: &$0) })
            #expect(try ReplyHeader(decoding: end, limits: limits) == closing)
            var hello = ServerHello(limits)
            hello.auth = AuthResult(status: random.status(), expiresInMilliseconds: 5)
            let accounts = random.answer(to: .modelAccount)
            let book = try through(
                Sluice_ModelAccountResponse.self,
                encoded { AnswerEncoder.encode(accounts, into: &$0) })
            #expect(try AnswerDecoder.decode(book, for: .modelAccount, limits: limits) == accounts)
            let change = random.answer(to: .modelAlias)
            let moved = try through(
                Sluice_ModelAliasResponse.self,
                encoded { AnswerEncoder.encode(change, into: &$0) })
            #expect(try AnswerDecoder.decode(moved, for: .modelAlias, limits: limits) == change)
            let greeting = try through(Sluice_ServerHello.self, encoded { hello.encode(into: &$0) })
            #expect(try ServerHello(decoding: greeting, limits: limits) == hello)
        }
    }

    /// The index of 10,000 models, the most a gateway is asked for at once.
    @Test func largeIndex() throws {
        let entries = (0..<10_000).map {
            IndexEntry(name: "model-\($0)", version: "1", state: "READY", reason: "asleep")
        }
        let message = encoded { AnswerEncoder.encode(.index(entries), into: &$0) }
        let decoded = try AnswerDecoder.decode(message, for: .repositoryIndex, limits: limits)
        #expect(decoded == .index(entries))
    }
}
