// The bridge: a request of the Open Inference Protocol over HTTP becomes a call, and the call's outcome an answer. Same walk as
// the binary protocol, another alphabet.

import Compression
package import Contract
import NIOCore

/// Answers the requests of one endpoint.
package struct BridgeResource: HTTPResource {
    package var endpoint: BridgeEndpoint
    package var limits: Limits

    package init(_ endpoint: BridgeEndpoint, limits: Limits) {
        self.endpoint = endpoint
        self.limits = limits
    }

    package func judge(
        _ request: HTTPRequest, by session: (any CallerSession)?, now: Instant
    ) -> HTTPAnswer? {
        guard endpoint.method == .infer else { return nil }
        do throws(CallFailure) {
            _ = try request.tensorHeaderLength()
        } catch {
            return .failure(error)
        }
        // Whoever may not run the model, or has none, is told before the body is sent; small bodies are here already.
        guard request.mayBeLarge else { return nil }
        return session?.objection(
            to: .infer, model: request.model, version: request.modelVersion
        ).map(HTTPAnswer.failure)
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        let call = BridgeCall(request, endpoint: endpoint, limits: limits, exchange: exchange)
        call.begin()
        return call.isOver ? nil : call
    }
}

/// One request: inflated, called, answered, deflated. Used on its event loop only.
///
/// What takes a millisecond or more (a long body to inflate, long JSON to read or to write, a long answer to deflate) is done on a
/// thread beside the loop: two hops do not matter there. Pieces, one a turn of the loop, would be no help: what a task gives to its
/// loop runs before the sockets are looked at again.
final class BridgeCall: CallHandle {
    private let request: HTTPRequest
    private let endpoint: BridgeEndpoint
    private let limits: Limits
    private let exchange: HTTPExchange
    private(set) var isOver = false
    private var walk: WalkCall?
    private let farewell = Farewell()

    init(
        _ request: HTTPRequest, endpoint: BridgeEndpoint, limits: Limits, exchange: HTTPExchange
    ) {
        self.request = request
        self.endpoint = endpoint
        self.limits = limits
        self.exchange = exchange
    }

    func begin() {
        guard let coding = request.contentCoding else { return call(request.body) }
        let (body, limits, farewell) = (request.body, limits, farewell)
        do throws(CallFailure) {
            if let body = try Inflation.short(body, coding, limits) { return call(body) }
        } catch {
            return finish(.failure(error))
        }
        aside({ Inflation.long(body, coding, limits, unless: farewell) }) { call, result in
            switch result {
            case .success(let body?):
                call.call(body)
                // The door tells the walk of the end of its own turns only.
                call.exchange.session?.turnEnded()
            case .success(nil): break
            case .failure(let failure): call.finish(.failure(failure))
            }
        }
    }

    func cancel() {
        guard !isOver else { return }
        isOver = true
        farewell.say()
        walk?.cancel()
        walk = nil
    }

    private func call(_ body: ByteBuffer) {
        guard let session = exchange.session else {
            preconditionFailure("a route of the bridge asks for a token")
        }
        let question: BridgeEndpoint.Question
        do throws(CallFailure) {
            question = try endpoint.ask(request, body, limits)
        } catch {
            return finish(.failure(error))
        }
        guard let tensors = question.body as? TensorBody, tensors.isLong else {
            return ask(question, session)
        }
        aside({ tensors.readAhead() }) { call, _ in
            call.ask(question, session)
            session.turnEnded()
        }
    }

    private func ask(_ question: BridgeEndpoint.Question, _ session: any CallerSession) {
        let stream =
            endpoint.method == .infer && request.wantsEvents ? ProgressStream(exchange) : nil
        let walk = WalkCall(
            progress: stream.map { stream in { stream.progress($0) } },
            traced: { [exchange] in exchange.trace(as: $0) }
        ) { [self] outcome in
            self.walk = nil
            written(outcome, by: question) { call, answer in
                if let stream {
                    call.tell(answer, outcome.timing, by: stream)
                } else {
                    call.answer(answer, outcome)
                }
            }
        }
        self.walk = walk
        exchange.isCall = true
        // Here begins what the caller waits for: how long its own upload took is not the call's.
        let now = Instant(nanoseconds: exchange.eventLoop.now.uptimeNanoseconds)
        var call = Call(
            method: endpoint.method, model: request.model, version: request.modelVersion,
            arrived: now, deadline: now + limits.deadlineDefault, trace: request.trace,
            body: question.body)
        call.received = min(request.arrived, now)
        walk.begin(call, by: session)
    }

    /// The outcome as HTTP says it.
    private func written(
        _ outcome: WalkCall.Outcome, by question: BridgeEndpoint.Question,
        then next: @escaping (BridgeCall, Result<HTTPAnswer, CallFailure>) -> Void
    ) {
        @Sendable func write() -> Result<HTTPAnswer, CallFailure> {
            do throws(CallFailure) {
                return .success(try question.answer(try outcome.result.get()))
            } catch {
                return .failure(error)
            }
        }
        if case .success(let answer) = outcome.result, question.isLong(answer) {
            aside(write, then: next)
        } else {
            next(self, write())
        }
    }

    /// Does what would hold up the event loop on another thread, and goes on here.
    private func aside<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value, then next: @escaping (BridgeCall, Value) -> Void
    ) {
        exchange.aside.run(on: exchange.eventLoop, work) { [self] value in
            guard !isOver else { return }
            guard let value else {
                return finish(
                    .failure(CallFailure(.unavailable, .stopping, "the gateway is stopping")))
            }
            next(self, value)
        }
    }

    /// The answer as an event. Events are text: tensors in the binary form cannot be told so.
    private func tell(
        _ answer: Result<HTTPAnswer, CallFailure>, _ timing: Timing, by stream: ProgressStream
    ) {
        guard !isOver else { return }
        isOver = true
        do throws(CallFailure) {
            let answer = try answer.get()
            guard answer.contentType == HTTPAnswer.json else {
                throw CallFailure(
                    .invalidArgument, .badMessage,
                    "server-sent events carry JSON: ask for no binary output, or do not accept text/event-stream"
                )
            }
            var json = answer.body
            for piece in answer.pieces { json.writeImmutableBuffer(piece) }
            stream.message(json)
            stream.end(timing)
        } catch {
            stream.fail(error)
        }
    }

    private func answer(
        _ written: Result<HTTPAnswer, CallFailure>, _ outcome: WalkCall.Outcome
    ) {
        var answer: HTTPAnswer
        switch written {
        case .success(let whole): answer = whole
        case .failure(let failure): answer = .failure(failure)
        }
        if endpoint.method == .infer { answer.timing = outcome.timing }
        if let allowance = outcome.allowance { answer.fields += allowance.fields }
        guard let coding = Deflation.coding(for: answer, request) else { return finish(answer) }
        guard answer.byteCount > Deflation.longBytes else {
            return finish(Deflation.deflated(answer, coding))
        }
        let whole = answer
        aside({ Deflation.deflated(whole, coding) }) { call, answer in call.finish(answer) }
    }

    private func finish(_ answer: HTTPAnswer) {
        guard !isOver else { return }
        isOver = true
        exchange.finish(answer)
    }
}

@available(*, unavailable) extension BridgeCall: Sendable {}
