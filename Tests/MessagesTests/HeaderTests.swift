// The header messages: both ways, their limits, and the hand paths against protobuf-c.

import Contract
import Messages
import NIOCore
import Testing

@Suite struct HeaderTests {
    private let limits = Limits()

    private func roundTrip<Message: HeaderMessage>(_ message: Message) throws {
        let buffer = encoded { message.encode(into: &$0) }
        #expect(try Message(decoding: buffer, limits: limits) == message)
    }

    @Test func roundTrips() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<2_000 {
            try roundTrip(random.callHeader())
            try roundTrip(random.status())
            try roundTrip(
                ReplyHeader(
                    status: random.oneIn(3) ? random.status() : nil,
                    messageLength: random.number(), metadata: random.metadata(),
                    timing: random.chance() ? random.timing() : nil))
            try roundTrip(
                ClientHello(
                    minorMinimum: random.number32(), minorMaximum: random.number32(),
                    userAgent: random.text(), token: random.secret(),
                    requestedFrameBytes: random.number32(),
                    requestedIdleMilliseconds: random.number32()))
            let auth = AuthResult(
                status: random.oneIn(3) ? random.status() : nil,
                expiresInMilliseconds: random.number())
            try roundTrip(auth)
            var hello = ServerHello(limits)
            hello.minor = random.number32()
            hello.connectionID = random.text()
            hello.auth = random.chance() ? auth : nil
            hello.server = random.text()
            try roundTrip(hello)
            try roundTrip(AuthUpdate(token: random.secret()))
            try roundTrip(CancelMessage(reason: random.text()))
            try roundTrip(
                GoAway(
                    lastCall: random.number32(), code: .init(rawValue: UInt32(random.below(9))),
                    reason: random.text(), drainMilliseconds: random.number32()))
            try roundTrip(
                ProgressMessage(
                    stateNumber: UInt32(random.below(7)),
                    fraction: Float(random.below(1_000)) / 1_000,
                    remainingMilliseconds: random.number32()))
        }
    }

    @Test func handPathsAreProtobufsEqual() throws {
        var random = Seeded(11)
        for _ in 0..<5_000 {
            let header = random.callHeader()
            let buffer = encoded { header.encode(into: &$0) }
            let any = try CallHeader.decodeAny(buffer, limits: limits)
            #expect(any == header)
            if let plain = CallHeader.decodePlain(buffer.readableBytesUInt8Span) {
                #expect(plain == any)
            } else {
                #expect(
                    header.token != nil || !header.metadata.isEmpty
                        || !header.idempotencyKey.isEmpty)
            }
            let reply = ReplyHeader(
                messageLength: random.number(), timing: random.chance() ? random.timing() : nil)
            #expect(
                encoded { reply.encode(into: &$0) } == encoded { reply.encodeAny(into: &$0) })
        }
    }

    @Test func failureBothWays() throws {
        var failure = CallFailure(
            .resourceExhausted, .queueFull, "the queue of \"iris\" is full", notStarted: true,
            retryAfter: Nanoseconds(1_500_001))
        let status = StatusMessage(failure)
        #expect(status.retryAfterMilliseconds == 2)
        failure.retryAfter = .milliseconds(2)
        #expect(status.failure == failure)
        let buffer = encoded { status.encode(into: &$0) }
        #expect(try StatusMessage(decoding: buffer, limits: limits).failure == failure)
        #expect(StatusMessage(code: .ok).failure == nil)

        let newer = RawMessage.make { $0.number(1, 99) }
        #expect(try StatusMessage(decoding: newer, limits: limits).code == .unknown)
    }

    @Test func authResults() {
        #expect(AuthResult(.success(.seconds(3))).expiresInMilliseconds == 3_000)
        #expect(AuthResult(.success(nil)) == AuthResult())
        let refused = AuthResult(
            .failure(CallFailure(.unauthenticated, .tokenInactive, "the token is not active")))
        #expect(refused.status?.reason == "TOKEN_INACTIVE")
    }

    @Test func progressBothWays() {
        let progress = Progress(state: .loading, fraction: 0.5, remaining: .milliseconds(20))
        #expect(ProgressMessage(progress).progress == progress)
        let unknown = Progress(state: .queued)
        #expect(ProgressMessage(unknown).progress == unknown)
        #expect(ProgressMessage(stateNumber: 77).progress == nil)
        #expect(ProgressMessage(stateNumber: 1, fraction: .nan).progress?.fraction == nil)
    }

    @Test func unknownMethodIsKept() throws {
        let buffer = RawMessage.make { $0.number(1, 4_711) }
        let header = try CallHeader(decoding: buffer, limits: limits)
        #expect(header.methodNumber == 4_711)
        #expect(header.method == nil)
    }

    @Test func unknownFieldsAreSkipped() throws {
        let buffer = RawMessage.make { message in
            message.number(1, 1)
            message.number(99, 5)
            message.text(100, "from the future")
            message.text(3, "iris")
        }
        let header = try CallHeader(decoding: buffer, limits: limits)
        #expect(header.method == .infer)
        #expect(header.model == "iris")
    }

    @Test func tokensDoNotPrint() {
        let hello = ClientHello(token: Secret("canary"))
        let call = CallHeader(method: .infer, token: Secret("canary"))
        #expect(!"\(hello) \(call) \(AuthUpdate(token: Secret("canary")))".contains("canary"))
    }

    @Test func emptyTokenIsNone() throws {
        let buffer = RawMessage.make { $0.text(4, "") }
        #expect(try ClientHello(decoding: buffer, limits: limits).token == nil)
    }

    /// What is refused, and a word of the reason.
    @Test func limitsHold() {
        func refusal<Message: HeaderMessage>(
            _ type: Message.Type, _ limits: Limits = Limits(), _ fill: (inout RawMessage) -> Void
        ) -> MessageFault? {
            do {
                _ = try Message(decoding: RawMessage.make(fill), limits: limits)
                return nil
            } catch {
                return error
            }
        }
        let entries = refusal(CallHeader.self) { message in
            for _ in 0..<65 { message.message(7) { $0.text(1, "k") } }
        }
        #expect(entries?.kind == .tooLarge)
        #expect(entries?.message.contains("metadata_entries") == true)
        let size = refusal(CallHeader.self) { message in
            message.message(7) { $0.text(2, String(repeating: "v", count: 8_193)) }
        }
        #expect(size?.message.contains("limits.metadata") == true)
        let whole = refusal(CallHeader.self) { $0.text(3, String(repeating: "m", count: 16_400)) }
        #expect(whole?.message.contains("limits.header") == true)
        var small = Limits()
        small.tokenBytes = 8
        let token = refusal(ClientHello.self, small) { $0.text(4, "123456789") }
        #expect(token?.message.contains("limits.token") == true)
        #expect(token?.message.contains("123456789") == false)
        let agent = refusal(ClientHello.self) { $0.text(3, String(repeating: "a", count: 129)) }
        #expect(agent?.kind == .tooLarge)
        let details = refusal(StatusMessage.self) { message in
            for _ in 0..<65 { message.message(4) { $0.text(1, "k") } }
        }
        #expect(details?.kind == .tooLarge)
    }
    /// W3C Trace Context, section 3.2: whoever's context is wrong wants its call answered all the same.
    @Test(arguments: [0, 1, 3, 24, 26, 200])
    func aTraceContextOfAnotherLengthIsNone(_ count: Int) throws {
        let bytes = RawMessage.make { $0.delimited(5, [UInt8](repeating: 7, count: count)) }
        #expect(try CallHeader(decoding: bytes, limits: Limits()).trace == nil)
    }

    @Test func aTraceContextWithoutAnIdIsNone() throws {
        for range in [0..<16, 16..<24] {
            var context = [UInt8](repeating: 7, count: 25)
            context.replaceSubrange(range, with: repeatElement(0, count: range.count))
            let bytes = RawMessage.make { $0.delimited(5, context) }
            #expect(try CallHeader(decoding: bytes, limits: Limits()).trace == nil)
            #expect(try CallHeader.decodeAny(bytes, limits: Limits()).trace == nil)
        }
    }
}
