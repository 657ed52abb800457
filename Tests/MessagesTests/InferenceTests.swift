// ModelInferRequest and ModelInferResponse: both paths, no copies, and what is refused.

import Contract
import Messages
import NIOCore
import Testing

@Suite struct InferenceTests {
    private let bounds = MessageBounds(Limits())

    @Test func roundTrips() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for round in 0..<3_000 {
            let request = random.request()
            let message = encoded { request.encode(into: &$0) }
            #expect(message.readableBytes == request.wireByteCount)
            #expect(try InferenceRequest(decoding: message, bounds: bounds) == request)
            #expect(
                try InferenceRequest.decodeAny(message, bounds: bounds) == request,
                "seed \(seed), round \(round)")
            let reply = random.reply()
            let answer = encoded { reply.encode(into: &$0) }
            #expect(answer.readableBytes == reply.wireByteCount)
            #expect(try InferenceReply(decoding: answer, bounds: bounds) == reply)
            #expect(try InferenceReply.decodeAny(answer, bounds: bounds) == reply)
            #expect(joined(reply.pieces) == answer, "seed \(seed), round \(round)")
        }
    }

    /// Large outputs are pieces of their own, wherever they stand among small and empty ones.
    @Test func piecesAreTheMessageWithoutCopies() throws {
        let sizes = [0, 20_000, 5, 16_384, 16_383, 3_000_000, 0]
        let outputs = sizes.enumerated().map { index, size in
            Tensor(
                name: "output \(index)", datatype: .uint8, shape: [Int64(size)],
                bytes: ByteBuffer(repeating: UInt8(index), count: size))
        }
        let reply = InferenceReply(model: "m", version: "2", id: "id", outputs: outputs)
        let pieces = reply.pieces
        #expect(joined(pieces) == encoded { reply.encode(into: &$0) })
        #expect(AnswerEncoder.pieces(of: .inference(reply)) == pieces)
        for index in [1, 3, 5] {
            #expect(pieces.contains { address($0) == address(outputs[index].bytes) })
        }
        #expect(pieces.count == 7)
    }

    private func joined(_ pieces: [ByteBuffer]) -> ByteBuffer {
        pieces.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }

    private func address(_ bytes: ByteBuffer) -> Int {
        unsafe bytes.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
    }

    /// Names so long that a length takes two and three bytes, into a buffer with room for exactly the message.
    @Test func longDescriptionsFitExactly() throws {
        for length in [
            0, 1, 100, 112, 113, 114, 115, 116, 117, 118, 119, 120, 127, 128, 300, 20_000,
        ] {
            let tensor = Tensor(
                name: String(repeating: "n", count: length), datatype: .uint8,
                shape: [1, 2, 300, .max], bytes: ByteBuffer(repeating: 1, count: length))
            let request = InferenceRequest(
                model: "m", version: "", id: "", inputs: [tensor],
                outputs: [tensor.name, String(repeating: "o", count: 126)])
            let reply = InferenceReply(model: "", version: "", id: "", outputs: [tensor])
            var exact = ByteBuffer()
            exact.reserveCapacity(reply.wireByteCount)
            let capacity = exact.capacity
            reply.encode(into: &exact)
            #expect(exact.readableBytes == reply.wireByteCount)
            #expect(exact.capacity == capacity)
            #expect(try InferenceReply.decodeAny(exact, bounds: bounds) == reply)
            let message = encoded { request.encode(into: &$0) }
            #expect(message.readableBytes == request.wireByteCount)
            #expect(try InferenceRequest.decodeAny(message, bounds: bounds) == request)
        }
    }

    @Test func tensorsAreSlicesOfTheMessage() throws {
        let payload = ByteBuffer(repeating: 7, count: 4_096)
        let request = InferenceRequest(
            model: "m", version: "", id: "",
            inputs: [
                Tensor(name: "a", datatype: .uint8, shape: [4_096], bytes: payload),
                Tensor(name: "b", datatype: .uint8, shape: [4_096], bytes: payload),
            ], outputs: [])
        let message = encoded { request.encode(into: &$0) }
        let plain = try #require(InferenceRequest.decodePlain(message, bounds: bounds))
        let any = try InferenceRequest.decodeAny(message, bounds: bounds)
        let whole = unsafe message.withUnsafeReadableBytes {
            Int(bitPattern: $0.baseAddress)
        }
        for tensor in plain.inputs + any.inputs {
            #expect(tensor.bytes == payload)
            #expect(tensor.bytes.readerIndex == 0)
            let start = unsafe tensor.bytes.withUnsafeReadableBytes {
                Int(bitPattern: $0.baseAddress)
            }
            #expect((whole..<(whole + message.readableBytes)).contains(start))
        }
    }

    /// Raw contents before, between and behind the rest.
    @Test func rawContentsAnywhere() throws {
        let message = RawMessage.make { message in
            message.delimited(7, [1])
            message.text(1, "m")
            message.message(5) { input in
                input.text(1, "a")
                input.text(2, "UINT8")
                input.number(3, 1)
            }
            message.delimited(7, [2])
            message.message(5) { input in
                input.text(1, "b")
                input.text(2, "UINT8")
                input.number(3, 1)
            }
            message.text(3, "id")
        }
        #expect(InferenceRequest.decodePlain(message, bounds: bounds) == nil)
        let request = try InferenceBody(message).inferenceRequest()
        #expect(request.model == "m" && request.id == "id")
        #expect(request.inputs.map { array($0.bytes) } == [[1], [2]])
        #expect(request.inputs.map(\.name) == ["a", "b"])
    }

    @Test func emptyMessage() throws {
        let request = try InferenceBody(ByteBuffer()).inferenceRequest()
        #expect(
            request
                == InferenceRequest(model: "", version: "", id: "", inputs: [], outputs: []))
    }

    /// One input under test, with what comes before and after it.
    private func refusal(
        name: String = "x", datatype: String = "FP32", shape: [Int64] = [1],
        raw: [[UInt8]] = [[0, 0, 0, 0]], limits: Limits = Limits(),
        input extra: (inout RawMessage) -> Void = { _ in },
        message more: (inout RawMessage) -> Void = { _ in }
    ) -> CallFailure? {
        let message = RawMessage.make { message in
            message.message(5) { input in
                input.text(1, name)
                input.text(2, datatype)
                for dimension in shape { input.number(3, UInt64(bitPattern: dimension)) }
                extra(&input)
            }
            for piece in raw { message.delimited(7, piece) }
            more(&message)
        }
        return InferenceBody(message, limits: limits).refusal()
    }

    @Test func contradictions() throws {
        #expect(refusal() == nil)
        let datatype = try #require(refusal(datatype: "FLOAT"))
        #expect(datatype.code == .invalidArgument && datatype.reason == .badTensor)
        #expect(datatype.message.contains("\"FLOAT\"") && datatype.message.contains("FP32, FP64"))
        #expect(refusal(raw: [])?.message.contains("no contents") == true)
        #expect(refusal(raw: [[0], [0]])?.message.contains("2 raw contents for 1 input") == true)
        let rank = try #require(refusal(shape: Array(repeating: 1, count: 9)))
        #expect(rank.message.contains("9 dimensions"))
        #expect(refusal(shape: Array(repeating: 1, count: 8)) == nil)
        let twice = refusal(raw: [[0, 0, 0, 0], [0, 0, 0, 0]]) { _ in
        } message: { message in
            message.message(5) { input in
                input.text(1, "x")
                input.text(2, "INT64")
            }
        }
        #expect(twice?.message.contains("name comes twice") == true)
    }

    /// Typed contents of `floats` zeros under a shape.
    private func typed(
        _ shape: [Int64], floats: Int, datatype: String = "FP32", limits: Limits = Limits()
    ) -> CallFailure? {
        refusal(datatype: datatype, shape: shape, raw: [], limits: limits) { input in
            input.message(5) { $0.delimited(6, [UInt8](repeating: 0, count: 4 * floats)) }
        }
    }

    @Test func typedContentsFillTheShape() {
        #expect(typed([2, 3], floats: 6) == nil)
        #expect(typed([2, 3], floats: 5)?.message.contains("has 5 elements") == true)
        #expect(typed([-1, 6], floats: 6)?.message.contains("impossible shape") == true)
        #expect(typed([.max, .max], floats: 6)?.message.contains("impossible shape") == true)
        #expect(typed([6], floats: 6, datatype: "FP64")?.message.contains("another type") == true)
        #expect(typed([6], floats: 6, datatype: "BF16")?.message.contains("raw form only") == true)
        let both = refusal(datatype: "INT32", shape: [2], raw: []) { input in
            input.message(5) { contents in
                contents.delimited(2, [1, 2])
                contents.delimited(3, [1, 2])
            }
        }
        #expect(both?.message.contains("another type") == true)
    }

    /// A small message must not become a large tensor: 200,000 one-byte varints are 1.6 MB of INT64.
    @Test func typedContentsAreBoundedInRawForm() {
        var limits = Limits()
        limits.messageBytes = 1 << 20
        let failure = refusal(
            datatype: "INT64", shape: [200_000], raw: [], limits: limits
        ) { input in
            input.message(5) { $0.delimited(3, [UInt8](repeating: 0, count: 200_000)) }
        }
        #expect(failure?.code == .resourceExhausted)
        #expect(failure?.reason == .messageTooLarge)
    }

    @Test func parametersOfNoConsequenceAreIgnored() {
        for (key, field, value) in [
            ("sequence_id", 2, UInt64(0)), ("sequence_start", 1, 0), ("priority", 5, 3),
            ("timeout", 2, 1_000), ("anything", 2, 1),
        ] {
            let failure = refusal { _ in
            } message: { message in
                message.message(4) { entry in
                    entry.text(1, key)
                    entry.message(2) { $0.number(field, value) }
                }
            }
            #expect(failure == nil, "\(key)")
        }
    }

    @Test func parametersThatCannotBeObeyed() {
        let named = refusal { _ in
        } message: { message in
            message.message(4) { entry in
                entry.text(1, "sequence_id")
                entry.message(2) { $0.text(3, "a sequence") }
            }
        }
        #expect(named?.code == .unimplemented)
        let region = refusal { input in
            input.message(4) { entry in
                entry.text(1, "shared_memory_region")
                entry.message(2) { $0.text(3, "region") }
            }
        }
        #expect(region?.code == .unimplemented)
        // As a parameter of the whole request it means nothing.
        let elsewhere = refusal { _ in
        } message: { message in
            message.message(4) { entry in
                entry.text(1, "shared_memory_region")
                entry.message(2) { $0.text(3, "region") }
            }
        }
        #expect(elsewhere == nil)
    }

    @Test func wrongMethod() {
        let body = InferenceBody(method: .modelReady, message: ByteBuffer(), limits: Limits())
        #expect(body.refusal()?.code == .internal)
        let infer = InferenceBody(ByteBuffer())
        #expect { try infer.question() } throws: { ($0 as? CallFailure) != nil }
    }

    @Test func repositoryNameIsRefused() {
        for method in [Method.repositoryIndex, .repositoryLoad, .repositoryUnload] {
            let body = InferenceBody(
                method: method, message: RawMessage.make { $0.text(1, "elsewhere") },
                limits: Limits())
            #expect {
                try body.question()
            } throws: { ($0 as? CallFailure)?.code == .unimplemented }
        }
    }

    @Test func byteCountIsTheMessages() {
        let message = bytes(TritonFixtures.inferPlain)
        #expect(InferenceBody(message).byteCount == message.readableBytes)
    }
}
