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
        let codings = request.head.headers[canonicalForm: "content-encoding"]
            .filter { $0.lowercased() != "identity" }
        if !codings.isEmpty {
            let known = codings.count == 1 ? ContentCoding(name: codings[0]) : nil
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

    func tooLarge(_ route: Route?) -> HTTPAnswer {
        let most = route?.bodyBytesMax ?? 0
        return .error(
            .payloadTooLarge,
            most == 0 ? "this request takes no body" : "the body is larger than \(most) bytes")
    }

    func dispatch() {
        guard let route, let request, let context else { return }
        let exchange = HTTPExchange(
            self, session: route.access == .token ? session : nil, eventLoop: context.eventLoop)
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
    func refuse(_ answer: HTTPAnswer) {
        machine.refuse()
        respond(answer)
    }

    func respond(_ answer: HTTPAnswer) {
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
