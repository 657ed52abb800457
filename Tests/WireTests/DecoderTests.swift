// Each rule of a frame's head: what keeps it passes, what breaks it names the rule.

import NIOCore
import SluiceWire
import Testing

@Suite struct DecoderTests {
    struct Case: Sendable, CustomStringConvertible {
        var description: String
        var bytes: [UInt8]
        var rule: WireFault.Rule
        var limit: Int
        var actual: Int
    }

    @Test(
        "A server's decoder refuses",
        arguments: [
            Case(
                description: "a length of 0xFFFFFFFF, on four bytes", bytes: [255, 255, 255, 255],
                rule: .lengthTooLong, limit: 262_152, actual: 0xFFFF_FFFF),
            Case(
                description: "one byte more than max_frame",
                bytes: raw(length: 262_153, type: 0x01, call: 9), rule: .lengthTooLong,
                limit: 262_152,
                actual: 262_153),
            Case(
                description: "a length of 7", bytes: [0, 0, 0, 7], rule: .lengthTooShort, limit: 8,
                actual: 7),
            Case(
                description: "a length of 0", bytes: [0, 0, 0, 0], rule: .lengthTooShort, limit: 8,
                actual: 0),
            Case(
                description: "type 0x09, on five bytes", bytes: [0, 0, 0, 8, 9], rule: .typeUnknown,
                limit: 0, actual: 9),
            Case(
                description: "type 0x80", bytes: raw(type: 0x80), rule: .typeUnknown, limit: 0,
                actual: 0x80),
            Case(
                description: "type 0x3F", bytes: raw(type: 0x3F), rule: .typeUnknown, limit: 0,
                actual: 0x3F),
            Case(
                description: "REPLY from a client", bytes: raw(type: 0x03, call: 1),
                rule: .typeOfOtherSide, limit: 0, actual: 0),
            Case(
                description: "PROGRESS from a client", bytes: raw(type: 0x08, call: 1),
                rule: .typeOfOtherSide, limit: 0, actual: 0),
            Case(
                description: "HELLO again", bytes: raw(type: 0x00), rule: .helloRepeated, limit: 0,
                actual: 0),
            Case(
                description: "PING with a call", bytes: raw(type: 0x05, call: 3),
                rule: .callNotZero,
                limit: 0, actual: 3),
            Case(
                description: "AUTH with a call", bytes: raw(type: 0x07, call: 3),
                rule: .callNotZero,
                limit: 0, actual: 3),
            Case(
                description: "GOAWAY with a call", bytes: raw(type: 0x06, call: 3),
                rule: .callNotZero,
                limit: 0, actual: 3),
            Case(
                description: "CALL 0", bytes: raw(type: 0x01, call: 0), rule: .callZero, limit: 0,
                actual: 0),
            Case(
                description: "CALL 0xFFFFFFFF", bytes: raw(type: 0x01, call: .max), rule: .callZero,
                limit: 0, actual: 0xFFFF_FFFF),
            Case(
                description: "a call id again", bytes: raw(type: 0x01, call: 2),
                rule: .callGoesBack,
                limit: 2, actual: 2),
            Case(
                description: "a call id going back", bytes: raw(type: 0x01, call: 1),
                rule: .callGoesBack, limit: 2, actual: 1),
            Case(
                description: "DATA for call 0", bytes: raw(type: 0x02, call: 0), rule: .callZero,
                limit: 0, actual: 0),
            Case(
                description: "DATA for a call never opened", bytes: raw(type: 0x02, call: 3),
                rule: .callUnknown, limit: 2, actual: 3),
            Case(
                description: "CANCEL of a call never opened", bytes: raw(type: 0x04, call: 3),
                rule: .callUnknown, limit: 2, actual: 3),
            Case(
                description: "a header longer than its frame",
                bytes: raw(type: 0x01, headerBytes: 5, call: 3, header: [1, 2, 3, 4]),
                rule: .headerOverFrame, limit: 4, actual: 5),
            Case(
                description: "a header over max_header",
                bytes: raw(length: 20_008, type: 0x01, headerBytes: 16_385, call: 3),
                rule: .headerTooLong, limit: 16_384, actual: 16_385),
            Case(
                description: "DATA with a header", bytes: raw(type: 0x02, call: 1, header: [8]),
                rule: .headerUnwanted, limit: 0, actual: 1),
            Case(
                description: "PING with a header",
                bytes: raw(type: 0x05, header: [8], payload: Array(repeating: 0, count: 8)),
                rule: .headerUnwanted, limit: 0, actual: 1),
            Case(
                description: "PING of seven bytes",
                bytes: raw(type: 0x05, payload: Array(repeating: 0, count: 7)),
                rule: .payloadLength,
                limit: 8, actual: 7),
            Case(
                description: "CANCEL with a payload", bytes: raw(type: 0x04, call: 1, payload: [1]),
                rule: .payloadLength, limit: 0, actual: 1),
            Case(
                description: "GOAWAY with a payload", bytes: raw(type: 0x06, payload: [1, 2]),
                rule: .payloadLength, limit: 0, actual: 2),
            Case(
                description: "CALL with ACK", bytes: raw(type: 0x01, flags: 0x08, call: 3),
                rule: .flagsUnknown, limit: 3, actual: 8),
            Case(
                description: "CALL with flag 0x04", bytes: raw(type: 0x01, flags: 0x05, call: 3),
                rule: .flagsUnknown, limit: 3, actual: 4),
            Case(
                description: "CANCEL with END", bytes: raw(type: 0x04, flags: 0x01, call: 1),
                rule: .flagsUnknown, limit: 0, actual: 1),
            Case(
                description: "END and MORE", bytes: raw(type: 0x01, flags: 0x03, call: 3),
                rule: .flagsContradict, limit: 0, actual: 3),
            Case(
                description: "an extension with flag 0x10", bytes: raw(type: 0x40, flags: 0x10),
                rule: .flagsUnknown, limit: 11, actual: 16),
        ])
    func refuses(_ example: Case) throws {
        let decoder = try openServer(calls: 2)
        let (frames, fault) = decode(example.bytes, with: decoder)
        #expect(frames.isEmpty)
        #expect(fault?.rule == example.rule)
        #expect(fault?.limit == example.limit)
        #expect(fault?.actual == example.actual)
        #expect(fault.map { "\($0)" }?.isEmpty == false)
        // Decided on the head alone: what would follow it is not waited for.
        #expect(decode(Array(example.bytes.prefix(12)), with: decoder).fault == fault)
    }

    @Test("A client's decoder refuses what only clients send, and calls it did not open")
    func refusesOnClient() throws {
        let decoder = try openClient(calls: 2)
        #expect(
            decode(raw(type: 0x01, call: 3), with: decoder).fault?.rule == .typeOfOtherSide)
        #expect(
            decode(raw(type: 0x04, call: 1), with: decoder).fault?.rule == .typeOfOtherSide)
        #expect(decode(raw(type: 0x03, call: 3), with: decoder).fault?.rule == .callUnknown)
        #expect(decode(raw(type: 0x08, call: 3), with: decoder).fault?.rule == .callUnknown)
        #expect(decode(raw(type: 0x03, flags: 1, call: 2), with: decoder).frames.count == 1)
    }

    @Test("HELLO comes first, within its own limit")
    func helloFirst() {
        let server = FrameDecoder(.server)
        #expect(decode(raw(type: 0x01, call: 1), with: server).fault?.rule == .helloExpected)
        #expect(decode(raw(type: 0x06), with: server).fault?.rule == .helloExpected)
        // A server that cannot say HELLO says GOAWAY.
        #expect(decode(raw(type: 0x06), with: FrameDecoder(.client)).frames.count == 1)
        let atLimit = raw(type: 0x00, header: Array(repeating: 1, count: 4_096))
        #expect(decode(atLimit, with: server).frames.count == 1)
        let over = decode(raw(type: 0x00, header: Array(repeating: 1, count: 4_097)), with: server)
        #expect(over.fault == WireFault(.lengthTooLong, limit: 4_104, actual: 4_105))
        #expect(
            decode(raw(type: 0x00, payload: [1]), with: server).fault?.rule == .payloadLength)
    }

    @Test("The rules are checked in the protocol's order: the first broken one is named")
    func order() throws {
        let decoder = try openServer(calls: 5)
        // Everything is wrong; mending one thing after the other shows the next rule.
        let long = UInt32(300_000)
        func fault(
            _ length: UInt32, _ type: UInt8, _ call: UInt32, _ headerBytes: UInt16, _ flags: UInt8
        ) -> WireFault.Rule? {
            decode(
                raw(length: length, type: type, flags: flags, headerBytes: headerBytes, call: call),
                with: decoder
            ).fault?.rule
        }
        #expect(fault(long, 0x99, 3, 60_000, 0xFF) == .lengthTooLong)
        #expect(fault(100, 0x99, 3, 60_000, 0xFF) == .typeUnknown)
        #expect(fault(100, 0x01, 3, 60_000, 0xFF) == .callGoesBack)
        #expect(fault(100, 0x01, 6, 60_000, 0xFF) == .headerOverFrame)
        #expect(fault(70_000, 0x01, 6, 60_000, 0xFF) == .headerTooLong)
        #expect(fault(70_000, 0x01, 6, 16_384, 0xFF) == .flagsUnknown)
        #expect(fault(70_000, 0x01, 6, 16_384, 0x03) == .flagsContradict)
        #expect(fault(70_000, 0x01, 6, 16_384, 0x01) == nil)
    }

    @Test("After a fault nothing is read and nothing is held")
    func faultStays() throws {
        var decoder = try openServer()
        decoder.append(ByteBuffer(bytes: raw(type: 0x99) + raw(type: 0x01, flags: 1, call: 1)))
        let first = #expect(throws: WireFault.self) { try decoder.next() }
        #expect(decoder.heldBytes == 0)
        decoder.append(ByteBuffer(bytes: raw(type: 0x01, flags: 1, call: 1)))
        let second = #expect(throws: WireFault.self) { try decoder.next() }
        #expect(first == second)
    }

    @Test("Every type passes as it was written")
    func types() throws {
        let payload = ByteBuffer(bytes: [1, 2, 3, 4, 5, 6, 7, 8])
        let header = ByteBuffer(bytes: [9, 9])
        let toServer: [Frame] = [
            Frame(.call, [.end], call: 3, header: header, payload: payload),
            Frame(.call, [.more], call: 4, header: header, payload: payload),
            Frame(.data, [.more], call: 4, payload: payload),
            Frame(.data, [.end], call: 4),
            Frame(.cancel, call: 3, header: header),
            Frame(.ping, payload: payload),
            Frame(.ping, [.ack], payload: payload),
            Frame(.goAway, header: header),
            Frame(.auth, header: header),
            Frame(.extension(0x40), [.end], call: 77, header: header, payload: payload),
            Frame(.extension(0x7F)),
        ]
        var bytes = ByteBuffer()
        for frame in toServer { bytes.writeFrame(frame) }
        let server = decode(Array(bytes.readableBytesView), with: try openServer(calls: 2))
        #expect(server.fault == nil)
        #expect(server.frames == toServer)

        let toClient: [Frame] = [
            Frame(.reply, [.end], call: 1, header: header, payload: payload),
            Frame(.reply, [.more], call: 2, header: header, payload: payload),
            Frame(.data, [.end], call: 2, payload: payload),
            Frame(.progress, call: 2, header: header),
            Frame(.auth, header: header),
            Frame(.goAway, header: header),
        ]
        var reply = ByteBuffer()
        for frame in toClient { reply.writeFrame(frame) }
        let client = decode(Array(reply.readableBytesView), with: try openClient(calls: 2))
        #expect(client.frames == toClient)
    }

    @Test("A frame's type byte and back, for all 256")
    func typeBytes() {
        var known = 0
        for byte in UInt8.min...UInt8.max {
            guard let type = FrameType(byte: byte) else { continue }
            #expect(type.byte == byte)
            known += 1
        }
        #expect(known == 9 + 64)
    }

    @Test("Other limits are obeyed once they are adopted")
    func adopts() throws {
        var decoder = try openServer()
        decoder.adopt(WireLimits(frameBytes: 100, headerBytes: 10))
        let long = raw(type: 0x01, flags: 1, call: 1, payload: Array(repeating: 0, count: 101))
        #expect(decode(long, with: decoder).fault?.rule == .lengthTooLong)
        let header = raw(type: 0x01, flags: 1, call: 1, header: Array(repeating: 0, count: 11))
        #expect(decode(header, with: decoder).fault?.rule == .headerTooLong)
    }
}
