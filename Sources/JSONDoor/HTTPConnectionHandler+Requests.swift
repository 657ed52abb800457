// From a head to its answer: found, judged, its body taken in, given to its resource, answered.

import Compression
import Contract
import Logging
import NIOCore
import NIOHTTP1

// MARK: - A request

extension HTTPConnectionHandler {
    func begin(_ head: HTTPRequestHead) {
        requests += 1
        served += 1
        isHead = head.method == .HEAD
        let places = FieldPlaces(head.headers)
        origin = allowedOrigin(head, places)
        let checked: CheckedHead
        do throws(HTTPRefusal) {
            checked = try HeadCheck.check(
                head, places, serverName: peer.serverName, familiar: &familiar)
        } catch {
            let hasBody = places.count(.transferEncoding) > 0 || places.count(.contentLength) > 0
            machine.head(isLast: error.closes || !head.isKeepAlive, hasBody: hasBody)
            return refuse(.error(error.status, error.message))
        }
        machine.head(isLast: checked.isLast, hasBody: checked.body != .none)
        expectsContinue = checked.expectsContinue
        request = HTTPRequest(
            head: head, places: places, checked: checked, peer: peer, local: local, arrived: now,
            connection: connection, number: requests)
        if head.method == .OPTIONS, places.count(.askedMethod) > 0,
            let origin = places.only(.origin, in: head.headers)
        {
            // A path that is unknown is no news before the token is there: the request itself will be told.
            let methods = front.routes.methods(checked.path) ?? "GET, HEAD, POST"
            return refuse(front.origins.preflight(origin: origin, methods: methods))
        }
        find(head.method, checked.path)
    }

    private func find(_ method: HTTPMethod, _ path: String) {
        switch route(method, path) {
        case .route(let place, let captures):
            request?.captures = captures
            self.place = place
            switch place.route.access {
            case .open: accept(place.route)
            case .token: identify { $0.accept(place.route) }
            }
        case .otherMethods(let allow):
            var answer = HTTPAnswer.error(.methodNotAllowed, "this path allows \(allow)")
            answer.fields.append(("allow", allow))
            refuse(answer)
        case .nothing:
            let answer = HTTPAnswer.error(.notFound, "there is nothing at this path")
            guard front.routes.hidesUnknown else { return refuse(answer) }
            identify { $0.refuse(answer) }
        }
    }

    /// The table's answer; the one of before when the head is the one of before.
    private func route(_ method: HTTPMethod, _ path: String) -> RouteTable.Found {
        if let known = familiar?.found, known.method == method { return known.route }
        let found = front.routes.find(method, path)
        familiar?.found = (method, found)
        return found
    }

    private func allowedOrigin(_ head: HTTPRequestHead, _ places: FieldPlaces) -> String? {
        guard !front.origins.origins.isEmpty,
            let origin = places.only(.origin, in: head.headers), front.origins.allows(origin)
        else { return nil }
        return origin
    }

    /// Goes on with `next` when the request's token is active, else refuses it.
    private func identify(next: @escaping (HTTPConnectionHandler) -> Void) {
        guard let token = request?.bearer(known: shown), let context, let desk = front.desk else {
            return refuse(
                .failure(
                    CallFailure(
                        .unauthenticated, .tokenMissing,
                        "a token is needed: Authorization: Bearer TOKEN")))
        }
        let session = session ?? desk.session(from: peer, on: context.eventLoop)
        self.session = session
        let number = requests
        var isLater = false
        session.authenticate(token) { [self] result in
            guard machine.phase == .judging, requests == number else { return }
            switch result {
            case .success:
                shown = token
                next(self)
            case .failure(let failure): refuse(.failure(failure))
            }
            // In a turn of its own: what waited for the verdict goes on. At once, whoever began the request does.
            guard isLater else { return }
            pump()
            settle()
        }
        isLater = true
    }

    private func accept(_ route: Route) {
        guard let request else { return }
        if let answer = HTTPConnectionHandler.objection(to: request, route) ?? judge(route, request)
        {
            return refuse(answer)
        }
        machine.accept(
            bodyMax: route.bodyBytesMax, within: route.bodyTime ?? front.limits.bodyTime, at: now)
        if expectsContinue, request.announced != .none {
            out.write { $0.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }
        }
    }

    private func judge(_ route: Route, _ request: HTTPRequest) -> HTTPAnswer? {
        route.resource.judge(request, by: route.access == .token ? session : nil, now: now)
    }

    /// What the head alone says against the request.
    private static func objection(to request: HTTPRequest, _ route: Route) -> HTTPAnswer? {
        switch request.announced {
        case .length(let count) where count > route.bodyBytesMax: return tooLarge(route)
        case .chunked where route.bodyBytesMax == 0: return tooLarge(route)
        case .none where route.needsBody && !request.saysLength:
            return .error(
                .lengthRequired,
                "this request needs a body: send Content-Length or Transfer-Encoding: chunked")
        case .none: break
        default: if let answer = unsupported(route, request) { return answer }
        }
        guard !route.produces.isEmpty, let accepted = request.accepted,
            !route.produces.contains(where: accepted.allows)
        else { return nil }
        return .error(
            .notAcceptable,
            "answers here are " + route.produces.joined(separator: " or ")
                + ", and Accept allows none of it")
    }

    private static func unsupported(_ route: Route, _ request: HTTPRequest) -> HTTPAnswer? {
        if let coding = request.field(.contentEncoding)?.lowercased(), coding != "identity" {
            let known =
                request.repeats(.contentEncoding) ? nil : ContentCoding(name: coding)
            guard let known, route.codings.contains(known) else {
                return unsupportedCoding(route)
            }
        }
        guard let type = request.mediaType, !route.mediaTypes.isEmpty,
            !route.mediaTypes.contains(type)
        else { return nil }
        return .error(
            .unsupportedMediaType,
            "the body must be " + route.mediaTypes.joined(separator: " or "))
    }

    private static func unsupportedCoding(_ route: Route) -> HTTPAnswer {
        let allowed = route.codings.map(\.rawValue)
        var answer = HTTPAnswer.error(
            .unsupportedMediaType,
            allowed.isEmpty
                ? "the body must not be compressed here"
                : "the body may be compressed once, by " + allowed.joined(separator: " or "))
        answer.fields.append(
            ("accept-encoding", (allowed + ["identity"]).joined(separator: ", ")))
        return answer
    }

    private static func tooLarge(_ route: Route?) -> HTTPAnswer {
        let most = route?.bodyBytesMax ?? 0
        return .error(
            .payloadTooLarge,
            most == 0 ? "this request takes no body" : "the body is larger than \(most) bytes")
    }

    func tooLarge(_ route: Route?) -> HTTPAnswer { HTTPConnectionHandler.tooLarge(route) }

    func dispatch() {
        guard let place, let request, let context else { return }
        let exchange = HTTPExchange(
            self, session: place.route.access == .token ? session : nil,
            eventLoop: context.eventLoop)
        self.exchange = exchange
        turnIsOpen = true
        let handle = place.route.resource.begin(request, exchange)
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
    func refuse(_ answer: HTTPAnswer) {
        served += front.limits.refusalWeight - 1
        machine.refuse()
        respond(answer)
    }

    func respond(_ answer: HTTPAnswer) {
        let isLast = machine.answer(closes: answer.closes)
        writeHead(answer, length: .known, isLast: isLast)
        if !isHead {
            out.append(answer.body)
            for piece in answer.pieces { out.append(piece) }
        }
        noteAnswer(
            status: answer.status.code, code: answer.code, reason: answer.reason,
            bytesOut: isHead ? 0 : answer.byteCount)
        forgetRequest()
    }

    func writeHead(_ answer: HTTPAnswer, length: AnswerFrame.Length, isLast: Bool) {
        if now >= dateUntil {
            let (text, valid) = HTTPDate.now
            date = text
            dateUntil = now + valid
        }
        var frame = AnswerFrame(
            length: length, date: date, connection: connection, number: requests,
            givenID: request?.givenID,
            traceparent: request?.span.map { TraceParent.write($0) }
                ?? request?.trace.map {
                    TraceParent.write($0, span: UInt64.random(in: 1...UInt64.max))
                },
            variesByOrigin: !front.origins.origins.isEmpty, origin: origin, closes: isLast)
        if let request {
            frame.keepsAlive = request.version == .http1_0 && !isLast
            frame.isStrict = front.isStrict && !HeadCheck.isLocal(request.host)
        }
        out.write { AnswerWriting.writeHead(answer, frame, into: &$0) }
    }

    func noteAnswer(
        status: UInt, code: StatusCode? = nil, reason: Reason = .none, bytesOut: Int = 0
    ) {
        tellObserver(status: status, code: code, reason: reason, bytesOut: bytesOut)
        guard front.logger.logLevel <= .debug else { return }
        front.logger.debug(
            "request answered",
            metadata: [
                "request.id": "\(request?.id ?? "")", "connection.id": "\(connection)",
                "peer.address": "\(peer.address)",
                "http.method": "\(request?.method.rawValue ?? "")",
                "http.route": "\(place?.route.path ?? "")", "http.status": "\(status)",
                "took": "\(now.since(request?.arrived ?? now))",
            ])
    }

    /// The request is answered; the machine says what may follow.
    func forgetRequest() {
        request = nil
        place = nil
        origin = nil
        exchange = nil
        streamed = nil
        isHead = false
        _ = machine.answered(at: now)
    }
}
