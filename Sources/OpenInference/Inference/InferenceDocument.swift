// What the body of an infer request says (OIP 1.1, 4.1, 4.5). On the walk: an HTTP body becomes tensors here, after admission.

package import Contract
package import NIOCore

/// One of the outputs a request asks for by name.
package struct RequestedOutput: Sendable, Equatable {
    package var name: String
    /// `parameters.binary_data`; nil: as the request says for all.
    package var binary: Bool?
    /// `parameters.classification`: the so many highest values with their places; nil: the tensor itself.
    package var classification: Int?
    /// `parameters.content_type` is `base64`: BYTES elements come back so.
    package var isBase64: Bool

    package init(
        _ name: String, binary: Bool? = nil, classification: Int? = nil, isBase64: Bool = false
    ) {
        self.name = name
        self.binary = binary
        self.classification = classification
        self.isBase64 = isBase64
    }
}

/// The limits of `Contract.Limits` that a document can meet.
package struct DocumentLimits: Sendable, Equatable {
    /// Of the body, and of the tensors' bytes made from it.
    package var messageBytes: Int
    /// Inputs, and outputs, of one request.
    package var tensors: Int
    /// Parameters of one request, its tensors' included.
    package var parameters: Int

    package init(_ limits: Limits = Limits()) {
        messageBytes = limits.messageBytes
        tensors = limits.tensorsPerMessage
        parameters = limits.parametersPerMessage
    }
}

/// An infer request, decoded and checked as far as it can be without the model.
package struct InferenceDocument: Sendable, Equatable {
    /// Model and version are empty: the path names them. Inputs sent in binary form are slices of the body.
    package var request: InferenceRequest
    /// As listed; empty: all.
    package var outputs: [RequestedOutput] = []
    /// `parameters.binary_data_output`: the form of outputs that do not say.
    package var binaryOutput = false
    /// `parameters.timeout`; nil: none was given.
    package var timeout: Nanoseconds?
    package var priority = Priority.interactive
    /// A body without JSON (Inference-Header-Content-Length 0): the bytes of the model's only input, whose shape
    /// the model says. `request` has no inputs then, and outputs are binary.
    package var rawInput: ByteBuffer?

    /// How the answer is to be written.
    package var form: AnswerForm { AnswerForm(outputs: outputs, binaryOutput: binaryOutput) }

    /// Decodes a body.
    ///
    /// - Parameters:
    ///   - body: JSON, and behind it the bytes of the inputs in binary form, in the inputs' order.
    ///   - headerLength: bytes of the JSON (Inference-Header-Content-Length); nil: all of them.
    /// - Throws: INVALID_ARGUMENT for what is malformed or contradicts itself, RESOURCE_EXHAUSTED for what is over
    ///   a limit, UNIMPLEMENTED for what asks for something that does not exist here.
    package static func decode(
        _ body: ByteBuffer, headerLength: Int?, limits: DocumentLimits
    ) throws(CallFailure) -> InferenceDocument {
        guard body.readableBytes <= limits.messageBytes else {
            throw CallFailure(
                .resourceExhausted, .messageTooLarge,
                "a body of \(body.readableBytes) bytes: at most \(limits.messageBytes) are allowed "
                    + "(limits.message)", notStarted: true)
        }
        let length = headerLength ?? body.readableBytes
        guard length >= 0, let header = body.getSlice(at: body.readerIndex, length: length) else {
            throw DocumentFault.message(
                "Inference-Header-Content-Length is \(length), the body has \(body.readableBytes) "
                    + "bytes")
        }
        guard headerLength != 0 else {
            var document = InferenceDocument()
            document.rawInput = body
            document.binaryOutput = true
            return document
        }
        let bytes = header.readableBytesUInt8Span
        var reader = try DocumentReader(bytes, limits: limits)
        try reader.read(bytes)
        let rest = body.getSlice(at: body.readerIndex + length, length: body.readableBytes - length)
        return try reader.finish(rest ?? ByteBuffer(), isSplit: headerLength != nil)
    }

    init() {
        request = InferenceRequest(model: "", version: "", id: "", inputs: [], outputs: [])
    }
}

/// The failures of a document whose JSON is well formed.
enum DocumentFault {
    static func message(_ text: String) -> CallFailure {
        CallFailure(.invalidArgument, .badMessage, text, notStarted: true)
    }

    static func tensor(_ text: String) -> CallFailure {
        CallFailure(.invalidArgument, .badTensor, text, notStarted: true)
    }

    static func unsupported(_ text: String) -> CallFailure {
        CallFailure(.unimplemented, .badMessage, text, notStarted: true)
    }

    static func tooLarge(_ text: String) -> CallFailure {
        CallFailure(.resourceExhausted, .messageTooLarge, text, notStarted: true)
    }
}
