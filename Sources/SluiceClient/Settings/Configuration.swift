// What a client can be told: whom to trust, who it is, how long to wait, how often to try.

public import Logging
public import NIOCore
public import NIOPosix

extension SluiceClient {
    /// The settings of a client. Every one has a default that is safe; most programs set
    /// ``security`` and ``token`` alone.
    public struct Configuration: Sendable {
        /// TLS and whom to trust.
        public var security: Security
        /// Who is calling.
        public var token: Token
        /// From the first packet to the gateway's HELLO, the token provider included.
        public var connectTimeout: Duration = .seconds(10)
        /// The time a call may take, all its attempts together, when it names no timeout itself.
        public var callTimeout: Duration = .seconds(60)
        /// How long ``SluiceClient/shutdown()`` waits for calls to finish.
        public var drainTimeout: Duration = .seconds(30)
        /// When a failed call is tried again.
        public var retry = RetryPolicy()
        /// The pauses between attempts to connect.
        public var reconnect = Backoff(base: .milliseconds(100), maximum: .seconds(5))
        /// How a dead connection is noticed; nil to leave it to the operating system.
        public var keepAlive: KeepAlive? = KeepAlive()
        /// What the client holds at most.
        public var limits = Limits()
        /// For the gateway's logs, at most 128 bytes.
        public var userAgent = "sluice-swift/0.1"
        /// Silent unless set. Nothing is logged per call; a token never is.
        public var logger = Logger(label: "sluice.client") { _ in SwiftLogNoOpLogHandler() }
        /// The threads the connection lives on.
        public var eventLoopGroup: any EventLoopGroup

        public init(
            security: Security = .tls(), token: Token = .none,
            eventLoopGroup: any EventLoopGroup = .singletonMultiThreadedEventLoopGroup
        ) {
            self.security = security
            self.token = token
            self.eventLoopGroup = eventLoopGroup
        }
    }
}

extension SluiceClient.Configuration {
    /// How the connection is protected.
    public enum Security: Sendable {
        /// TLS 1.2 or 1.3.
        case tls(TLS = TLS())
        /// None at all: for a Unix socket, or a gateway on loopback whose settings allow it.
        case plaintext
    }

    /// Whom to trust and what to show.
    public struct TLS: Sendable {
        /// The certificates a gateway's own must descend from.
        public var trust: Trust
        /// The client's own certificate, when the gateway asks for one.
        public var clientCertificate: ClientCertificate?
        /// The name the gateway's certificate must bear, when it is not the endpoint's host.
        public var serverName: String?

        public init(
            trust: Trust = .system, clientCertificate: ClientCertificate? = nil,
            serverName: String? = nil
        ) {
            self.trust = trust
            self.clientCertificate = clientCertificate
            self.serverName = serverName
        }
    }

    /// Where trust begins.
    public enum Trust: Sendable {
        /// What the operating system trusts.
        case system
        /// Only the certificates in this PEM file, for example the gateway's `tls/cert.pem`.
        case file(String)
        /// Only these certificates, as the bytes of a PEM file.
        case pem([UInt8])
    }

    /// A certificate chain and its private key, as PEM files.
    public struct ClientCertificate: Sendable {
        public var certificateFile: String
        public var keyFile: String

        public init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// The bearer token a client shows.
    public struct Token: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
        CustomReflectable
    {
        enum Source: Sendable {
            case none
            case fixed(String)
            case provider(@Sendable () async throws -> String)
        }

        let source: Source

        /// No token: for gateways that ask for none.
        public static let none = Token(source: .none)

        /// This token, as long as the client lives.
        public static func token(_ token: String) -> Token { Token(source: .fixed(token)) }

        /// Whatever `provide` returns: asked at each connect, and once more when the gateway says that the
        /// token has expired or is no longer active.
        public static func provider(
            _ provide: @escaping @Sendable () async throws -> String
        ) -> Token {
            Token(source: .provider(provide))
        }

        var isProvider: Bool { if case .provider = source { true } else { false } }
        var isNone: Bool { if case .none = source { true } else { false } }

        public var description: String { isNone ? "none" : "•••" }
        public var debugDescription: String { description }
        public var customMirror: Mirror { Mirror(self, children: []) }
    }

    /// Pauses that grow: each is drawn evenly between nothing and `base` doubled once a failure,
    /// at most `maximum` ("full jitter", so that many clients do not come back as one).
    public struct Backoff: Sendable, Hashable {
        public var base: Duration
        public var maximum: Duration

        public init(base: Duration, maximum: Duration) {
            self.base = base
            self.maximum = maximum
        }
    }

    /// PING when nothing was heard for a while.
    public struct KeepAlive: Sendable, Hashable {
        /// Silence after which a PING is sent; never more often than the gateway allows.
        public var interval: Duration
        /// Silence after a PING that means the connection is dead.
        public var timeout: Duration

        public init(interval: Duration = .seconds(30), timeout: Duration = .seconds(10)) {
            self.interval = interval
            self.timeout = timeout
        }
    }

    /// What one client holds at most. A call that meets a limit fails with
    /// ``SluiceError/Code/resourceExhausted`` and names it.
    public struct Limits: Sendable, Hashable {
        /// Calls that wait for a connection, for a slot on it or for their next attempt.
        public var waitingCalls = 10_000
        /// Bytes of one answer.
        public var messageBytes = 64 << 20
        /// Bytes of one stream that were received and not yet read. Beyond it nothing more is read
        /// from the connection until the reader has caught up.
        public var streamBufferBytes = 4 << 20
        /// How long a slow reader of a stream may hold up the connection before its stream is cancelled.
        public var slowReaderGrace: Duration = .seconds(5)

        public init() {}
    }
}
