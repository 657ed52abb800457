// ModelInferRequest out, ModelInferResponse in: tensors are copied once into the message, and answers are
// slices of the bytes they came in (proto/inference/open_inference.proto).

package import NIOCore

package enum InferenceCoding {
    /// A ModelInferRequest with raw contents.
    package static func request(
        model: String, version: String, inputs: [Tensor], outputs: [String]
    ) -> ByteBuffer {
        // Names and shapes are short; the tensors decide the size.
        let contents = inputs.reduce(0) { $0 + $1.contents.readableBytes + 64 }
        var bytes = ByteBufferAllocator().buffer(capacity: contents + 128)
        bytes.writeStringField(1, model)
        bytes.writeStringField(2, version)
        for input in inputs {
            let shape = input.shape.reduce(0) {
                $0 + ProtobufSize.varint(UInt64(bitPattern: Int64($1)))
            }
            let size =
                stringSize(input.name) + stringSize(input.datatype.rawValue)
                + (shape == 0 ? 0 : ProtobufSize.delimited(shape))
            bytes.writeDelimitedHead(5, bytes: size)
            bytes.writeStringField(1, input.name)
            bytes.writeStringField(2, input.datatype.rawValue)
            if shape > 0 {
                bytes.writeDelimitedHead(3, bytes: shape)
                for dimension in input.shape {
                    bytes.writeVarint(UInt64(bitPattern: Int64(dimension)))
                }
            }
        }
        for output in outputs {
            bytes.writeDelimitedHead(6, bytes: stringSize(output))
            bytes.writeStringField(1, output)
        }
        for input in inputs {
            // Written also when empty: entry i belongs to input i.
            bytes.writeDelimitedHead(7, bytes: input.contents.readableBytes)
            bytes.writeImmutableBuffer(input.contents)
        }
        return bytes
    }

    private static func stringSize(_ text: String) -> Int {
        text.isEmpty ? 0 : ProtobufSize.delimited(text.utf8.count)
    }

    /// The answer in a ModelInferResponse.
    package static func inference(_ bytes: ByteBuffer) throws(SluiceError) -> Inference {
        do {
            return try response(bytes)
        } catch let error as SluiceError {
            throw error
        } catch {
            throw SluiceError(
                .internal, reason: Reason.badReply, "The answer is no ModelInferResponse.")
        }
    }

    private struct Output {
        var name = ""
        var datatype = ""
        var shape: [Int] = []
        /// An InferTensorContents, when the elements are not raw.
        var contents: ByteBuffer?
    }

    private static func response(_ bytes: ByteBuffer) throws -> Inference {
        var model = ""
        var version = ""
        var outputs: [Output] = []
        var raw: [ByteBuffer] = []
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.next() {
            switch (field, type) {
            case (1, .delimited): model = try reader.string()
            case (2, .delimited): version = try reader.string()
            case (5, .delimited): outputs.append(try output(try reader.delimited()))
            case (6, .delimited): raw.append(try reader.delimited())
            default: try reader.skip(type)
            }
        }
        guard raw.isEmpty || raw.count == outputs.count else { throw MalformedMessage() }
        var tensors: [Tensor] = []
        tensors.reserveCapacity(outputs.count)
        for (index, output) in outputs.enumerated() {
            let datatype = Datatype(rawValue: output.datatype)
            let contents =
                raw.isEmpty
                ? try TypedContents.rawContents(output.contents ?? ByteBuffer(), datatype)
                : raw[index]
            do throws(SluiceError) {
                tensors.append(
                    try Tensor(
                        checking: output.name, datatype: datatype, shape: output.shape,
                        contents: contents))
            } catch {
                throw SluiceError(
                    .internal, reason: Reason.badReply, "The answer is broken: \(error.message)")
            }
        }
        return Inference(model: model, version: version, outputs: tensors, timing: Timing())
    }

    private static func output(_ bytes: ByteBuffer) throws(MalformedMessage) -> Output {
        var output = Output()
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.next() {
            switch (field, type) {
            case (1, .delimited): output.name = try reader.string()
            case (2, .delimited): output.datatype = try reader.string()
            case (3, .delimited):
                var shape = ProtobufReader(try reader.delimited())
                while shape.rest.readableBytes > 0 {
                    output.shape.append(Int(Int64(bitPattern: try shape.varint())))
                }
            case (3, .varint): output.shape.append(Int(Int64(bitPattern: try reader.varint())))
            case (5, .delimited): output.contents = try reader.delimited()
            default: try reader.skip(type)
            }
        }
        return output
    }
}
