// Writing ModelInferRequest and ModelInferResponse: counted first, then written once into their buffer.

package import Contract
package import NIOCore

extension InferenceReply {
    /// Bytes of the `ModelInferResponse`.
    package var wireByteCount: Int {
        TensorFields.byteCount(of: model) + TensorFields.byteCount(of: version)
            + TensorFields.byteCount(of: id) + TensorFields.byteCount(outputs)
    }

    /// Appends the `ModelInferResponse`; tensors always in raw form, as Triton does.
    package func encode(into buffer: inout ByteBuffer) {
        unsafe WireWriter.append(wireByteCount, to: &buffer) { writer in
            unsafe writer.text(0x0A, model)
            unsafe writer.text(0x12, version)
            unsafe writer.text(0x1A, id)
            for tensor in outputs { unsafe TensorFields.write(tensor, to: &writer) }
            for tensor in outputs { unsafe writer.bytes(0x32, tensor.bytes) }
        }
    }
}

extension InferenceRequest {
    /// Bytes of the `ModelInferRequest`.
    package var wireByteCount: Int {
        var count =
            TensorFields.byteCount(of: model) + TensorFields.byteCount(of: version)
            + TensorFields.byteCount(of: id) + TensorFields.byteCount(inputs)
        for name in outputs {
            count += WireFormat.delimitedByteCount(TensorFields.byteCount(of: name))
        }
        return count
    }

    /// The caller's side: appends the `ModelInferRequest`, tensors in raw form.
    package func encode(into buffer: inout ByteBuffer) {
        unsafe WireWriter.append(wireByteCount, to: &buffer) { writer in
            unsafe writer.text(0x0A, model)
            unsafe writer.text(0x12, version)
            unsafe writer.text(0x1A, id)
            for tensor in inputs { unsafe TensorFields.write(tensor, to: &writer) }
            for name in outputs {
                unsafe writer.byte(0x32)
                unsafe writer.varint(UInt64(TensorFields.byteCount(of: name)))
                unsafe writer.text(0x0A, name)
            }
            for tensor in inputs { unsafe writer.bytes(0x3A, tensor.bytes) }
        }
    }
}

/// What the two messages have in common: the tensor's description in field 5 (name 1, datatype 2, shape 3,
/// packed), the bytes in a field of one-byte tag.
private enum TensorFields {
    /// Of a string field; nothing when empty.
    @inline(__always)
    static func byteCount(of text: String) -> Int {
        let count = text.utf8.count
        return count == 0 ? 0 : WireFormat.delimitedByteCount(count)
    }

    /// Of the descriptions and the bytes.
    static func byteCount(_ tensors: [Tensor]) -> Int {
        var count = 0
        for tensor in tensors {
            count += WireFormat.delimitedByteCount(description(tensor))
            count += WireFormat.delimitedByteCount(tensor.bytes.readableBytes)
        }
        return count
    }

    private static func description(_ tensor: Tensor) -> Int {
        let shape = shape(tensor.shape)
        return byteCount(of: tensor.name) + byteCount(of: tensor.datatype.name)
            + (shape == 0 ? 0 : WireFormat.delimitedByteCount(shape))
    }

    private static func shape(_ shape: Shape) -> Int {
        var count = 0
        for index in 0..<shape.rank {
            count += WireFormat.varintByteCount(UInt64(bitPattern: shape[index]))
        }
        return count
    }

    @inline(__always)
    static func write(_ tensor: Tensor, to writer: inout WireWriter) {
        unsafe writer.byte(0x2A)
        unsafe writer.varint(UInt64(description(tensor)))
        unsafe writer.text(0x0A, tensor.name)
        unsafe writer.text(0x12, tensor.datatype.name)
        let shapeCount = shape(tensor.shape)
        guard shapeCount > 0 else { return }
        unsafe writer.byte(0x1A)
        unsafe writer.varint(UInt64(shapeCount))
        for index in 0..<tensor.shape.rank {
            unsafe writer.varint(UInt64(bitPattern: tensor.shape[index]))
        }
    }
}
