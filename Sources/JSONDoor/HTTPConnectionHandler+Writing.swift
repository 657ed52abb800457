// The way out: what is written goes to the channel as it takes it, and a caller who does not read is cut off.

import Contract
import Logging
import NIOCore

extension HTTPConnectionHandler {
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if !isWriting {
            if !isReading { now = clock(context) }
            settle()
        }
        context.fireChannelWritabilityChanged()
    }

    /// Gives the channel what it takes. How far it came since the last time is how the caller's reading is measured: a slice
    /// each ``HTTPLimits/writeTime`` at least.
    func writeOut(_ context: ChannelHandlerContext) {
        guard !isWriting else { return }
        isWriting = true
        var wrote = false
        while context.channel.isWritable, let bytes = out.next() {
            wrote = true
            if out.isEmpty {
                context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            } else {
                context.write(wrapOutboundOut(bytes), promise: nil)
            }
        }
        if wrote, !out.isEmpty { context.flush() }
        isWriting = false
        if out.isEmpty, context.channel.isWritable {
            if wrote { out.reuse() }
            machine.flowed(at: now)
        } else if wrote || !machine.isBlocked {
            machine.blocked(at: now)
        }
    }

    /// Nothing more is read: the connection ends when all that was written has gone.
    func finish(_ context: ChannelHandlerContext) {
        guard !isClosing else { return }
        guard out.isEmpty else { return armTimer() }
        isClosing = true
        machine.blocked(at: now)
        armTimer()
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [self] _ in
            self.context?.close(promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// The caller does not take what was written for it.
    func cutOff() {
        front.logger.debug(
            "caller does not read",
            metadata: [
                "connection.id": "\(connection)", "peer.address": "\(peer.address)",
                "bytes.waiting": "\(out.byteCount)",
            ])
        let context = context
        depart()
        context?.close(promise: nil)
    }
}
