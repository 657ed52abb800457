// Puts tensors together from what protobuf-c unpacked and the raw contents that were kept from it.

import CMessages
import CProtobufC
import Contract
import NIOCore

/// Collects the tensors of one message. Checks what can be said without the model: names differ, the datatype
/// exists, raw contents come once per tensor, typed contents fill the shape.
struct TensorReader {
    private let raws: [ByteBuffer]
    private let what: String
    private let bounds: MessageBounds
    private var tensors: [Tensor] = []
    /// Bytes of typed contents turned into raw form so far.
    private var converted = 0
    private var typed = 0

    /// - Parameter what: "input" or "output", for the faults.
    init(raws: [ByteBuffer], tensors: Int, what: String, bounds: MessageBounds) {
        self.raws = raws
        self.what = what
        self.bounds = bounds
        self.tensors.reserveCapacity(tensors)
    }

    mutating func add(
        name: UnsafePointer<CChar>?, datatype: UnsafePointer<CChar>?,
        shape dimensions: UnsafeBufferPointer<Int64>,
        contents: UnsafePointer<Inference__InferTensorContents>?
    ) throws(MessageFault) {
        let name = unsafe text(name)
        let datatype = try TensorReader.elementType(
            unsafe text(datatype), of: "\(what) \(MessageFault.quote(name))")
        var shape = Shape()
        for index in dimensions.indices {
            guard unsafe shape.append(dimensions[index]) else {
                throw MessageFault(.badTensor, "a tensor has at most \(Shape.rankMax) dimensions")
            }
        }
        var tensor = Tensor(name: name, datatype: datatype, shape: shape, bytes: ByteBuffer())
        if let contents = unsafe contents, unsafe TypedContents.holds(contents.pointee) {
            guard raws.isEmpty else {
                throw fault(name, "has typed contents while the message has raw contents")
            }
            typed += 1
            tensor.bytes = try unsafe read(contents.pointee, for: tensor)
        } else if tensors.count < raws.count {
            tensor.bytes = raws[tensors.count]
        } else if raws.isEmpty && shape.elementCount == 0 {
            // Nothing to send: typed contents of no elements are the same as none.
        } else if raws.isEmpty {
            throw fault(name, "has no contents")
        }
        tensors.append(tensor)
    }

    /// The tensors, when their number fits the raw contents and no name came twice.
    consuming func finish() throws(MessageFault) -> [Tensor] {
        guard raws.isEmpty || raws.count == tensors.count else {
            throw MessageFault(
                .badTensor,
                "\(raws.count) raw contents for \(tensors.count) \(what)s: there is one for each")
        }
        guard !tensors.hasDuplicateNames else {
            throw MessageFault(.badTensor, "an \(what)'s name comes twice")
        }
        return tensors
    }

    private mutating func read(
        _ contents: Inference__InferTensorContents, for tensor: Tensor
    ) throws(MessageFault) -> ByteBuffer {
        guard let count = tensor.shape.elementCount else {
            throw fault(tensor.name, "has the impossible shape \(tensor.shape)")
        }
        guard let typed = unsafe TypedContents(contents, as: tensor.datatype) else {
            throw fault(
                tensor.name,
                tensor.datatype == .fp16 || tensor.datatype == .bf16
                    ? "has typed contents: \(tensor.datatype) travels in raw form only"
                    : "has contents of another type than \(tensor.datatype)")
        }
        guard unsafe typed.count == count else {
            throw unsafe fault(
                tensor.name,
                "has \(typed.count) elements: its shape \(tensor.shape) has \(count)")
        }
        guard let size = unsafe typed.rawByteCount, size <= bounds.messageBytes - converted else {
            throw MessageFault(
                .tooLarge,
                "the contents take more than \(bounds.messageBytes) bytes in raw form "
                    + "(limits.message)")
        }
        converted += size
        return unsafe typed.raw(byteCount: size)
    }

    private func fault(_ name: String, _ message: String) -> MessageFault {
        MessageFault(.badTensor, "\(what) \(MessageFault.quote(name)) \(message)")
    }

    static func elementType(
        _ name: String, of what: @autoclosure () -> String
    ) throws(MessageFault) -> ElementType {
        guard let type = ElementType(name: name) else {
            let allowed = ElementType.allCases.map(\.name).joined(separator: ", ")
            throw MessageFault(
                .badTensor,
                "\(what()) has datatype \(MessageFault.quote(name)): one of \(allowed)")
        }
        return type
    }
}
