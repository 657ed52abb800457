// Every decoder with broken messages: none may crash, and the hand paths may never say more than protobuf-c.

import Contract
import Messages
import NIOCore
import Testing

/// Breaks messages in the ways that hurt decoders.
struct Mutator {
    var random: Seeded
    let corpus: [[UInt8]]

    mutating func next() -> [UInt8] {
        var bytes = corpus[random.below(corpus.count)]
        for _ in 0...random.below(4) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = corpus[random.below(corpus.count)]
            return
        }
        let at = random.below(bytes.count)
        switch random.below(9) {
        case 0: bytes[at] ^= 1 << UInt8(random.below(8))
        case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.remove(at: at)
        case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
        case 4: bytes.removeSubrange(at...)
        case 5:
            let end = min(bytes.count, at + random.below(40))
            bytes.insert(contentsOf: bytes[at..<end], at: random.below(bytes.count))
        case 6:
            let other = corpus[random.below(corpus.count)]
            bytes.replaceSubrange(at..., with: other.suffix(random.below(other.count + 1)))
        case 7: bytes.replaceSubrange(at...at, with: [0xFF, 0xFF, 0xFF, 0xFF, 0x0F])
        default:
            let pieces: [[UInt8]] = [
                [0x80, 0x01], [0x0B], [0x22, 0x00], [0x00], [0x2A, 0x02], [0xFF, 0x01],
                [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
            ]
            bytes.insert(contentsOf: pieces[random.below(pieces.count)], at: at)
        }
    }
}

@Suite struct FuzzTests {
    private static let rounds = 30_000
    private let limits = Limits()
    private let bounds = MessageBounds(Limits())

    private static let requests: [String] = [
        TritonFixtures.inferPlain, TritonFixtures.inferOutputs, TritonFixtures.inferAllTypes,
        TritonFixtures.inferHints, TritonFixtures.inferSequence, TritonFixtures.inferSharedMemory,
        TritonFixtures.inferTyped, TritonFixtures.inferMixed, TritonFixtures.inferResponse,
    ]

    private func mutator(_ seed: UInt64, _ more: (inout Seeded) -> ByteBuffer) -> Mutator {
        var random = Seeded(seed)
        var corpus = FuzzTests.requests.map { array(bytes($0)) }
        for _ in 0..<40 { corpus.append(array(more(&random))) }
        return Mutator(random: random, corpus: corpus)
    }

    @Test func inferenceRequests() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var mutator = mutator(seed) { random in
            let request = random.request()
            return encoded { request.encode(into: &$0) }
        }
        var accepted = 0
        for round in 0..<FuzzTests.rounds {
            let message = embedded(mutator.next())
            let plain = InferenceRequest.decodePlain(message, bounds: bounds)
            let any = try? InferenceRequest.decodeAny(message, bounds: bounds)
            if plain != nil {
                #expect(plain == any, "seed \(seed), round \(round): \(array(message))")
            }
            guard let any else { continue }
            accepted += 1
            let again = encoded { any.encode(into: &$0) }
            #expect(
                (try? InferenceRequest(decoding: again, bounds: bounds)) == any,
                "seed \(seed), round \(round)")
        }
        #expect(accepted > FuzzTests.rounds / 50)
    }

    @Test func inferenceReplies() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var mutator = mutator(seed) { random in
            let reply = random.reply()
            return encoded { reply.encode(into: &$0) }
        }
        for round in 0..<FuzzTests.rounds {
            let message = embedded(mutator.next())
            let plain = InferenceReply.decodePlain(message, bounds: bounds)
            let any = try? InferenceReply.decodeAny(message, bounds: bounds)
            if plain != nil {
                #expect(plain == any, "seed \(seed), round \(round): \(array(message))")
            }
            guard let any else { continue }
            let again = encoded { any.encode(into: &$0) }
            #expect((try? InferenceReply(decoding: again, bounds: bounds)) == any)
        }
    }

    @Test func callHeaders() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var mutator = mutator(seed) { random in
            let header = random.callHeader()
            return encoded { header.encode(into: &$0) }
        }
        for round in 0..<FuzzTests.rounds {
            let message = embedded(mutator.next())
            let plain = CallHeader.decodePlain(message.readableBytesUInt8Span)
            let any = try? CallHeader.decodeAny(message, limits: limits)
            if plain != nil {
                #expect(plain == any, "seed \(seed), round \(round): \(array(message))")
            }
            guard let any else { continue }
            let again = encoded { any.encode(into: &$0) }
            #expect((try? CallHeader(decoding: again, limits: limits)) == any)
        }
    }

    /// The other headers, questions and answers: decoded without a crash, and what is accepted survives.
    @Test func everythingElse() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var mutator = mutator(seed) { random in
            switch random.below(4) {
            case 0:
                let status = random.status()
                return encoded { status.encode(into: &$0) }
            case 1:
                var hello = ServerHello(Limits())
                hello.auth = AuthResult(status: random.status())
                return encoded { hello.encode(into: &$0) }
            default:
                let answer = random.answer(
                    to: Method.allCases[random.below(Method.allCases.count)])
                return encoded { AnswerEncoder.encode(answer, into: &$0) }
            }
        }
        for _ in 0..<FuzzTests.rounds / 8 {
            let message = embedded(mutator.next())
            survives(ClientHello.self, message)
            survives(ServerHello.self, message)
            survives(ReplyHeader.self, message)
            survives(StatusMessage.self, message)
            survives(AuthUpdate.self, message)
            survives(AuthResult.self, message)
            survives(CancelMessage.self, message)
            survives(GoAway.self, message)
            _ = try? ProgressMessage(decoding: message, limits: limits)
            for method in Method.allCases {
                let body = InferenceBody(method: method, message: message, limits: limits)
                _ = try? body.question()
                guard
                    let answer = try? AnswerDecoder.decode(message, for: method, limits: limits)
                else { continue }
                let again = encoded { AnswerEncoder.encode(answer, into: &$0) }
                #expect(AnswerEncoder.byteCount(of: answer) == again.readableBytes)
                #expect(
                    (try? AnswerDecoder.decode(again, for: method, limits: limits)) == answer,
                    "seed \(seed)")
            }
        }
    }

    private func survives<Message: HeaderMessage>(_ type: Message.Type, _ buffer: ByteBuffer) {
        guard let message = try? Message(decoding: buffer, limits: limits) else { return }
        let again = encoded { message.encode(into: &$0) }
        #expect((try? Message(decoding: again, limits: limits)) == message)
    }
}
