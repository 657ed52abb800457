// The answer to an infer request as OIP writes it (OIP 1.1, 4.1). On the walk: the last step back, in the JSON door.

package import Contract
package import NIOCore

/// How a caller wants its answer.
package struct AnswerForm: Sendable, Equatable {
    /// As listed in the request; empty: all.
    package var outputs: [RequestedOutput]
    /// For outputs that do not say.
    package var binaryOutput: Bool
    /// For classification: the names of the places of an output's last dimension, by the output's name; an empty one is none.
    package var labels: [String: [String]]

    package init(
        outputs: [RequestedOutput] = [], binaryOutput: Bool = false,
        labels: [String: [String]] = [:]
    ) {
        self.outputs = outputs
        self.binaryOutput = binaryOutput
        self.labels = labels
    }

    /// Whether anybody asked for classes: only then labels are looked for.
    package var classifies: Bool { outputs.contains { $0.classification != nil } }

    /// The wishes for one output.
    func wish(for name: String) -> RequestedOutput {
        outputs.first { $0.name == name } ?? RequestedOutput(name)
    }
}

/// An answer's body.
package struct EncodedAnswer: Sendable, Equatable {
    /// JSON first, then the outputs in binary form; large tensors are not copied.
    package var pieces: [ByteBuffer]
    /// Bytes of the JSON (Inference-Header-Content-Length); nil when there is nothing else.
    package var headerLength: Int?

    package var byteCount: Int { pieces.reduce(0) { $0 + $1.readableBytes } }
}

package enum InferenceAnswer {
    /// Tensors up to this many bytes are copied behind the JSON instead of being a piece of their own.
    static let copyMax = 4_096

    /// Writes an answer, keys in the order id, model_name, model_version, parameters, outputs.
    ///
    /// - Throws: INVALID_ARGUMENT (BAD_TENSOR) when an output has no JSON form and none but JSON was asked for;
    ///   INTERNAL when the model's bytes contradict their shape.
    package static func encode(
        _ reply: InferenceReply, for form: AnswerForm
    ) throws(CallFailure) -> EncodedAnswer {
        var json = ByteBuffer()
        json.reserveCapacity(256 + sizeHint(reply, form))
        json.writeStaticString("{")
        if !reply.id.isEmpty {
            json.writeStaticString("\"id\":")
            json.writeQuoted(reply.id)
            json.writeStaticString(",")
        }
        json.writeStaticString("\"model_name\":")
        json.writeQuoted(reply.model)
        if !reply.version.isEmpty {
            json.writeStaticString(",\"model_version\":")
            json.writeQuoted(reply.version)
        }
        json.writeStaticString(",\"outputs\":[")
        var binary: [ByteBuffer] = []
        for (index, output) in reply.outputs.enumerated() {
            if index > 0 { json.writeStaticString(",") }
            try write(output, form, into: &json, &binary)
        }
        json.writeStaticString("]}")
        return join(json, binary)
    }

    private static func write(
        _ output: Tensor, _ form: AnswerForm, into json: inout ByteBuffer,
        _ binary: inout [ByteBuffer]
    ) throws(CallFailure) {
        let wish = form.wish(for: output.name)
        var output = output
        try output.checkSize()
        if let most = wish.classification {
            output = try Classification.of(output, most: most, labels: form.labels[output.name])
        }
        json.writeStaticString("{\"name\":")
        json.writeQuoted(output.name)
        json.writeStaticString(",\"datatype\":\"")
        json.writeString(output.datatype.name)
        json.writeStaticString("\",\"shape\":[")
        for dimension in 0..<output.shape.rank {
            if dimension > 0 { json.writeStaticString(",") }
            json.writeString(String(output.shape[dimension]))
        }
        if wish.binary ?? form.binaryOutput {
            json.writeStaticString("],\"parameters\":{\"binary_data_size\":")
            json.writeString(String(output.bytes.readableBytes))
            json.writeStaticString("}}")
            binary.append(output.bytes)
            return
        }
        if wish.isBase64, output.datatype == .bytes {
            json.writeStaticString("],\"parameters\":{\"content_type\":\"base64\"},\"data\":[")
        } else {
            json.writeStaticString("],\"data\":[")
        }
        try TensorWriter(output, isBase64: wish.isBase64).write(into: &json)
        json.writeStaticString("]}")
    }

    /// Small tensors behind the JSON, the rest as they are.
    private static func join(_ json: consuming ByteBuffer, _ binary: [ByteBuffer]) -> EncodedAnswer
    {
        guard !binary.isEmpty else { return EncodedAnswer(pieces: [json], headerLength: nil) }
        let headerLength = json.readableBytes
        var pieces = [consume json]
        for tensor in binary where tensor.readableBytes > 0 {
            if tensor.readableBytes <= copyMax {
                pieces[pieces.count - 1].writeImmutableBuffer(tensor)
            } else {
                pieces.append(tensor)
                pieces.append(ByteBuffer())
            }
        }
        pieces.removeAll { $0.readableBytes == 0 }
        return EncodedAnswer(pieces: pieces, headerLength: headerLength)
    }

    /// Bytes of the tensors that are written as text.
    package static func textBytes(of reply: InferenceReply, for form: AnswerForm) -> Int {
        reply.outputs.reduce(0) { sum, output in
            let wish = form.wish(for: output.name)
            return wish.binary ?? form.binaryOutput ? sum : sum + output.bytes.readableBytes
        }
    }

    /// About how many characters the outputs take.
    private static func sizeHint(_ reply: InferenceReply, _ form: AnswerForm) -> Int {
        reply.outputs.reduce(0) { sum, output in
            let wish = form.wish(for: output.name)
            guard !(wish.binary ?? form.binaryOutput), wish.classification == nil else {
                return sum + 128
            }
            return sum + 128 + output.bytes.readableBytes * 3
        }
    }
}

extension ByteBuffer {
    /// A JSON string; most need no escapes.
    fileprivate mutating func writeQuoted(_ text: String) {
        if text.utf8.allSatisfy({ $0 > 0x22 && $0 != JSONBytes.backslash && $0 != 0x7F }) {
            writeInteger(JSONBytes.quote)
            writeString(text)
            writeInteger(JSONBytes.quote)
        } else {
            writeString(JSONText.quoted(text))
        }
    }
}

extension Tensor {
    /// What a model gives back fits its own shape, or the model's runner is wrong.
    fileprivate func checkSize() throws(CallFailure) {
        guard let count = shape.elementCount,
            datatype.width.map({
                count.multipliedReportingOverflow(by: $0) == (bytes.readableBytes, false)
            })
                ?? true
        else {
            throw CallFailure(
                .internal, .runFailed,
                "output \(Quoted.name(name)): \(bytes.readableBytes) bytes do not fill \(datatype) \(shape)"
            )
        }
    }
}
