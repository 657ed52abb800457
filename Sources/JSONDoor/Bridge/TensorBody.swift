// The body of an inference over HTTP: not looked at before the call is admitted.

package import Contract
package import NIOCore
package import OpenInference
private import Synchronization

/// A body as it came (inflated), and what it says of its answer once it has been read.
package final class TensorBody: CallBody {
    private let bytes: ByteBuffer
    private let headerLength: Int?
    private let limits: DocumentLimits
    /// The walk reads the body on the event loop, the door asks for the form there: the lock is never waited for.
    private let read = Mutex<AnswerForm?>(nil)

    /// - Parameter headerLength: bytes of the JSON (`Inference-Header-Content-Length`); nil: all of them.
    package init(_ bytes: ByteBuffer, headerLength: Int?, limits: DocumentLimits) {
        self.bytes = bytes
        self.headerLength = headerLength
        self.limits = limits
    }

    package var byteCount: Int { bytes.readableBytes }

    /// How the answer shall be written; nil before the body was read.
    package var form: AnswerForm? { read.withLock { $0 } }

    package func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        let document = try InferenceDocument.decode(
            bytes, headerLength: headerLength, limits: limits)
        let form = document.form
        read.withLock { $0 = form }
        var request = document.request
        request.rawInput = document.rawInput
        request.timeout = document.timeout
        request.priority = document.priority
        return request
    }

    package func question() throws(CallFailure) -> Question { Question() }
}
