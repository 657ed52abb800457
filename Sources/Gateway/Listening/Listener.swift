// The callers' port: accepts, terminates TLS, and lets ALPN choose the door. First room of the walk.

import BinaryDoor
import Contract
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import TLS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Accepts connections until the gateway shuts down, then drains them.
final class Listener: Service {
    /// The protocols spoken on this port, the server's preference first.
    static let protocols = ["sluice/1", "http/1.1"]

    private let channel: any Channel
    private let book: ConnectionBook
    private let limits: Latest<Limits>
    private let readiness: Readiness
    private let logger: Logger
    let address: Endpoint

    private init(
        channel: any Channel, address: Endpoint, book: ConnectionBook, limits: Latest<Limits>,
        readiness: Readiness, logger: Logger
    ) {
        self.channel = channel
        self.address = address
        self.book = book
        self.limits = limits
        self.readiness = readiness
        self.logger = logger
    }

    /// Binds the port. Connections are served from here on.
    static func open(
        _ endpoint: Endpoint, contexts: LoopContexts, doors: any Doors, limits: Latest<Limits>,
        handshakes: Handshakes, proxies: [AddressBlock] = [], readiness: Readiness,
        group: any EventLoopGroup,
        logger: Logger
    ) async throws -> Listener {
        let book = ConnectionBook(limits: limits)
        let reception = Reception(
            book: book, handshakes: handshakes, contexts: contexts, limits: limits, doors: doors,
            proxies: proxies, logger: logger)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // What is not sent yet waits in the door, where a small answer can pass a large one, and not in the kernel.
            .childChannelOption(.tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: 128 << 10)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 2_048, initial: 4_096, maximum: 256 << 10)
            )
            .childChannelOption(
                .writeBufferWaterMark, value: .init(low: 128 << 10, high: 512 << 10)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try reception.receive(channel) }
            }
        let channel = try await bind(bootstrap, to: endpoint, setting: "listen")
        return Listener(
            channel: channel, address: endpoint.bound(to: channel.localAddress), book: book,
            limits: limits, readiness: readiness, logger: logger)
    }

    /// Open connections, those in their handshake too.
    var connectionCount: Int { book.count }

    /// Binds, and says in the error which setting named the port and what to do.
    static func bind(
        _ bootstrap: ServerBootstrap, to endpoint: Endpoint, setting: String
    ) async throws -> any Channel {
        do {
            return try await bootstrap.bind(host: endpoint.host, port: endpoint.port).get()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw GatewayError(
                .unavailable, "\(endpoint) is in use by another process",
                mend:
                    "Stop it, or choose another address by the setting `\(setting)` (--\(setting))")
        } catch let error as IOError where error.errnoCode == EACCES {
            throw GatewayError(
                .permission, "no permission to listen on \(endpoint)",
                mend: "Choose a port above 1023 by the setting `\(setting)` (--\(setting))")
        } catch {
            throw GatewayError(
                .configuration, "cannot listen on \(endpoint): \(error)",
                mend: "Change the setting `\(setting)` (--\(setting))")
        }
    }

    func run() async throws {
        try? await gracefulShutdown()
        readiness.set(false)
        try? await channel.close()
        let open = book.close()
        logger.info("draining", metadata: ["connections": "\(open.count)"])
        let drainTime = limits.now.drainTime
        for connection in open { connection.tell(.drain(within: drainTime)) }
        if await emptied(within: drainTime) { return }
        let left = book.close()
        logger.warning(
            "drain time is over, stopping the rest",
            metadata: ["connections": "\(left.count)", "setting": "limits.drain"])
        for connection in left { connection.tell(.stop) }
        if await emptied(within: .seconds(1)) { return }
        for connection in book.close() { connection.close(promise: nil) }
    }

    /// True when the last connection has gone in time.
    private func emptied(within time: Nanoseconds) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { [book] in
                await book.empty()
                return true
            }
            group.addTask {
                // The deadline of the wait beside it; cancelled when that one is over.
                try? await Task.sleep(for: .nanoseconds(Int64(time.count)))
                return false
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
    }
}

extension Channel {
    /// Tells the connection's door; a connection without one (in its handshake, or HTTP) is closed.
    fileprivate func tell(_ command: DoorCommand) {
        triggerUserOutboundEvent(command).whenFailure { _ in self.close(promise: nil) }
    }
}
