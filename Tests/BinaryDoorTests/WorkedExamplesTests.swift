// The hex blocks of proto/README.md say what they claim to: decoded, compared, encoded again.

import Contract
import Foundation
import Messages
import NIOCore
import SluiceWire
import Testing

@Suite struct WorkedExamplesTests {
    /// All blocks of the text, by name.
    private static let blocks: [String: [UInt8]] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../proto/README.md")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [:] }
        var blocks: [String: [UInt8]] = [:]
        var name: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```hex ") {
                name = String(line.dropFirst(7))
            } else if line.hasPrefix("```") {
                name = nil
            } else if let name {
                let hex = line.prefix { $0 != "#" }.split(separator: " ")
                blocks[name, default: []] += hex.compactMap { UInt8($0, radix: 16) }
            }
        }
        return blocks
    }()

    private let limits = Limits()
    private let vector: [UInt8] = [
        0x0A, 0x01, 0x6D, 0x2A, 0x0C, 0x0A, 0x01, 0x78, 0x12, 0x04, 0x46, 0x50, 0x33, 0x32, 0x1A,
        0x01, 0x01, 0x3A, 0x04, 0x00, 0x00, 0x80, 0x3F,
    ]

    /// The frames of a block, read by `side`; written again they must be the block.
    private func frames(_ name: String, _ side: WireSide, calls: UInt32 = 0) throws -> [Frame] {
        let bytes = try #require(Self.blocks[name], "proto/README.md has no block \(name)")
        var decoder = FrameDecoder(side)
        var start = ByteBuffer()
        if name != "client-hello", name != "server-hello" { start.writeFrame(Frame(.hello)) }
        if side == .server, calls > 0 { start.writeFrame(Frame(.call, [.end], call: calls)) }
        decoder.append(start)
        while try decoder.next() != nil {}
        if side == .client, calls > 0 { decoder.opened(calls) }
        decoder.append(ByteBuffer(bytes: bytes))
        var frames: [Frame] = []
        while let frame = try decoder.next() { frames.append(frame) }
        #expect(!decoder.isInsideFrame)
        var again = ByteBuffer()
        for frame in frames { again.writeFrame(frame) }
        #expect(Array(again.readableBytesView) == bytes)
        return frames
    }

    private func frame(_ name: String, _ side: WireSide, calls: UInt32 = 0) throws -> Frame {
        let all = try frames(name, side, calls: calls)
        #expect(all.count == 1)
        return try #require(all.first)
    }

    /// Decodes a header, and holds what is encoded again against the example's bytes.
    private func header<Header: HeaderMessage>(_ type: Header.Type, _ frame: Frame) throws -> Header
    {
        let header = try Header(decoding: frame.header, limits: limits)
        var again = ByteBuffer()
        header.encode(into: &again)
        #expect(again == frame.header)
        return header
    }

    @Test("HELLO both ways")
    func hello() throws {
        let client = try header(ClientHello.self, frame("client-hello", .server))
        #expect(client == ClientHello(userAgent: "demo/1", token: Secret("secret")))
        let server = try header(ServerHello.self, frame("server-hello", .client))
        var expected = ServerHello(limits)
        expected.connectionID = "c1"
        expected.server = "sluice/1"
        expected.auth = AuthResult(expiresInMilliseconds: 60_000)
        #expect(server == expected)
    }

    @Test("A unary call, with the protocol's test vector, and its answer")
    func unary() throws {
        let call = try frame("unary-call", .server)
        #expect(call.type == .call && call.flags == [.end] && call.call == 1)
        let head = try header(CallHeader.self, call)
        #expect(head == CallHeader(method: .infer, model: "m", timeoutMicroseconds: 1_000_000))
        #expect(Array(call.payload.readableBytesView) == vector)
        let request = try InferenceBody(method: .infer, message: call.payload, limits: limits)
            .inferenceRequest()
        #expect(request.model == "m")
        #expect(request.inputs.map(\.name) == ["x"])
        #expect(
            request.inputs.first.map { Array($0.bytes.readableBytesView) } == [0, 0, 0x80, 0x3F])

        let reply = try frame("unary-reply", .client, calls: 1)
        #expect(reply.type == .reply && reply.flags == [.end])
        var timing = Timing()
        timing.run = .microseconds(12)
        timing.batch = 1
        #expect(try header(ReplyHeader.self, reply) == ReplyHeader(timing: timing))
        let answer = Answer.inference(
            InferenceReply(
                model: "m", version: "1", id: "",
                outputs: [
                    Tensor(
                        name: "y", datatype: .fp32, shape: [1],
                        bytes: ByteBuffer(bytes: [0, 0, 0x80, 0x3F]))
                ]))
        var payload = ByteBuffer()
        AnswerEncoder.encode(answer, into: &payload)
        #expect(payload == reply.payload)
    }

    @Test("A call that failed")
    func error() throws {
        let reply = try frame("error-reply", .client, calls: 2)
        #expect(reply.type == .reply && reply.flags == [.end] && reply.payload.readableBytes == 0)
        let failure = try header(ReplyHeader.self, reply).status?.failure
        #expect(
            failure
                == CallFailure(.notFound, .modelNotFound, "no such model", notStarted: true))
    }

    @Test("A message in three parts")
    func split() throws {
        let parts = try frames("split-call", .server)
        #expect(parts.map(\.type) == [.call, .data, .data])
        #expect(parts.map(\.flags) == [[.more], [.more], [.end]])
        let length = try header(CallHeader.self, parts[0]).messageLength
        var assembler = try MessageAssembler(
            length: length, messageMax: 100, room: 100, at: .uptimeNanoseconds(0))
        for part in parts { try assembler.append(part.payload, at: .uptimeNanoseconds(0)) }
        let message = try assembler.finish()
        #expect(Array(message.readableBytesView) == vector)
    }

    @Test("CANCEL, PING, AUTH, PROGRESS, GOAWAY")
    func control() throws {
        let cancel = try frame("cancel", .server, calls: 3)
        #expect(cancel.call == 3)
        #expect(try header(CancelMessage.self, cancel) == CancelMessage(reason: "not needed"))

        let ping = try frame("ping", .server)
        let pong = try frame("ping-ack", .client)
        #expect(ping.flags.isEmpty && pong.flags == [.ack] && ping.payload == pong.payload)

        let update = try header(AuthUpdate.self, frame("auth-update", .server))
        #expect(update == AuthUpdate(token: Secret("next")))
        let result = try header(AuthResult.self, frame("auth-result", .client))
        #expect(result.status?.code == .unauthenticated)

        let progress = try header(ProgressMessage.self, frame("progress", .client, calls: 4))
        #expect(
            progress.progress
                == Progress(state: .loading, fraction: 0.5, remaining: .milliseconds(1_500)))

        let goAway = try frames("go-away", .client).map { try header(GoAway.self, $0) }
        #expect(
            goAway == [
                GoAway(lastCall: GoAway.anyCall, drainMilliseconds: 30_000),
                GoAway(lastCall: 4, drainMilliseconds: 29_000),
            ])
    }

    @Test("Control of a model, and its account")
    func memory() throws {
        let control = try frame("model-control", .server)
        #expect(control.flags == [.end] && control.call == 5)
        #expect(
            try header(CallHeader.self, control)
                == CallHeader(
                    method: .modelControl, model: "iris", modelVersion: "2",
                    timeoutMicroseconds: 5_000_000))
        let body = InferenceBody(method: .modelControl, message: control.payload, limits: limits)
        #expect(try body.question() == Question(control: .sleep))

        let reply = try frame("model-account", .client, calls: 6)
        #expect(try header(ReplyHeader.self, reply) == ReplyHeader())
        var iris = ModelAccount(name: "iris", version: "2", state: .asleep)
        iris.anonymousBytes = 1_258_291
        iris.mappedBytes = 65_536
        iris.loadTime = .milliseconds(5)
        iris.sinceLastCall = .seconds(240)
        iris.loads = 3
        iris.evictions = 1
        iris.demand = 0.5
        iris.sinceEviction = .seconds(180)
        iris.evictedFor = "wine"
        var fleet = FleetAccount()
        fleet.anonymousBudget = 1 << 30
        fleet.anonymousUsed = 1 << 20
        fleet.calls = 100
        fleet.coldCalls = 12
        fleet.loadsLastHour = 9
        fleet.missCurve = [MissPoint(extraBytes: 400 << 20, coldShare: 0.03125)]
        let answer = Answer.account(fleet, [iris])
        #expect(
            try AnswerDecoder.decode(reply.payload, for: .modelAccount, limits: limits) == answer)
        var again = ByteBuffer()
        AnswerEncoder.encode(answer, into: &again)
        #expect(again == reply.payload)
    }

    @Test("An alias is moved")
    func alias() throws {
        let call = try frame("model-alias", .server)
        #expect(
            try header(CallHeader.self, call)
                == CallHeader(
                    method: .modelAlias, model: "iris", timeoutMicroseconds: 5_000_000))
        let body = InferenceBody(method: .modelAlias, message: call.payload, limits: limits)
        let move = AliasMove(.set, alias: "prod", version: "2")
        #expect(try body.question() == Question(aliasMove: move))
        var question = ByteBuffer()
        Question(aliasMove: move).encode(for: .modelAlias, into: &question)
        #expect(question == call.payload)

        let reply = try frame("model-alias-reply", .client, calls: 7)
        let answer = Answer.alias(
            AliasChange(alias: "prod", was: "1", now: "2", proof: .golden, goldenCases: 3))
        #expect(
            try AnswerDecoder.decode(reply.payload, for: .modelAlias, limits: limits) == answer)
        var again = ByteBuffer()
        AnswerEncoder.encode(answer, into: &again)
        #expect(again == reply.payload)
    }

    @Test("No block of the text is left out of these tests")
    func allBlocks() {
        #expect(
            Set(Self.blocks.keys) == [
                "client-hello", "server-hello", "unary-call", "unary-reply", "error-reply",
                "split-call", "cancel", "ping", "ping-ack", "auth-update", "auth-result",
                "progress", "go-away", "model-control", "model-account", "model-alias",
                "model-alias-reply",
            ])
    }
}
