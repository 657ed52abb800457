// What the wire's tests share: seeded chance and frames written by hand, byte by byte.

import NIOCore
import SluiceWire

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Chance: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &self) }
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// A frame's bytes from its fields as they are, right or wrong.
func raw(
    length: UInt32? = nil, type: UInt8, flags: UInt8 = 0, headerBytes: UInt16? = nil,
    call: UInt32 = 0, header: [UInt8] = [], payload: [UInt8] = []
) -> [UInt8] {
    var bytes: [UInt8] = []
    func append(_ value: some FixedWidthInteger) {
        withBigEndian(value) { bytes += $0 }
    }
    append(length ?? UInt32(8 + header.count + payload.count))
    append(type)
    append(flags)
    append(headerBytes ?? UInt16(header.count))
    append(call)
    return bytes + header + payload
}

private func withBigEndian<Number: FixedWidthInteger>(
    _ value: Number, _ use: ([UInt8]) -> Void
) {
    use(
        (0..<Number.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) })
}

let helloBytes = raw(type: 0x00)

/// A server's decoder behind a HELLO and the CALLs 1...`calls`.
func openServer(calls: UInt32 = 0, limits: WireLimits = WireLimits()) throws -> FrameDecoder {
    var decoder = FrameDecoder(.server, limits: limits)
    decoder.append(ByteBuffer(bytes: helloBytes))
    for call in 1..<(calls + 1) {
        decoder.append(ByteBuffer(bytes: raw(type: 0x01, flags: 1, call: call)))
    }
    while try decoder.next() != nil {}
    return decoder
}

/// A client's decoder behind the server's HELLO, with the calls 1...`calls` opened.
func openClient(calls: UInt32 = 1) throws -> FrameDecoder {
    var decoder = FrameDecoder(.client)
    decoder.append(ByteBuffer(bytes: helloBytes))
    while try decoder.next() != nil {}
    for call in 1..<(calls + 1) { decoder.opened(call) }
    return decoder
}

/// All frames of `bytes`, or the fault that ended them.
func decode(
    _ bytes: [UInt8], with decoder: FrameDecoder
) -> (frames: [Frame], fault: WireFault?) {
    var decoder = decoder
    var frames: [Frame] = []
    decoder.append(ByteBuffer(bytes: bytes))
    do throws(WireFault) {
        while let frame = try decoder.next() { frames.append(frame) }
    } catch {
        return (frames, error)
    }
    return (frames, nil)
}
