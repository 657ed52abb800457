// The way out: long answers leave in parts that take turns, slow readers are bounded.

import BinaryDoor
import Contract
import Messages
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

@Suite struct OutboundTests {
    /// The message of `call` put together from its frames; checks the flags on the way.
    private func message(_ call: UInt32, in frames: [Frame]) throws -> ByteBuffer {
        let parts = frames.filter { $0.call == call }
        let first = try #require(parts.first)
        #expect(first.type == .reply)
        let header = try ReplyHeader(decoding: first.header, limits: Limits())
        var whole = try MessageAssembler(
            length: header.messageLength, messageMax: 1 << 30, room: 1 << 30,
            at: .uptimeNanoseconds(0))
        for (index, part) in parts.enumerated() {
            #expect(part.header.readableBytes + part.payload.readableBytes <= 64 << 10)
            #expect(part.type == (index == 0 ? .reply : .data))
            #expect(part.flags == (index == parts.count - 1 ? [.end] : [.more]))
            try whole.append(part.payload, at: .uptimeNanoseconds(0))
        }
        return try whole.finish()
    }

    private func encoded(_ answer: Answer) -> ByteBuffer {
        var bytes = ByteBuffer()
        AnswerEncoder.encode(answer, into: &bytes)
        return bytes
    }

    @Test(
        "An answer of any size arrives as it was",
        arguments: [
            4, 60_000, 64_900, 65_000, 65_100, 65_536, 131_072, 1 << 20, 5_000_000,
        ])
    func sizes(bytes: Int) throws {
        let bench = try Bench()
        let answer = tensorAnswer(bytes: bytes)
        bench.walk.behaviour = .answer { _ in .success(answer) }
        try bench.send(Bench.call(1))
        let frames = try bench.answers()
        if frames.count == 1, frames[0].flags == [.end] {
            #expect(frames[0].payload == encoded(answer))
        } else {
            #expect(try message(1, in: frames) == encoded(answer))
        }
    }

    @Test("Two long answers take turns, a small one goes first")
    func turns() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2), Bench.call(3))
        bench.setWritable(false)
        let answer = tensorAnswer(bytes: 1 << 20)
        bench.walk.calls[0].finish(.success(answer))
        bench.walk.calls[1].finish(.success(answer))
        bench.walk.calls[2].finish()
        #expect(try bench.answers().isEmpty)
        bench.setWritable(true)
        let frames = try bench.answers()
        #expect(frames.first?.call == 3)
        #expect(frames.dropFirst().prefix(8).map(\.call) == [1, 2, 1, 2, 1, 2, 1, 2])
        #expect(try message(1, in: frames) == encoded(answer))
        #expect(try message(2, in: frames) == encoded(answer))
    }

    @Test("A small answer waits for one turn of a long one, not for all of it")
    func smallBehindBig() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2))
        bench.walk.calls[0].finish(.success(tensorAnswer(bytes: 16 << 20)))
        // One turn of the long answer, and no more although the socket would take it: the loop asks its sockets first.
        bench.channel.embeddedEventLoop.run()
        let turn = try bench.written()
        #expect(turn.count >= 4 && turn.count <= 6)
        bench.walk.calls[1].finish()
        let frames = try bench.answers()
        let place = try #require(frames.firstIndex { $0.call == 2 })
        #expect(place <= 4)
        #expect(frames.count > 250)
    }

    @Test("A client that wants smaller frames gets them")
    func frameWish() throws {
        let bench = try Bench(greeted: false)
        try bench.send(Bench.hello(frameBytes: 40_000))
        bench.walk.behaviour = .answer { _ in .success(tensorAnswer(bytes: 100_000)) }
        try bench.send(Bench.call(1))
        let frames = try bench.answers().filter { $0.type != .hello }
        // What describes the tensor, and the tensor's bytes in three parts.
        #expect(frames.count == 4)
        for frame in frames {
            #expect(frame.header.readableBytes + frame.payload.readableBytes <= 40_000)
        }
    }

    @Test("Long messages of a stream keep their order with small ones")
    func streamOrder() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1, .inferStream))
        let call = bench.walk.calls[0]
        bench.setWritable(false)
        call.exchange.send(tensorAnswer(bytes: 8))
        call.exchange.send(tensorAnswer(bytes: 100_000))
        call.exchange.send(tensorAnswer(bytes: 12))
        call.finish(.success(.done))
        bench.setWritable(true)
        let frames = try bench.answers()
        #expect(frames.map(\.type) == [.reply, .data, .reply, .data, .data, .data, .reply])
        #expect(frames.map(\.flags) == [[], [], [.more], [.more], [], [], [.end]])
        #expect(frames[5].payload == encoded(tensorAnswer(bytes: 12)))
    }

    @Test("CANCEL while the answer is being sent cuts it off, with one END")
    func cancelWhileSending() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2))
        bench.setWritable(false)
        bench.walk.calls[0].finish(.success(tensorAnswer(bytes: 1 << 20)))
        try bench.send(Frame(.cancel, call: 1))
        bench.walk.calls[1].finish()
        bench.setWritable(true)
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [1, 2])
        #expect(try frames[0].status()?.code == .cancelled)
        #expect(frames.map(\.flags) == [[.end], [.end]])
    }

    @Test("A stream nobody reads is held back, then cancelled at the cap")
    func slowReader() throws {
        var limits = Limits()
        limits.bufferedBytes = 300_000
        let bench = try Bench(limits: limits)
        try bench.send(Bench.call(1, .inferStream), Bench.call(2))
        bench.setWritable(false)
        let call = bench.walk.calls[0]
        for _ in 0..<100 { call.exchange.send(tensorAnswer(bytes: 10_000)) }
        #expect(call.cancels == 1)
        call.finish(.failure(CallFailure(.cancelled, .cancelledByCaller, "stopped")))
        bench.setWritable(true)
        let frames = try bench.answers()
        let end = try #require(frames.last { $0.call == 1 })
        #expect(end.flags == [.end])
        #expect(try end.status()?.reason == "READER_TOO_SLOW")
        #expect(frames.count { $0.call == 1 && $0.flags.contains(.end) } == 1)
        #expect(frames.reduce(0) { $0 + $1.payload.readableBytes } <= 310_000)
        bench.walk.calls[1].finish()
        #expect(try bench.answers().map(\.call) == [2])
    }

    @Test("Answers over the cap are replaced, so that the memory is bounded")
    func answersOverCap() throws {
        var limits = Limits()
        limits.bufferedBytes = 100_000
        let bench = try Bench(limits: limits)
        try bench.send((1...10).map { Bench.call($0) })
        bench.setWritable(false)
        for call in bench.walk.calls { call.finish(.success(tensorAnswer(bytes: 40_000))) }
        bench.setWritable(true)
        let frames = try bench.answers()
        let refused = try frames.filter { try $0.status()?.reason == "READER_TOO_SLOW" }
        #expect(frames.count { $0.flags.contains(.end) } == 10)
        #expect(refused.count == 7)
    }

    @Test("Reading stops while the budget is used up, and goes on")
    func backPressure() throws {
        var limits = Limits()
        limits.bufferedBytes = 100_000
        let bench = try Bench(limits: limits)
        bench.channel.pipeline.read()
        #expect(bench.reads.count == 1)
        let payload = ByteBuffer(repeating: 0, count: 60_000)
        try bench.send(
            Bench.call(1, .infer, payload: payload), Bench.call(2, .infer, payload: payload))
        bench.channel.pipeline.read()
        bench.channel.pipeline.read()
        #expect(bench.reads.count == 1)
        bench.walk.calls[0].finish(workContinues: true)
        _ = try bench.answers()
        #expect(bench.reads.count == 1)
        bench.walk.calls[0].exchange.workEnded()
        _ = try bench.answers()
        #expect(bench.reads.count == 2)
        bench.channel.pipeline.read()
        #expect(bench.reads.count == 3)
    }

    @Test("A client that reads nothing for thirty seconds is left")
    func blocked() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1))
        bench.setWritable(false)
        bench.walk.calls[0].finish()
        _ = try bench.answers()
        bench.advance(.seconds(29))
        #expect(bench.channel.isActive)
        bench.advance(.seconds(2))
        _ = try bench.answers()
        bench.advance(.seconds(6))
        #expect(!bench.channel.isActive)
    }

    @Test("The first raw tensor of a long message is moved to an aligned place")
    func layout() {
        // ModelInferRequest { model_name: "m", inputs: [x], raw_input_contents: [4 bytes] }
        let message: [UInt8] = [
            0x0A, 0x01, 0x6D, 0x2A, 0x0C, 0x0A, 0x01, 0x78, 0x12, 0x04, 0x46, 0x50, 0x33, 0x32,
            0x1A, 0x01, 0x01, 0x3A, 0x04, 0x00, 0x00, 0x80, 0x3F,
        ]
        // The data begins 19 bytes into the message, malloc's large blocks 16 behind a page.
        #expect(MessageLayout.lead(firstPart: ByteBuffer(bytes: message)) == 64 - 16 - 19)
        #expect(MessageLayout.lead(firstPart: ByteBuffer(bytes: message.prefix(17))) == 0)
        #expect(MessageLayout.lead(firstPart: ByteBuffer()) == 0)
        #expect(MessageLayout.lead(firstPart: ByteBuffer(repeating: 0xFF, count: 99)) == 0)
        var chance = Chance(seed: 5)
        for _ in 0..<5_000 {
            let bytes = (0..<chance.below(40)).map { _ in UInt8(truncatingIfNeeded: chance.next()) }
            #expect((0..<64).contains(MessageLayout.lead(firstPart: ByteBuffer(bytes: bytes))))
        }
    }
}
