// Writing frames, cutting long messages and putting them together again.

import NIOCore
import SluiceWire
import Testing

@Suite struct MessageTests {
    private let start = NIODeadline.uptimeNanoseconds(0)

    @Test("Header and payload encoded behind an open frame give the same bytes as a whole one")
    func openFrame() {
        let header = ByteBuffer(bytes: [1, 2, 3])
        let payload = ByteBuffer(bytes: [4, 5])
        var whole = ByteBuffer(bytes: [0xEE])
        whole.writeFrame(Frame(.reply, [.end], call: 7, header: header, payload: payload))
        whole.writeFrame(Frame(.data, [.more], call: 7, payload: payload))
        var patched = ByteBuffer(bytes: [0xEE])
        var open = patched.openFrame(.reply, [.end], call: 7)
        patched.writeImmutableBuffer(header)
        patched.closeHeader(of: &open)
        patched.writeImmutableBuffer(payload)
        #expect(patched.closeFrame(open) == 5)
        let data = patched.openFrame(.data, [.more], call: 7)
        patched.writeImmutableBuffer(payload)
        #expect(patched.closeFrame(data) == 2)
        #expect(patched == whole)
        #expect(
            Array(whole.readableBytesView.prefix(18)) == [
                0xEE, 0, 0, 0, 13, 3, 1, 0, 3, 0, 0, 0, 7, 1, 2, 3, 4, 5,
            ])
    }

    @Test("A frame that turned out too long comes off the end again")
    func takeBack() {
        var bytes = ByteBuffer()
        bytes.writeFrame(Frame(.ping, payload: ByteBuffer(repeating: 1, count: 8)))
        let before = bytes
        var open = bytes.openFrame(.reply, call: 1)
        bytes.writeBytes([1, 2])
        bytes.closeHeader(of: &open)
        bytes.writeBytes([3, 4, 5])
        let (header, payload) = bytes.takeBack(open)
        #expect(Array(header.readableBytesView) == [1, 2])
        #expect(Array(payload.readableBytesView) == [3, 4, 5])
        #expect(bytes == before)
    }

    @Test(
        "A message cut and put together is the same message",
        arguments: [
            0, 1, 99, 100, 101, 199, 200, 201, 1_000, 65_536,
        ])
    func splitAndAssemble(length: Int) throws {
        var chance = Chance(seed: UInt64(length))
        let message = ByteBuffer(bytes: chance.bytes(length))
        let header = ByteBuffer(bytes: [1, 2, 3, 4, 5])
        var splitter = MessageSplitter(
            .call, call: 3, header: header, payload: message, ends: true)
        #expect(splitter.remainingBytes == length + 5)
        var frames: [Frame] = []
        while let frame = splitter.next(bodyMax: 100) { frames.append(frame) }
        #expect(frames.count == max(1, (length + 5 + 99) / 100))
        #expect(frames[0].type == .call)
        #expect(frames[0].header == header)
        for (index, frame) in frames.enumerated() {
            #expect(frame.header.readableBytes + frame.payload.readableBytes <= 100)
            #expect(frame.flags == (index == frames.count - 1 ? [.end] : [.more]))
            if index > 0 { #expect(frame.type == .data && frame.header.readableBytes == 0) }
        }
        guard length > 0 else { return }
        var assembler = try MessageAssembler(
            length: UInt64(length), messageMax: length, room: length, at: start)
        for frame in frames { try assembler.append(frame.payload, at: start) }
        #expect(try assembler.finish() == message)
    }

    @Test("A message in pieces is cut as it lies, without empty parts and without copies")
    func pieces() throws {
        let large = ByteBuffer(bytes: [UInt8](repeating: 7, count: 150))
        let pieces = [
            ByteBuffer(), ByteBuffer(bytes: [1, 2, 3]), ByteBuffer(), large, ByteBuffer(bytes: [9]),
            ByteBuffer(),
        ]
        var splitter = MessageSplitter(
            .reply, call: 5, header: ByteBuffer(bytes: [0, 0]), pieces: pieces, ends: true)
        #expect(splitter.remainingBytes == 156)
        var frames: [Frame] = []
        while let frame = splitter.next(bodyMax: 100) { frames.append(frame) }
        #expect(frames.map(\.payload.readableBytes) == [3, 100, 50, 1])
        #expect(frames.map(\.flags) == [.more, .more, .more, .end])
        #expect(splitter.remainingBytes == 0)
        // The same memory: not a copy.
        func address(_ bytes: ByteBuffer) -> Int {
            unsafe bytes.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
        }
        #expect(address(frames[1].payload) == address(large))
        #expect(address(frames[2].payload) == address(large) + 100)
    }

    @Test("Without END the last part only ends the message")
    func streamPart() {
        var splitter = MessageSplitter(
            .reply, call: 1, header: ByteBuffer(), payload: ByteBuffer(bytes: [1, 2, 3]),
            ends: false)
        #expect(splitter.isUntouched)
        #expect(splitter.next(bodyMax: 2)?.flags == [.more])
        #expect(!splitter.isUntouched)
        #expect(splitter.next(bodyMax: 2)?.flags == [])
        #expect(splitter.next(bodyMax: 2) == nil)
    }

    @Test("A message that must not come is refused before it is allocated")
    func refuses() {
        func fault(_ length: UInt64, messageMax: Int = 100, room: Int = 100) -> MessageFault? {
            do throws(MessageFault) {
                _ = try MessageAssembler(
                    length: length, messageMax: messageMax, room: room, at: start)
                return nil
            } catch {
                return error
            }
        }
        #expect(fault(0) == MessageFault(.lengthMissing, limit: 1, actual: 0))
        #expect(fault(101) == MessageFault(.tooLong, limit: 100, actual: 101))
        #expect(fault(.max)?.rule == .tooLong)
        #expect(fault(51, room: 50) == MessageFault(.noRoom, limit: 50, actual: 51))
        #expect(fault(1, room: -5)?.rule == .noRoom)
        #expect(fault(100) == nil)
    }

    @Test("Parts that do not add up are refused")
    func sums() throws {
        var long = try MessageAssembler(length: 4, messageMax: 9, room: 9, at: start)
        try long.append(ByteBuffer(bytes: [1, 2, 3]), at: start)
        let part = ByteBuffer(bytes: [4, 5])
        #expect(throws: MessageFault(.overrun, limit: 4, actual: 5)) {
            try long.append(part, at: NIODeadline.uptimeNanoseconds(1))
        }
        #expect(throws: MessageFault(.short, limit: 4, actual: 3)) { try long.finish() }
    }

    @Test("A lead moves the message in its memory and changes nothing else")
    func lead() throws {
        var assembler = try MessageAssembler(
            length: 3, messageMax: 9, room: 9, lead: 40, at: start)
        try assembler.append(ByteBuffer(bytes: [1, 2]), at: start)
        try assembler.append(ByteBuffer(bytes: [3]), at: start)
        let message = try assembler.finish()
        #expect(message.readerIndex == 40)
        #expect(Array(message.readableBytesView) == [1, 2, 3])
    }

    @Test("A message is allocated once")
    func oneAllocation() throws {
        let length = 1 << 20
        var assembler = try MessageAssembler(
            length: UInt64(length), messageMax: length, room: length, at: start)
        let part = ByteBuffer(repeating: 1, count: 4_096)
        for _ in 0..<256 { try assembler.append(part, at: start) }
        // Growing by doubling would have ended above: one allocation has exactly the power of two.
        #expect(try assembler.finish().capacity == length)
    }

    @Test("Stalled when no part came for long enough")
    func stalls() throws {
        var assembler = try MessageAssembler(length: 9, messageMax: 9, room: 9, at: start)
        let patience = TimeAmount.seconds(30)
        #expect(!assembler.isStalled(at: start + .seconds(29), after: patience))
        #expect(assembler.isStalled(at: start + .seconds(30), after: patience))
        try assembler.append(ByteBuffer(bytes: [1]), at: start + .seconds(20))
        #expect(!assembler.isStalled(at: start + .seconds(49), after: patience))
        #expect(assembler.isStalled(at: start + .seconds(50), after: patience))
    }

    @Test("Flags and types print as the protocol writes them")
    func prints() {
        #expect("\(FrameFlags([.end]))" == "END")
        #expect("\(FrameFlags([.more, .ack]))" == "MORE+ACK")
        #expect("\(FrameFlags(rawValue: 0x11))" == "END+0x10")
        #expect("\(FrameType.goAway)" == "GOAWAY")
        #expect("\(FrameType.extension(64))" == "EXTENSION(64)")
    }
}
