// The body of a call that asks: what the binary door decodes from a message, the bridge knows from the path and the query.

package import Contract

/// For every method but the inferences.
package struct QuestionBody: CallBody {
    private let asked: Question
    package let byteCount: Int

    /// - Parameter byteCount: bytes of the request's body, for budgets.
    package init(_ question: Question, byteCount: Int = 0) {
        asked = question
        self.byteCount = byteCount
    }

    package func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(
            .invalidArgument, .badMessage, "this call carries no tensors", notStarted: true)
    }

    package func question() throws(CallFailure) -> Question { asked }
}
