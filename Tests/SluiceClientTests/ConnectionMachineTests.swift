import NIOCore
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Testing

/// The connection's machine with a decoder at its other end, so that what it sends can be read.
final class MachineBench {
    var machine: ConnectionMachine
    var server = FrameDecoder(.server)
    var now = at(0)

    init(
        messageBytes: Int = 64 << 20, keepAlive: SluiceClient.Configuration.KeepAlive? = nil
    ) throws {
        var limits = SluiceClient.Configuration.Limits()
        limits.messageBytes = messageBytes
        machine = ConnectionMachine(limits: limits, keepAlive: keepAlive, now: at(0))
        machine.greet(try HelloCoding.hello(userAgent: "test", token: ""))
    }

    /// A machine that has been welcomed.
    static func open(
        maxFrame: UInt32 = 256 << 10, maxMessage: UInt64 = 64 << 20, calls: UInt32 = 256,
        messageBytes: Int = 64 << 20, keepAlive: SluiceClient.Configuration.KeepAlive? = nil
    ) throws -> MachineBench {
        let bench = try MachineBench(messageBytes: messageBytes, keepAlive: keepAlive)
        let hello = try Messages.hello(maxFrame: maxFrame, maxMessage: maxMessage, calls: calls)
        #expect(bench.receive([hello]) == ["welcomed"])
        #expect(try bench.sent() == ["HELLO"])
        return bench
    }

    func call(
        _ ticket: Ticket, _ method: CallMethod = .infer, bytes: Int = 0
    ) throws -> UInt32 {
        var request = CallRequest(method: method, model: "m")
        request.payload = ByteBuffer(repeating: 7, count: bytes)
        return try machine.open(request, ticket: ticket, timeout: 1, attempt: 0)
    }

    /// What arrives for the caller when these frames come, in words.
    func receive(_ frames: [Frame]) -> [String] {
        var bytes = ByteBuffer()
        for frame in frames { bytes.writeFrame(frame) }
        return receive(bytes)
    }

    func receive(_ bytes: ByteBuffer) -> [String] {
        machine.received(bytes, now: now)
        var words: [String] = []
        while let arrival = machine.next(now: now) {
            words.append(Self.describe(arrival))
            if case .fault(let error) = arrival { machine.sayGoodbye(error) }
        }
        return words
    }

    func tick(_ now: NIODeadline) -> String? { machine.tick(now)?.reason }

    static func describe(_ arrival: Arrival) -> String {
        switch arrival {
        case .welcomed(let error): "welcomed" + (error.map { " \($0.reason)" } ?? "")
        case .authenticated(let error): "authenticated" + (error.map { " \($0.reason)" } ?? "")
        case .answered(let ticket, let header, let payload):
            "\(ticket) answered \(header.status?.reason ?? "OK") \(payload.readableBytes)"
        case .streamed(let ticket, let message, let end):
            "\(ticket)" + (message.map { " message \($0.readableBytes)" } ?? "")
                + (end.map { " end \($0.status?.reason ?? "OK")" } ?? "")
        case .broken(let ticket, let error): "\(ticket) broken \(error.reason)"
        case .progressed(let ticket, let progress): "\(ticket) progress \(progress.state)"
        case .goingAway(let tickets, let why): "going away \(tickets) \(why)"
        case .refused(let error): "refused \(error.reason)"
        case .fault(let error): "fault \(error.message)"
        }
    }

    /// What the machine sends, in words: type, flags, call, payload.
    func sent() throws -> [String] {
        try frames().map { frame in
            var words = "\(frame.type)"
            if !frame.flags.isEmpty { words += " \(frame.flags)" }
            if frame.call > 0 { words += " \(frame.call)" }
            if frame.payload.readableBytes > 0 { words += " \(frame.payload.readableBytes)" }
            return words
        }
    }

    func frames(atMost limit: Int = .max) throws -> [Frame] {
        for chunk in machine.takeOutput(atMost: limit) { server.append(chunk) }
        var frames: [Frame] = []
        while let frame = try server.next() { frames.append(frame) }
        return frames
    }
}

@Suite struct ConnectionMachineTests {
    @Test func unaryCalls() throws {
        let bench = try MachineBench.open()
        #expect(try bench.call(10) == 1)
        #expect(try bench.call(11, bytes: 5) == 2)
        #expect(try bench.sent() == ["CALL END 1", "CALL END 2 5"])
        // In any order.
        #expect(
            bench.receive([
                try Messages.reply(2, payload: ByteBuffer(string: "abc")),
                try Messages.reply(1, Messages.status(.notFound, "MODEL_NOT_FOUND")),
            ]) == ["11 answered OK 3", "10 answered MODEL_NOT_FOUND 0"])
        #expect(bench.machine.openCalls == 0)
    }

    @Test func streams() throws {
        let bench = try MachineBench.open()
        _ = try bench.call(5, .healthWatch)
        let part = ByteBuffer(repeating: 1, count: 9)
        #expect(
            bench.receive([
                Frame(.reply, call: 1, header: try Messages.replyHeader()),
                Frame(.data, call: 1, payload: part),
                Frame(.data, call: 1),
                Frame(.data, .more, call: 1, payload: part),
                Frame(.data, .more, call: 1, payload: part),
                Frame(.data, call: 1, payload: part),
                try Messages.reply(1, Messages.status(.aborted, "ENOUGH")),
            ]) == ["5 message 9", "5 message 0", "5 message 27", "5 end ENOUGH"])
        _ = try bench.call(6, .inferStream)
        #expect(
            bench.receive([
                Frame(.reply, call: 2, header: try Messages.replyHeader(), payload: part),
                Frame(.data, .end, call: 2, payload: part),
            ]) == ["6 message 9", "6 message 9 end OK"])
        _ = try bench.call(7, .inferStream)
        #expect(bench.receive([Frame(.data, .end, call: 3)]) == ["7 end OK"])
        #expect(bench.machine.openCalls == 0)
    }

    @Test func longAnswersAreAssembled() throws {
        let bench = try MachineBench.open()
        _ = try bench.call(5)
        _ = try bench.call(6)
        let part = ByteBuffer(repeating: 1, count: 10)
        #expect(
            bench.receive([
                Frame(
                    .reply, .more, call: 1, header: try Messages.replyHeader(messageLength: 25),
                    payload: part),
                try Messages.reply(2),
                Frame(.data, .more, call: 1, payload: part),
                Frame(.data, .end, call: 1, payload: part.getSlice(at: 0, length: 5) ?? part),
            ]) == ["6 answered OK 0", "5 answered OK 25"])
    }

    @Test(arguments: [
        ("no length", 0, 10, "BAD_REPLY"), ("too short", 30, 10, "BAD_REPLY"),
        ("too long", 15, 10, "BAD_REPLY"), ("over the limit", 5_000, 10, "MESSAGE_TOO_LARGE"),
    ])
    func aWrongLengthEndsTheCallOnly(
        _ what: String, _ length: Int, _ bytes: Int, _ reason: String
    ) throws {
        let bench = try MachineBench.open(messageBytes: 1_000)
        _ = try bench.call(5)
        _ = try bench.call(6)
        let part = ByteBuffer(repeating: 1, count: bytes)
        #expect(
            bench.receive([
                Frame(
                    .reply, .more, call: 1,
                    header: try Messages.replyHeader(messageLength: length), payload: part),
                Frame(.data, .end, call: 1, payload: part), try Messages.reply(2),
            ]) == ["5 broken \(reason)", "6 answered OK 0"], "\(what)")
        #expect(bench.machine.openCalls == 0)
    }

    @Test func aStreamMessageHasALimit() throws {
        let bench = try MachineBench.open(messageBytes: 15)
        _ = try bench.call(5, .inferStream)
        let part = ByteBuffer(repeating: 1, count: 10)
        #expect(
            bench.receive([
                Frame(.data, .more, call: 1, payload: part),
                Frame(.data, .more, call: 1, payload: part),
            ]) == ["5 broken MESSAGE_TOO_LARGE"])
        #expect(try bench.sent() == ["CALL END 1", "CANCEL 1"])
    }

    @Test func answersThatMakeNoSense() throws {
        let bench = try MachineBench.open()
        for ticket in 1...3 { _ = try bench.call(Ticket(ticket)) }
        let part = ByteBuffer(repeating: 1, count: 1)
        #expect(
            bench.receive([
                Frame(.reply, call: 1, header: try Messages.replyHeader()),
                Frame(.data, .end, call: 2, payload: part),
                Frame(.reply, .end, call: 3, header: ByteBuffer(bytes: [0xFF])),
            ]) == ["1 broken BAD_REPLY", "2 broken BAD_REPLY", "3 broken BAD_REPLY"])
        #expect(bench.machine.openCalls == 1)
        #expect(bench.receive([try Messages.reply(1)]) == [])
        #expect(bench.machine.openCalls == 0)
    }

    @Test func aCancelledCallKeepsItsSlotUntilTheGatewayIsDone() throws {
        let bench = try MachineBench.open(calls: 1)
        let call = try bench.call(5)
        _ = try bench.sent()
        bench.machine.cancel(call)
        bench.machine.cancel(call)
        #expect(try bench.sent() == ["CANCEL 1"])
        #expect(!bench.machine.hasRoom)
        #expect(bench.receive([try Messages.reply(1)]) == [])
        #expect(bench.machine.hasRoom)
    }

    @Test func longMessagesTakeTurnsAndSmallCallsGoFirst() throws {
        let bench = try MachineBench.open(maxFrame: 20_000)
        _ = try bench.call(1, bytes: 50_000)
        _ = try bench.call(2, bytes: 30_000)
        _ = try bench.call(3, bytes: 10)
        let frames = try bench.frames()
        #expect(
            frames.map { "\($0.type) \($0.flags) \($0.call)" } == [
                "CALL END 3", "CALL MORE 1", "CALL MORE 2", "DATA MORE 1", "DATA END 2",
                "DATA END 1",
            ])
        #expect(
            frames.allSatisfy {
                $0.header.readableBytes + $0.payload.readableBytes <= 20_000
            })
        let header = try Sluice_CallHeader(serializedBytes: frames[1].header.array)
        #expect(header.messageLength == 50_000)
        let bytes = frames.filter { $0.call == 1 }.reduce(0) { $0 + $1.payload.readableBytes }
        #expect(bytes == 50_000)
    }

    @Test func aCallTheGatewayHasNotHeardOfVanishes() throws {
        let bench = try MachineBench.open(maxFrame: 20_000)
        let first = try bench.call(1, bytes: 50_000)
        let second = try bench.call(2, bytes: 50_000)
        #expect(try bench.frames(atMost: 1).map(\.call) == [first])
        bench.machine.cancel(second)
        #expect(bench.machine.openCalls == 1)
        bench.machine.cancel(first)
        #expect(try bench.sent() == ["CANCEL 1"])
        #expect(bench.machine.openCalls == 1)
    }

    @Test func limitsOfTheGatewayNameThemselves() throws {
        let bench = try MachineBench.open(maxMessage: 100)
        let error = #expect(throws: SluiceError.self) { try bench.call(1, bytes: 101) }
        #expect(error?.code == .resourceExhausted)
        #expect(error?.message.contains("101 bytes; the gateway takes 100") == true)
        #expect(bench.machine.openCalls == 0)

        let narrow = try MachineBench.open(maxFrame: 64)
        var request = CallRequest(method: .infer, model: String(repeating: "m", count: 100))
        request.payload = ByteBuffer(string: "x")
        let tooLong = #expect(throws: SluiceError.self) {
            try narrow.machine.open(request, ticket: 1, timeout: 1, attempt: 0)
        }
        #expect(tooLong?.reason == "HEADER_TOO_LARGE")
        // Nothing of it was sent, and the next call is whole.
        _ = try narrow.call(2, bytes: 3)
        #expect(try narrow.sent() == ["CALL END 1 3"])
    }

    @Test func goAwayInTwoPhases() throws {
        let bench = try MachineBench.open()
        for ticket in 10...13 { _ = try bench.call(Ticket(ticket)) }
        #expect(
            bench.receive([try Messages.goAway(last: .max)]) == ["going away [] in good order"])
        #expect(!bench.machine.hasRoom)
        #expect(
            bench.receive([
                try Messages.reply(1), try Messages.goAway(last: 2, reason: "restart"),
                try Messages.reply(2), try Messages.reply(3),
            ]) == [
                "10 answered OK 0", "going away [12, 13] in good order, restart",
                "11 answered OK 0",
            ])
        #expect(bench.machine.openCalls == 0)
    }

    @Test func goAwayInPlaceOfHello() throws {
        let bench = try MachineBench()
        #expect(
            bench.receive([try Messages.goAway(last: 0, code: .goAwayLimit)])
                == ["refused GOING_AWAY"])
    }

    @Test func extensionsAreSkippedAndPingsAnswered() throws {
        let bench = try MachineBench.open()
        #expect(
            bench.receive([
                Frame(
                    .extension(0x55), .more, call: 77, header: ByteBuffer(string: "?"),
                    payload: ByteBuffer(string: "??")),
                Frame(.ping, payload: ByteBuffer(integer: UInt64(42))),
            ]) == [])
        #expect(try bench.sent() == ["PING ACK 8"])
    }

    @Test func progressIsForTheCall() throws {
        let bench = try MachineBench.open()
        _ = try bench.call(9)
        var progress = Sluice_Progress()
        progress.state = .progressLoading
        progress.fraction = -1
        progress.remainingMs = 20
        let header = try HelloCoding.encoded(progress)
        #expect(
            bench.receive([Frame(.progress, call: 1, header: header)]) == ["9 progress loading"])
        #expect(HelloCoding.progress(header)?.fraction == nil)
        #expect(HelloCoding.progress(header)?.remaining == .milliseconds(20))
    }

    @Test func authIsAnswered() throws {
        let bench = try MachineBench.open()
        try bench.machine.authenticate("fresh")
        let frames = try bench.frames()
        #expect(frames.map(\.type) == [.auth])
        #expect(try Sluice_AuthUpdate(serializedBytes: frames[0].header.array).token == "fresh")
        #expect(
            bench.receive([
                try Messages.authResult(),
                try Messages.authResult(Messages.status(.unauthenticated, "TOKEN_EXPIRED")),
            ]) == ["authenticated", "authenticated TOKEN_EXPIRED"])
    }

    @Test(arguments: [
        ("a length of 0xFFFFFFFF", [0xFF, 0xFF, 0xFF, 0xFF]),
        ("an unknown type", [0, 0, 0, 8, 0x30, 0, 0, 0, 0, 0, 0, 0]),
        ("an answer for a call never made", [0, 0, 0, 8, 3, 1, 0, 0, 0, 0, 0, 9]),
        ("an answer for a call that has ended", [0, 0, 0, 8, 3, 1, 0, 0, 0, 0, 0, 1]),
        ("a broken GOAWAY", [0, 0, 0, 9, 6, 0, 0, 1, 0, 0, 0, 0, 0xFF]),
        ("a broken AUTH", [0, 0, 0, 9, 7, 0, 0, 1, 0, 0, 0, 0, 0xFF]),
        ("a second HELLO", [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
    ])
    func framingMistakesEndTheConnection(_ what: String, _ bytes: [UInt8]) throws {
        let bench = try MachineBench.open()
        _ = try bench.call(1)
        _ = try bench.call(2)
        _ = bench.receive([try Messages.reply(1)])
        _ = try bench.sent()
        let words = bench.receive(ByteBuffer(bytes: bytes))
        #expect(words.count == 1 && words[0].hasPrefix("fault "), "\(what): \(words)")
        #expect(try bench.sent() == ["GOAWAY"])
        let left = bench.machine.close()
        #expect(left == [2])
        #expect(bench.receive(ByteBuffer(bytes: [1])) == [])
    }

    @Test func keepAlive() throws {
        let bench = try MachineBench.open(
            keepAlive: .init(interval: .milliseconds(100), timeout: .milliseconds(50)))
        #expect(bench.machine.nextTick == at(100))
        #expect(bench.tick(at(99)) == nil)
        #expect(try bench.sent() == [])
        #expect(bench.tick(at(100)) == nil)
        #expect(try bench.sent() == ["PING 8"])
        #expect(bench.machine.nextTick == at(150))
        bench.now = at(140)
        #expect(
            bench.receive([Frame(.ping, .ack, payload: ByteBuffer(integer: UInt64(1)))]) == [])
        #expect(bench.machine.nextTick == at(240))
        #expect(bench.tick(at(240)) == nil)
        #expect(bench.tick(at(289)) == nil)
        #expect(bench.tick(at(290)) == "KEEP_ALIVE_TIMED_OUT")
        bench.machine.excuseSilence(at(300))
        #expect(bench.tick(at(399)) == nil)
    }

    @Test func randomBytesNeverCrash() throws {
        for seed in UInt64(1)...2_000 {
            var generator = SeededGenerator(seed)
            let bench = try MachineBench.open()
            for ticket in 1...3 {
                _ = try bench.call(
                    Ticket(ticket), Bool.random(using: &generator) ? .infer : .inferStream)
            }
            var stream = ByteBuffer()
            for _ in 0..<6 {
                stream.writeFrame(
                    Frame(
                        [FrameType.reply, .data, .progress].randomElement(using: &generator)
                            ?? .data,
                        [[], .end, .more].randomElement(using: &generator) ?? [],
                        call: UInt32.random(in: 1...3, using: &generator),
                        header: ByteBuffer(), payload: ByteBuffer(repeating: 8, count: 3)))
            }
            var bytes = stream.array
            for _ in 0..<Int.random(in: 0...2, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = bench.receive(ByteBuffer(bytes: bytes))
            _ = bench.machine.close()
        }
    }

    /// A model of the gateway answers in pieces of any size and any order: each call ends once, with its bytes.
    @Test(arguments: UInt64(1)...40)
    func randomWalk(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed)
        let bench = try MachineBench.open(maxFrame: 600, calls: 20)
        var expected: [Ticket: Int] = [:]
        var owed: [[Frame]] = []
        var wire = ByteBuffer()
        var seen: [String] = []
        var ticket: Ticket = 0
        for _ in 0..<400 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0 where bench.machine.hasRoom:
                ticket += 1
                let size = Int.random(in: 0...2_000, using: &generator)
                _ = try bench.call(ticket, bytes: size)
                expected[ticket] = size
            case 1:
                for frame in try bench.frames(atMost: 1_000) where frame.flags.contains(.end) {
                    // The gateway answers with as many bytes as it was sent.
                    let size = expected[Ticket(frame.call)] ?? 0
                    var splitter = MessageSplitter(
                        .reply, call: frame.call,
                        header: try Messages.replyHeader(messageLength: size),
                        payload: ByteBuffer(repeating: 1, count: size), ends: true)
                    var frames: [Frame] = []
                    while let part = splitter.next(bodyMax: 300) { frames.append(part) }
                    owed.append(frames)
                }
            case 2 where !owed.isEmpty:
                let index = Int.random(in: 0..<owed.count, using: &generator)
                wire.writeFrame(owed[index].removeFirst())
                if owed[index].isEmpty { owed.remove(at: index) }
            default:
                let count = min(
                    wire.readableBytes, Int.random(in: 0...900, using: &generator))
                if let bytes = wire.readSlice(length: count) { seen += bench.receive(bytes) }
            }
        }
        for frames in owed { for frame in frames { wire.writeFrame(frame) } }
        seen += bench.receive(wire)
        let unsent = Set(bench.machine.close())
        let answered = expected.filter { !unsent.contains($0.key) }
            .map { "\($0.key) answered OK \($0.value)" }
        #expect(seen.sorted() == answered.sorted(), "seed \(seed)")
    }
}
