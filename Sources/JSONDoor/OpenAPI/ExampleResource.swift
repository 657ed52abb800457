// GET /v2/models/{model}[/versions/{version}]/example: a call that works. The console fills its form with it.

package import Contract
import NIOCore
import NIOHTTP1

/// Answers with a model's first golden case. The walk is asked for the model's metadata first: who may not see a model gets
/// the same answer as for one that does not exist.
package struct ExampleResource: HTTPResource {
    /// No model is woken for it.
    static let deadline = Nanoseconds.seconds(10)

    let guide: any ModelGuide

    package static func routes(_ guide: any ModelGuide) -> [Route] {
        let resource = ExampleResource(guide: guide)
        return [
            Route(
                .GET, "/v2/models/{model}/example", access: .token, resource: resource,
                description: .modelExample),
            Route(
                .GET, "/v2/models/{model}/versions/{version}/example", access: .token,
                resource: resource, description: .modelExample),
        ]
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session else {
            preconditionFailure("the route of an example asks for a token")
        }
        let model = request.captures["model"] ?? ""
        let version = request.captures["version"] ?? ""
        let call = WalkCall { [guide] outcome in
            switch outcome.result {
            case .failure(let failure): exchange.finish(.failure(failure))
            case .success(.modelMetadata(let metadata)):
                guide.example(
                    of: metadata.name, version: Self.number(version, metadata),
                    on: exchange.eventLoop
                ) { exchange.finish(Self.answer($0)) }
            case .success: preconditionFailure("metadata are answered with metadata")
            }
        }
        call.begin(
            Call(
                method: .modelMetadata, model: model, version: version, arrived: request.arrived,
                deadline: request.arrived + Self.deadline, body: QuestionBody(Question())),
            by: session)
        return call
    }

    /// The version's number, when an alias or nothing was said.
    private static func number(_ asked: String, _ metadata: ModelMetadata) -> String {
        metadata.aliases[asked.isEmpty ? AliasName.latest : asked] ?? asked
    }

    private static func answer(_ result: Result<ModelExample, CallFailure>) -> HTTPAnswer {
        switch result {
        case .failure(let failure): .failure(failure)
        case .success(let example):
            HTTPAnswer(
                status: .ok,
                text: "{\"request\":" + example.request + ",\"response\":" + example.response
                    + "}\n")
        }
    }
}
