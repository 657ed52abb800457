// The operator's port, on loopback: probes and metrics. It has no TLS and no token.

import Contract
import JSONDoor
import NIOCore
import NIOPosix
import Synchronization

/// Whether the gateway serves: ready means "can serve on demand", never "models are loaded".
final class Readiness: Sendable {
    private let serving = Atomic<Bool>(false)
    var isServing: Bool { serving.load(ordering: .acquiring) }
    func set(_ value: Bool) { serving.store(value, ordering: .releasing) }
}

/// `/livez`, `/readyz` and `/metrics` (DESIGN.md section 5).
final class AdminPort: Sendable {
    private let channel: any Channel
    /// A loop of its own: a page of megabytes that goes out holds up no call, and probes are answered when every call's loop is busy.
    private let group: MultiThreadedEventLoopGroup
    let address: Endpoint

    private init(channel: any Channel, group: MultiThreadedEventLoopGroup, address: Endpoint) {
        self.channel = channel
        self.group = group
        self.address = address
    }

    /// Binds at once, so that a port in use is known before the gateway says it is ready.
    static func open(_ endpoint: Endpoint, front: HTTPFront) async throws -> AdminPort {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            return try await open(endpoint, front: front, group: group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private static func open(
        _ endpoint: Endpoint, front: HTTPFront, group: MultiThreadedEventLoopGroup
    ) async throws -> AdminPort {
        let names = ConnectionNames()
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try front.open(
                        on: channel,
                        peer: Peer(address: channel.remoteAddress?.ipAddress ?? ""),
                        connection: "admin-" + names.next())
                }
            }
        let channel = try await Listener.bind(bootstrap, to: endpoint, setting: "admin")
        return AdminPort(
            channel: channel, group: group, address: endpoint.bound(to: channel.localAddress))
    }

    /// Closed last, so that probes can watch a gateway drain.
    func close() async {
        do {
            try await channel.close()
        } catch {
            // Closed already: what was wanted.
        }
        try? await group.shutdownGracefully()
    }
}
