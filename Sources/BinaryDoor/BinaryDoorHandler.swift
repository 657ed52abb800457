// The binary door of one connection: plaintext of the TLS handler in, frames out. The machine decides, this
// handler acts: it reads headers, talks to the walk, and gathers what goes out into one write a turn.

package import Contract
package import Logging
import Messages
package import NIOCore
import SluiceWire

/// A channel handler for `ByteBuffer` both ways, last in the pipeline. Belongs to its event loop.
package final class BinaryDoorHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = Never
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    /// A call whose message is still coming.
    struct Waiting {
        var method: Method
        var header: CallHeader
        var deadline: Instant
    }

    let desk: any FrontDesk
    let peer: Peer
    let limits: Limits
    let connection: String
    let server: String
    let logger: Logger

    var context: ChannelHandlerContext?
    var session: (any CallerSession)?
    var decoder: FrameDecoder
    var machine: ConnectionMachine
    var outbound = Outbound()
    /// By the machine's slot.
    var exchanges: [DoorExchange?] = []
    var waiting: [Int: Waiting] = [:]
    /// When the bytes being read arrived.
    var now: Instant
    /// The ServerHello is written: before it nothing may go out but GOAWAY.
    var hasGreeted = false
    var isClosing = false
    /// Reading a turn: its end flushes.
    var isReading = false
    var isFlushScheduled = false
    var isReadHeld = false
    var timer: Scheduled<Void>?
    var timerDue: Instant?

    /// - Parameters:
    ///   - connection: the connection's id, for logs on both sides.
    ///   - server: name and version of this server, for people.
    package init(
        desk: any FrontDesk, peer: Peer, limits: Limits, connection: String, server: String,
        logger: Logger
    ) {
        self.desk = desk
        self.peer = peer
        self.limits = limits
        self.connection = connection
        self.server = server
        self.logger = logger
        now = Instant(nanoseconds: 0)
        decoder = FrameDecoder(
            .server,
            limits: WireLimits(
                frameBytes: limits.frameBytes, headerBytes: limits.headerBytes,
                helloBytes: limits.helloBytes))
        machine = ConnectionMachine(limits: limits, at: now)
    }
}

@available(*, unavailable) extension BinaryDoorHandler: Sendable {}

// MARK: - Coming and going

extension BinaryDoorHandler {
    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    /// The time for HELLO counts from here: the TLS handshake is done.
    private func start(_ context: ChannelHandlerContext) {
        guard session == nil, !isClosing else { return }
        now = clock(context)
        machine = ConnectionMachine(limits: limits, at: now)
        session = desk.session(from: peer, on: context.eventLoop)
        armTimer(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        depart()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        depart()
        self.context = nil
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let change = event as? ChannelEvent, change == .inputClosed { depart() }
        context.fireUserInboundEventTriggered(event)
    }

    package func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard let command = event as? DoorCommand else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        now = clock(context)
        switch command {
        case .drain(let time): act(machine.drain(within: time, at: now))
        case .stop: act(machine.stop())
        }
        settle()
        promise?.succeed()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug(
            "connection broke",
            metadata: ["connection.id": "\(connection)", "error": "\(error)"])
        depart()
        context.close(promise: nil)
    }

    /// The peer is gone: what it asked for is cancelled, one by one, then the walk's side is closed.
    func depart() {
        isClosing = true
        machine.close()
        timer?.cancel()
        timer = nil
        outbound.dropAll()
        cancelAll()
        let session = session
        self.session = nil
        session?.close()
    }

    func cancelAll() {
        waiting = [:]
        let open = exchanges
        exchanges = []
        for case .some(let exchange) in open {
            exchange.isAbandoned = true
            exchange.cancel()
        }
    }

    func clock(_ context: ChannelHandlerContext) -> Instant {
        Instant(nanoseconds: context.eventLoop.now.uptimeNanoseconds)
    }
}

// MARK: - Reading

extension BinaryDoorHandler {
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard machine.phase != .ended else { return }
        isReading = true
        now = clock(context)
        decoder.append(unwrapInboundIn(data))
        var sawFrames = false
        do throws(WireFault) {
            while let frame = try decoder.next() {
                sawFrames = true
                act(machine.receive(frame, at: now))
                if machine.phase == .ended { break }
            }
        } catch {
            act(machine.end(error))
        }
        machine.readEnded(insideFrame: decoder.isInsideFrame, sawFrames: sawFrames, at: now)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        session?.turnEnded()
        isReading = false
        settle()
        context.fireChannelReadComplete()
    }

    package func read(context: ChannelHandlerContext) {
        if machine.holdsReading, machine.phase != .ended {
            isReadHeld = true
        } else {
            context.read()
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        now = clock(context)
        if context.channel.isWritable, !isReading { settle() }
        context.fireChannelWritabilityChanged()
    }

    /// After every event: send what is ready, close when all is done, take up reading again, set the timer.
    func settle() {
        guard let context, !isReading else { return }
        flush(context)
        machine.outboundBytes = outbound.bytes
        guard !isClosing else { return }
        if machine.isSpent, outbound.bytes == 0 {
            machine.close()
            close(context)
            return
        }
        if isReadHeld, !machine.holdsReading {
            isReadHeld = false
            context.read()
        }
        armTimer(context)
    }

    /// Sets the one timer, unless it comes early enough already: it asks again when it comes.
    private func armTimer(_ context: ChannelHandlerContext) {
        guard let due = machine.nextDue else { return }
        if let timerDue, timerDue <= due { return }
        timer?.cancel()
        timerDue = due
        timer = context.eventLoop.assumeIsolated().scheduleTask(
            deadline: .uptimeNanoseconds(due.nanoseconds)
        ) { [self] in
            timer = nil
            timerDue = nil
            ring()
        }
    }

    private func ring() {
        guard let context, !isClosing else { return }
        now = clock(context)
        while machine.phase != .ended {
            let step = machine.tick(at: now)
            if case .nothing = step { break }
            act(step)
        }
        settle()
    }
}
