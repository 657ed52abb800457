// Connects, lets every connection begin at the same instant, and adds up what they measured.

import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct LoadRun {
    struct Target {
        var host: String
        var port: Int
        var tls: NIOSSLContext
    }

    let plan: LoadPlan
    let target: Target
    let threads: Int

    func run() async throws -> LoadResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        do {
            let result = try await run(on: group)
            try await group.shutdownGracefully()
            return result
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    private func run(on group: MultiThreadedEventLoopGroup) async throws -> LoadResult {
        var runners: [Runner] = []
        for _ in 0..<plan.connections { runners.append(try await connect(on: group.next())) }
        let start = NIODeadline.now() + .milliseconds(50)
        for (offset, runner) in runners.enumerated() {
            runner.loop.scheduleTask(deadline: start) {
                runner.connection.value.start(at: start, offset: offset)
            }
        }
        var total = LoadResult()
        for runner in runners { total.add(try await runner.finished.get()) }
        return total
    }

    /// One connection, greeted and waiting to start.
    private struct Runner {
        let loop: any EventLoop
        let connection: NIOLoopBoundBox<LoadConnection>
        let finished: EventLoopFuture<LoadResult>
    }

    private func connect(on loop: any EventLoop) async throws -> Runner {
        let greeted = loop.makePromise(of: Void.self)
        let finished = loop.makePromise(of: LoadResult.self)
        let (plan, target) = (plan, target)
        let connection = try await loop.submit {
            NIOLoopBoundBox(
                LoadConnection(plan: plan, greeted: greeted, finished: finished), eventLoop: loop)
        }.get()
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(10))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            // What is not sent yet waits here, where a small call can pass it, and not in the kernel.
            .channelOption(.tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: 128 << 10)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 4_096, initial: 16_384, maximum: 1 << 20)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let name = SNI.isAddress(target.host) ? nil : target.host
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(
                        NIOSSLClientHandler(context: target.tls, serverHostname: name))
                    try handlers.addHandler(connection.value)
                }
            }
        do {
            _ = try await bootstrap.connect(host: target.host, port: target.port).get()
            try await greeted.futureResult.get()
        } catch {
            greeted.fail(error)
            finished.fail(error)
            throw CommandFailure(
                .unavailable, "cannot connect to \(target.host):\(target.port): \(error)")
        }
        return Runner(loop: loop, connection: connection, finished: finished.futureResult)
    }
}

/// A numeric address is no server name (RFC 6066 section 3).
enum SNI {
    static func isAddress(_ host: String) -> Bool {
        (try? SocketAddress(ipAddress: host, port: 0)) != nil
    }
}
