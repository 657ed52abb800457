// The handler between a client's bytes and a fake walk: calls, answers, tokens, time.

import BinaryDoor
import Contract
import Messages
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

@Suite struct HandlerTests {
    @Test("HELLO both ways: what is in force, and whose connection it is")
    func hello() throws {
        let bench = try Bench(greeted: false)
        bench.walk.verdict = .success(.seconds(60))
        try bench.send(Bench.hello(token: "secret"))
        let frame = try #require(try bench.answers().first)
        let hello = try ServerHello(decoding: frame.header, limits: Limits())
        #expect(hello.frameBytes == 262_144)
        #expect(hello.messageBytes == 64 << 20)
        #expect(hello.headerBytes == 16_384)
        #expect(hello.concurrentCalls == 256)
        #expect(hello.connectionID == "c1")
        #expect(hello.server == "sluice/test")
        #expect(hello.auth == AuthResult(expiresInMilliseconds: 60_000))
        #expect(bench.walk.tokens == [Array("secret".utf8)])
        #expect(bench.desk.peers == [Peer(address: "127.0.0.1")])
    }

    @Test("A refused token is said in HELLO; the connection stays")
    func refusedToken() throws {
        let bench = try Bench(greeted: false)
        bench.walk.verdict = .failure(CallFailure(.unauthenticated, .tokenInactive, "no"))
        try bench.send(Bench.hello(token: "secret"), Bench.call(1))
        let frames = try bench.answers()
        let hello = try ServerHello(decoding: frames[0].header, limits: Limits())
        #expect(hello.auth?.status?.code == .unauthenticated)
        #expect(bench.walk.begun == 1)
        #expect(bench.channel.isActive)
    }

    @Test("Answers wait behind a HELLO that waits for its token")
    func slowToken() throws {
        let bench = try Bench(greeted: false)
        bench.walk.verdict = nil
        bench.walk.behaviour = .answer { _ in .success(.modelReady(true)) }
        try bench.send(Bench.hello(token: "t"), Bench.call(1), Bench.call(2))
        #expect(try bench.answers().isEmpty)
        bench.walk.verdicts[0](.success(nil))
        #expect(try bench.answers().map(\.type) == [.hello, .reply, .reply])
    }

    @Test("All answers of a read leave in one write")
    func coalesced() throws {
        let bench = try Bench()
        bench.walk.behaviour = .answer { _ in .success(.modelReady(true)) }
        let before = bench.writes
        try bench.send((1...32).map { Bench.call($0) })
        let frames = try bench.answers()
        #expect(frames.map(\.call) == Array(1...32))
        #expect(frames.allSatisfy { $0.type == .reply && $0.flags == [.end] })
        #expect(frames.allSatisfy { Array($0.payload.readableBytesView) == [0x08, 0x01] })
        #expect(bench.writes == before + 1)
        #expect(bench.walk.turns == 2)
    }

    @Test("Answers that come later in one tick leave in one write too")
    func coalescedLater() throws {
        let bench = try Bench()
        try bench.send((1...8).map { Bench.call($0) })
        let before = bench.writes
        for call in bench.walk.calls { call.finish() }
        #expect(try bench.answers().count == 8)
        #expect(bench.writes == before + 1)
    }

    @Test("What the walk is told about a call")
    func call() throws {
        let bench = try Bench()
        bench.advance(.seconds(3))
        let header = CallHeader(
            method: .infer, model: "iris", modelVersion: "2", timeoutMicroseconds: 5_000_000,
            trace: TraceContext(Array(repeating: 7, count: 25)), token: Secret("other"),
            wantsProgress: true)
        let payload = ByteBuffer(bytes: [1, 2, 3])
        try bench.send(Bench.frame(.call, [.end], call: 1, header: header, payload: payload))
        let call = try #require(bench.walk.calls.first).call
        #expect(call.method == .infer)
        #expect(call.model == "iris")
        #expect(call.version == "2")
        #expect(call.deadline.since(call.arrived) == .seconds(5))
        #expect(call.trace?.bytes.count == 25)
        #expect(call.token?.matches(Secret("other")) == true)
        #expect(call.wantsProgress)
        #expect(call.body.byteCount == 3)
    }

    @Test(
        "The caller's time: default, as asked, at most the maximum",
        arguments: [
            (UInt64(0), Nanoseconds.seconds(60)), (1, .microseconds(1)),
            (2_000_000, .seconds(2)), (3_600_000_000, .seconds(3_600)), (.max, .seconds(3_600)),
        ])
    func deadlines(timeout: UInt64, expected: Nanoseconds) throws {
        let bench = try Bench()
        try bench.send(Bench.call(1, timeout: timeout))
        let call = try #require(bench.walk.calls.first).call
        #expect(call.deadline.since(call.arrived) == expected)
    }

    @Test("A deadline that passed while the message came never starts")
    func pastDeadline() throws {
        let bench = try Bench()
        try bench.send(
            Bench.call(
                1, timeout: 1_000, payload: ByteBuffer(bytes: [1]), length: 2, flags: [.more]))
        #expect(try bench.answers().isEmpty)
        bench.advance(.milliseconds(2))
        let frames = try bench.answers()
        #expect(try frames.first?.status()?.code == .deadlineExceeded)
        #expect(try frames.first?.status()?.notStarted == true)
        try bench.send(Frame(.data, [.end], call: 1, payload: ByteBuffer(bytes: [2])))
        #expect(bench.walk.begun == 0)
        #expect(bench.channel.isActive)
    }

    @Test("A long message in parts reaches the walk whole")
    func assembles() throws {
        let bench = try Bench()
        let message = ByteBuffer(bytes: (0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
        let head = Bench.call(1, .infer, length: 100_000)
        var splitter = MessageSplitter(
            .call, call: 1, header: head.header, payload: message, ends: true)
        while let frame = splitter.next(bodyMax: 4_096) {
            #expect(bench.walk.begun == 0)
            try bench.send(frame)
        }
        #expect(bench.walk.calls.first?.call.body.byteCount == 100_000)
    }

    @Test("Failures travel whole")
    func failure() throws {
        let bench = try Bench()
        let failure = CallFailure(
            .resourceExhausted, .queueFull, "the queue is full", notStarted: true,
            retryAfter: .milliseconds(250))
        bench.walk.behaviour = .answer { _ in .failure(failure) }
        try bench.send(Bench.call(1))
        let frame = try #require(try bench.answers().first)
        #expect(frame.flags == [.end])
        #expect(frame.payload.readableBytes == 0)
        #expect(try frame.status()?.failure == failure)
    }

    @Test("A failure with a very long text is shortened, not a crash")
    func longText() throws {
        let bench = try Bench()
        bench.walk.behaviour = .answer { _ in
            .failure(CallFailure(.internal, .runFailed, String(repeating: "é", count: 100_000)))
        }
        try bench.send(Bench.call(1))
        let status = try #require(try bench.answers().first?.status())
        #expect(status.code == .internal)
        #expect(status.message.utf8.count <= 2_052)
        #expect(status.message.hasSuffix("..."))
    }

    @Test("A walk that answers, sends and fails inside begin")
    func insideBegin() throws {
        var limits = Limits()
        limits.bufferedBytes = 50_000
        let bench = try Bench(limits: limits)
        bench.walk.sendsInBegin = 20
        try bench.send(Bench.call(1, .inferStream))
        let call = try #require(bench.walk.calls.first)
        #expect(call.cancels == 1)
        call.finish(.failure(CallFailure(.cancelled, .cancelledByCaller, "stopped")))
        let frames = try bench.answers()
        #expect(frames.count { $0.flags.contains(.end) } == 1)
        #expect(try frames.last?.status()?.reason == "READER_TOO_SLOW")
    }

    @Test("A stream opens, bears messages, and ends with a header")
    func stream() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1, .healthWatch))
        let call = try #require(bench.walk.calls.first)
        call.exchange.send(.health(false))
        call.exchange.send(.health(true))
        let frames = try bench.answers()
        #expect(frames.map(\.type) == [.reply, .data, .data])
        #expect(frames.allSatisfy { $0.flags.isEmpty })
        #expect(frames.map { $0.payload.readableBytes } == [0, 0, 2])
        call.finish(.success(.done))
        let end = try bench.answers()
        #expect(end.map(\.type) == [.reply])
        #expect(end.first?.flags == [.end])
        #expect(end.first?.payload.readableBytes == 0)
    }

    @Test("PROGRESS for who asked for it, and only before the answer")
    func progress() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1, progress: true), Bench.call(2))
        let news = Progress(state: .loading, fraction: 0.5)
        for call in bench.walk.calls { call.exchange.progress(news) }
        let frames = try bench.answers()
        #expect(frames.map(\.type) == [.progress])
        #expect(frames.map(\.call) == [1])
        let message = try ProgressMessage(decoding: frames[0].header, limits: Limits())
        #expect(message.progress == news)
        bench.walk.calls[0].finish()
        bench.walk.calls[0].exchange.progress(news)
        #expect(try bench.answers().map(\.type) == [.reply])
    }

    @Test("AUTH changes who is calling; its answer says how it went")
    func auth() throws {
        let bench = try Bench()
        bench.walk.verdict = .failure(CallFailure(.unauthenticated, .tokenExpired, "old"))
        try bench.send(Bench.frame(.auth, header: AuthUpdate(token: Secret("next"))))
        let frame = try #require(try bench.answers().first)
        #expect(frame.type == .auth)
        let result = try AuthResult(decoding: frame.header, limits: Limits())
        #expect(result.status?.reason == "TOKEN_EXPIRED")
        #expect(bench.walk.tokens.last == Array("next".utf8))
        bench.walk.verdict = .success(.seconds(5))
        try bench.send(Bench.frame(.auth, header: AuthUpdate(token: Secret("newer"))))
        #expect(try bench.answers().map(\.type) == [.auth])
        #expect(bench.channel.isActive)
    }

    @Test("PING comes back with its eight bytes")
    func ping() throws {
        let bench = try Bench()
        let payload = ByteBuffer(bytes: [1, 2, 3, 4, 5, 6, 7, 8])
        try bench.send(Frame(.ping, payload: payload))
        #expect(try bench.answers() == [Frame(.ping, [.ack], payload: payload)])
    }

    @Test("CANCEL reaches the work; the answer is CANCELLED, once")
    func cancel() throws {
        let bench = try Bench()
        bench.walk.finishesOnCancel = true
        try bench.send(Bench.call(1))
        try bench.send(
            Bench.frame(.cancel, call: 1, header: CancelMessage(reason: "changed my mind")))
        #expect(bench.walk.calls[0].cancels == 1)
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [1])
        #expect(try frames[0].status()?.code == .cancelled)
        // A walk that says it twice is not heard twice.
        bench.walk.calls[0].finish()
        #expect(try bench.answers().isEmpty)
    }

    @Test("A client that goes in mid-call: its calls are cancelled, then the session is closed")
    func clientGone() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2))
        bench.walk.calls[0].finish(workContinues: true)
        bench.leave()
        #expect(bench.walk.calls.map(\.cancels) == [0, 1])
        #expect(bench.walk.closes == 1)
        bench.walk.calls[0].exchange.workEnded()
        bench.walk.calls[1].finish()
        #expect(bench.walk.closes == 1)
    }

    @Test("Drain by command: two GOAWAYs, the last answer, the end")
    func drain() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1))
        bench.channel.triggerUserOutboundEvent(
            DoorCommand.drain(within: .seconds(30)), promise: nil)
        var frames = try bench.answers()
        #expect(frames.map(\.type) == [.goAway, .ping])
        #expect(try frames[0].goAway().lastCall == GoAway.anyCall)
        #expect(try frames[0].goAway().drainMilliseconds == 30_000)
        try bench.send(Frame(.ping, [.ack], payload: frames[1].payload))
        frames = try bench.answers()
        #expect(try frames.first?.goAway().lastCall == 1)
        try bench.send(Bench.call(2))
        #expect(try bench.answers().first?.status()?.reason == "DRAINING")
        #expect(bench.channel.isActive)
        bench.walk.calls[0].finish()
        #expect(try bench.answers().map(\.call) == [1])
        #expect(!bench.channel.isActive)
        #expect(bench.walk.closes == 1)
    }

    @Test("Stop by command answers what is open and closes")
    func stop() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2))
        bench.channel.triggerUserOutboundEvent(DoorCommand.stop, promise: nil)
        let frames = try bench.answers()
        #expect(frames.map(\.type) == [.goAway, .reply, .reply])
        #expect(try frames[1].status()?.reason == "STOPPING")
        #expect(bench.walk.calls.allSatisfy { $0.cancels == 1 })
        #expect(!bench.channel.isActive)
    }
}
