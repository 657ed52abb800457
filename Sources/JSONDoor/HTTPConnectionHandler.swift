// One HTTP connection: parsed parts in, answers out, one request at a time. The machine decides, this handler acts; a request
// goes to its resource, and from there to the walk, by plain calls on the event loop (docs/decisions/0016).

import Contract
import Logging
import NIOCore
import NIOHTTP1

/// Last in the pipeline, behind the parser. Belongs to its event loop.
final class HTTPConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    let front: HTTPFront
    let peer: Peer
    let connection: String

    var context: ChannelHandlerContext?
    var session: (any CallerSession)?
    var machine: RequestMachine
    /// Parts of requests that came before the present one was answered.
    var pending = CircularBuffer<HTTPServerRequestPart>()
    var request: HTTPRequest?
    var place: PlacedRoute?
    var expectsContinue = false
    var isHead = false
    /// Of the page that asks, when it may read the answer.
    var origin: String?
    /// Where the last head went, so that the next one's is compared and not read.
    var familiar: FamiliarAddress?
    /// The last token that was judged active, so that the next request's is compared and not copied.
    var shown: Secret?
    var date = ""
    var dateUntil = Instant(nanoseconds: 0)
    var exchange: HTTPExchange?
    var requests: UInt64 = 0
    var local = ""
    var out = Outlet()
    /// Of an answer that is being streamed.
    var streamed: Streamed?
    /// A call may have been begun since the walk was told that a turn is over.
    var turnIsOpen = false
    var isWriting = false
    var isClosing = false
    var now = Instant(nanoseconds: 0)
    var isReading = false
    var isReadHeld = false
    /// Before the parser; gone when the connection is.
    weak var arrivals: ArrivalHandler?
    var isResuming = false
    var isPumping = false
    /// Requests begun in this turn, refused ones by their weight, and whether the rest waits for the next.
    var served = 0
    var waitsForTurn = false
    var timer: Scheduled<Void>?
    var timerDue: Instant?

    init(front: HTTPFront, peer: Peer, connection: String) {
        self.front = front
        self.peer = peer
        self.connection = connection
        machine = RequestMachine(limits: front.limits, at: Instant(nanoseconds: 0))
    }
}

@available(*, unavailable) extension HTTPConnectionHandler: Sendable {}

// MARK: - Coming and going

extension HTTPConnectionHandler {
    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        now = clock(context)
        machine = RequestMachine(limits: front.limits, at: now)
        local = HTTPConnectionHandler.text(context.localAddress)
        armTimer()
    }

    func channelInactive(context: ChannelHandlerContext) {
        depart()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        depart()
        self.context = nil
    }

    /// A caller that closes its side does not wait for answers: what it asked for is cancelled.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let change = event as? ChannelEvent, change == .inputClosed {
            depart()
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard let command = event as? DoorCommand else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        now = clock(context)
        switch command {
        case .drain:
            _ = machine.drain()
            if streamed != nil { exchange?.onFarewell?(.draining) }
        case .stop: stop()
        }
        settle()
        promise?.succeed()
    }

    /// The last moment to answer anything.
    private func stop() {
        guard let exchange else { return machine.close() }
        guard streamed != nil else {
            exchange.abandon()
            return respond(
                .failure(CallFailure(.unavailable, .stopping, "the gateway is stopping")).last)
        }
        exchange.onFarewell?(.stopping)
        guard exchange === self.exchange else { return machine.close() }
        exchange.cancel()
        finishStream(isWhole: false)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A caller that leaves within a request is no parser's business: nobody is there to be answered.
        guard let fault = error as? HTTPParserError, fault != .invalidEOFState else {
            front.logger.debug(
                "connection broke",
                metadata: ["connection.id": "\(connection)", "error": "\(error)"])
            depart()
            context.close(promise: nil)
            return
        }
        now = clock(context)
        // Nobody can say where the next request begins: the one before gets its answer, then the connection ends.
        if machine.isBusy {
            machine.makeLast()
        } else if machine.phase != .ending {
            respond(HTTPConnectionHandler.answer(to: fault))
        }
        settle()
    }

    private static func answer(to fault: HTTPParserError) -> HTTPAnswer {
        switch fault {
        case .headerOverflow:
            HTTPAnswer.error(
                .requestHeaderFieldsTooLarge,
                "the request's head is larger than the limit http.head"
            ).last
        case .invalidMethod:
            HTTPAnswer.error(.notImplemented, "a method nobody knows").last
        case .invalidVersion:
            HTTPAnswer.error(.httpVersionNotSupported, "HTTP/1.1 and HTTP/1.0 are spoken here").last
        default: HTTPAnswer.error(.badRequest, "the request is not HTTP").last
        }
    }

    /// The peer is gone, or will not be listened to any more.
    func depart() {
        machine.close()
        timer?.cancel()
        timer = nil
        pending.removeAll()
        if request != nil {
            if let context { now = clock(context) }
            noteAnswer(status: 499)
        }
        request = nil
        place = nil
        shown = nil
        out.drop()
        streamed = nil
        let exchange = exchange
        self.exchange = nil
        exchange?.cancel()
        let session = session
        self.session = nil
        session?.close()
    }

    func clock(_ context: ChannelHandlerContext) -> Instant {
        Instant(nanoseconds: context.eventLoop.now.uptimeNanoseconds)
    }

    private static func text(_ address: SocketAddress?) -> String {
        guard let address, let host = address.ipAddress, let port = address.port else { return "" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

// MARK: - Reading

extension HTTPConnectionHandler {
    func bytesArrived() {
        guard let context else { return }
        now = clock(context)
        machine.bytesArrived(at: now)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard machine.phase != .ending else { return }
        if !isReading, !waitsForTurn, !isResuming { served = 0 }
        isReading = true
        let part = unwrapInboundIn(data)
        guard mustWait || !pending.isEmpty else { return take(part) }
        guard pending.count < front.limits.partsWaiting else { return machine.makeLast() }
        pending.append(part)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        settle()
        context.fireChannelReadComplete()
    }

    /// What comes next may be parsed.
    var takesMore: Bool { pending.isEmpty && machine.phase != .ending }

    /// What is left of the body of a request that was begun; of one in chunks nobody knows, and a record of TLS is taken.
    var bodyBytesAwaited: Int {
        guard machine.phase == .receiving, let request else { return 0 }
        return switch request.announced {
        case .length(let count): max(0, count - request.body.readableBytes)
        case .chunked: 16 << 10
        case .none: 0
        }
    }

    /// True while what arrives has to wait: for an answer, until answers have gone out, or for this connection's next turn.
    private var mustWait: Bool {
        machine.isBusy || out.byteCount > Outlet.sliceBytes || isTurnOver
    }

    /// The next head waits; the body of a request that was begun does not.
    private var isTurnOver: Bool {
        machine.phase == .waiting && served >= front.limits.requestsPerTurn
    }

    /// The rest of the requests that came at once; other connections have had their turn.
    func takeTurn() {
        waitsForTurn = false
        served = 0
        guard let context else { return }
        now = clock(context)
        pump()
        settle()
    }

    /// Reading goes on while a request is answered, so that a caller's leaving is seen, until it brings another request.
    func read(context: ChannelHandlerContext) {
        if !pending.isEmpty || arrivals?.isHolding == true {
            isReadHeld = true
        } else {
            context.read()
        }
    }

    private func take(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes): append(bytes)
        case .end:
            guard machine.phase == .receiving else { return }
            machine.end()
            dispatch()
        }
    }

    private func append(_ bytes: ByteBuffer) {
        guard machine.phase == .receiving else { return }
        guard machine.body(bytes.readableBytes) else { return refuse(tooLarge(place?.route)) }
        guard let held = request?.body.readableBytes, held > 0 else {
            // Most bodies come in one piece, which is not copied.
            request?.body = bytes
            return
        }
        // Room for all of it once a part has come: before, anybody could announce anything.
        if case .length(let count)? = request?.announced, held >= count / 16 {
            request?.body.reserveCapacity(count)
        }
        request?.body.writeImmutableBuffer(bytes)
    }

    /// What waited takes its turn.
    func pump() {
        guard !isPumping else { return }
        isPumping = true
        while !mustWait, machine.phase != .ending, let part = pending.popFirst() {
            take(part)
        }
        isPumping = false
    }

    /// After every event: what is written goes out, what waited takes its turn, reading is taken up again, the timer is set.
    func settle() {
        guard let context, !isReading, !isWriting else { return }
        repeat {
            endTurn()
            writeOut(context)
            if !pending.isEmpty { pump() }
        } while turnIsOpen || (!out.isEmpty && context.channel.isWritable)
        if machine.phase == .ending { return finish(context) }
        if isTurnOver, !pending.isEmpty, !waitsForTurn {
            waitsForTurn = true
            front.turnstiles.turnstile(of: context.eventLoop).wait(self)
        }
        if pending.isEmpty, let arrivals, arrivals.isHolding {
            isResuming = true
            arrivals.resume()
            isResuming = false
            return
        }
        if isReadHeld, pending.isEmpty {
            isReadHeld = false
            context.read()
        }
        armTimer()
    }

    /// All calls that came together have been begun.
    private func endTurn() {
        guard turnIsOpen else { return }
        turnIsOpen = false
        session?.turnEnded()
    }

    /// Sets the one timer, unless it comes early enough already: it asks again when it comes.
    func armTimer() {
        guard let context, let due = machine.nextDue else { return }
        if timer != nil, let timerDue, timerDue <= due { return }
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
        guard let context else { return }
        now = clock(context)
        switch machine.tick(at: now) {
        case .nothing, .idle: break
        case .unread: return cutOff()
        case .slow(let message): respond(HTTPAnswer.error(.requestTimeout, message).last)
        }
        settle()
    }
}
