// The handler's ends: close_notify both ways, alerts before closing, and a short wait so that the peer sees them.

package import NIOCore

extension TLSServerHandler {
    package func close(
        context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
    ) {
        switch (mode, phase) {
        case (.input, _), (_, .gone):
            context.close(mode: mode, promise: promise)
        case (.output, .handshaking):
            promise?.fail(ChannelError.operationUnsupported)
        case (.output, .open) where !outputFinished:
            finishOutput(context, promise)
        case (.output, _):
            promise?.fail(ChannelError.outputClosed)
        case (.all, .handshaking):
            waitForClose(promise)
            phase = .leaving
            stopHandshakeTimer()
            failWaiting(ChannelError.ioOnClosedChannel)
            closeNow(context)
        case (.all, .open):
            waitForClose(promise)
            leave(context)
        case (.all, .leaving):
            waitForClose(promise)
        }
    }

    /// Half close: what was written goes out, then close_notify; reading goes on.
    private func finishOutput(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?)
    {
        guard sealGathered(context) else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        outputFinished = true
        prepareSealed(room: TLSSession.recordOverheadBytes)
        session.finish(into: &sealed)
        sendSealed(context)
        if peerFinished, phase == .open {
            waitForClose(promise)
            leave(context)
        } else {
            promise?.succeed()
        }
    }

    /// Ends an open session in order: what was flushed, close_notify, and then the socket. Writes that were never
    /// flushed fail, as they do on a plain channel.
    func leave(_ context: ChannelHandlerContext) {
        guard phase == .open else { return }
        phase = .leaving
        failWaiting(ChannelError.ioOnClosedChannel)
        gathered = ByteBuffer()
        if !outputFinished {
            prepareSealed(room: TLSSession.recordOverheadBytes)
            session.finish(into: &sealed)
        }
        sendLast(context)
    }

    /// Ends a connection that broke: its alert, if there is one, goes out first.
    func fail(_ error: TLSError, _ context: ChannelHandlerContext) {
        guard phase == .handshaking || phase == .open else { return }
        phase = .leaving
        stopHandshakeTimer()
        failWaiting(error)
        gathered = ByteBuffer()
        // A truncated peer is not there to be waited for.
        if error.code == .truncated || error.code == .handshakeAbandoned { peerFinished = true }
        // Other failures leave their alert; this one has none of its own.
        if error.code == .controlFlood { session.finish(into: &sealed) }
        context.fireErrorCaught(error)
        guard phase == .leaving else { return }
        sendLast(context)
    }

    /// Sends the last bytes, then half-closes the socket and waits for the peer to go: closing at once would
    /// answer bytes in flight with a reset, and a reset takes the last bytes from the peer's hands.
    private func sendLast(_ context: ChannelHandlerContext) {
        lingerDeadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: settings.lingerTimeout
        ) { [self] in closeNow(context) }
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [self] result in
            guard phase == .leaving else { return }
            switch result {
            case .success where !peerFinished:
                context.close(mode: .output, promise: nil)
                if phase == .leaving { context.read() }
            case .success, .failure:
                closeNow(context)
            }
        }
        let last = sealed
        sealed = ByteBuffer()
        send(Piece(bytes: last, promise: sent, flush: true), context)
    }

    private func closeNow(_ context: ChannelHandlerContext) {
        guard phase == .leaving else { return }
        let promise = closing
        closing = nil
        context.close(promise: promise)
    }

    private func stopHandshakeTimer() {
        handshakeDeadline?.cancel()
        handshakeDeadline = nil
    }

    private func waitForClose(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let closing {
            closing.futureResult.cascade(to: promise)
        } else {
            closing = promise
        }
    }
}
