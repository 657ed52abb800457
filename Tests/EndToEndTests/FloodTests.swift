// Who sends too much, too slowly, or goes in the middle of a word: over real TLS, with a bystander calling all the while.

import Foundation
import NIOCore
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Testing

@Suite(.serialized) struct FloodTests {
    /// A gateway, and a token for the one who misbehaves beside a bystander.
    private func misbehaving(
        _ settings: String, _ body: @escaping @Sendable (TestGateway, String) async throws -> Void
    ) async throws {
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token()
            try await withBystander(gateway) { try await body(gateway, token) }
        }
    }

    private func bytes(_ frames: [Frame]) -> ByteBuffer {
        frames.reduce(into: ByteBuffer()) { $0.writeFrame($1) }
    }

    /// How many sockets the gateway has.
    private func sockets(_ gateway: TestGateway) throws -> Int {
        let folder = "/proc/\(gateway.processIdentifier)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: folder).count {
            // One that was closed in between is none.
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "\(folder)/\($0)")
            return target?.hasPrefix("socket:") == true
        }
    }

    // MARK: Too slow

    /// Sends one byte after the other until the gateway has had enough. Returns how long that took.
    private func drip(_ bytes: ByteBuffer, _ connection: RawConnection) async throws -> Duration {
        let began = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for byte in bytes.readableBytesView {
                    connection.post(bytes: ByteBuffer(integer: byte))
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            let goAway = try await connection.goodbye(within: 20)
            group.cancelAll()
            #expect(goAway?.code == .goAwayTimeout)
        }
        return ContinuousClock.now - began
    }

    @Test func aDripOfBytesIn() async throws {
        try await misbehaving("limits: { hello: 1s, stall: 1s }\n") { gateway, token in
            let silent = try await RawConnection.open(to: gateway)
            let hello = try await drip(bytes([.hello(token: token)]), silent)
            #expect(hello < .seconds(6), "\(hello)")
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            let call = try await drip(bytes([.call(1)]), connection)
            #expect(call < .seconds(6), "\(call)")
        }
    }

    /// Whoever asks for 36 MB and reads nothing of it is gone after `limits.stall`, and what it held is free.
    @Test func aReaderThatDoesNotRead() async throws {
        try await misbehaving("limits: { stall: 1s }\n") { gateway, token in
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            let before = try sockets(gateway)
            try await connection.reads(false)
            let payload = try Self.rows(15_000)
            let calls = try (1...120 as ClosedRange<UInt32>).map {
                try Frame.call($0, payload: payload)
            }
            connection.post(bytes: bytes(calls))
            try await eventually(within: 30, "the gateway ends the connection") {
                try sockets(gateway) < before
            }
            // TLS may complain that it was cut; that is what was wanted.
            _ = try? await connection.close()
        }
    }

    /// So many rows for iris.
    static func rows(_ count: Int) throws -> ByteBuffer {
        var input = Inference_ModelInferRequest.InferInputTensor()
        input.name = "X"
        input.datatype = "FP32"
        input.shape = [Int64(count), 4]
        var request = Inference_ModelInferRequest()
        request.inputs = [input]
        request.rawInputContents = [Data(repeating: 0, count: count * 16)]
        return ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
    }

    // MARK: Too much

    @Test(arguments: ["PING", "PING with ACK", "AUTH", "CANCEL", "empty DATA"])
    func aFloodOfControlFrames(kind: String) async throws {
        try await misbehaving("") { gateway, token in
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            var open = try Frame.call(1) { $0.messageLength = 1_000 }
            open.flags = .more
            open.payload = ByteBuffer()
            let eight = ByteBuffer(repeating: 0, count: 8)
            let frame =
                switch kind {
                case "PING": Frame(.ping, payload: eight)
                case "PING with ACK": Frame(.ping, [.ack], payload: eight)
                case "AUTH": Frame(.auth, header: try Self.auth(token))
                case "CANCEL": Frame(.cancel, call: 1)
                default: Frame(.data, [.more], call: 1)
                }
            connection.post(
                bytes: bytes([open] + [Frame](repeating: frame, count: 1_200)))
            #expect(try await connection.goodbye()?.code == .goAwayCalmDown)
        }
    }

    private static func auth(_ token: String) throws -> ByteBuffer {
        var auth = Sluice_AuthUpdate()
        auth.token = token
        return ByteBuffer(bytes: try auth.serializedBytes() as [UInt8])
    }

    /// The median and the 99th percentile of calls, one after the other.
    private func latency(
        _ client: SluiceClient, calls: Int
    ) async throws -> (p50: Duration, p99: Duration) {
        var times: [Duration] = []
        for _ in 0..<calls {
            let began = ContinuousClock.now
            _ = try await client.infer("iris", inputs: TokenTests.iris())
            times.append(ContinuousClock.now - began)
        }
        times.sort()
        return (times[calls / 2], times[calls * 99 / 100])
    }

    /// Twenty thousand calls that are cancelled as they come, each answered once; somebody else's calls go on.
    @Test func aStormOfCancelledCalls() async throws {
        let settings = "limits: { control_frames: 1000000 }\n"
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token(name: "storm")
            try await gateway.withClient(token: try await gateway.token(name: "quiet")) { client in
                _ = try await latency(client, calls: 50)
                let alone = try await latency(client, calls: 300)
                let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
                let beside = try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var call: UInt32 = 0
                        for _ in 0..<200 {
                            var frames: [Frame] = []
                            for _ in 0..<100 {
                                call += 1
                                frames.append(try .call(call))
                                frames.append(Frame(.cancel, call: call))
                            }
                            try await connection.send(bytes: bytes(frames))
                            var answers = 0
                            while answers < 100 {
                                if try await connection.frame().type == .reply { answers += 1 }
                            }
                        }
                    }
                    let beside = try await latency(client, calls: 300)
                    try await group.waitForAll()
                    return beside
                }
                print("cancel storm: alone \(alone), beside \(beside)")
                #expect(beside.p99 < max(alone.p99 * 4, .milliseconds(100)), "\(alone) \(beside)")
                // Its slots are free: as many as it may have at once run now.
                try await connection.send(.call(20_001))
                #expect(try await connection.reply(to: 20_001).hasStatus == false)
                try await connection.close()
            }
        }
    }

    /// Four bytes that promise 4 GB, from 200 connections: nothing is set aside for them.
    @Test func promisesOfFourGigabytesCostNothing() async throws {
        try await misbehaving("") { gateway, token in
            let before = try Self.resident(gateway)
            for _ in 0..<200 {
                let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
                try await connection.send(bytes: ByteBuffer(bytes: [0xFF, 0xFF, 0xFF, 0xFF]))
                #expect(try await connection.goodbye()?.code == .goAwayProtocol)
            }
            let grown = try Self.resident(gateway) - before
            #expect(grown < 64 << 20, "\(grown) bytes")
        }
    }

    /// Bytes of memory the gateway has in use.
    private static func resident(_ gateway: TestGateway) throws -> Int {
        let status = try String(
            contentsOfFile: "/proc/\(gateway.processIdentifier)/status", encoding: .utf8)
        let match = try #require(status.firstMatch(of: #/VmRSS:\s+(\d+) kB/#))
        return try #require(Int(match.1)) * 1_024
    }

    @Test func headersAndMetadataAreBounded() async throws {
        try await misbehaving("") { gateway, token in
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            let entries: [(count: Int, bytes: Int)] = [(65, 1), (1, 8_193), (9, 1_000)]
            for (index, entry) in entries.enumerated() {
                let id = UInt32(index + 1)
                let frame = try Frame.call(id) { header in
                    header.metadata = (0..<entry.count).map { number in
                        var metadata = Sluice_Metadata()
                        metadata.key = "k\(number)"
                        metadata.value = String(repeating: "a", count: entry.bytes)
                        return metadata
                    }
                }
                try await connection.send(frame)
                let status = try await connection.reply(to: id).status
                #expect(status.code == 3 || status.code == 8, "\(entry): \(status)")
                #expect(status.message.contains("metadata"), "\(status.message)")
            }
            try await connection.send(.call(10))
            #expect(try await connection.reply(to: 10).hasStatus == false)
            let long = try Frame.call(11) { $0.model = String(repeating: "a", count: 17 << 10) }
            try await connection.send(long)
            #expect(try await connection.goodbye()?.code == .goAwayProtocol)
        }
    }

    // MARK: Gone in the middle

    @Test func aResetInTheMiddleOfAFrame() async throws {
        try await misbehaving("") { gateway, token in
            let before = try sockets(gateway)
            let whole = bytes([try .call(1, payload: try Self.rows(10_000))])
            for length in [1, 3, 4, 7, 12, 13, 100, 20_000, whole.readableBytes - 1] {
                let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
                let part = try #require(whole.getSlice(at: whole.readerIndex, length: length))
                try await connection.send(bytes: part)
                try await connection.vanish()
            }
            try await eventually("nothing is left of them") { try sockets(gateway) <= before }
            // None of them became a call.
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            try await connection.send(.call(1))
            #expect(try await connection.reply(to: 1).hasStatus == false)
            try await connection.close()
        }
    }
}
