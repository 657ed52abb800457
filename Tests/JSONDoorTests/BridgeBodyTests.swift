// Bodies of the bridge: compressed both ways, split into JSON and tensors, bounded.

import Compression
import Contract
import JSONDoor
import NIOCore
import NIOEmbedded
import OpenInference
import Testing

@Suite struct BridgeBodyTests {
    static let infer = "/v2/models/m/infer"
    static let input =
        "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[1.5,-2]}]}"
    static let binaryInput =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[4],\"parameters\":{\"binary_data_size\":4}}],"
        + "\"parameters\":{\"binary_data_output\":true}}"

    /// Gives back the inputs.
    static func identity(_ call: Call) -> Result<Answer, CallFailure> {
        do throws(CallFailure) {
            let request = try call.body.inferenceRequest()
            return .success(
                .inference(
                    InferenceReply(
                        model: "m", version: "1", id: request.id, outputs: request.inputs)))
        } catch {
            return .failure(error)
        }
    }

    @Test(arguments: ContentCoding.allCases) func compressedBodies(coding: ContentCoding) throws {
        let bench = try BridgeBench(walk: Self.identity)
        let body = ByteBuffer(string: Self.input)
        let plain = try #require(try bench.send("POST", Self.infer, body))
        #expect(plain.status == 200 && plain.text.contains("\"id\":\"7\""))
        #expect(plain.text.contains("1.5"), "\(plain.text)")
        let packed = try Packed.deflated(body, coding)
        let same = try #require(
            try bench.send(
                "POST", Self.infer, packed, fields: "Content-Encoding: \(coding.rawValue)\r\n"))
        #expect(same.text == plain.text)
        // Budgets count what it became.
        #expect(bench.desk.calls.map(\.body.byteCount) == [body.readableBytes, body.readableBytes])
        let again = try #require(
            try bench.send("POST", Self.infer, body, fields: "Content-Encoding: identity\r\n"))
        #expect(again.text == plain.text)
    }

    @Test func aLargeBodyIsInflatedAside() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let count = 3 << 20
        let json = ByteBuffer(
            string: Self.binaryInput.replacing("[4]", with: "[\(count)]").replacing(
                ":4}", with: ":\(count)}"))
        var body = json
        body.writeRepeatingByte(7, count: count)
        let packed = try Packed.deflated(body, .gzip)
        let reply = try bench.send(
            "POST", Self.infer, packed,
            fields: "Content-Encoding: gzip\r\n"
                + "Inference-Header-Content-Length: \(json.readableBytes)\r\n", turns: false)
        #expect(reply == nil && bench.desk.calls.isEmpty && bench.threads.count == 1)
        bench.turn()
        let answer = try #require(try bench.received())
        #expect(answer.status == 200 && bench.desk.turns == 2)
        let length = try #require(answer.field("inference-header-content-length").flatMap(Int.init))
        #expect(answer.field("content-type") == "application/octet-stream")
        #expect(answer.body.readableBytes == length + count)
        #expect(answer.body.readableBytesView.dropFirst(length).allSatisfy { $0 == 7 })
    }

    /// A program that appends to a gzip file makes members (RFC 1952 section 2.2): together they are one document.
    @Test func membersOfAGzipBodyAreOneDocument() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let middle = Self.input.index(Self.input.startIndex, offsetBy: 20)
        var body = try Packed.deflated(ByteBuffer(string: String(Self.input[..<middle])), .gzip)
        body.writeImmutableBuffer(
            try Packed.deflated(ByteBuffer(string: String(Self.input[middle...])), .gzip))
        let reply = try bench.send(
            "POST", Self.infer, body, fields: "Content-Encoding: gzip\r\n", turns: false)
        #expect(reply == nil, "the second member is a second piece")
        bench.turn()
        let answer = try #require(try bench.received())
        #expect(answer.status == 200 && bench.desk.calls.count == 1, "\(answer.text)")
    }

    @Test func aCallerThatLeavesEndsTheInflating() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let packed = try Packed.deflated(ByteBuffer(repeating: 32, count: 3 << 20), .gzip)
        _ = try bench.send(
            "POST", Self.infer, packed, fields: "Content-Encoding: gzip\r\n", turns: false)
        bench.leave()
        #expect(bench.threads.count == 1 && bench.desk.calls.isEmpty)
    }

    /// The call's time begins with the call: a slow upload is not its queue, and not its deadline.
    @Test func theUploadIsNotTheCallsTime() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let head =
            "POST \(Self.infer) HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer good\r\n"
            + "Content-Length: \(Self.input.utf8.count)\r\n\r\n"
        try bench.channel.writeInbound(ByteBuffer(string: head))
        bench.channel.embeddedEventLoop.advanceTime(by: .seconds(40))
        try bench.channel.writeInbound(ByteBuffer(string: Self.input))
        #expect(try bench.received()?.status == 200)
        let call = try #require(bench.desk.calls.first)
        #expect(call.arrived >= Instant(nanoseconds: 40_000_000_000))
        #expect(call.deadline == call.arrived + Limits().deadlineDefault)
    }

    @Test func aCallerThatLeavesCancelsItsCall() throws {
        let bench = try BridgeBench()
        #expect(try bench.post(Self.infer, Self.input) == nil)
        bench.leave()
        #expect(bench.desk.cancelled == 1)
        bench.desk.exchanges[0].finish(
            .failure(CallFailure(.cancelled, .none, "gone")), timing: Timing(), workContinues: false
        )
    }

    /// The span is told while the call is open; its answer names it, also where the caller sent no context.
    @Test(arguments: [
        "", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n",
    ])
    func anAnswerNamesTheSpanThatIsExported(_ fields: String) throws {
        let bench = try BridgeBench()
        #expect(try bench.post(Self.infer, Self.input, fields: fields) == nil)
        let span = try #require(TraceContext(Array(1...25)))
        let exchange = bench.desk.exchanges[0]
        exchange.trace(as: span)
        exchange.finish(
            .failure(CallFailure(.unavailable, .none, "later")), timing: Timing(),
            workContinues: false)
        bench.turn()
        let answer = try #require(try bench.received())
        #expect(
            answer.field("traceparent")
                == "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-19")
        // The next request of the connection has nothing of it.
        #expect(try bench.post(Self.infer, Self.input) == nil)
        bench.desk.exchanges[1].finish(
            .failure(CallFailure(.unavailable, .none, "later")), timing: Timing(),
            workContinues: false)
        bench.turn()
        #expect(try #require(try bench.received()).field("traceparent") == nil)
    }

    @Test func whatCannotBeInflated() throws {
        var limits = Limits()
        limits.messageBytes = 100_000
        let gzip = "Content-Encoding: gzip\r\n"
        let whole = try Packed.deflated(ByteBuffer(string: Self.input), .gzip)
        let bomb = try Packed.deflated(ByteBuffer(repeating: 48, count: 8 << 20), .gzip)
        let most = try Packed.deflated(ByteBuffer(repeating: 32, count: 100_001), .gzip)
        for (body, fields, status) in [
            (bomb, gzip, 413), (most, gzip, 413), (ByteBuffer(string: Self.input), gzip, 400),
            (whole.getSlice(at: 0, length: whole.readableBytes - 1) ?? whole, gzip, 400),
            (ByteBuffer(bytes: Array(whole.readableBytesView) + [0]), gzip, 400),
            (whole, "Content-Encoding: br\r\n", 415),
            (whole, "Content-Encoding: gzip, gzip\r\n", 415), (whole, gzip + gzip, 415),
            (ByteBuffer(repeating: 48, count: 100_001), "", 413),
            (ByteBuffer(), gzip, 400),
        ] {
            let bench = try BridgeBench(limits: limits, walk: Self.identity)
            let reply = try #require(try bench.send("POST", Self.infer, body, fields: fields))
            #expect(reply.status == status, "\(fields) \(reply.text)")
            #expect(bench.desk.calls.isEmpty)
            if status == 415 {
                #expect(reply.field("accept-encoding") == "gzip, deflate, identity")
            }
        }
    }

    /// Nobody is asked for names unless the caller asked for classes.
    @Test func classesHaveTheNamesOfTheManifest() throws {
        let guide = FakeGuide()
        guide.names["m 1"] = ["x": ["up", "down"]]
        let bench = try BridgeBench(guide: guide, walk: Self.identity)
        _ = try bench.post(Self.infer, Self.input)
        #expect(guide.asked.isEmpty)
        func best(_ bench: BridgeBench) throws -> String {
            let asked = Self.input.replacing(
                "\"id\"",
                with: "\"outputs\":[{\"name\":\"x\",\"parameters\":"
                    + "{\"classification\":2}}],\"id\"")
            return try #require(try bench.post(Self.infer, asked)).text
        }
        let named = try best(bench)
        #expect(named.contains("\"data\":[\"1.5:0:up\",\"-2.0:1:down\"]"), "\(named)")
        #expect(guide.asked == ["labels of m 1"])
        guide.names = [:]
        let bare = try best(bench)
        #expect(bare.contains("\"data\":[\"1.5:0\",\"-2.0:1\"]"), "\(bare)")
        let alone = try best(try BridgeBench(walk: Self.identity))
        #expect(alone == bare)
    }

    @Test(arguments: ContentCoding.allCases) func compressedAnswers(coding: ContentCoding) throws {
        let bench = try BridgeBench { _ in
            .success(
                .index(
                    (0..<5_000).map {
                        IndexEntry(name: "model-\($0)", version: "1", state: "READY", reason: "")
                    }))
        }
        let path = "/v2/repository/index"
        let plain = try #require(try bench.post(path))
        #expect(plain.field("content-encoding") == nil)
        let packed = try #require(
            try bench.post(path, fields: "Accept-Encoding: \(coding.rawValue)\r\n"))
        #expect(packed.field("content-encoding") == coding.rawValue)
        #expect(packed.field("vary") == "Accept-Encoding")
        #expect(packed.body.readableBytes * 4 < plain.body.readableBytes)
        #expect(try Packed.inflated(packed.body, coding) == plain.body)
        let refused = try #require(try bench.post(path, fields: "Accept-Encoding: gzip;q=0\r\n"))
        #expect(refused.body == plain.body)
    }

    @Test func smallAnswersAreNotCompressed() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let reply = try #require(
            try bench.post(Self.infer, Self.input, fields: "Accept-Encoding: gzip\r\n"))
        #expect(reply.status == 200 && reply.field("content-encoding") == nil)
    }

    @Test(arguments: [
        ("-1", 400), ("x", 400), ("", 400), ("1e2", 400), ("99999999999999999999", 400),
        ("100000", 400), ("3", 400),
    ]) func wrongHeaderLengths(length: String, status: Int) throws {
        let bench = try BridgeBench(walk: Self.identity)
        let reply = try #require(
            try bench.post(
                Self.infer, Self.input, fields: "Inference-Header-Content-Length: \(length)\r\n"))
        #expect(reply.status == status && reply.text.contains("\"error\""), "\(reply.text)")
    }

    /// Found by schemathesis: a JSON text whose length suits the model was run as if it were numbers.
    @Test func jsonIsNoRawTensor() throws {
        let bench = try BridgeBench(walk: Self.identity)
        let reply = try #require(
            try bench.post(
                Self.infer, Self.input,
                fields: "Inference-Header-Content-Length: 0\r\nContent-Type: application/json\r\n")
        )
        #expect(reply.status == 400 && reply.text.contains("octet-stream"), "\(reply.text)")
        #expect(bench.desk.calls.isEmpty)
    }

    @Test func binaryTensorsBothWays() throws {
        let bench = try BridgeBench(walk: Self.identity)
        var body = ByteBuffer(string: Self.binaryInput)
        let length = body.readableBytes
        body.writeBytes([1, 2, 3, 255])
        let field = "Inference-Header-Content-Length: \(length)\r\n"
        let reply = try #require(
            try bench.send(
                "POST", Self.infer, body,
                fields: field + "Content-Type: application/octet-stream\r\n"))
        #expect(reply.status == 200 && reply.field("content-type") == "application/octet-stream")
        let json = try #require(
            reply.field("inference-header-content-length").flatMap(Int.init))
        #expect(Array(reply.body.readableBytesView.dropFirst(json)) == [1, 2, 3, 255])
        #expect(String(buffer: reply.body).contains("\"binary_data_size\":4"))
        for wrong in [[], [1, 2, 3], [1, 2, 3, 4, 5]] as [[UInt8]] {
            var body = ByteBuffer(string: Self.binaryInput)
            body.writeBytes(wrong)
            let reply = try #require(try bench.send("POST", Self.infer, body, fields: field))
            #expect(reply.status == 400, "\(wrong)")
        }
        let text = try #require(
            try bench.send("POST", Self.infer, body, fields: "Content-Type: text/plain\r\n"))
        #expect(text.status == 415)
    }

    @Test func whatARequestAsksOfTheWalk() throws {
        let parameters = "\"parameters\":{\"timeout\":250000,\"priority\":2},"
        let hurried = TensorBody(
            ByteBuffer(string: Self.input.replacing("{\"id\"", with: "{" + parameters + "\"id\"")),
            headerLength: nil, limits: DocumentLimits(Limits()))
        #expect(hurried.form == nil)
        let request = try hurried.inferenceRequest()
        #expect(request.timeout == .milliseconds(250) && request.priority == .batch)
        #expect(request.id == "7" && request.inputs.count == 1 && request.rawInput == nil)
        #expect(hurried.form != nil)
        let raw = TensorBody(
            ByteBuffer(bytes: [1, 2]), headerLength: 0, limits: DocumentLimits(Limits()))
        let bytes = try raw.inferenceRequest()
        #expect(bytes.rawInput == ByteBuffer(bytes: [1, 2]) && bytes.inputs.isEmpty)
    }

    /// The deadline of a request without one of its own.
    @Test func theDefaultDeadline() throws {
        var limits = Limits()
        limits.deadlineDefault = .seconds(7)
        let bench = try BridgeBench(limits: limits, walk: Self.identity)
        _ = try bench.post(Self.infer, Self.input)
        let call = try #require(bench.desk.calls.first)
        #expect(call.deadline.since(call.arrived) == .seconds(7))
    }
}
