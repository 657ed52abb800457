// The connection's machine on a channel: feeds it bytes, writes what it has, and tells the switchboard what
// arrived. Everything happens on the connection's event loop.

import NIOCore
import NIOSSL
import NIOTLS

final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// About how many bytes are handed to TLS at once: some records, so that a small call waits for little.
    static let turnBytes = 256 << 10
    /// Long enough for the loop to ask its sockets first, short beside the time a turn's bytes take to seal.
    private static let turnPause = TimeAmount.microseconds(20)
    static let applicationProtocol = "sluice/1"

    let id: UInt64
    private let switchboard: Switchboard
    private let hello: ByteBuffer
    /// A token too long for HELLO.
    let lateToken: String?
    private let isPlaintext: Bool
    /// The name the certificate has to bear; nil when an address was asked for.
    private let serverName: String?
    private(set) var machine: ConnectionMachine
    private var context: ChannelHandlerContext?
    private var hasGreeted = false
    /// Why the connection has ended.
    private(set) var ending: SluiceError?
    private var keepAliveTimer: Scheduled<Void>?

    /// Streams whose readers are slow: while there is one, nothing is read.
    private var stalled: Set<Ticket> = []
    private var wantsRead = false
    private var isFlushScheduled = false

    init(
        id: UInt64, switchboard: Switchboard, hello: ByteBuffer, lateToken: String?,
        isPlaintext: Bool, serverName: String?, machine: ConnectionMachine
    ) {
        self.id = id
        self.switchboard = switchboard
        self.hello = hello
        self.lateToken = lateToken
        self.isPlaintext = isPlaintext
        self.serverName = serverName
        self.machine = machine
    }

    // MARK: For the switchboard

    /// True when another call may be opened now: a slot on the gateway, and room towards the socket.
    var hasRoom: Bool {
        machine.hasRoom && machine.outputBytes < Self.turnBytes
            && context?.channel.isWritable == true
    }

    var isOpen: Bool { machine.phase == .open }

    func open(
        _ request: CallRequest, ticket: Ticket, timeout: UInt64, attempt: Int
    ) throws(SluiceError) -> UInt32 {
        try machine.open(request, ticket: ticket, timeout: timeout, attempt: attempt)
    }

    func cancel(_ call: UInt32) { machine.cancel(call) }

    func authenticate(_ token: String) throws(SluiceError) { try machine.authenticate(token) }

    /// Writes what waits, as long as the socket takes it.
    func flush() {
        guard let context, !isFlushScheduled else { return }
        if machine.hasOutput, context.channel.isWritable {
            for chunk in machine.takeOutput(atMost: Self.turnBytes) {
                context.write(wrapOutboundOut(chunk), promise: nil)
            }
            context.flush()
        }
        if machine.hasOutput, context.channel.isWritable {
            // One helping a turn: a call that begins meanwhile takes its turn before a long message's rest. A timer and not a
            // task, so that the loop asks its sockets in between.
            isFlushScheduled = true
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: Self.turnPause) {
                bound.value.isFlushScheduled = false
                bound.value.flush()
            }
        }
        closeIfSpent()
    }

    /// Closes in good order: TLS says goodbye, nothing is cut.
    func close() {
        context?.close(promise: nil)
    }

    /// Stops reading because a stream's reader is slow.
    func stall(_ ticket: Ticket) { stalled.insert(ticket) }

    /// The stream has been read or is over.
    func resume(_ ticket: Ticket) {
        guard stalled.remove(ticket) != nil, stalled.isEmpty, let context else { return }
        machine.excuseSilence(context.eventLoop.now)
        if wantsRead {
            wantsRead = false
            context.read()
        }
    }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive, isPlaintext { greet(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        if isPlaintext { greet(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let spoken)? = event as? TLSUserEvent {
            if spoken != Self.applicationProtocol {
                fail(
                    SluiceError(
                        .failedPrecondition, reason: Reason.protocolNotSpoken,
                        """
                        The server speaks \(spoken ?? "no protocol it names"), not \
                        \(Self.applicationProtocol): is this a Sluice gateway's port?
                        """))
            } else if let serverName, !isBorne(serverName, context) {
                fail(
                    SluiceError(
                        .failedPrecondition, reason: Reason.tlsFailed,
                        "The gateway's certificate does not bear the name '\(serverName)'."))
            } else {
                greet(context)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func isBorne(_ name: String, _ context: ChannelHandlerContext) -> Bool {
        let tls = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
        guard let certificate = tls?.peerCertificate else { return false }
        return ServerIdentity.certificate(certificate, bears: name)
    }

    private func greet(_ context: ChannelHandlerContext) {
        guard !hasGreeted else { return }
        hasGreeted = true
        machine.greet(hello)
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = context.eventLoop.now
        machine.received(unwrapInboundIn(data), now: now)
        while let arrival = machine.next(now: now) {
            if case .fault(let error) = arrival {
                machine.sayGoodbye(error)
                flush()
                return fail(error)
            }
            if case .refused(let error) = arrival { return fail(error) }
            if case .welcomed = arrival { armKeepAlive() }
            switchboard.arrived(arrival, on: self)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Slots are free again, and answers to PING wait.
        switchboard.turnEnded(on: self)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if stalled.isEmpty { context.read() } else { wantsRead = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { switchboard.turnEnded(on: self) }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(Self.translate(error, isGreeted: machine.phase != .greeting))
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(
            SluiceError(
                .unavailable, reason: Reason.connectionLost, "The gateway closed the connection."))
        context.fireChannelInactive()
    }

    /// Ends the connection at once. The calls do not wait for the socket: closing it may take a while when
    /// there is nobody at the other end.
    func fail(_ error: SluiceError) {
        end(error)
        context?.close(promise: nil)
    }

    /// The first error says why the connection ended.
    private func end(_ error: SluiceError) {
        guard ending == nil else { return }
        ending = error
        keepAliveTimer?.cancel()
        switchboard.closed(self, calls: machine.close(), error: error)
    }

    private func closeIfSpent() {
        // After GOAWAY the last answer ends the connection.
        if machine.phase == .draining, machine.openCalls == 0, !machine.hasOutput { close() }
    }

    // MARK: Keep-alive

    private func armKeepAlive() {
        guard ending == nil, let context, let due = machine.nextTick else { return }
        keepAliveTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) {
            self.keepAliveDue()
        }
    }

    private func keepAliveDue() {
        guard let context else { return }
        let now = context.eventLoop.now
        if !stalled.isEmpty { machine.excuseSilence(now) }
        if let error = machine.tick(now) { return fail(error) }
        flush()
        armKeepAlive()
    }

    // MARK: Errors

    static func translate(_ error: any Error, isGreeted: Bool) -> SluiceError {
        switch error {
        case let error as SluiceError: return error
        case NIOSSLError.uncleanShutdown:
            return SluiceError(
                .unavailable, reason: Reason.connectionTruncated,
                "The connection was cut off: TLS was not closed in good order.", cause: error)
        case NIOSSLError.handshakeFailed(let reason)
        where reason == .sslError([.eofDuringHandshake]):
            return SluiceError(
                .unavailable, reason: Reason.connectFailed,
                "The connection was cut off during the TLS handshake.", cause: error)
        case NIOSSLError.handshakeFailed, NIOSSLError.unableToValidateCertificate,
            NIOSSLError.noCertificateToValidate, is NIOSSLExtraError:
            return SluiceError(
                .failedPrecondition, reason: Reason.tlsFailed,
                "The TLS handshake failed; see Configuration.TLS for whom to trust.", cause: error)
        case is BoringSSLError where !isGreeted:
            // With TLS 1.3 the server judges the client's certificate after the client's handshake is done.
            return SluiceError(
                .failedPrecondition, reason: Reason.tlsFailed,
                "The server ended the TLS handshake; does it ask for a client certificate?",
                cause: error)
        default:
            return SluiceError(
                .unavailable, reason: Reason.connectionLost, "The connection failed.", cause: error)
        }
    }
}
