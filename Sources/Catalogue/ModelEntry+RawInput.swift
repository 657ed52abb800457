// A raw request (OIP 4.1): nothing but the bytes of the model's one input. Its name, datatype and shape come from the signature.

import Contract
import NIOCore

extension ModelEntry {
    /// The one input with these bytes. A dimension that is free is as long as the bytes make it; of byte strings there is one,
    /// all of the bytes.
    func rawInput(_ bytes: ByteBuffer) throws(CallFailure) -> Tensor {
        guard signature.inputs.count == 1, let declared = signature.inputs.first else {
            throw CallFailure(
                .invalidArgument, .badTensor,
                "model '\(name)' has \(signature.inputs.count) inputs: a raw request "
                    + "(Inference-Header-Content-Length: 0) needs a model with one",
                notStarted: true)
        }
        let free = declared.shape.dimensions.filter { $0 < 0 }.count
        guard free <= 1 else {
            throw failure(
                "input", declared.name,
                "\(declared.shape) has \(free) free dimensions: a raw request can tell the length of one"
            )
        }
        guard let width = declared.datatype.width else { return try rawString(bytes, declared) }
        var row = declared.shape.dimensions
        if let place = row.firstIndex(where: { $0 < 0 }) {
            // What the bytes do not fill is found by the check that every tensor gets.
            let rest = declared.shape.dimensions.reduce(width) { $1 < 0 ? $0 : $0 &* Int($1) }
            row[place] = rest > 0 ? Int64(bytes.readableBytes / rest) : 0
        }
        return Tensor(
            name: declared.name, datatype: declared.datatype, shape: Shape(row) ?? [], bytes: bytes)
    }

    private func rawString(
        _ bytes: ByteBuffer, _ declared: TensorSpecification
    ) throws(CallFailure) -> Tensor {
        let row = declared.shape.dimensions.map { $0 < 0 ? 1 : $0 }
        guard row.allSatisfy({ $0 == 1 }), let length = UInt32(exactly: bytes.readableBytes) else {
            throw failure(
                "input", declared.name,
                "\(declared.shape) is more than one byte string: a raw request carries one")
        }
        var element = ByteBuffer()
        element.reserveCapacity(4 + bytes.readableBytes)
        element.writeInteger(length, endianness: .little)
        element.writeImmutableBuffer(bytes)
        return Tensor(
            name: declared.name, datatype: .bytes, shape: Shape(row) ?? [], bytes: element)
    }
}
