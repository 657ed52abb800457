// Bytes through an open session: every size whole and in order, in few pieces, and promises kept.

import COpenSSL
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite struct TransferTests {
    static let versions = [TLS1_2_VERSION, TLS1_3_VERSION]

    private func opened(_ version: Int32 = TLS1_3_VERSION) throws -> Pair {
        let pair = try Pair(ClientOptions(maximumVersion: version))
        try pair.handshake()
        pair.recorder.log = []
        pair.watch.writes = []
        pair.watch.reads = 0
        pair.watch.flushes = 0
        return pair
    }

    @Test(arguments: versions)
    func `every size goes there and back`(version: Int32) throws {
        let pair = try opened(version)
        var sizes = Array(stride(from: 1, through: 70_000, by: 613))
        for power in 0...17 { sizes += [(1 << power) - 1, 1 << power, (1 << power) + 1] }
        let source = pattern(140_000)
        for size in sizes where size > 0 {
            let bytes = Array(source[0..<size])
            pair.recorder.bytes = []
            try pair.client.send(bytes)
            try pair.shuttle()
            #expect(pair.recorder.bytes == bytes, "size \(size) to the server")
            pair.write(bytes)
            #expect(try pair.read() == bytes, "size \(size) to the client")
        }
    }

    @Test(arguments: versions)
    func `an empty write is a kept promise and no record`(version: Int32) throws {
        let pair = try opened(version)
        try pair.write([]).wait()
        #expect(try pair.read().isEmpty)
        #expect(pair.watch.writes.reduce(0, +) == 0)
    }

    @Test(arguments: versions)
    func `ciphertext may come a byte at a time`(version: Int32) throws {
        let pair = try opened(version)
        let bytes = pattern(20_000)
        try pair.client.send(bytes)
        for byte in pair.client.take() { pair.toServer([byte]) }
        #expect(pair.recorder.bytes == bytes)
        // Each record as soon as it is whole.
        #expect(pair.recorder.log.count == 2)
    }

    @Test func `a handshake may come a byte at a time`() throws {
        let pair = try Pair()
        var done = false
        while !done {
            done = try pair.client.handshake()
            for byte in pair.client.take() { pair.toServer([byte]) }
            pair.client.receive(try pair.fromServer())
        }
        #expect(pair.recorder.completed != nil)
    }

    @Test func `ciphertext may come in any pieces`() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var generator = SplitMix(seed: seed)
            let pair = try opened()
            var sent: [UInt8] = []
            for _ in 0..<20 {
                let bytes = pattern(Int.random(in: 1...40_000, using: &generator), seed: seed)
                try pair.client.send(bytes)
                sent += bytes
            }
            var rest = pair.client.take()[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...30_000, using: &generator))
                rest = rest.dropFirst(piece.count)
                pair.toServer(Array(piece))
            }
            #expect(pair.recorder.bytes == sent, "seed \(seed)")
        }
    }

    @Test func `what arrives together is read together`() throws {
        let pair = try opened()
        for index in 0..<100 as Range<UInt8> { try pair.client.send([index]) }
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["read 100"])
    }

    @Test func `a buffer that the pipeline keeps is not overwritten`() throws {
        let pair = try opened()
        pair.recorder.keepsBuffers = true
        var sent: [[UInt8]] = []
        for seed in 1...30 as ClosedRange<UInt64> {
            let bytes = pattern(Int(seed) * 211, seed: seed)
            sent.append(bytes)
            try pair.client.send(bytes)
            pair.toServer(pair.client.take())
        }
        #expect(pair.recorder.buffers.map { Array($0.readableBytesView) } == sent)
    }

    // MARK: Writing

    @Test func `small writes leave in one record and one write`() throws {
        let pair = try opened()
        var promises: [EventLoopFuture<Void>] = []
        for index in 0..<100 as Range<UInt8> {
            promises.append(pair.write([index], flush: false))
        }
        #expect(pair.watch.writes.isEmpty)
        pair.channel.flush()
        #expect(pair.watch.writes == [100 + 5 + 1 + 16])
        #expect(pair.watch.flushes == 1)
        for promise in promises { try promise.wait() }
        #expect(try pair.read() == Array(0..<100))
    }

    @Test func `a promise is kept no earlier than the flush of its last byte`() throws {
        let pair = try opened()
        var kept: [Int] = []
        pair.write(pattern(20_000), flush: false).assumeIsolated().whenSuccess { kept.append(1) }
        pair.write(pattern(60_000), flush: false).assumeIsolated().whenSuccess { kept.append(2) }
        #expect(kept.isEmpty)
        pair.channel.flush()
        #expect(kept == [1, 2])
    }

    @Test func `much is handed to the channel in pieces of full records`() throws {
        let pair = try opened()
        let bytes = pattern(1_000_000)
        pair.write(bytes)
        #expect(pair.watch.writes.allSatisfy { $0 <= 65_536 })
        let full = 3 * (16_384 + 22)
        #expect(pair.watch.writes.dropLast().allSatisfy { $0 == full })
        #expect(pair.watch.flushes == 1)
        #expect(try pair.read() == bytes)
    }

    @Test func `any writes and flushes come out in order`() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var generator = SplitMix(seed: seed)
            let pair = try opened(seed % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION)
            var sent: [UInt8] = []
            var received: [UInt8] = []
            var promises: [EventLoopFuture<Void>] = []
            for _ in 0..<60 {
                let most = [20, 3_000, 60_000].randomElement(using: &generator) ?? 1
                let bytes = pattern(Int.random(in: 0...most, using: &generator), seed: seed)
                sent += bytes
                let flush = Bool.random(using: &generator)
                promises.append(pair.write(bytes, flush: flush))
                if flush { received += try pair.read() }
            }
            pair.channel.flush()
            received += try pair.read()
            #expect(received == sent, "seed \(seed)")
            for promise in promises { try promise.wait() }
        }
    }

    @Test func `a write from within a write comes behind it`() throws {
        for flushing in [true, false] {
            let pair = try opened()
            let first = pattern(300_000, seed: 1)
            let second = pattern(200_000, seed: 2)
            let third = pattern(100, seed: 3)
            var kept: [Int] = []
            pair.watch.onWrite = {
                pair.watch.onWrite = {
                    pair.write(third, flush: true).assumeIsolated().whenSuccess { kept.append(3) }
                }
                pair.write(second, flush: flushing).assumeIsolated().whenSuccess { kept.append(2) }
            }
            pair.write(first, flush: false).assumeIsolated().whenSuccess { kept.append(1) }
            pair.channel.flush()
            #expect(try pair.read() == first + second + third)
            #expect(kept.sorted() == [1, 2, 3])
        }
    }

    @Test func `a close from within a write comes behind it`() throws {
        let pair = try opened()
        let bytes = pattern(300_000)
        pair.watch.onWrite = { pair.channel.close(promise: nil) }
        pair.write(bytes, flush: false)
        pair.channel.flush()
        let received = try pair.read()
        // Closing fails what was not flushed; what came is a beginning, and the end is said.
        #expect(received == Array(bytes.prefix(received.count)))
        #expect(pair.client.finished)
        #expect(pair.recorder.log == ["inactive"])
    }

    @Test func `writes that were not flushed fail when the channel closes`() throws {
        let pair = try opened()
        let lost = pair.write([1, 2, 3], flush: false)
        try pair.channel.close().wait()
        #expect(throws: ChannelError.ioOnClosedChannel) { try lost.wait() }
        #expect(throws: (any Error).self) { try pair.write([4]).wait() }
    }

    // MARK: Back-pressure

    @Test func `nothing is read ahead`() throws {
        let pair = try opened()
        try pair.client.send([1])
        pair.toServer(pair.client.take())
        // EmbeddedChannel asks by itself for nothing: no read of ours either.
        #expect(pair.watch.reads == 0)
    }

    @Test func `a read that gave no plaintext is asked again`() throws {
        let pair = try opened()
        pair.channel.read()
        #expect(pair.watch.reads == 1)
        try pair.client.send([1, 2, 3])
        let record = pair.client.take()
        pair.toServer(Array(record.prefix(10)))
        #expect(pair.watch.reads == 2)
        pair.toServer(Array(record.dropFirst(10)))
        #expect(pair.recorder.bytes == [1, 2, 3])
        #expect(pair.watch.reads == 2)
    }

    // MARK: Keys

    @Test(arguments: [true, false])
    func `key updates are obeyed and answered`(requested: Bool) throws {
        let pair = try opened()
        for round in 1...10 as ClosedRange<UInt8> {
            try pair.client.updateKeys(requested: requested)
            try pair.client.send([round])
            try pair.shuttle()
            pair.write([round, round])
            #expect(try pair.read() == [round, round])
        }
        #expect(pair.recorder.bytes == Array(1...10))
        #expect(pair.recorder.errors.isEmpty)
    }

    @Test func `a flood of key updates ends the connection`() throws {
        let pair = try opened()
        for _ in 0..<200 where pair.channel.isActive {
            try pair.client.updateKeys(requested: true)
            pair.toServer(pair.client.take())
        }
        #expect(pair.recorder.errors.map(\.code) == [.controlFlood])
        #expect(!pair.channel.isActive)
        // What was answered is bounded too.
        #expect(pair.watch.writes.reduce(0, +) < 4_096)
    }

    @Test func `a flood in one piece is noticed too`() throws {
        let pair = try opened()
        for _ in 0..<200 { try pair.client.updateKeys(requested: false) }
        pair.toServer(pair.client.take())
        #expect(pair.recorder.errors.map(\.code) == [.controlFlood])
    }

    @Test func `many key updates among much data are no flood`() throws {
        let pair = try opened()
        let bytes = pattern(1_200_000)
        for _ in 0..<50 {
            try pair.client.updateKeys(requested: false)
            try pair.client.send(bytes)
            try pair.shuttle()
        }
        #expect(pair.recorder.errors.isEmpty)
        #expect(pair.recorder.bytes.count == 50 * bytes.count)
    }

    @Test func `renegotiation is refused`() throws {
        let pair = try opened(TLS1_2_VERSION)
        #expect(throws: ClientFailure.self) {
            #expect(try !pair.client.renegotiate())
            try pair.shuttle()
            #expect(try !pair.client.renegotiate())
            try pair.shuttle()
            _ = try pair.client.read()
        }
        #expect(pair.recorder.log.filter { $0 == "completed" }.isEmpty)
        #expect(pair.watch.writes.reduce(0, +) < 200)
    }
}
