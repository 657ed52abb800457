// The bridge: a request of the Open Inference Protocol over HTTP becomes a call, and the call's outcome an answer. Same walk as
// the binary protocol, another alphabet.

import Compression
package import Contract
import NIOCore
import NIOPosix

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
/// Inflating and deflating are done on the loop, one bounded piece a turn: other connections of the loop wait for a piece, never
/// for a body, and a caller that leaves ends it at the next piece. Long JSON cannot be read or written in pieces: a thread beside
/// the loop does that, where it is so long that two hops do not matter.
final class BridgeCall: CallHandle {
    private let request: HTTPRequest
    private let endpoint: BridgeEndpoint
    private let limits: Limits
    private let exchange: HTTPExchange
    private(set) var isOver = false
    private var walk: WalkCall?

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
        do throws(CallFailure) {
            inflate(try Inflation(request.body, coding, limits: limits), inTurn: true)
        } catch {
            finish(.failure(error))
        }
    }

    func cancel() {
        guard !isOver else { return }
        isOver = true
        walk?.cancel()
        walk = nil
    }

    /// - Parameter inTurn: this is the turn in which the request came.
    private func inflate(_ inflation: Inflation, inTurn: Bool) {
        do throws(CallFailure) {
            if let body = try inflation.step() {
                call(body)
                // The door tells the walk of the end of its own turns only.
                if !inTurn { exchange.session?.turnEnded() }
                return
            }
        } catch {
            return finish(.failure(error))
        }
        later { $0.inflate(inflation, inTurn: false) }
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
        let walk = WalkCall(progress: stream.map { stream in { stream.progress($0) } }) {
            [self] outcome in
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
        walk.begin(
            Call(
                method: endpoint.method, model: request.model, version: request.modelVersion,
                arrived: request.arrived, deadline: request.arrived + limits.deadlineDefault,
                trace: request.trace, body: question.body), by: session)
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
        let later = NIOLoopBound((self, next), eventLoop: exchange.eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: exchange.eventLoop, work)
            .whenComplete { result in
                let (call, next) = later.value
                guard !call.isOver else { return }
                switch result {
                case .success(let value): next(call, value)
                case .failure:
                    call.finish(
                        .failure(
                            CallFailure(.unavailable, .stopping, "the gateway is stopping")))
                }
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
        if endpoint.method == .infer { answer.fields.append(outcome.timing.field) }
        if let allowance = outcome.allowance { answer.fields += allowance.fields }
        guard let coding = Deflation.coding(for: answer, request) else { return finish(answer) }
        guard let deflation = Deflation(answer, coding) else { return finish(answer) }
        deflate(deflation)
    }

    private func deflate(_ deflation: Deflation) {
        if let answer = deflation.step() {
            finish(answer)
        } else {
            later { $0.deflate(deflation) }
        }
    }

    private func finish(_ answer: HTTPAnswer) {
        guard !isOver else { return }
        isOver = true
        exchange.finish(answer)
    }

    private func later(_ next: @escaping (BridgeCall) -> Void) {
        exchange.eventLoop.assumeIsolated().execute { [self] in
            if !isOver { next(self) }
        }
    }
}

@available(*, unavailable) extension BridgeCall: Sendable {}

extension Timing {
    /// `Server-Timing` (W3C Server Timing): milliseconds, and `cold` when the model was asleep.
    package var field: (name: String, value: String) {
        let parts = [("admission", admission), ("queue", queue), ("load", load), ("run", run)]
            .map { "\($0);dur=\(Timing.milliseconds($1))" }
        return ("server-timing", parts.joined(separator: ", ") + (cold ? ", cold" : ""))
    }

    private static func milliseconds(_ time: Nanoseconds) -> String {
        let fraction = String(time.microseconds % 1_000)
        return "\(time.milliseconds)." + String(repeating: "0", count: 3 - fraction.utf8.count)
            + fraction
    }
}
