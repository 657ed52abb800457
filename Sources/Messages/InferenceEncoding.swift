// Writing ModelInferRequest and ModelInferResponse: once, straight into their buffer.

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
        let room =
            TensorFields.room(for: model) + TensorFields.room(for: version)
            + TensorFields.room(for: id) + TensorFields.room(for: outputs)
        unsafe WireWriter.append(room: room, count: wireByteCount, to: &buffer) { writer in
            unsafe writer.text(0x0A, model)
            unsafe writer.text(0x12, version)
            unsafe writer.text(0x1A, id)
            unsafe TensorFields.writeDescriptions(outputs, to: &writer)
            unsafe TensorFields.writeBytes(outputs, tag: 0x32, to: &writer)
        }
    }
}

extension InferenceReply {
    /// Outputs of this many bytes and more are pieces of their own.
    private static let ownPieceBytes = 16 << 10

    /// The `ModelInferResponse` in pieces: the bytes of large outputs as they are, not copied, and what is written
    /// between them.
    package var pieces: [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        var written = ByteBuffer()
        let room =
            TensorFields.room(for: model) + TensorFields.room(for: version)
            + TensorFields.room(for: id) + TensorFields.descriptionRoom(for: outputs)
        unsafe WireWriter.append(room: room, count: room, to: &written) { writer in
            unsafe writer.text(0x0A, model)
            unsafe writer.text(0x12, version)
            unsafe writer.text(0x1A, id)
            unsafe TensorFields.writeDescriptions(outputs, to: &writer)
        }
        for output in outputs {
            let count = output.bytes.readableBytes
            guard count >= Self.ownPieceBytes else {
                unsafe WireWriter.append(room: count + 16, count: count + 16, to: &written) {
                    unsafe $0.bytes(0x32, output.bytes)
                }
                continue
            }
            unsafe WireWriter.append(room: 16, count: 16, to: &written) { writer in
                unsafe writer.byte(0x32)
                unsafe writer.varint(UInt64(count))
            }
            pieces += [written, output.bytes]
            written = ByteBuffer()
        }
        if written.readableBytes > 0 { pieces.append(written) }
        return pieces
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
        var room =
            TensorFields.room(for: model) + TensorFields.room(for: version)
            + TensorFields.room(for: id) + TensorFields.room(for: inputs)
        for name in outputs { room += 8 + TensorFields.room(for: name) }
        unsafe WireWriter.append(room: room, count: wireByteCount, to: &buffer) { writer in
            unsafe writer.text(0x0A, model)
            unsafe writer.text(0x12, version)
            unsafe writer.text(0x1A, id)
            unsafe TensorFields.writeDescriptions(inputs, to: &writer)
            for name in outputs {
                unsafe writer.message(0x32) { writer in unsafe writer.text(0x0A, name) }
            }
            unsafe TensorFields.writeBytes(inputs, tag: 0x3A, to: &writer)
        }
    }
}

/// What the two messages have in common: the tensor's description in field 5 (name 1, datatype 2, shape 3,
/// packed), the bytes in a field of one-byte tag. Tensors are read where they lie: a copy of one counts
/// references, and that costs more than writing it.
private enum TensorFields {
    /// Of a string field; nothing when empty.
    @inline(__always)
    static func byteCount(of text: String) -> Int {
        let count = text.utf8.count
        return count == 0 ? 0 : WireFormat.delimitedByteCount(count)
    }

    /// Of the descriptions and the bytes.
    static func byteCount(_ tensors: [Tensor]) -> Int {
        unsafe tensors.withUnsafeBufferPointer { tensors in
            var count = 0
            for index in tensors.indices {
                var shape = 0
                for dimension in unsafe 0..<tensors[index].shape.rank {
                    shape += unsafe WireFormat.varintByteCount(
                        UInt64(bitPattern: tensors[index].shape[dimension]))
                }
                let description =
                    unsafe byteCount(of: tensors[index].name)
                    + byteCount(of: tensors[index].datatype.name)
                    + (shape == 0 ? 0 : WireFormat.delimitedByteCount(shape))
                count += WireFormat.delimitedByteCount(description)
                count += unsafe WireFormat.delimitedByteCount(tensors[index].bytes.readableBytes)
            }
            return count
        }
    }

    /// At least the bytes of a string field.
    @inline(__always)
    static func room(for text: String) -> Int { text.utf8.count + 8 }

    /// At least the bytes of descriptions and bytes: beside names and bytes a tensor takes five tags and
    /// lengths of at most five bytes, a datatype of at most six, and eight dimensions of at most ten.
    static func room(for tensors: [Tensor]) -> Int {
        unsafe tensors.withUnsafeBufferPointer { tensors in
            var room = 0
            for index in tensors.indices {
                room += unsafe tensors[index].name.utf8.count + tensors[index].bytes.readableBytes
                room += 128
            }
            return room
        }
    }

    /// At least the bytes of the descriptions alone.
    static func descriptionRoom(for tensors: [Tensor]) -> Int {
        tensors.reduce(0) { $0 + $1.name.utf8.count + 128 }
    }

    static func writeDescriptions(_ tensors: [Tensor], to writer: inout WireWriter) {
        unsafe tensors.withUnsafeBufferPointer { tensors in
            for index in tensors.indices {
                unsafe writer.message(0x2A) { writer in
                    unsafe writer.text(0x0A, tensors[index].name)
                    unsafe writer.text(0x12, tensors[index].datatype.name)
                    let rank = unsafe tensors[index].shape.rank
                    guard rank > 0 else { return }
                    unsafe writer.message(0x1A) { writer in
                        for dimension in 0..<rank {
                            unsafe writer.varint(
                                UInt64(bitPattern: tensors[index].shape[dimension]))
                        }
                    }
                }
            }
        }
    }

    static func writeBytes(_ tensors: [Tensor], tag: UInt8, to writer: inout WireWriter) {
        unsafe tensors.withUnsafeBufferPointer { tensors in
            for index in tensors.indices {
                unsafe writer.bytes(tag, tensors[index].bytes)
            }
        }
    }
}
