// What bad input gets, over real TLS, with a bystander calling all the while: the mistake costs nobody else
// anything. The list is the first issue's; the framing's own tables are in WireTests and BinaryDoorTests.

import Foundation
import NIOCore
import NIOSSL
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Testing

@Suite struct BadInputTests {
    /// A gateway, a greeted connection and a bystander for the body.
    private func misbehaving(
        settings: String? = nil, token scope: String = "infer:* models:read",
        _ body: @escaping @Sendable (TestGateway, RawConnection) async throws -> Void
    ) async throws {
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token(scope: scope)
            try await withBystander(gateway) {
                let (connection, hello) = try await RawConnection.greeted(
                    to: gateway, token: token)
                #expect(!hello.auth.hasStatus)
                try await body(gateway, connection)
            }
        }
    }

    /// Sends bytes that break the framing: the connection ends with GOAWAY(PROTOCOL).
    private func breaking(_ bytes: [UInt8]) async throws {
        try await misbehaving { _, connection in
            try await connection.send(bytes: ByteBuffer(bytes: bytes))
            let goAway = try await connection.goodbye()
            #expect(goAway?.code == .goAwayProtocol)
        }
    }

    // MARK: TLS

    @Test func aProtocolNobodySpeaksIsRefused() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                await #expect(throws: (any Error).self) {
                    _ = try await RawConnection.open(to: gateway, protocols: ["h2"])
                }
            }
        }
    }

    /// One address may not take what belongs to all; a connection that ends makes room.
    @Test func anAddressHasSoManyConnections() async throws {
        let settings = "limits:\n  connections_per_address: 3\n"
        try await withGateway(settings: settings) { gateway in
            var held: [RawConnection] = []
            // Greeted: one that says nothing is closed after five seconds.
            let token = try await gateway.token()
            for _ in 0..<3 {
                held.append(try await RawConnection.greeted(to: gateway, token: token).connection)
            }
            await #expect(throws: (any Error).self) {
                _ = try await RawConnection.open(to: gateway)
            }
            let other = try await RawConnection.open(to: gateway, from: "127.0.0.2")
            try await other.close()
            try await held.removeLast().close()
            try await eventually(within: 10, "room for another connection") {
                guard let next = try? await RawConnection.open(to: gateway) else { return false }
                try await next.close()
                return true
            }
            for connection in held { try await connection.close() }
        }
    }

    @Test func oldTLSIsRefused() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                await #expect(throws: (any Error).self) {
                    _ = try await RawConnection.open(to: gateway, maximumTLSVersion: .tlsv11)
                }
            }
        }
    }

    @Test func plainHTTPOnTheTLSPortEnds() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                let result = try await Command.run(
                    program: "/usr/bin/curl",
                    ["-sS", "-m", "10", "http://\(gateway.endpoint)/v2/health/live"])
                #expect(result.status != 0)
            }
        }
    }

    /// Also where there is nothing yet.
    @Test func httpAsksForATokenFirst() async throws {
        try await withGateway { gateway in
            let result = try await Command.run(
                program: "/usr/bin/curl",
                [
                    "-sS", "-m", "10", "--cacert", gateway.ca, "-w", " %{http_code}",
                    "https://\(gateway.endpoint)/v2/health/live",
                ])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.hasSuffix(" 401"))
            #expect(result.output.contains(#""error""#))
        }
    }

    // MARK: Framing

    @Test func aLengthOfFourGigabytes() async throws {
        try await breaking([0xFF, 0xFF, 0xFF, 0xFF])
    }

    @Test func anUnknownFrameType() async throws {
        try await breaking([0, 0, 0, 8, 0x33, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func aHeaderLongerThanItsFrame() async throws {
        try await breaking([0, 0, 0, 9, 0x01, 0x01, 0, 2, 0, 0, 0, 1, 0])
    }

    @Test func aCallIdThatGoesBack() async throws {
        try await misbehaving { _, connection in
            try await connection.send(.call(5))
            #expect(try await connection.reply(to: 5).hasStatus == false)
            try await connection.send(.call(4))
            #expect(try await connection.goodbye()?.code == .goAwayProtocol)
        }
    }

    @Test func noHelloInTime() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                // Before it opens: on a busy machine this test may hear late that it is open.
                let began = ContinuousClock.now
                let connection = try await RawConnection.open(to: gateway)
                #expect(try await connection.goodbye()?.code == .goAwayTimeout)
                let waited = ContinuousClock.now - began
                #expect(waited > .seconds(4) && waited < .seconds(9), "\(waited)")
            }
        }
    }

    @Test func aHelloOfFiveKilobytes() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                let connection = try await RawConnection.open(to: gateway)
                try await connection.send(.hello(token: String(repeating: "a", count: 5_120)))
                #expect(try await connection.goodbye()?.code == .goAwayProtocol)
            }
        }
    }

    // MARK: Calls

    @Test func aBrokenHeaderAndABrokenPayloadEndTheCallOnly() async throws {
        try await misbehaving { _, connection in
            try await connection.send(
                Frame(.call, .end, call: 1, header: ByteBuffer(bytes: [0xFF, 0xFF, 0xFF])))
            #expect(try await connection.reply(to: 1).status.code == 3)
            try await connection.send(.call(2, payload: ByteBuffer(bytes: [0x2A, 0x7F, 0x01])))
            #expect(try await connection.reply(to: 2).status.code == 3)
            try await connection.send(.call(3))
            #expect(try await connection.reply(to: 3).hasStatus == false)
        }
    }

    @Test func aMessageOverTheLimitNamesIt() async throws {
        try await misbehaving(settings: "limits: { message: 1MiB }\n") { _, connection in
            var frame = try Frame.call(1) { $0.messageLength = 2 << 20 }
            frame.flags = .more
            try await connection.send(frame)
            let status = try await connection.reply(to: 1).status
            #expect(status.code == 8)
            #expect(status.message.contains("limits.message"), "\(status.message)")
            #expect(status.message.contains("1048576"), "\(status.message)")
            try await connection.send(
                Frame(.data, .end, call: 1, payload: ByteBuffer(repeating: 0, count: 1_000)))
            try await connection.send(.call(2))
            #expect(try await connection.reply(to: 2).hasStatus == false)
        }
    }

    @Test func the257thCallAtOnceIsRefused() async throws {
        try await misbehaving { _, connection in
            var bytes = ByteBuffer()
            for id in 1...257 as ClosedRange<UInt32> {
                // Watches stay open until they are cancelled.
                bytes.writeFrame(
                    try .call(id, "", method: .healthWatch, payload: ByteBuffer()))
            }
            try await connection.send(bytes: bytes)
            let status = try await connection.reply(to: 257).status
            #expect(status.code == 8)
            #expect(status.reason == "TOO_MANY_CALLS")
            #expect(status.notStarted)
            try await connection.send(Frame(.cancel, call: 1))
            #expect(try await connection.reply(to: 1).status.code == 1)
            try await connection.send(.call(258))
            #expect(try await connection.reply(to: 258).hasStatus == false)
        }
    }

    @Test func unknownAndForbiddenModelsAnswerAlike() async throws {
        try await misbehaving(token: "infer:iris") { _, connection in
            try await connection.send(.call(1, "digits-mlp"))
            try await connection.send(.call(2, "nothing-here"))
            let forbidden = try await connection.reply(to: 1).status
            let unknown = try await connection.reply(to: 2).status
            #expect(forbidden.code == 5)
            #expect(forbidden.code == unknown.code && forbidden.reason == unknown.reason)
            #expect(
                forbidden.message.replacingOccurrences(of: "digits-mlp", with: "nothing-here")
                    == unknown.message)
        }
    }

    @Test func aDeadlineThatIsTooShortIsNotStarted() async throws {
        try await misbehaving { _, connection in
            // digits-forest takes longer to load than a millisecond.
            try await connection.send(
                .call(1, "digits-forest", payload: Self.digits()) { $0.timeoutUs = 1 })
            #expect(try await connection.reply(to: 1).status.code == 4)
            try await connection.send(.call(2))
            #expect(try await connection.reply(to: 2).hasStatus == false)
        }
    }

    static func digits() throws -> ByteBuffer {
        var input = Inference_ModelInferRequest.InferInputTensor()
        input.name = "X"
        input.datatype = "FP32"
        input.shape = [1, 64]
        var request = Inference_ModelInferRequest()
        request.inputs = [input]
        request.rawInputContents = [Data(repeating: 0, count: 256)]
        return ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
    }

    // MARK: Cancels and disappearances

    @Test func cancelBeforeDuringAndAfterTheRun() async throws {
        try await withSlowModel { gateway, connection in
            // Before: the cancel arrives with the call.
            var bytes = ByteBuffer()
            bytes.writeFrame(try .call(1, "endless", payload: Self.endless()))
            bytes.writeFrame(Frame(.cancel, call: 1))
            try await connection.send(bytes: bytes)
            #expect(try await connection.reply(to: 1).status.code == 1)
            // During: an endless loop is stopped.
            try await connection.send(.call(2, "endless", payload: Self.endless()))
            try await gateway.withClient { client in
                try await eventually("the endless model is awake") {
                    try await client.index().contains {
                        $0.name == "endless" && $0.reason == "awake"
                    }
                }
            }
            try await connection.send(Frame(.cancel, call: 2))
            #expect(try await connection.reply(to: 2).status.code == 1)
            // After: nobody minds.
            try await connection.send(.call(3))
            #expect(try await connection.reply(to: 3).hasStatus == false)
            try await connection.send(Frame(.cancel, call: 3))
            try await connection.send(.call(4))
            #expect(try await connection.reply(to: 4).hasStatus == false)
        }
    }

    @Test func aRunIsStoppedAtItsDeadline() async throws {
        try await withSlowModel { _, connection in
            for id in 1...3 as ClosedRange<UInt32> {
                let began = ContinuousClock.now
                try await connection.send(
                    .call(id, "endless", payload: Self.endless()) { $0.timeoutUs = 300_000 })
                #expect(try await connection.reply(to: id).status.code == 4)
                #expect(ContinuousClock.now - began < .seconds(3))
            }
        }
    }

    @Test func aClientGoneInMidCallLeavesNothingBehind() async throws {
        try await withSlowModel { gateway, connection in
            try await connection.send(.call(1, "endless", payload: Self.endless()))
            try await connection.vanish()
            // Its endless run was stopped: both shards are free for somebody else's.
            let token = try await gateway.token()
            let (other, _) = try await RawConnection.greeted(to: gateway, token: token)
            try await other.send(
                .call(1, "endless", payload: Self.endless()) { $0.timeoutUs = 500_000 })
            #expect(try await other.reply(to: 1).status.code == 4)
        }
    }

    /// A gateway with iris and a model that loops for ever.
    private func withSlowModel(
        _ body: @escaping @Sendable (TestGateway, RawConnection) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let files = FileManager.default
            try files.copyItem(
                atPath: "\(Paths.models)/iris", toPath: folder.appending(path: "iris").path)
            let version = folder.appending(path: "endless/1")
            try files.createDirectory(at: version, withIntermediateDirectories: true)
            try files.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try await withGateway(models: folder.path) { gateway in
                let token = try await gateway.token()
                try await withBystander(gateway) {
                    let (connection, _) = try await RawConnection.greeted(
                        to: gateway, token: token)
                    try await body(gateway, connection)
                }
            }
        }
    }

    static func endless() throws -> ByteBuffer {
        var number = Inference_ModelInferRequest.InferInputTensor()
        number.name = "x"
        number.datatype = "FP32"
        number.shape = [1]
        var flag = Inference_ModelInferRequest.InferInputTensor()
        flag.name = "always"
        flag.datatype = "BOOL"
        var request = Inference_ModelInferRequest()
        request.inputs = [number, flag]
        request.rawInputContents = [Data([0, 0, 0x80, 0x3F]), Data([1])]
        return ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
    }
}
