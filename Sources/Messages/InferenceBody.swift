// The undecoded body of a call. On the walk: a door makes it, the walk opens it after admission.

package import Contract
package import NIOCore

/// A message as it came, and what it is to be read as. Holds the received bytes; tensors become slices of them.
package struct InferenceBody: CallBody {
    private let message: ByteBuffer
    private let method: Method
    private let bounds: MessageBounds

    /// - Parameters:
    ///   - method: what the call asks for; it decides the message's type.
    ///   - message: the whole message, from its reader index to its end.
    package init(method: Method, message: ByteBuffer, limits: Limits) {
        self.method = method
        self.message = message
        bounds = MessageBounds(limits)
    }

    package var byteCount: Int { message.readableBytes }

    /// Decodes a `ModelInferRequest`.
    ///
    /// - Throws: INVALID_ARGUMENT for what is malformed or contradicts itself, RESOURCE_EXHAUSTED for what is
    ///   over a limit, UNIMPLEMENTED for what asks for something that does not exist here.
    package func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        guard method == .infer || method == .inferStream else {
            throw CallFailure(.internal, .none, "a call of method \(method) has no tensors")
        }
        do {
            return try InferenceRequest(decoding: message, bounds: bounds)
        } catch {
            throw error.failure
        }
    }

    /// Decodes one of the small request messages. Throws as ``inferenceRequest()`` does.
    package func question() throws(CallFailure) -> Question {
        do {
            return try Question(decoding: message, for: method, bounds: bounds)
        } catch {
            throw error.failure
        }
    }
}

/// The limits of `Contract.Limits` that a message can meet, small enough to travel with each call.
package struct MessageBounds: Sendable, Equatable {
    package var messageBytes: Int
    package var tensors: UInt32
    package var parameters: UInt32
    package var nestingDepth: UInt32

    package init(_ limits: Limits) {
        messageBytes = limits.messageBytes
        tensors = UInt32(clamping: limits.tensorsPerMessage)
        parameters = UInt32(clamping: limits.parametersPerMessage)
        nestingDepth = UInt32(clamping: limits.nestingDepth)
    }

    /// Heap bytes protobuf-c may take for one message: as many as a message may have, so typed contents are
    /// held to what the same tensor could have been in raw form, and some for the small parts.
    var arenaBudget: Int { messageBytes + (64 << 10) }
}
