// What bad input gets, byte by byte: the door's half of the list in the issue. A bystander's connection, on the
// same desk, is never touched.

import BinaryDoor
import Contract
import Messages
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

@Suite struct BadInputTests {
    /// Sends bytes on an open connection; the connection must end with GOAWAY of this code.
    private func ends(
        _ bytes: [UInt8], _ code: GoAway.Code, saying text: String, greeted: Bool = true
    ) throws {
        let bench = try Bench(greeted: greeted)
        if greeted { try bench.send(Bench.call(1)) }
        try bench.send(ByteBuffer(bytes: bytes))
        let frames = try bench.answers()
        #expect(frames.map(\.type) == [.goAway])
        let goAway = try #require(frames.first).goAway()
        #expect(goAway.code == code)
        #expect(goAway.reason.contains(text), "\(goAway.reason)")
        #expect(goAway.lastCall == (greeted ? 1 : 0))
        #expect(!bench.channel.isActive)
        #expect(bench.walk.closes == 1)
        #expect(bench.walk.calls.allSatisfy { $0.cancels == 1 })
    }

    @Test("A length of 0xFFFFFFFF")
    func length() throws {
        try ends([255, 255, 255, 255], .protocolBroken, saying: "over the limit of 262152")
    }

    @Test("An unknown frame type")
    func type() throws {
        try ends([0, 0, 0, 8, 0x77 + 9, 0, 0, 0, 0, 0, 0, 0], .protocolBroken, saying: "type 128")
    }

    @Test("A header longer than its frame")
    func header() throws {
        try ends(
            [0, 0, 0, 9, 1, 1, 0, 2, 0, 0, 0, 2, 0], .protocolBroken, saying: "header of 2 bytes")
    }

    @Test("A call id that goes back")
    func callBack() throws {
        try ends(
            [0, 0, 0, 8, 1, 1, 0, 0, 0, 0, 0, 1], .protocolBroken, saying: "call id 1 is not above")
    }

    @Test("A HELLO of 5 KB")
    func longHello() throws {
        try ends(
            [0, 0, 0x13, 0x90, 0, 0, 0, 0, 0, 0, 0, 0], .protocolBroken, saying: "limit of 4104",
            greeted: false)
    }

    @Test("A HELLO that is no ClientHello")
    func brokenHello() throws {
        try ends(
            [0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 0, 0xFF, 0xFF], .protocolBroken,
            saying: "HELLO is not its protobuf message", greeted: false)
    }

    @Test("An AUTH that is no AuthUpdate")
    func brokenAuth() throws {
        try ends(
            [0, 0, 0, 10, 7, 0, 0, 2, 0, 0, 0, 0, 0xFF, 0xFF], .protocolBroken,
            saying: "AUTH is not its protobuf message")
    }

    @Test("HTTP on a sluice/1 connection")
    func http() throws {
        try ends(
            Array("GET / HTTP/1.1\r\n\r\n".utf8), .protocolBroken, saying: "over the limit",
            greeted: false)
    }

    @Test("No HELLO in five seconds")
    func noHello() throws {
        let bench = try Bench(greeted: false)
        bench.advance(.milliseconds(4_999))
        #expect(bench.channel.isActive)
        bench.advance(.milliseconds(1))
        let frames = try bench.answers()
        #expect(try frames.first?.goAway().code == .timeout)
        #expect(!bench.channel.isActive)
    }

    @Test("A HELLO a byte a second")
    func dripHello() throws {
        let bench = try Bench(greeted: false)
        var bytes = ByteBuffer()
        bytes.writeFrame(Bench.hello(token: "a-token-of-some-length"))
        for _ in 0..<5 {
            let byte = bytes.readSlice(length: 1)
            try bench.send(try #require(byte))
            bench.advance(.seconds(1))
        }
        #expect(!bench.channel.isActive)
    }

    @Test("A frame a byte a second: thirty seconds for all of it")
    func dripFrame() throws {
        let bench = try Bench()
        var bytes = ByteBuffer()
        bytes.writeFrame(Bench.call(1, payload: ByteBuffer(repeating: 0, count: 100)))
        for _ in 0..<30 where bench.channel.isActive {
            let byte = bytes.readSlice(length: 1)
            try bench.send(try #require(byte))
            bench.advance(.seconds(1))
        }
        #expect(try bench.answers().last?.goAway().code == .timeout)
        #expect(!bench.channel.isActive)
    }

    @Test("A header that is no CallHeader ends its call only")
    func brokenHeader() throws {
        let bench = try Bench()
        bench.walk.behaviour = .answer { _ in .success(.modelReady(true)) }
        let broken = Frame(.call, [.end], call: 1, header: ByteBuffer(bytes: [0xFF, 0xFF, 0xFF]))
        try bench.send(broken, Bench.call(2))
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [1, 2])
        #expect(try frames[0].status()?.code == .invalidArgument)
        #expect(try frames[0].status()?.notStarted == true)
        #expect(try frames[1].status() == nil)
    }

    @Test("An unknown method is UNIMPLEMENTED")
    func unknownMethod() throws {
        let bench = try Bench()
        // CallHeader { method: 99 }, also with a message of several parts.
        let header = ByteBuffer(bytes: [0x08, 99])
        try bench.send(
            Frame(.call, [.end], call: 1, header: header),
            Frame(.call, [.more], call: 2, header: header, payload: ByteBuffer(bytes: [1])),
            Frame(.data, [.end], call: 2, payload: ByteBuffer(bytes: [1])))
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [1, 2])
        for frame in frames {
            #expect(try frame.status()?.code == .unimplemented)
            #expect(try frame.status()?.reason == "UNKNOWN_METHOD")
        }
        #expect(bench.walk.begun == 0)
    }

    @Test("A message over the limit names limit, actual value and setting")
    func messageOverLimit() throws {
        var limits = Limits()
        limits.messageBytes = 1_000
        let bench = try Bench(limits: limits)
        try bench.send(
            Bench.call(1, payload: ByteBuffer(repeating: 0, count: 1_001)),
            Bench.call(
                2, payload: ByteBuffer(repeating: 0, count: 500), length: 2_000, flags: [.more]),
            Frame(.data, [.end], call: 2, payload: ByteBuffer(repeating: 0, count: 1_500)),
            Bench.call(3, payload: ByteBuffer(repeating: 0, count: 1_000)))
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [1, 2])
        for (frame, actual) in zip(frames, ["1001", "2000"]) {
            let status = try #require(try frame.status())
            #expect(status.code == .resourceExhausted)
            #expect(status.reason == "MESSAGE_TOO_LARGE")
            #expect(status.message.contains(actual) && status.message.contains("1000"))
            #expect(status.message.contains("limits.message"))
        }
        #expect(bench.walk.begun == 1)
        #expect(bench.channel.isActive)
    }

    @Test("message_length that lies")
    func lyingLength() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1, payload: ByteBuffer(bytes: [1, 2]), length: 3))
        #expect(try bench.answers().first?.status()?.code == .invalidArgument)
        #expect(bench.walk.begun == 0)
    }

    @Test("257 calls at once: the last is refused, the others live")
    func tooManyCalls() throws {
        let bench = try Bench()
        try bench.send((1...257).map { Bench.call($0) })
        let frames = try bench.answers()
        #expect(frames.map(\.call) == [257])
        let status = try #require(try frames[0].status())
        #expect(status.code == .resourceExhausted)
        #expect(status.reason == "TOO_MANY_CALLS")
        #expect(status.notStarted)
        #expect(status.message.contains("limits.calls_per_connection"))
        #expect(bench.walk.begun == 256)
        for call in bench.walk.calls { call.finish() }
        #expect(try bench.answers().count == 256)
        try bench.send(Bench.call(258))
        #expect(bench.walk.begun == 257)
    }

    @Test("A storm of 100,000 CALL and CANCEL whose work does not stop: never over the limit")
    func cancelStorm() throws {
        var limits = Limits()
        limits.controlFrameBurst = 1_000_000
        let bench = try Bench(limits: limits)
        var inWork = 0
        var most = 0
        var refused = 0
        var call: UInt32 = 0
        for _ in 0..<1_000 {
            var frames: [Frame] = []
            for _ in 0..<100 {
                call += 1
                frames.append(Bench.call(call))
                frames.append(Frame(.cancel, call: call))
            }
            try bench.send(frames)
            inWork = bench.walk.begun
            most = max(most, inWork)
            refused += try bench.answers().count
        }
        #expect(most == 256)
        #expect(refused == 100_000 - 256)
        #expect(bench.walk.calls.allSatisfy { $0.cancels == 1 })
        #expect(bench.channel.isActive)
        // When the work has ended the slots are there again.
        for fake in bench.walk.calls { fake.finish() }
        try bench.send(Bench.call(call + 1))
        #expect(bench.walk.begun == 257)
    }

    @Test("A storm over the rate ends the connection with CALM_DOWN")
    func cancelRate() throws {
        let bench = try Bench()
        bench.walk.finishesOnCancel = true
        bench.walk.keeps = false
        var call: UInt32 = 0
        while bench.channel.isActive, call < 100_000 {
            call += 1
            try bench.send(Bench.call(call), Frame(.cancel, call: call))
        }
        #expect(call == 1_025)
        #expect(try bench.answers().last?.goAway().code == .calmDown)
    }

    @Test(
        "Mutated conversations: no crash, the walk's calls are all cancelled or answered",
        arguments: [
            UInt64(11), 12, 13,
        ])
    func fuzz(seed: UInt64) throws {
        var chance = Chance(seed: seed)
        let clock = ContinuousClock()
        let end = clock.now + .milliseconds(300)
        var rounds = 0
        while clock.now < end {
            rounds += 1
            var bytes = ByteBuffer()
            for call in UInt32(1)...8 {
                switch chance.below(4) {
                case 0: bytes.writeFrame(Frame(.ping, payload: ByteBuffer(integer: UInt64(1))))
                case 1:
                    bytes.writeFrame(
                        Bench.call(
                            call, .infer, payload: ByteBuffer(repeating: 1, count: 9), length: 12,
                            flags: [.more]))
                    bytes.writeFrame(
                        Frame(.data, [.end], call: call, payload: ByteBuffer(bytes: [1, 2, 3])))
                default:
                    bytes.writeFrame(Bench.call(call))
                    if chance.below(2) == 0 { bytes.writeFrame(Frame(.cancel, call: call)) }
                }
            }
            var raw = Array(bytes.readableBytesView)
            for _ in 0..<1 + chance.below(5) {
                raw[chance.below(raw.count)] = UInt8(truncatingIfNeeded: chance.next())
            }
            let bench = try Bench()
            var rest = ByteBuffer(bytes: raw)
            while rest.readableBytes > 0, bench.channel.isActive {
                let piece = rest.readSlice(length: min(rest.readableBytes, 1 + chance.below(60)))
                try bench.send(try #require(piece))
            }
            bench.leave()
            #expect(bench.walk.closes == 1, "seed \(seed)")
            #expect(bench.walk.calls.allSatisfy { $0.cancels == 1 }, "seed \(seed)")
        }
        #expect(rounds > 10)
    }
}
