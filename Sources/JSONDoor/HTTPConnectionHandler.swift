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

    private var context: ChannelHandlerContext?
    private var session: (any CallerSession)?
    private var machine: RequestMachine
    /// Parts of requests that came before the present one was answered.
    private var pending = CircularBuffer<HTTPServerRequestPart>()
    private var request: HTTPRequest?
    private var route: Route?
    private var body = BodyKind.none
    private var expectsContinue = false
    private var isHead = false
    private var exchange: HTTPExchange?
    private var requests: UInt64 = 0
    private var local = ""
    private var out = ByteBuffer()
    private var now = Instant(nanoseconds: 0)
    private var isReading = false
    private var isReadHeld = false
    private var isPumping = false
    private var timer: Scheduled<Void>?
    private var timerDue: Instant?

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
        case .drain: if machine.drain() { context.close(promise: nil) }
        case .stop:
            if let exchange {
                exchange.abandon()
                respond(
                    .failure(
                        CallFailure(.unavailable, .stopping, "the gateway is stopping")
                    ).last)
            } else {
                machine.close()
                context.close(promise: nil)
            }
            settle()
        }
        promise?.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let fault = error as? HTTPParserError else {
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
    private func depart() {
        machine.close()
        timer?.cancel()
        timer = nil
        pending.removeAll()
        request = nil
        out = ByteBuffer()
        let exchange = exchange
        self.exchange = nil
        exchange?.cancel()
        let session = session
        self.session = nil
        session?.close()
    }

    private func clock(_ context: ChannelHandlerContext) -> Instant {
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
        isReading = true
        let part = unwrapInboundIn(data)
        guard machine.isBusy || !pending.isEmpty else { return take(part) }
        guard pending.count < front.limits.partsWaiting else { return machine.makeLast() }
        pending.append(part)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        session?.turnEnded()
        isReading = false
        settle()
        context.fireChannelReadComplete()
    }

    /// Reading goes on while a request is answered, so that a caller's leaving is seen, until it brings another request.
    func read(context: ChannelHandlerContext) {
        if machine.isBusy, !pending.isEmpty {
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
        guard machine.body(bytes.readableBytes) else { return refuse(tooLarge(route)) }
        request?.body.writeImmutableBuffer(bytes)
    }

    /// What waited takes its turn.
    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        while !machine.isBusy, machine.phase != .ending, let part = pending.popFirst() {
            take(part)
        }
        isPumping = false
    }

    /// After every event: what is written goes out, reading is taken up again, the timer is set.
    private func settle() {
        guard let context, !isReading else { return }
        if out.readableBytes > 0 {
            let bytes = out
            out = ByteBuffer()
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        }
        if machine.phase == .ending {
            timer?.cancel()
            timer = nil
            context.close(promise: nil)
            return
        }
        if isReadHeld, !machine.isBusy || pending.isEmpty {
            isReadHeld = false
            context.read()
        }
        armTimer()
    }

    /// Sets the one timer, unless it comes early enough already: it asks again when it comes.
    private func armTimer() {
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
        case .slow(let message): respond(HTTPAnswer.error(.requestTimeout, message).last)
        }
        settle()
    }
}

// MARK: - A request

extension HTTPConnectionHandler {
    private func begin(_ head: HTTPRequestHead) {
        requests += 1
        isHead = head.method == .HEAD
        let checked: CheckedHead
        do throws(HTTPRefusal) {
            checked = try HeadCheck.check(head, serverName: peer.serverName)
        } catch {
            let hasBody =
                head.headers.contains(name: "transfer-encoding")
                || head.headers.contains(name: "content-length")
            machine.head(isLast: error.closes || !head.isKeepAlive, hasBody: hasBody)
            return refuse(.error(error.status, error.message))
        }
        machine.head(isLast: checked.isLast, hasBody: checked.body != .none)
        body = checked.body
        expectsContinue = checked.expectsContinue
        var request = HTTPRequest(
            head: head, path: checked.path, query: checked.query, host: checked.host, peer: peer,
            local: local, arrived: now, id: "\(connection)-\(requests)")
        switch front.routes.find(head.method, checked.path) {
        case .route(let route, let captures):
            request.captures = captures
            self.request = request
            self.route = route
            switch route.access {
            case .open: accept(route, request)
            case .token: identify(request) { $0.accept(route, request) }
            }
        case .otherMethods(let allow):
            self.request = request
            var answer = HTTPAnswer.error(.methodNotAllowed, "this path allows \(allow)")
            answer.fields.append(("allow", allow))
            refuse(answer)
        case .nothing:
            self.request = request
            let answer = HTTPAnswer.error(.notFound, "there is nothing at this path")
            guard front.routes.hidesUnknown else { return refuse(answer) }
            identify(request) { $0.refuse(answer) }
        }
    }

    /// Goes on with `next` when the request's token is active, else refuses it.
    private func identify(
        _ request: HTTPRequest, next: @escaping (HTTPConnectionHandler) -> Void
    ) {
        guard let token = request.bearer, let context, let desk = front.desk else {
            return refuse(
                .failure(
                    CallFailure(
                        .unauthenticated, .tokenMissing,
                        "a token is needed: Authorization: Bearer TOKEN")))
        }
        let session = session ?? desk.session(from: peer, on: context.eventLoop)
        self.session = session
        let number = requests
        session.authenticate(token) { [self] result in
            guard machine.phase == .judging, requests == number else { return }
            switch result {
            case .success: next(self)
            case .failure(let failure): refuse(.failure(failure))
            }
            // Later, in a turn of its own: what waited for the verdict goes on.
            pump()
            settle()
        }
    }

    private func accept(_ route: Route, _ request: HTTPRequest) {
        switch body {
        case .length(let count) where count > route.bodyBytesMax: return refuse(tooLarge(route))
        case .chunked where route.bodyBytesMax == 0: return refuse(tooLarge(route))
        default: break
        }
        if body != .none, let answer = HTTPConnectionHandler.unsupported(route, request) {
            return refuse(answer)
        }
        if let answer = route.resource.judge(request, now: now) { return refuse(answer) }
        machine.accept(
            bodyMax: route.bodyBytesMax, within: route.bodyTime ?? front.limits.bodyTime, at: now)
        if expectsContinue, body != .none {
            out.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
        }
    }

    private static func unsupported(_ route: Route, _ request: HTTPRequest) -> HTTPAnswer? {
        if let coding = request.head.headers.first(name: "content-encoding"),
            coding.lowercased() != "identity"
        {
            var answer = HTTPAnswer.error(
                .unsupportedMediaType, "the body must not be compressed here")
            answer.fields.append(("accept-encoding", "identity"))
            return answer
        }
        guard let type = request.mediaType, !route.mediaTypes.isEmpty,
            !route.mediaTypes.contains(type)
        else { return nil }
        return .error(
            .unsupportedMediaType,
            "the body must be " + route.mediaTypes.joined(separator: " or "))
    }

    private func tooLarge(_ route: Route?) -> HTTPAnswer {
        let most = route?.bodyBytesMax ?? 0
        return .error(
            .payloadTooLarge,
            most == 0 ? "this request takes no body" : "the body is larger than \(most) bytes")
    }

    private func dispatch() {
        guard let route, let request, let context else { return }
        let exchange = HTTPExchange(self, eventLoop: context.eventLoop)
        self.exchange = exchange
        let handle = route.resource.begin(request, exchange)
        // Answered already: nothing is there to be cancelled.
        if self.exchange === exchange { exchange.handle = handle }
    }
}

// MARK: - Answers

extension HTTPConnectionHandler {
    /// From a resource; possibly while it begins, possibly in a turn of its own.
    func finish(_ answer: HTTPAnswer, of exchange: HTTPExchange) {
        guard exchange === self.exchange, let context else { return }
        if !isReading { now = clock(context) }
        respond(answer)
        pump()
        settle()
    }

    /// An answer before the request's end.
    private func refuse(_ answer: HTTPAnswer) {
        machine.refuse()
        respond(answer)
    }

    private func respond(_ answer: HTTPAnswer) {
        let isLast = machine.answer(closes: answer.closes)
        let keepsAlive = request?.head.version == .http1_0 && !isLast
        AnswerWriting.write(
            answer, id: "\(connection)-\(requests)",
            connection: isLast ? "close" : keepsAlive ? "keep-alive" : nil, withBody: !isHead,
            into: &out)
        front.logger.debug(
            "request answered",
            metadata: [
                "request.id": "\(connection)-\(requests)", "peer.address": "\(peer.address)",
                "http.method": "\(request?.head.method.rawValue ?? "")",
                "http.route": "\(route?.path ?? "")", "http.status": "\(answer.status.code)",
                "took": "\(now.since(request?.arrived ?? now))",
            ])
        request = nil
        route = nil
        exchange = nil
        isHead = false
        _ = machine.answered(at: now)
    }
}
