// Makes connections: TCP or a Unix socket, TLS, and a connection handler on top.

import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Everything a connection needs before it exists; made once, so that a wrong file is known at once.
struct Dialer: Sendable {
    private let endpoint: Endpoint
    private let configuration: SluiceClient.Configuration
    private let tls: NIOSSLContext?

    init(_ endpoint: Endpoint, _ configuration: SluiceClient.Configuration) throws(SluiceError) {
        self.endpoint = endpoint
        self.configuration = configuration
        guard case .tls(let settings) = configuration.security else {
            tls = nil
            return
        }
        do {
            tls = try NIOSSLContext(configuration: Self.tlsConfiguration(settings))
        } catch {
            throw SluiceError(
                .invalidArgument, reason: Reason.badConfiguration,
                "A certificate or key of Configuration.TLS cannot be used.", cause: error)
        }
    }

    private static func tlsConfiguration(
        _ settings: SluiceClient.Configuration.TLS
    ) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = [ConnectionHandler.applicationProtocol]
        switch settings.trust {
        case .system: break
        case .file(let path):
            // Read here: NIOSSL takes an unreadable file for an empty one.
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
        case .pem(let bytes):
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(bytes))
        }
        if let own = settings.clientCertificate {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(own.certificateFile)
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(file: own.keyFile, format: .pem))
        }
        return configuration
    }

    /// The name to ask for and to check; nil for a numeric address, which is checked as one.
    private var serverName: String? {
        if case .tls(let settings) = configuration.security, let name = settings.serverName {
            return name
        }
        guard case .host(let host, _) = endpoint.address,
            (try? SocketAddress(ipAddress: host, port: 0)) == nil
        else { return nil }
        return host
    }

    /// Connects. The channel has a ``ConnectionHandler``, which tells the switchboard when the gateway has
    /// greeted.
    func dial(
        id: UInt64, token: String, switchboard: Switchboard, on loop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        let hello: ByteBuffer
        do {
            hello = try HelloCoding.hello(userAgent: configuration.userAgent, token: token)
        } catch {
            return loop.makeFailedFuture(error)
        }
        let lateToken = token.utf8.count > HelloCoding.helloTokenBytesMax ? token : nil
        var bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(configuration.connectTimeout.nanoseconds))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls {
                        try pipeline.addHandler(
                            try NIOSSLClientHandler(context: tls, serverHostname: serverName))
                    }
                    let handler = ConnectionHandler(
                        id: id, switchboard: switchboard, hello: hello, lateToken: lateToken,
                        isPlaintext: tls == nil, serverName: serverName,
                        machine: ConnectionMachine(
                            limits: configuration.limits, keepAlive: configuration.keepAlive,
                            now: channel.eventLoop.now))
                    try pipeline.addHandler(handler)
                }
            }
        switch endpoint.address {
        case .host(let host, let port):
            // What is not sent yet waits in the handler, where a small call passes a large one, and not in the kernel.
            bootstrap = bootstrap.channelOption(
                .tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: 128 << 10)
            return bootstrap.connect(host: host, port: port)
        case .unixSocket(let path): return bootstrap.connect(unixDomainSocketPath: path)
        }
    }
}
