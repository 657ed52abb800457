// Certificates that change under load, several of them, client certificates, stapling, shared ticket keys, the PROXY
// protocol and the limits on handshakes: the real gateway, asked by openssl and over raw sockets.

import Foundation
import NIOCore
import NIOPosix
import SluiceClient
import Synchronization
import Testing

/// Calls that were answered, until somebody says that it is over.
private final class Load: Sendable {
    private let state = Mutex((count: 0, isOver: false))
    var count: Int { state.withLock { $0.count } }
    var isOver: Bool { state.withLock { $0.isOver } }
    func called() { state.withLock { $0.count += 1 } }
    func end() { state.withLock { $0.isOver = true } }
}

@Suite(.serialized) struct TransportTests {
    private func settings(_ authority: Authority, _ more: String = "") -> String {
        """
        tls:
          certificate: \(authority.path("server.crt"))
          key: \(authority.path("server.key"))
          watch: 100ms
        \(more)
        """
    }

    /// A client that trusts the authority.
    private func withClient<Outcome>(
        _ gateway: TestGateway, _ authority: Authority,
        _ body: (SluiceClient) async throws -> Outcome
    ) async throws -> Outcome {
        var configuration = SluiceClient.Configuration(
            security: .tls(.init(trust: .file(authority.ca))),
            token: .token(try await gateway.token()))
        configuration.retry = .never
        configuration.callTimeout = .seconds(20)
        return try await withSluiceClient(
            endpoint: try Endpoint(gateway.endpoint), configuration: configuration, body)
    }

    private func serial(_ gateway: TestGateway, _ authority: Authority) async throws -> String {
        let done = try await authority.connect(gateway)
        let pem = done.output.firstMatch(of: #/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/#)
        return pem.map { String($0.0) } ?? ""
    }

    // MARK: Renewal

    @Test func renewedUnderLoadNoCallIsLost() async throws {
        try await withAuthority { authority in
            try await withGateway(settings: settings(authority)) { gateway in
                try await withClient(gateway, authority) { client in
                    let input = try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2] as [Float]])
                    let before = try await serial(gateway, authority)
                    try #require(!before.isEmpty)
                    let load = Load()
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            while !load.isOver {
                                _ = try await client.infer("iris", inputs: [input])
                                load.called()
                            }
                        }
                        group.addTask {
                            // Over also when something here fails.
                            defer { load.end() }
                            try await eventually("calls before") { load.count > 10 }
                            try await authority.issueServer("server")
                            try await eventually(within: 20, "the new certificate is shown") {
                                let now = try await serial(gateway, authority)
                                return !now.isEmpty && now != before
                            }
                            // The connection of before goes on.
                            let then = load.count
                            try await eventually(within: 20, "calls after") {
                                load.count > then + 10
                            }
                        }
                        try await group.waitForAll()
                    }
                    #expect(gateway.log.contains("new in force on the callers' port"))
                }
            }
        }
    }

    @Test func aBadPairKeepsTheOld() async throws {
        try await withAuthority { authority in
            try await withGateway(settings: settings(authority)) { gateway in
                let before = try await serial(gateway, authority)
                try "no certificate".write(
                    toFile: authority.path("server.crt"), atomically: true, encoding: .utf8)
                try await eventually(within: 20, "the log says what was wrong") {
                    gateway.log.contains("the new certificates are not taken")
                }
                #expect(gateway.log.contains(authority.path("server.crt")))
                #expect(try await serial(gateway, authority) == before)
                // Before the good pair, whose two files may be seen one without the other.
                let told = gateway.log.components(separatedBy: "are not taken").count - 1
                #expect(told == 1)
                try await authority.issueServer("server")
                try await eventually(within: 20, "a good pair is taken") {
                    try await serial(gateway, authority) != before
                }
            }
        }
    }

    // MARK: Names

    @Test func theNameChoosesTheCertificate() async throws {
        try await withAuthority { authority in
            try await authority.issueServer("wild", "DNS:*.wild.example")
            let more = """
                  certificates:
                    - certificate: \(authority.path("wild.crt"))
                      key: \(authority.path("wild.key"))
                """
            try await withGateway(settings: settings(authority, more)) { gateway in
                for (name, shown) in [
                    ("localhost", "server"), ("a.wild.example", "wild"),
                    ("A.WILD.example", "wild"), ("wild.example", "server"),
                    ("a.b.wild.example", "server"), ("unknown.example", "server"), (nil, "server"),
                ] {
                    let found = try await authority.shown(gateway, name: name)
                    #expect(found == shown, "\(name ?? "no name")")
                }
            }
        }
    }

    // MARK: Client certificates

    private func mutual(_ authority: Authority, _ mode: String) -> String {
        settings(
            authority,
            """
              client_certificates: \(mode)
              client_ca: \(authority.ca)
              client_crl: \(authority.path("crl.pem"))
            """)
    }

    /// Whether the gateway let this client in: it waits for HELLO then, and ends the connection without an alert.
    private func isLetIn(
        _ gateway: TestGateway, _ authority: Authority, client: String?, session: String? = nil,
        keeps: String? = nil
    ) async throws -> (letIn: Bool, resumed: Bool) {
        var options = ["-ign_eof"]
        if let client {
            options += [
                "-cert", authority.path("\(client).crt"), "-key", authority.path("\(client).key"),
            ]
        }
        if let session { options += ["-sess_in", session] }
        if let keeps { options += ["-sess_out", keeps] }
        let done = try await authority.connect(gateway, options)
        let isVerified = done.output.contains("Verify return code: 0 (ok)")
        return (
            isVerified && !done.error.contains("alert"), done.output.contains("Reused, TLSv1.3")
        )
    }

    @Test func clientCertificatesRequiredOptionalRevokedResumed() async throws {
        try await withAuthority { authority in
            try await authority.issueClient("app1")
            try await authority.issueClient("app2")
            let hello = "limits: { hello: 500ms }\n"
            try await withGateway(settings: mutual(authority, "required") + "\n" + hello) {
                gateway in
                let kept = authority.path("session")
                do {
                    let outcome = try await isLetIn(gateway, authority, client: nil)
                    #expect(!outcome.letIn)
                }
                do {
                    let outcome = try await isLetIn(gateway, authority, client: "app2")
                    #expect(outcome.letIn)
                }
                let first = try await isLetIn(gateway, authority, client: "app1", keeps: kept)
                #expect(first.letIn && !first.resumed)
                let again = try await isLetIn(gateway, authority, client: "app1", session: kept)
                #expect(again.letIn && again.resumed)
                try await authority.run("revoke", "app1")
                try await eventually(within: 20, "the new list is in force") {
                    let outcome = try await isLetIn(gateway, authority, client: "app1")
                    return !outcome.letIn
                }
                let revoked = try await isLetIn(gateway, authority, client: "app1", session: kept)
                #expect(!revoked.letIn && !revoked.resumed)
                do {
                    let outcome = try await isLetIn(gateway, authority, client: "app2")
                    #expect(outcome.letIn)
                }
            }
            try await withGateway(settings: mutual(authority, "optional") + "\n" + hello) {
                gateway in
                do {
                    let outcome = try await isLetIn(gateway, authority, client: nil)
                    #expect(outcome.letIn)
                }
                do {
                    let outcome = try await isLetIn(gateway, authority, client: "app2")
                    #expect(outcome.letIn)
                }
                do {
                    let outcome = try await isLetIn(gateway, authority, client: "app1")
                    #expect(!outcome.letIn)
                }
            }
        }
    }

    // MARK: Stapling and tickets

    @Test func theOCSPAnswerIsStapled() async throws {
        try await withAuthority { authority in
            try await authority.run("ocsp", "server")
            let more = "  ocsp: \(authority.path("server.ocsp"))"
            try await withGateway(settings: settings(authority, more)) { gateway in
                let done = try await authority.connect(gateway, ["-status"])
                #expect(done.output.contains("OCSP Response Status: successful"), "\(done.output)")
                #expect(done.output.contains("Cert Status: good"))
            }
            try await withGateway(settings: settings(authority)) { gateway in
                let done = try await authority.connect(gateway, ["-status"])
                #expect(done.output.contains("OCSP response: no response sent"))
            }
        }
    }

    @Test func twoGatewaysShareTicketKeys() async throws {
        try await withAuthority { authority in
            let keys = authority.path("ticket-keys")
            let more = "  ticket_keys: \(keys)\nlimits: { hello: 500ms }"
            try await withGateway(settings: settings(authority, more)) { one in
                let attributes = try FileManager.default.attributesOfItem(atPath: keys)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                try await withGateway(settings: settings(authority, more)) { two in
                    let kept = authority.path("session")
                    let first = try await isLetIn(one, authority, client: nil, keeps: kept)
                    #expect(!first.resumed)
                    do {
                        let outcome = try await isLetIn(two, authority, client: nil, session: kept)
                        #expect(outcome.resumed)
                    }
                }
                let alone = "limits: { hello: 500ms }"
                try await withGateway(settings: settings(authority, alone)) { other in
                    let kept = authority.path("session")
                    do {
                        let outcome = try await isLetIn(
                            other, authority, client: nil, session: kept)
                        #expect(!outcome.resumed)
                    }
                }
            }
        }
    }

    // MARK: Proxies and limits

    /// A plain connection that sends these bytes; how it went on.
    private func answer(
        to bytes: [UInt8], _ gateway: TestGateway, within seconds: Double = 10
    ) async throws -> (received: Int, ended: Bool) {
        final class Reader: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            let done: EventLoopPromise<(Int, Bool)>
            var count = 0
            init(_ done: EventLoopPromise<(Int, Bool)>) { self.done = done }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                count += unwrapInboundIn(data).readableBytes
                done.succeed((count, false))
            }
            func channelInactive(context: ChannelHandlerContext) { done.succeed((count, true)) }
            func errorCaught(context: ChannelHandlerContext, error: any Error) {
                done.succeed((count, true))
            }
        }
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let done = loop.makePromise(of: (Int, Bool).self)
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader(done))
                }
            }
            .connect(host: gateway.host, port: gateway.port).get()
        try? await channel.writeAndFlush(ByteBuffer(bytes: bytes))
        let timer = loop.scheduleTask(in: .milliseconds(Int64(seconds * 1_000))) {
            done.fail(TestTrouble("neither bytes nor an end within \(seconds) s"))
        }
        defer { timer.cancel() }
        let (count, ended) = try await done.futureResult.get()
        try? await channel.close()
        return (count, ended)
    }

    /// A ClientHello that openssl wrote.
    private func clientHello() async throws -> [UInt8] {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await server.executeThenClose { connections in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/openssl")
            process.arguments = [
                "s_client", "-connect", "127.0.0.1:\(server.channel.localAddress?.port ?? 0)",
                "-alpn", "sluice/1",
            ]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try Spawning.start(process)
            defer { process.terminate() }
            for try await connection in connections {
                return try await connection.executeThenClose { inbound, _ in
                    for try await bytes in inbound { return Array(bytes.readableBytesView) }
                    return []
                }
            }
            return []
        }
    }

    private func header(_ address: [UInt8], command: UInt8 = 0x21) -> [UInt8] {
        [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
            + (command == 0x21
                ? [command, 0x11, 0, 12] + address + [127, 0, 0, 1, 0x30, 0x39, 0x20, 0xFB]
                : [command, 0, 0, 0])
    }

    @Test func aListedProxySpeaksForOthersAndNobodyElseDoes() async throws {
        let hello = try await clientHello()
        try #require(hello.count > 100)
        let listed = "proxy: { from: [127.0.0.0/8] }\nlimits: { connections_per_address: 2 }\n"
        try await withGateway(settings: listed) { gateway in
            // With a header TLS answers; without one, with version 1, or with a broken one, nobody does.
            let answered = try await answer(to: header([192, 0, 2, 7]) + hello, gateway)
            #expect(answered.received > 100)
            let checked = try await answer(to: header([], command: 0x20) + hello, gateway)
            #expect(checked.received > 100)
            let text = Array("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n".utf8)
            for bytes in [hello, text + hello, header([192, 0, 2, 7], command: 0x22) + hello] {
                let refused = try await answer(to: bytes, gateway)
                #expect(refused.received == 0 && refused.ended)
            }
            // The address it says is the one that is limited, and the proxy's own is not.
            var held: [any Channel] = []
            for _ in 0..<6 {
                held.append(try await self.held(header([192, 0, 2, 8]), gateway))
            }
            try await eventually("two of six are left") { held.filter(\.isActive).count == 2 }
            let other = try await answer(to: header([192, 0, 2, 9]) + hello, gateway)
            #expect(other.received > 100)
            for channel in held where channel.isActive { try await channel.close() }
        }
        try await withGateway(settings: "proxy: { from: [192.0.2.0/24] }\n") { gateway in
            // From others a header is garbage to TLS: an alert at most, never a ServerHello.
            let garbage = try await answer(to: header([10, 0, 0, 1]) + hello, gateway)
            #expect(garbage.received < 10)
            #expect(try await answer(to: hello, gateway).received > 100)
        }
    }

    private func held(_ bytes: [UInt8], _ gateway: TestGateway) async throws -> any Channel {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: gateway.host, port: gateway.port).get()
        try? await channel.writeAndFlush(ByteBuffer(bytes: bytes))
        return channel
    }

    @Test func aProxyThatSaysNothingIsEnded() async throws {
        try await withGateway(settings: "proxy: { from: [127.0.0.1] }\n") { gateway in
            let began = ContinuousClock.now
            let quiet = try await answer(to: Array(header([192, 0, 2, 7]).prefix(20)), gateway)
            let waited = ContinuousClock.now - began
            #expect(quiet.received == 0 && quiet.ended)
            #expect(waited > .seconds(4) && waited < .seconds(9), "\(waited)")
        }
    }

    @Test func theOldestHandshakeGivesWay() async throws {
        let settings = "limits: { handshakes: 4, handshakes_per_address: 0 }\n"
        try await withGateway(settings: settings) { gateway in
            var stuck: [any Channel] = []
            for _ in 0..<4 { stuck.append(try await held([0x16], gateway)) }
            // An honest caller comes in all the same, at the cost of the oldest.
            let token = try await gateway.token()
            try await gateway.withClient(token: token) { client in
                _ = try await client.isReady("iris")
            }
            let channels = stuck
            try await eventually("the oldest was ended") { !channels[0].isActive }
            for channel in stuck where channel.isActive { try await channel.close() }
        }
    }

    @Test func handshakesOfOneAddressHaveARate() async throws {
        try await withGateway(settings: "limits: { handshakes_per_address: 2 }\n") { gateway in
            let hello = try await clientHello()
            var refused = 0
            for _ in 0..<40 where try await answer(to: hello, gateway).ended { refused += 1 }
            #expect(refused > 10)
            // A second later it may again.
            try await eventually("the address may come again") {
                try await answer(to: hello, gateway).received > 100
            }
        }
    }
}
