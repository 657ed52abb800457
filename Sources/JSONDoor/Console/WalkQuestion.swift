// A request that is one call without tensors: its path and body become a question, the answer becomes JSON.

import Contract
import NIOCore
import NIOHTTP1
import OpenInference

struct WalkQuestion: HTTPResource {
    let method: Method
    /// How long the call may take.
    var within = Nanoseconds.seconds(60)
    /// Throws INVALID_ARGUMENT for a body that asks nothing it can.
    let question: @Sendable (HTTPRequest) throws(CallFailure) -> Question

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session else {
            preconditionFailure("a route that asks for a token has a session")
        }
        let asked: Question
        do throws(CallFailure) {
            asked = try question(request)
        } catch {
            exchange.finish(.failure(error))
            return nil
        }
        let model = request.captures["model"] ?? ""
        let call = WalkCall { outcome in
            exchange.finish(Self.answer(outcome.result, model: model))
        }
        exchange.isCall = true
        call.begin(
            Call(
                method: method, model: model, version: asked.version, arrived: request.arrived,
                deadline: request.arrived + within,
                body: QuestionBody(asked, byteCount: request.body.readableBytes)), by: session)
        return call
    }

    private static func answer(
        _ result: Result<Answer, CallFailure>, model: String
    ) -> HTTPAnswer {
        switch result {
        case .failure(let failure): return .failure(failure)
        case .success(.done): return HTTPAnswer(status: .ok, text: "{}\n")
        case .success(let answer):
            var body = ByteBuffer()
            do throws(CallFailure) {
                try AnswerJSON.write(answer, model: model, into: &body)
            } catch {
                return .failure(error)
            }
            return HTTPAnswer(status: .ok, body: body)
        }
    }
}

/// `{"action": "sleep", "version": "2"}` of POST /sluice/v1/models/{model}/control.
enum ControlBody {
    static let bodyBytesMax = 1 << 10

    static let actions: [(name: String, control: ModelControl)] = [
        ("sleep", .sleep), ("pin", .pin), ("unpin", .unpin), ("unquarantine", .unquarantine),
    ]

    @Sendable static func question(
        _ request: HTTPRequest
    ) throws(CallFailure) -> Question {
        var scanner = try JSONScanner(request.body)
        var question = Question()
        try scanner.beginObject()
        while let key = try scanner.nextKey() {
            switch key {
            case "action":
                let name = try scanner.string("action")
                question.control = actions.first { $0.name == name }?.control
            case "version": question.version = try scanner.string("version")
            default: try scanner.skip()
            }
        }
        try scanner.finish()
        guard question.control != nil else {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "action must be one of: " + actions.map(\.name).joined(separator: ", "),
                notStarted: true)
        }
        return question
    }
}
