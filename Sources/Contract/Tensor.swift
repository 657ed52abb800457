// A tensor as it travels through the house: name, datatype, shape and the bytes as they came.

package import NIOCore

/// One named tensor. `bytes` is a slice of the message it arrived in wherever that is possible:
/// little-endian, row-major, without padding; BYTES elements are each a 32-bit little-endian length
/// and the bytes (OIP 2, raw rules).
package struct Tensor: Sendable, Equatable {
    package var name: String
    package var datatype: ElementType
    package var shape: Shape
    package var bytes: ByteBuffer

    package init(name: String, datatype: ElementType, shape: Shape, bytes: ByteBuffer) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.bytes = bytes
    }
}

/// What a model says about one of its inputs or outputs: -1 in the shape is a free dimension.
package struct TensorSpecification: Sendable, Hashable {
    package var name: String
    package var datatype: ElementType
    package var shape: Shape

    package init(name: String, datatype: ElementType, shape: Shape) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
    }
}

/// The inputs and outputs of a model, in the model's order.
package struct Signature: Sendable, Hashable {
    package var inputs: [TensorSpecification]
    package var outputs: [TensorSpecification]

    package init(inputs: [TensorSpecification], outputs: [TensorSpecification]) {
        self.inputs = inputs
        self.outputs = outputs
    }
}
