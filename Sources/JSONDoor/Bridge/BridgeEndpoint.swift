// What one route of the bridge asks the walk, and how its answer looks over HTTP.

package import Contract
package import NIOCore

/// One method of the protocol as a resource of HTTP.
package struct BridgeEndpoint: Sendable {
    /// A request as the walk shall see it, and what becomes of the walk's answer.
    package struct Question {
        package var body: any CallBody
        /// Called once, on the event loop.
        package var answer: (Answer) throws(CallFailure) -> HTTPAnswer

        package init(
            body: any CallBody, answer: @escaping (Answer) throws(CallFailure) -> HTTPAnswer
        ) {
            self.body = body
            self.answer = answer
        }
    }

    package var method: Contract.Method
    /// Takes the request and its body, which has been inflated. Throws what the caller is told.
    package var ask: @Sendable (HTTPRequest, ByteBuffer, Limits) throws(CallFailure) -> Question

    package init(
        _ method: Contract.Method,
        ask: @escaping @Sendable (HTTPRequest, ByteBuffer, Limits) throws(CallFailure) -> Question
    ) {
        self.method = method
        self.ask = ask
    }

    /// A method whose request says nothing beyond its path.
    ///
    /// - Parameter answer: what becomes of the walk's answer; nil: its JSON.
    package static func plain(
        _ method: Contract.Method,
        answer: @escaping @Sendable (HTTPRequest, Answer) throws(CallFailure) -> HTTPAnswer = {
            (_, answer) throws(CallFailure) in try .json(answer)
        }
    ) -> BridgeEndpoint {
        BridgeEndpoint(method) { request, _, _ in
            Question(body: QuestionBody(Contract.Question())) { (result) throws(CallFailure) in
                try answer(request, result)
            }
        }
    }
}

extension HTTPRequest {
    /// The path's model, as it came: no name of a model needs decoding, so that one which does is a model nobody knows.
    package var model: String { captures["model"] ?? "" }
    /// Digits or an alias; empty: the gateway chooses.
    package var modelVersion: String { captures["version"] ?? "" }
}
