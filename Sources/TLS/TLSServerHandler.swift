// The first handler of a connection's pipeline: ciphertext towards the socket, plaintext towards the door.

package import NIOCore

/// TLS as a channel handler, `ByteBuffer` on both sides.
///
/// Fires `TLSHandshakeCompleted` as a user event before the first plaintext. Errors are `TLSError`s through
/// `errorCaught`; after one the handler closes the channel itself, its alert sent first. When the peer says
/// close_notify it fires `ChannelEvent.inputClosed`. Nothing is read ahead: what arrives is opened and passed on at
/// once, and `read` goes to the socket only when the pipeline, or a handshake, asks for it.
///
/// Belongs to its channel's event loop.
package final class TLSServerHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Writes are held. Exits: `open` when agreed, `leaving` on failure, timeout or close, `gone`.
        case handshaking
        /// Exits: `leaving` on close, on the peer's close_notify and on failure, `gone`.
        case open
        /// The last bytes are on their way and input is thrown away. Exits: `gone`.
        case leaving
        /// The channel is inactive or the handler removed. No exit.
        case gone
    }

    /// Buffers larger than this are let go as soon as they are empty, in bytes: there are three, and an idle
    /// connection keeps them. A turn that moves more pays for its own memory.
    static let keptBytesMax = 1_024
    /// Sealed bytes are given to the channel, unflushed, in pieces of this size: three records.
    static let pieceBytes = 65_536
    static let pieceRecords = 3

    let settings: TLSConnectionSettings
    var session: TLSSession
    var phase = Phase.handshaking
    /// The peer has said close_notify.
    var peerFinished = false
    /// We have said close_notify and the pipeline may still read.
    var outputFinished = false

    /// What was read last; reused unless the pipeline holds on to it.
    private var plaintext = ByteBuffer()
    /// Written and not yet a full record.
    var gathered = ByteBuffer()
    /// Sealed, and not yet given to the channel.
    var sealed = ByteBuffer()
    /// Sealed bytes on their way to the channel, in order.
    struct Piece {
        var bytes: ByteBuffer
        var promise: EventLoopPromise<Void>?
        var flush: Bool
    }
    /// Sealed, and before `sealed`. Empty whenever no call of this handler is under way.
    var pieces: [Piece] = []
    /// How many of them the channel has got already.
    var piecesGiven = 0
    /// Who waits for what is in `gathered` and `sealed`.
    var waiting: EventLoopPromise<Void>?
    var flushHeld = false

    var handshakeDeadline: Scheduled<Void>?
    var lingerDeadline: Scheduled<Void>?
    var closing: EventLoopPromise<Void>?

    private var readWanted = false
    private var delivered = false

    /// - Throws: `TLSError` when OpenSSL cannot make a session.
    package init(
        context: TLSServerContext, settings: TLSConnectionSettings = TLSConnectionSettings()
    ) throws(TLSError) {
        self.session = try TLSSession(context)
        self.settings = settings
    }
}

@available(*, unavailable) extension TLSServerHandler: Sendable {}

// MARK: - Coming and going

extension TLSServerHandler {
    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { startHandshake(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        startHandshake(context)
        context.fireChannelActive()
    }

    private func startHandshake(_ context: ChannelHandlerContext) {
        guard phase == .handshaking, handshakeDeadline == nil else { return }
        handshakeDeadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: settings.handshakeTimeout
        ) { [self] in
            guard phase == .handshaking else { return }
            fail(
                TLSError(
                    .handshakeTimeout,
                    "the handshake was not done after "
                        + "\(settings.handshakeTimeout.nanoseconds / 1_000_000) ms"), context)
        }
        context.read()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        let error = lossError()
        depart(ChannelError.ioOnClosedChannel)
        if let error { context.fireErrorCaught(error) }
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        depart(ChannelError.ioOnClosedChannel)
    }

    /// What the end of the socket means now, if it is an error.
    private func lossError() -> TLSError? {
        switch phase {
        case .handshaking:
            TLSError(.handshakeAbandoned, "the peer went away during the handshake")
        case .open where !peerFinished:
            TLSError(.truncated, "the connection ended without close_notify")
        default: nil
        }
    }

    /// The end: everyone who waits is told, and no timer is left.
    private func depart(_ error: any Error) {
        phase = .gone
        handshakeDeadline?.cancel()
        handshakeDeadline = nil
        lingerDeadline?.cancel()
        lingerDeadline = nil
        failWaiting(error)
        gathered = ByteBuffer()
        sealed = ByteBuffer()
        plaintext = ByteBuffer()
        let promise = closing
        closing = nil
        promise?.succeed()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let change = event as? ChannelEvent, change == .inputClosed else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        // The socket's input ended and the channel allows that: half closed for TCP, cut short for TLS unless
        // close_notify came, which was passed on when it did.
        switch phase {
        case .handshaking, .open:
            if let error = lossError() { fail(error, context) }
        case .leaving:
            context.close(promise: nil)
        case .gone: break
        }
    }
}

// MARK: - Reading

extension TLSServerHandler {
    package func read(context: ChannelHandlerContext) {
        readWanted = true
        context.read()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var ciphertext = unwrapInboundIn(data)
        switch phase {
        case .handshaking:
            advance(&ciphertext, context)
        case .open where !peerFinished:
            open(&ciphertext, context)
        default:
            break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        // The socket was asked once and gave bytes that were no plaintext: ask again for whoever still waits.
        let again = phase == .handshaking || phase == .leaving || (readWanted && !delivered)
        if delivered { readWanted = false }
        delivered = false
        if plaintext.capacity > Self.keptBytesMax { plaintext = ByteBuffer() }
        context.fireChannelReadComplete()
        if again { context.read() }
    }

    private func advance(_ ciphertext: inout ByteBuffer, _ context: ChannelHandlerContext) {
        let done: Bool
        prepareSealed(room: 4_096)
        do {
            done = try session.handshake(from: &ciphertext, answering: &sealed)
        } catch {
            fail(error, context)
            return
        }
        guard done else {
            if sealed.readableBytes > 0 { sendSealed(context) }
            return
        }
        phase = .open
        handshakeDeadline?.cancel()
        handshakeDeadline = nil
        guard sealGathered(context) else { return }
        context.fireUserInboundEventTriggered(session.agreement())
        guard phase == .open else { return }
        if sealed.readableBytes > 0 || flushHeld {
            flushHeld = false
            sendSealed(context)
        }
        if ciphertext.readableBytes > 0, phase == .open, !peerFinished {
            open(&ciphertext, context)
        }
    }

    /// Opens what arrived and passes it on in one piece.
    private func open(_ ciphertext: inout ByteBuffer, _ context: ChannelHandlerContext) {
        plaintext.clear(minimumCapacity: ciphertext.readableBytes)
        let unsent = sealed.readableBytes
        let reading: TLSSession.Reading
        var failure: TLSError?
        do {
            reading = try session.read(from: &ciphertext, into: &plaintext, answering: &sealed)
        } catch {
            reading = .more
            failure = error
        }
        if failure == nil, sealed.readableBytes > unsent { sendSealed(context) }
        if plaintext.readableBytes > 0 {
            // What came before a broken record was whole and authentic.
            delivered = true
            context.fireChannelRead(wrapInboundOut(plaintext))
        }
        if let failure {
            fail(failure, context)
        } else if reading == .finished {
            peerHasFinished(context)
        }
    }

    private func peerHasFinished(_ context: ChannelHandlerContext) {
        guard phase == .open, !peerFinished else { return }
        peerFinished = true
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        guard phase == .open else { return }
        if !settings.allowHalfClosure || outputFinished { leave(context) }
    }
}
