import Compression
import NIOCore
import Testing

@Suite struct InflaterTests {
    /// "sluice sluice sluice" by Python's gzip and zlib.
    static let vectors: [(ContentCoding, String)] = [
        (.gzip, "1f8b08000000000002032bce29cd4c4e552846a600e6b94c7414000000"),
        (.deflate, "789c2bce29cd4c4e552846a60052b507d0"),
    ]

    /// Inflates a whole body in pieces of `atMost` bytes.
    static func inflated(
        _ body: ByteBuffer, _ coding: ContentCoding, bytesMax: Int = 1 << 20, atMost: Int = 64 << 10
    ) throws(CompressionFault) -> ByteBuffer {
        var inflater = try Inflater(coding, bytesMax: bytesMax)
        var (input, output) = (body, ByteBuffer())
        while true {
            switch try inflater.inflate(&input, into: &output, atMost: atMost) {
            case .more: continue
            case .starved: throw .truncated
            case .ended: return output
            }
        }
    }

    static func deflated(
        _ body: ByteBuffer, _ coding: ContentCoding, piece: Int = 1 << 20
    ) throws -> ByteBuffer {
        var deflater = try Deflater(coding)
        var (input, output) = (body, ByteBuffer())
        while let slice = input.readSlice(length: min(piece, input.readableBytes)),
            slice.readableBytes > 0
        {
            deflater.add(slice, into: &output)
        }
        deflater.finish(into: &output)
        return output
    }

    @Test(arguments: vectors) func whatOthersWrite(coding: ContentCoding, bytes: String) throws {
        let body = ByteBuffer(bytes: bytes.hexadecimal)
        #expect(try String(buffer: Self.inflated(body, coding)) == "sluice sluice sluice")
        // Byte by byte, and in the other coding.
        #expect(
            try String(buffer: Self.inflated(body, coding, atMost: 1)) == "sluice sluice sluice")
        #expect(throws: CompressionFault.corrupt) {
            try Self.inflated(body, coding == .gzip ? .deflate : .gzip)
        }
    }

    @Test(arguments: ContentCoding.allCases) func whatIsDeflatedComesBack(
        coding: ContentCoding
    ) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(seed)
        for count in [0, 1, 100, 4_096, 100_000, 700_000] {
            let bytes = ByteBuffer(
                bytes: (0..<count).map { _ in UInt8(random.next() % (count % 3 == 0 ? 256 : 7)) })
            let packed = try Self.deflated(bytes, coding, piece: Int(random.next() % 5_000) + 1)
            let back = try Self.inflated(
                packed, coding, atMost: Int(random.next() % 100_000) + 1)
            #expect(back == bytes, "seed \(seed), \(count) bytes")
        }
    }

    @Test(arguments: ContentCoding.allCases) func theLimitIsExact(coding: ContentCoding) throws {
        let packed = try Self.deflated(ByteBuffer(repeating: 7, count: 1_000), coding)
        #expect(try Self.inflated(packed, coding, bytesMax: 1_000).readableBytes == 1_000)
        #expect(throws: CompressionFault.tooLarge(999)) {
            try Self.inflated(packed, coding, bytesMax: 999)
        }
    }

    /// A bomb costs what its limit allows, whatever stands behind it.
    @Test func aBombEndsAtItsLimit() throws {
        var packed = try Self.deflated(ByteBuffer(repeating: 0, count: 16 << 20), .gzip)
        var inflater = try Inflater(.gzip, bytesMax: 100_000)
        var output = ByteBuffer()
        #expect(throws: CompressionFault.tooLarge(100_000)) {
            while try inflater.inflate(&packed, into: &output, atMost: 8_192) == .more {}
        }
        #expect(output.readableBytes == 100_001 && output.capacity <= 256 << 10)
        #expect(packed.readableBytes > 15_000)
    }

    @Test func allowedSizesFollowTheCompressedSize() {
        let most = 64 << 20
        #expect(Inflater.bytesMax(compressed: 100, most: most) == 4 << 20)
        #expect(Inflater.bytesMax(compressed: 100_000, most: most) == 20_000_000)
        #expect(Inflater.bytesMax(compressed: 1 << 20, most: most) == most)
        #expect(Inflater.bytesMax(compressed: .max, most: most) == most)
        #expect(Inflater.bytesMax(compressed: 1, most: 1_000) == 1_000)
    }

    @Test(arguments: vectors) func whatIsBroken(coding: ContentCoding, bytes: String) throws {
        let whole = bytes.hexadecimal
        for length in 0..<whole.count {
            #expect(throws: CompressionFault.truncated) {
                try Self.inflated(ByteBuffer(bytes: whole[..<length]), coding)
            }
        }
        #expect(throws: CompressionFault.trailing) {
            try Self.inflated(ByteBuffer(bytes: whole + [0]), coding)
        }
        // The checksum at the end does not fit.
        var wrong = whole
        wrong[wrong.count - (coding == .gzip ? 6 : 1)] ^= 1
        #expect(throws: CompressionFault.corrupt) {
            try Self.inflated(ByteBuffer(bytes: wrong), coding)
        }
        #expect(throws: CompressionFault.corrupt) {
            try Self.inflated(ByteBuffer(string: "{\"inputs\":[]}"), coding)
        }
    }

    // MARK: - Several members (RFC 1952 section 2.2)

    private static func members(_ texts: [String]) throws -> [ByteBuffer] {
        try texts.map { try deflated(ByteBuffer(string: $0), .gzip) }
    }

    private static func joined(_ parts: [ByteBuffer], and more: [UInt8] = []) -> ByteBuffer {
        ByteBuffer(bytes: parts.flatMap { Array($0.readableBytesView) } + more)
    }

    private static func feed(
        _ bytes: ArraySlice<UInt8>, to inflater: inout Inflater, _ output: inout ByteBuffer
    ) throws(CompressionFault) -> Inflater.Step {
        var input = ByteBuffer(bytes: bytes)
        while true {
            let step = try inflater.inflate(&input, into: &output, atMost: 7)
            if step != .more { return step }
        }
    }

    @Test func membersAreOneBody() throws {
        let body = Self.joined(try Self.members(["one ", "", "two ", "three"]))
        #expect(try String(buffer: Self.inflated(body, .gzip)) == "one two three")
        #expect(try String(buffer: Self.inflated(body, .gzip, atMost: 1)) == "one two three")
        let none = Self.joined(Array(repeating: try Self.members([""])[0], count: 1_000))
        #expect(try Self.inflated(none, .gzip).readableBytes == 0)
    }

    /// Fed in two parts, cut anywhere: between members too, where the first part is a body by itself.
    @Test func membersMayBeCutAnywhere() throws {
        let parts = try Self.members(["one ", "two ", "three"])
        let whole = Array(Self.joined(parts).readableBytesView)
        let ends = parts.indices.map { parts[...$0].reduce(0) { $0 + $1.readableBytes } }
        for cut in 1..<whole.count {
            var inflater = try Inflater(.gzip, bytesMax: 100)
            var output = ByteBuffer()
            let first = try Self.feed(whole[..<cut], to: &inflater, &output)
            #expect(first == (ends.contains(cut) ? .ended : .starved), "\(cut)")
            let second = try Self.feed(whole[cut...], to: &inflater, &output)
            #expect(second == .ended && String(buffer: output) == "one two three", "\(cut)")
            // Nothing more is nothing new.
            let last = try Self.feed([], to: &inflater, &output)
            #expect(last == .ended)
        }
    }

    @Test func whatFollowsTheLastMemberIsAnError() throws {
        let parts = try Self.members(["one", "two"])
        for rubbish in [[0], [0x1F, 0], [0x1F, 0x8C, 8], [0x8B, 0x1F], [0x6D, 0x6F]] {
            #expect(throws: CompressionFault.trailing, "\(rubbish)") {
                try Self.inflated(Self.joined(parts, and: rubbish.map { UInt8($0) }), .gzip)
            }
        }
        // Cut off, and damaged behind its first two bytes: a member, but not a whole one.
        for (rest, fault) in [([0x1F], .truncated), ([0x1F, 0x8B, 9, 0], .corrupt)]
            as [([UInt8], CompressionFault)]
        {
            #expect(throws: fault) { try Self.inflated(Self.joined(parts, and: rest), .gzip) }
        }
        // The other coding knows no members.
        let packed = try Self.deflated(ByteBuffer(string: "one"), .deflate)
        #expect(throws: CompressionFault.trailing) {
            try Self.inflated(Self.joined([packed, packed]), .deflate)
        }
    }

    /// Each member is small enough; together they are a bomb.
    @Test func theLimitIsThatOfAllMembers() throws {
        let part = try Self.deflated(ByteBuffer(repeating: 0, count: 60_000), .gzip)
        let two = Self.joined([part, part])
        #expect(try Self.inflated(two, .gzip, bytesMax: 120_000).readableBytes == 120_000)
        #expect(throws: CompressionFault.tooLarge(119_999)) {
            try Self.inflated(two, .gzip, bytesMax: 119_999)
        }
        var many = Self.joined(Array(repeating: part, count: 200))
        let size = many.readableBytes
        var inflater = try Inflater(.gzip, bytesMax: 100_000)
        var output = ByteBuffer()
        #expect(throws: CompressionFault.tooLarge(100_000)) {
            while try inflater.inflate(&many, into: &output, atMost: 8_192) == .more {}
        }
        #expect(output.readableBytes == 100_001 && output.capacity <= 256 << 10)
        #expect(many.readableBytes > size - 3 * part.readableBytes)
    }

    /// Whatever comes, it ends with an answer.
    @Test func noise() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(seed)
        let whole = Self.vectors[0].1.hexadecimal
        for _ in 0..<2_000 {
            var bytes = whole
            for _ in 0..<(random.next() % 4 + 1) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            do {
                let back = try Self.inflated(ByteBuffer(bytes: bytes), .gzip, bytesMax: 4_096)
                // A change in the name's flags or the time may leave the body as it was.
                #expect(String(buffer: back) == "sluice sluice sluice", "seed \(seed)")
            } catch {
                #expect(error != .memory, "seed \(seed)")
            }
        }
    }
}

/// SplitMix64, so that a failing run can be had again.
struct Seeded {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension String {
    var hexadecimal: [UInt8] {
        let digits = utf8.map { $0 < 0x40 ? $0 - 0x30 : $0 - 0x61 + 10 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
