// Addresses as numbers, networks, and what a proxy says about whom it speaks for.

import Contract
import Gateway
import NIOCore
import NIOEmbedded
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("::ffff:10.1.2.3", "10.1.2.3"), ("::1", "::1"),
        ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::", "::"),
        ("fe80::1%eth0", "fe80::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1::", "1::"), ("0.0.0.0", "0.0.0.0"),
    ])
    func anAddressIsReadAndWritten(text: String, written: String) throws {
        let address = try #require(NetworkAddress(text))
        #expect(address.description == written)
        #expect(NetworkAddress(written) == address)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "+1.2.3.4", "1.2.3.4 ", "a.b.c.d", ":",
        ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "12345::",
        "+1::", "::1.2.3", "1.2.3.4::", "localhost", "[::1]", "::g", "%eth0",
    ])
    func whatIsNoAddressIsNone(text: String) { #expect(NetworkAddress(text) == nil) }

    @Test func aNetworkHasItsAddresses() throws {
        let ten = try #require(AddressBlock("10.0.0.0/8"))
        for (text, isIn) in [
            ("10.255.0.1", true), ("::ffff:10.0.0.1", true), ("11.0.0.1", false), ("::1", false),
        ] { #expect(ten.contains(try #require(NetworkAddress(text))) == isIn, "\(text)") }
        let one = try #require(AddressBlock("127.0.0.1"))
        #expect(one.contains(try #require(NetworkAddress("127.0.0.1"))))
        #expect(!one.contains(try #require(NetworkAddress("127.0.0.2"))))
        let six = try #require(AddressBlock("2001:db8::/33"))
        #expect(six.contains(try #require(NetworkAddress("2001:db8:7fff::1"))))
        #expect(!six.contains(try #require(NetworkAddress("2001:db8:8000::1"))))
        let all = try #require(AddressBlock("::/0"))
        #expect(all.contains(try #require(NetworkAddress("9.9.9.9"))))
        let four = try #require(AddressBlock("0.0.0.0/0"))
        #expect(!four.contains(try #require(NetworkAddress("::1"))))
    }

    @Test(arguments: [
        "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "/8",
        "2001:db8::1/32", "::/129", "fe80::%eth0/10", "", "host",
    ])
    func whatIsNoNetworkIsNone(text: String) { #expect(AddressBlock(text) == nil) }

    @Test func limitsCountAnIPv6NetworkAsOne() throws {
        let one = try #require(NetworkAddress("2001:db8:1:2::1"))
        let two = try #require(NetworkAddress("2001:db8:1:2:ffff::9"))
        #expect(one.counted == two.counted)
        #expect(try #require(NetworkAddress("2001:db8:1:3::1")).counted != one.counted)
        let four = try #require(NetworkAddress("10.0.0.1"))
        #expect(four.counted == four)
    }
}

@Suite struct ProxyHeaderTests {
    /// A header as a proxy writes it.
    static func header(
        command: UInt8 = 0x21, family: UInt8 = 0x11, addresses: [UInt8]? = nil,
        extensions: [UInt8] = [], length: Int? = nil
    ) -> [UInt8] {
        let body =
            (addresses
                ?? (family == 0x21
                    ? [0x20, 1, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [7]
                        + Array(repeating: 0, count: 16) + [0x12, 0x34, 0, 80]
                    : [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80]))
            + extensions
        let count = length ?? body.count
        return ProxyHeader.signature + [command, family, UInt8(count >> 8), UInt8(count & 255)]
            + body
    }

    private func read(_ bytes: [UInt8]) -> ProxyHeader.Reading {
        var buffer = ByteBuffer(bytes: [9, 9, 9] + bytes)
        buffer.moveReaderIndex(forwardBy: 3)
        return ProxyHeader.read(buffer)
    }

    private func address(_ text: String) throws -> NetworkAddress {
        try #require(NetworkAddress(text))
    }

    @Test func whatIsAllowed() throws {
        let four = try ProxyHeader.caller(address("192.0.2.7"), port: 0x1234)
        #expect(read(Self.header()) == .whole(four, byteCount: 28))
        #expect(read(Self.header() + [1, 2, 3]) == .whole(four, byteCount: 28))
        let six = try ProxyHeader.caller(address("2001:db8::7"), port: 0x1234)
        #expect(read(Self.header(family: 0x21)) == .whole(six, byteCount: 52))
        let extensions: [UInt8] = [0x04, 0, 0, 0x02, 0, 3, 1, 2, 3]
        #expect(
            read(Self.header(extensions: extensions)) == .whole(four, byteCount: 37))
        // A health check says nothing, or anything.
        #expect(
            read(Self.header(command: 0x20, family: 0, addresses: []))
                == .whole(.local, byteCount: 16))
        #expect(
            read(Self.header(command: 0x20, family: 0x31, addresses: [1, 2, 3]))
                == .whole(.local, byteCount: 19))
    }

    @Test func itComesInAnyPieces() {
        let whole = Self.header(family: 0x21, extensions: [0x04, 0, 2, 0, 0])
        for count in whole.indices {
            #expect(read(Array(whole[..<count])) == .more, "\(count)")
        }
    }

    @Test func everythingElseIsRefused() {
        let cases: [([UInt8], ProxyHeader.StaticWords)] = [
            (Array("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".utf8), .signature),
            ([0x16, 0x03, 0x01], .signature),
            (Self.header(command: 0x11), .version),
            (Self.header(command: 0x22), .version),
            (Self.header(family: 0x00), .family),
            (Self.header(family: 0x12), .family),
            (Self.header(family: 0x22), .family),
            (Self.header(family: 0x31), .family),
            (Self.header(length: 11), .length),
            (Self.header(family: 0x21, addresses: Array(repeating: 0, count: 35)), .length),
            (Self.header(length: 4_081), .length),
            (Self.header(command: 0x20, addresses: [], length: 65_535), .length),
            (Self.header(extensions: [4]), .extensions),
            (Self.header(extensions: [4, 0]), .extensions),
            (Self.header(extensions: [4, 0, 1]), .extensions),
            (Self.header(extensions: [4, 0xFF, 0xFF, 0]), .extensions),
        ]
        for (bytes, why) in cases { #expect(read(bytes) == .refused(why), "\(bytes)") }
        // The first wrong byte is enough.
        #expect(read([0x0D, 0x0B]) == .refused(.signature))
    }

    @Test func noBytesBreakIt() {
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0 ... .max, using: &generator)
        print("seed \(seed)")
        var random = SplitMix(state: seed)
        for _ in 0..<20_000 {
            var bytes = Self.header(
                family: Bool.random(using: &random) ? 0x11 : 0x21,
                extensions: (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: 0...8, using: &random)
                })
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            if case .whole(_, let count) = read(bytes) {
                #expect(count >= ProxyHeader.headBytes && count <= bytes.count)
            }
        }
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }
    }

    // MARK: On a connection

    private final class Seen {
        var headers: [ProxyHeader] = []
        var refusals: [String] = []
    }

    private struct NotLetIn: Error {}

    private func channel(_ seen: Seen, refuses: Bool = false) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(
            ProxyHandler(
                welcome: { header in
                    seen.headers.append(header)
                    if refuses { throw NotLetIn() }
                }, refuse: { seen.refusals.append($0) }))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test func theHandlerTakesTheHeaderOffAndGoes() throws {
        let seen = Seen()
        let channel = try channel(seen)
        let bytes = Self.header() + Array("hello".utf8)
        for byte in bytes.dropLast(3) { try channel.writeInbound(ByteBuffer(bytes: [byte])) }
        try channel.writeInbound(ByteBuffer(bytes: bytes.suffix(3)))
        var rest = ""
        while let part = try channel.readInbound(as: ByteBuffer.self) {
            rest += String(buffer: part)
        }
        #expect(rest == "hello")
        #expect(seen.headers == [try .caller(address("192.0.2.7"), port: 0x1234)])
        // It is gone: time and further bytes are not its matter.
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        try channel.writeInbound(ByteBuffer(string: "more"))
        #expect(try channel.readInbound(as: ByteBuffer.self).map { String(buffer: $0) } == "more")
        #expect(try channel.finish().isClean)
    }

    @Test func silenceAndGarbageEndTheConnection() throws {
        let quiet = Seen()
        let first = try channel(quiet)
        try first.writeInbound(ByteBuffer(bytes: Self.header().prefix(20)))
        first.embeddedEventLoop.advanceTime(by: .milliseconds(4_999))
        #expect(first.isActive)
        first.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!first.isActive)
        #expect(quiet.refusals == ["a PROXY header did not come within 5 s"])
        let loud = Seen()
        let second = try channel(loud)
        try second.writeInbound(ByteBuffer(string: "PROXY TCP4"))
        #expect(!second.isActive)
        #expect(loud.headers.isEmpty && loud.refusals.count == 1)
        let full = try channel(Seen(), refuses: true)
        try full.writeInbound(ByteBuffer(bytes: Self.header()))
        #expect(!full.isActive)
    }
}

@Suite struct UnderWayTests {
    @Test func theOldestGivesWay() {
        var line = UnderWay<String>(countMax: 2)
        let a = line.enter("a")
        let b = line.enter("b")
        #expect(a.evicted == nil && b.evicted == nil)
        #expect(line.enter("c").evicted == "a")
        line.leave(b.number)
        #expect(line.enter("d").evicted == nil)
        #expect(line.enter("e").evicted == "c")
        line.leave(a.number)
        #expect(line.count == 2)
    }

    @Test func lessRoomMakesNobodyLeaveAtOnce() {
        var line = UnderWay<Int>(countMax: 3)
        for number in 0..<3 { _ = line.enter(number) }
        line.countMax = 2
        #expect(line.count == 3)
        #expect(line.enter(3).evicted == 0)
    }

    @Test func whatHasLeftIsForgotten() {
        var line = UnderWay<Int>(countMax: 100)
        let stuck = line.enter(-1)
        for number in 0..<10_000 {
            let entered = line.enter(number)
            #expect(entered.evicted == nil)
            line.leave(entered.number)
        }
        #expect(line.count == 1)
        #expect(line.orderCount <= 68)
        line.leave(stuck.number)
        #expect(line.count == 0)
    }
}
