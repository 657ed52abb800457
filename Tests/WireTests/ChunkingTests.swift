// The same bytes in any pieces give the same frames, and any bytes at all give frames or one fault.

import NIOCore
import SluiceWire
import Testing

@Suite struct ChunkingTests {
    /// A conversation a client could send, with frames of many sizes.
    private func conversation(_ chance: inout Chance, frames: Int, payloadMax: Int) -> ByteBuffer {
        var bytes = ByteBuffer(bytes: helloBytes)
        var call: UInt32 = 0
        for _ in 0..<frames {
            let payload = ByteBuffer(bytes: chance.bytes(chance.below(payloadMax)))
            switch chance.below(6) {
            case 0 where call > 0:
                bytes.writeFrame(Frame(.data, [.end], call: call, payload: payload))
            case 1: bytes.writeFrame(Frame(.ping, payload: ByteBuffer(integer: chance.next())))
            case 2 where call > 0: bytes.writeFrame(Frame(.cancel, call: call))
            case 3: bytes.writeFrame(Frame(.extension(0x55), payload: payload))
            default:
                call += UInt32(1 + chance.below(5))
                let header = ByteBuffer(bytes: chance.bytes(chance.below(80)))
                bytes.writeFrame(
                    Frame(.call, [.end], call: call, header: header, payload: payload))
            }
        }
        return bytes
    }

    private func frames(_ pieces: [ByteBuffer]) throws -> [Frame] {
        var decoder = FrameDecoder(.server)
        var frames: [Frame] = []
        for piece in pieces {
            decoder.append(piece)
            while let frame = try decoder.next() { frames.append(frame) }
        }
        #expect(!decoder.isInsideFrame)
        #expect(decoder.heldBytes == 0)
        return frames
    }

    private func split(_ bytes: ByteBuffer, _ next: () -> Int) -> [ByteBuffer] {
        var rest = bytes
        var pieces: [ByteBuffer] = []
        while rest.readableBytes > 0,
            let piece = rest.readSlice(
                length: min(max(next(), 1), rest.readableBytes))
        {
            pieces.append(piece)
        }
        return pieces
    }

    @Test("Cut into pieces of every size, and at every place")
    func everyChunking() throws {
        var chance = Chance(seed: 1)
        let bytes = conversation(&chance, frames: 12, payloadMax: 40)
        let whole = try frames([bytes])
        #expect(whole.count == 13)
        for size in 1...bytes.readableBytes {
            #expect(try frames(split(bytes) { size }) == whole)
        }
        for cut in 1..<bytes.readableBytes {
            var isFirst = true
            let pieces = split(bytes) {
                defer { isFirst = false }
                return isFirst ? cut : bytes.readableBytes
            }
            #expect(try frames(pieces) == whole)
        }
    }

    @Test("Large frames in random pieces", arguments: [UInt64(2), 3, 4, 5])
    func randomChunking(seed: UInt64) throws {
        var chance = Chance(seed: seed)
        let bytes = conversation(&chance, frames: 60, payloadMax: 20_000)
        let whole = try frames([bytes])
        for _ in 0..<10 {
            let most = [3, 50, 1_400, 16_384, 65_536][chance.below(5)]
            #expect(try frames(split(bytes) { 1 + chance.below(most) }) == whole, "seed \(seed)")
        }
    }

    @Test("Frames that lie whole in what was read are slices of it; a split one is copied once")
    func noCopies() throws {
        var decoder = try openServer()
        let payload = ByteBuffer(bytes: Array(repeating: 7, count: 1_000))
        var bytes = ByteBuffer()
        for call in UInt32(1)...10 {
            bytes.writeFrame(Frame(.call, [.end], call: call, payload: payload))
        }
        let half = bytes.readSlice(length: bytes.readableBytes / 2)
        decoder.append(try #require(half))
        var count = 0
        while let frame = try decoder.next() {
            // A slice of the storage it came in keeps that storage's capacity out of sight: its own is its
            // length; a copy of a split frame has the power of two above the frame.
            #expect(frame.payload.readableBytes == 1_000)
            count += 1
        }
        #expect(count == 4)
        #expect(decoder.isInsideFrame)
        #expect(decoder.heldBytes < 1_012)
        decoder.append(bytes)
        while try decoder.next() != nil { count += 1 }
        #expect(count == 10)
        #expect(decoder.heldBytes == 0)
    }

    @Test("Appending before all was read keeps the order")
    func appendEarly() throws {
        var decoder = try openServer()
        for call in UInt32(1)...20 {
            decoder.append(ByteBuffer(bytes: raw(type: 0x01, flags: 1, call: call)))
        }
        for call in UInt32(1)...20 { #expect(try decoder.next()?.call == call) }
        #expect(try decoder.next() == nil)
    }

    @Test("Mutated conversations give frames within the limits or one fault", arguments: 1...8)
    func fuzz(seed: Int) throws {
        var chance = Chance(seed: UInt64(seed) &* 7_919)
        let clock = ContinuousClock()
        let end = clock.now + .milliseconds(120)
        var faults: Set<WireFault.Rule> = []
        while clock.now < end {
            var bytes = Array(
                conversation(&chance, frames: 6, payloadMax: 64).readableBytesView)
            for _ in 0...chance.below(4) {
                let place = chance.below(bytes.count)
                switch chance.below(4) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: chance.next())
                case 1: bytes[place] ^= 1 << UInt8(chance.below(8))
                case 2: bytes.remove(at: place)
                default: bytes.insert(UInt8(truncatingIfNeeded: chance.next()), at: place)
                }
            }
            var decoder = FrameDecoder(.server)
            var lastCall: UInt32 = 0
            do throws(WireFault) {
                for piece in split(ByteBuffer(bytes: bytes), { 1 + chance.below(90) }) {
                    decoder.append(piece)
                    while let frame = try decoder.next() {
                        #expect(frame.header.readableBytes <= 16_384)
                        let body = frame.header.readableBytes + frame.payload.readableBytes
                        #expect(body <= 262_144)
                        if frame.type == .call {
                            #expect(frame.call > lastCall)
                            lastCall = frame.call
                        }
                        if frame.type == .data { #expect(frame.call <= lastCall) }
                    }
                }
            } catch {
                faults.insert(error.rule)
            }
            #expect(decoder.heldBytes <= bytes.count, "seed \(seed)")
        }
        #expect(faults.count > 3)
    }
}
