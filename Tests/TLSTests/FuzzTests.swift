// Hostile bytes: mutated handshakes and records never crash, never hang and never come out as plaintext.

import COpenSSL
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite struct FuzzTests {
    /// Changes, cuts, doubles or inserts bytes in a few places.
    private func mutate(_ bytes: [UInt8], _ generator: inout SplitMix) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !result.isEmpty {
            let place = Int.random(in: 0..<result.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: result[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: result[place] = UInt8.random(in: 0...255, using: &generator)
            case 2: result.removeSubrange(place..<min(place + 7, result.count))
            case 3: result.insert(contentsOf: result[place...].prefix(9), at: place)
            case 4: result = Array(result[0..<place])
            default: result[place] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &generator) ?? 0
            }
        }
        return result
    }

    private func hello(_ options: ClientOptions) throws -> [UInt8] {
        let client = try TLSClient(options)
        _ = try client.handshake()
        return client.take()
    }

    @Test func `ten thousand mutated hellos`() throws {
        var generator = SplitMix(seed: 20_260_901)
        let context = try TLSServerContext(Fixtures.settings())
        let recordings = [
            try hello(ClientOptions(protocols: ["sluice/1"], serverName: "localhost")),
            try hello(ClientOptions(maximumVersion: TLS1_2_VERSION, protocols: ["http/1.1"])),
        ]
        var failures = 0
        for round in 0..<10_000 {
            var session = try TLSSession(context)
            var inbound = ByteBuffer(bytes: mutate(recordings[round % 2], &generator))
            var outbound = ByteBuffer()
            do {
                let done = try session.handshake(from: &inbound, answering: &outbound)
                #expect(!done, "round \(round)")
            } catch {
                failures += 1
            }
            #expect(outbound.readableBytes < 16_384)
        }
        #expect(failures > 1_000)
    }

    @Test func `mutated second flights through the handler`() throws {
        var generator = SplitMix(seed: 4_711)
        let context = try TLSServerContext(Fixtures.settings())
        for round in 0..<400 {
            let version = round % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION
            let pair = try Pair(ClientOptions(maximumVersion: version), context: context)
            _ = try pair.client.handshake()
            pair.toServer(pair.client.take())
            pair.client.receive(try pair.fromServer())
            let done = try pair.client.handshake()
            if done { try pair.client.send([1, 2, 3]) }
            let flight = pair.client.take()
            let changed = mutate(flight, &generator)
            guard changed != flight else { continue }
            pair.toServer(changed)
            if pair.channel.isActive {
                pair.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
            }
            #expect(pair.recorder.bytes.isEmpty || pair.recorder.bytes == [1, 2, 3])
        }
    }

    @Test func `mutated records never become plaintext`() throws {
        var generator = SplitMix(seed: 815)
        let context = try TLSServerContext(Fixtures.settings())
        for round in 0..<400 {
            let version = round % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION
            let pair = try Pair(ClientOptions(maximumVersion: version), context: context)
            try pair.handshake()
            let first = pattern(50, seed: UInt64(round))
            try pair.client.send(first)
            try pair.client.send(pattern(60, seed: UInt64(round)))
            let records = pair.client.take()
            let changed = mutate(records, &generator)
            guard changed != records else { continue }
            pair.toServer(changed)
            let received = pair.recorder.bytes
            // Whole records in order, or nothing.
            #expect([0, 50, 110].contains(received.count), "round \(round)")
            #expect(received.prefix(50) == first.prefix(received.count))
        }
    }
}
