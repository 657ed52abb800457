// A door between two buffers: a client's frames go in, its answers come out, time is the test's.

import BinaryDoor
import Contract
import Logging
import Messages
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

final class Bench {
    let desk = FakeDesk()
    /// What the socket has been asked for.
    let reads = ReadCounter()
    let channel: EmbeddedChannel
    private var decoder: FrameDecoder
    /// Writes to the channel so far: each is one system call on a real one.
    private(set) var writes = 0

    var walk: FakeSession { desk.walk }

    init(limits: Limits = Limits(), greeted: Bool = true) throws {
        decoder = FrameDecoder(.client, limits: WireLimits(frameBytes: 16 << 20))
        channel = EmbeddedChannel(handlers: [
            reads,
            BinaryDoorHandler(
                desk: desk, peer: Peer(address: "127.0.0.1"), limits: limits, connection: "c1",
                server: "sluice/test", logger: Logger(label: "test")),
        ])
        decoder.opened(Frame.callMax)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        guard greeted else { return }
        try send(Bench.hello())
        let frames = try answers()
        #expect(frames.map(\.type) == [.hello])
    }

    static func frame(
        _ type: FrameType, _ flags: FrameFlags = [], call: UInt32 = 0,
        header: some HeaderMessage, payload: ByteBuffer = ByteBuffer()
    ) -> Frame {
        var bytes = ByteBuffer()
        header.encode(into: &bytes)
        return Frame(type, flags, call: call, header: bytes, payload: payload)
    }

    static func hello(token: String? = nil, frameBytes: UInt32 = 0) -> Frame {
        frame(
            .hello,
            header: ClientHello(
                userAgent: "test/1", token: token.map { Secret($0) },
                requestedFrameBytes: frameBytes))
    }

    static func call(
        _ call: UInt32, _ method: Contract.Method = .modelReady, timeout: UInt64 = 0,
        payload: ByteBuffer = ByteBuffer(), length: UInt64 = 0, flags: FrameFlags = [.end],
        progress: Bool = false
    ) -> Frame {
        frame(
            .call, flags, call: call,
            header: CallHeader(
                method: method, model: "iris", timeoutMicroseconds: timeout,
                messageLength: length, wantsProgress: progress), payload: payload)
    }

    func send(_ frames: Frame...) throws { try send(frames) }

    /// All frames in one read of the channel.
    func send(_ frames: [Frame]) throws {
        var bytes = ByteBuffer()
        for frame in frames { bytes.writeFrame(frame) }
        try send(bytes)
    }

    func send(_ bytes: ByteBuffer) throws {
        try channel.writeInbound(bytes)
        channel.embeddedEventLoop.run()
    }

    /// The frames the client has been sent since the last time, and those of long answers still on their way.
    func answers() throws -> [Frame] {
        channel.embeddedEventLoop.run()
        var frames = try written()
        while true {
            advance(BinaryDoorHandler.turnPause)
            let more = try written()
            guard !more.isEmpty else { return frames }
            frames += more
        }
    }

    /// The frames that were written so far; the loop does nothing.
    func written() throws -> [Frame] {
        var frames: [Frame] = []
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
            writes += 1
            decoder.append(bytes)
            while let frame = try decoder.next() { frames.append(frame) }
        }
        return frames
    }

    /// The socket takes bytes, or does not.
    func setWritable(_ isWritable: Bool) {
        channel.isWritable = isWritable
        channel.pipeline.fireChannelWritabilityChanged()
        channel.embeddedEventLoop.run()
    }

    func advance(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }

    /// The client goes without a word.
    func leave() { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

extension Frame {
    func status() throws -> StatusMessage? {
        try ReplyHeader(decoding: header, limits: Limits()).status
    }

    func goAway() throws -> GoAway { try GoAway(decoding: header, limits: Limits()) }
}

/// One float tensor of so many bytes, as an answer.
func tensorAnswer(bytes: Int) -> Answer {
    .inference(
        InferenceReply(
            model: "iris", version: "1", id: "",
            outputs: [
                Tensor(
                    name: "y", datatype: .fp32, shape: [Int64(bytes / 4)],
                    bytes: ByteBuffer(repeating: 3, count: bytes))
            ]))
}
