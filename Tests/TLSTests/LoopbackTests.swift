// The handler on real sockets, against clients that are not ours: openssl s_client, curl, Python.

import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TLS
import Testing

@Suite(.serialized) struct LoopbackTests {
    /// What a server's connections have reported.
    final class Reports: Sendable {
        let completed = Mutex<[TLSHandshakeCompleted]>([])
        let errors = Mutex<[TLSError]>([])
        let written = Atomic<Int>(0)
        let blocked = Atomic<Int>(0)
        let inactive = Atomic<Int>(0)

        /// Waits until `condition` holds; false after five seconds.
        func wait(_ condition: () -> Bool) -> Bool {
            let deadline = NIODeadline.now() + .seconds(5)
            while !condition() {
                guard NIODeadline.now() < deadline else { return false }
                usleep(1_000)
            }
            return true
        }
    }

    /// Echoes; "flood N" is answered with N bytes as fast as the socket takes them; "GET" as HTTP.
    final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        let reports: Reports
        private var owed = 0
        private let piece = ByteBuffer(repeating: 0x61, count: 65_536)

        init(_ reports: Reports) { self.reports = reports }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            let text = String(decoding: buffer.readableBytesView.prefix(64), as: UTF8.self)
            if text.hasPrefix("flood ") {
                owed = Int(text.dropFirst(6)) ?? 0
                pour(context)
            } else if text.hasPrefix("GET ") {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                context.writeAndFlush(NIOAny(ByteBuffer(string: answer)), promise: nil)
                context.close(promise: nil)
            } else {
                context.write(data, promise: nil)
            }
        }

        func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

        private func pour(_ context: ChannelHandlerContext) {
            while owed > 0, context.channel.isWritable {
                let count = min(owed, piece.readableBytes)
                guard let part = piece.getSlice(at: 0, length: count) else { return }
                owed -= count
                reports.written.add(count, ordering: .relaxed)
                context.writeAndFlush(NIOAny(part), promise: nil)
            }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            if !context.channel.isWritable { reports.blocked.add(1, ordering: .relaxed) }
            pour(context)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? TLSHandshakeCompleted {
                reports.completed.withLock { $0.append(event) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if let error = error as? TLSError { reports.errors.withLock { $0.append(error) } }
        }

        func channelInactive(context: ChannelHandlerContext) {
            reports.inactive.add(1, ordering: .relaxed)
        }
    }

    /// Runs `body` with a server on a free port.
    private func withServer(
        _ settings: TLSServerSettings? = nil,
        connection: TLSConnectionSettings = TLSConnectionSettings(),
        _ body: (Int, Reports, TLSContextBox) throws -> Void
    ) throws {
        let contexts = try TLSServerContext.makeContexts(
            settings ?? Fixtures.settings(), count: 2)
        let box = TLSContextBox(contexts)
        let reports = Reports()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = try TLSServerHandler(
                        context: box.context(), settings: connection)
                    try channel.pipeline.syncOperations.addHandlers([handler, Echo(reports)])
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        defer {
            do {
                try server.close().wait()
                try group.syncShutdownGracefully()
            } catch { Issue.record("the server did not stop: \(error)") }
        }
        try body(try #require(server.localAddress?.port), reports, box)
    }

    private func client(_ port: Int, _ arguments: [String], input: String = "") throws -> (
        status: Int32, output: String
    ) {
        let fixtures = try Fixtures.shared.get()
        return try shell(
            [
                "timeout", "20", "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile",
                fixtures.certificate, "-verify_return_error", "-verify_hostname", "localhost",
            ] + arguments, input: input)
    }

    // MARK: Other people's clients

    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func `s_client connects and is echoed`(flag: String, version: String) throws {
        try withServer { port, reports, _ in
            let run = try client(
                port, [flag, "-alpn", "sluice/1", "-servername", "localhost", "-ign_eof"],
                input: "GET / HTTP/1.1\r\n\r\n")
            #expect(run.status == 0, "\(run.output)")
            #expect(run.output.contains("Verify return code: 0 (ok)"))
            #expect(run.output.contains("ALPN protocol: sluice/1"))
            #expect(run.output.contains("200 OK"))
            let completed = reports.completed.withLock { $0 }
            #expect(completed.map(\.version) == [version])
            #expect(completed.map(\.serverName) == ["localhost"])
        }
    }

    @Test func `s_client with TLS 1_1 or an unknown ALPN is refused`() throws {
        try withServer { port, reports, _ in
            let old = try client(port, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
            #expect(old.status != 0)
            #expect(old.output.contains("alert protocol version"))
            let unknown = try client(port, ["-alpn", "h3"])
            #expect(unknown.status != 0)
            #expect(unknown.output.contains("no application protocol"))
            #expect(reports.wait { reports.errors.withLock { $0.count } == 2 })
            #expect(
                reports.errors.withLock { $0.map(\.code) } == [.version, .applicationProtocol])
        }
    }

    @Test func `s_client resumes with its ticket and is offered no early data`() throws {
        try withServer { port, reports, _ in
            let folder = try TemporaryFolder()
            let file = folder.path + "/session"
            let request = "GET / HTTP/1.1\r\n\r\n"
            let first = try client(port, ["-ign_eof", "-sess_out", file], input: request)
            #expect(first.output.contains("Max Early Data: 0"))
            _ = try client(port, ["-ign_eof", "-sess_in", file], input: request)
            #expect(reports.completed.withLock { $0.map(\.resumed) } == [false, true])
        }
    }

    @Test func `s_client cannot renegotiate`() throws {
        try withServer { port, _, _ in
            let run = try client(port, ["-tls1_2"], input: "R\n")
            #expect(run.output.contains("RENEGOTIATING"))
            #expect(run.output.contains("no renegotiation"))
        }
    }

    @Test func `curl and Python trust the self-signed certificate`() throws {
        let certificate = try Fixtures.shared.get().certificate
        try withServer { port, reports, _ in
            let curl = try shell([
                "curl", "-sS", "--max-time", "10", "--cacert", certificate,
                "https://localhost:\(port)/", "--resolve", "localhost:\(port):127.0.0.1",
            ])
            #expect(curl.output == "ok")
            let script = """
                import socket, ssl
                context = ssl.create_default_context(cafile='\(certificate)')
                context.verify_flags |= ssl.VERIFY_X509_STRICT
                for name in ('localhost', '127.0.0.1'):
                    with socket.create_connection(('127.0.0.1', \(port)), timeout=10) as plain:
                        with context.wrap_socket(plain, server_hostname=name) as tls:
                            tls.sendall(b'hello')
                            assert tls.recv(5) == b'hello'
                            tls.unwrap()
                print('ok')
                """
            let python = try shell(["python3", "-c", script])
            #expect(python.output == "ok\n", "\(python.output)")
            #expect(reports.wait { reports.inactive.load(ordering: .relaxed) == 3 })
            #expect(reports.errors.withLock { $0.isEmpty })
        }
    }

    @Test func `curl with plain HTTP gets no answer and a named error`() throws {
        try withServer { port, reports, _ in
            let run = try shell([
                "curl", "-sS", "--max-time", "10", "http://127.0.0.1:\(port)/",
            ])
            #expect(run.status != 0)
            #expect(reports.wait { reports.errors.withLock { $0.map(\.code) } == [.plainHTTP] })
            #expect(reports.wait { reports.inactive.load(ordering: .relaxed) == 1 })
        }
    }

    // MARK: Sockets

    @Test func `a connection cut in the middle is truncated`() throws {
        try withServer { port, reports, _ in
            let trust = try Fixtures.shared.get().certificate
            do {
                let client = try SocketClient(port: port, trust: trust)
                try client.write([1, 2, 3])
                #expect(try client.read(exactly: 3) == [1, 2, 3])
            }
            #expect(reports.wait { reports.inactive.load(ordering: .relaxed) == 1 })
            #expect(reports.errors.withLock { $0.map(\.code) } == [.truncated])
        }
    }

    @Test func `close_notify is answered with close_notify`() throws {
        try withServer { port, reports, _ in
            let client = try SocketClient(port: port, trust: Fixtures.shared.get().certificate)
            try client.write([9])
            #expect(try client.read(exactly: 1) == [9])
            client.sayCloseNotify()
            #expect(try client.read().isEmpty)
            #expect(reports.wait { reports.inactive.load(ordering: .relaxed) == 1 })
            #expect(reports.errors.withLock { $0.isEmpty })
        }
    }

    @Test func `a client in the middle of the handshake is dropped at the deadline`() throws {
        var connection = TLSConnectionSettings()
        connection.handshakeTimeout = .milliseconds(50)
        try withServer(connection: connection) { port, reports, _ in
            for sent in [[], [22], [22, 3, 1, 2, 0, 1]] as [[UInt8]] {
                let socket = try SocketClient.connectPlain(port: port)
                defer { close(socket) }
                #expect(unsafe send(socket, sent, sent.count, 0) == sent.count)
                var bytes = [UInt8](repeating: 0, count: 64)
                // The server's end of the stream, and not a moment of ours.
                #expect(unsafe recv(socket, &bytes, bytes.count, 0) == 0)
            }
            #expect(reports.wait { reports.inactive.load(ordering: .relaxed) == 3 })
            #expect(
                reports.errors.withLock { $0.map(\.code) }
                    == Array(repeating: .handshakeTimeout, count: 3))
        }
    }

    /// 200 MB for a client that does not read: the server may write what sockets hold, and no more.
    @Test func `a client that does not read costs bounded memory`() throws {
        try withServer { port, reports, _ in
            let total = 200_000_000
            let client = try SocketClient(port: port, trust: Fixtures.shared.get().certificate)
            try client.write(Array("flood \(total)".utf8))
            #expect(reports.wait { reports.blocked.load(ordering: .relaxed) > 0 })
            // Blocked for good: nothing more is written while nobody reads.
            var last = -1
            #expect(
                reports.wait {
                    let now = reports.written.load(ordering: .relaxed)
                    defer { last = now }
                    if now != last { usleep(50_000) }
                    return now == last
                })
            #expect(last < 32_000_000)
            var received = 0
            while received < total { received += try client.read().count }
            #expect(received == total)
        }
    }

    @Test func `contexts are replaced under load without a lost connection`() throws {
        let fixtures = try Fixtures.shared.get()
        try withServer { port, reports, box in
            let stop = Atomic<Bool>(false)
            let swaps = Atomic<Int>(0)
            let failures = Atomic<Int>(0)
            DispatchQueue.concurrentPerform(iterations: 3) { worker in
                if worker == 0 {
                    while !stop.load(ordering: .relaxed) {
                        do {
                            box.replace(
                                with: try TLSServerContext.makeContexts(
                                    Fixtures.settings(), count: 2))
                            swaps.add(1, ordering: .relaxed)
                        } catch { failures.add(1, ordering: .relaxed) }
                        usleep(500)
                    }
                    return
                }
                for round in 0..<100 {
                    do {
                        let client = try SocketClient(port: port, trust: fixtures.certificate)
                        let bytes = pattern(5_000, seed: UInt64(round))
                        try client.write(bytes)
                        if try client.read(exactly: bytes.count) != bytes {
                            failures.add(1, ordering: .relaxed)
                        }
                        client.sayCloseNotify()
                    } catch { failures.add(1, ordering: .relaxed) }
                }
                stop.store(true, ordering: .relaxed)
            }
            #expect(failures.load(ordering: .relaxed) == 0)
            #expect(swaps.load(ordering: .relaxed) > 3)
            #expect(reports.completed.withLock { $0.count } == 200)
        }
    }
}
