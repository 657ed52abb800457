// ModelInferRequest and ModelInferResponse: every form of them, by protobuf-c; the only judge of what is wrong.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

extension InferenceRequest {
    /// Any `ModelInferRequest`: with parameters, typed contents, fields in any order.
    package static func decodeAny(
        _ message: ByteBuffer, bounds: MessageBounds
    ) throws(MessageFault) -> InferenceRequest {
        let tensors = unsafe Inference__ModelInferRequest.descriptor
        let input = unsafe Inference__ModelInferRequest__InferInputTensor.descriptor
        let output = unsafe Inference__ModelInferRequest__InferRequestedOutputTensor.descriptor
        let rules = unsafe [
            CountRule(
                parent: tensors, field: 5, maximum: Int(bounds.tensors), scope: .message,
                what: "inputs (limits.tensors_per_message)"),
            CountRule(
                parent: tensors, field: 6, maximum: Int(bounds.tensors), scope: .message,
                what: "outputs (limits.tensors_per_message)"),
            bounds.parameterRule(tensors, field: 4), bounds.parameterRule(input, field: 4),
            bounds.parameterRule(output, field: 2), bounds.shapeRule(input, field: 3),
        ]
        return try unsafe withInference(
            Inference__ModelInferRequest.self, message, rawField: 7, rules: rules, bounds: bounds
        ) { request, raws throws(MessageFault) in
            for index in unsafe 0..<request.n_parameters {
                guard let entry = unsafe request.parameters[index] else { continue }
                try unsafe Parameters.check(
                    entry.pointee.key, entry.pointee.value, of: .request)
            }
            let inputs = try unsafe InferenceRequest.inputs(of: request, raws, bounds: bounds)
            let outputs = try unsafe InferenceRequest.outputs(of: request)
            return unsafe InferenceRequest(
                model: text(request.model_name), version: text(request.model_version),
                id: text(request.id), inputs: inputs, outputs: outputs)
        }
    }

    private static func inputs(
        of request: Inference__ModelInferRequest, _ raws: [ByteBuffer], bounds: MessageBounds
    ) throws(MessageFault) -> [Tensor] {
        var reader = unsafe TensorReader(
            raws: raws, tensors: request.n_inputs, what: "input", bounds: bounds)
        for index in unsafe 0..<request.n_inputs {
            guard let input = unsafe request.inputs[index]?.pointee else { continue }
            for index in unsafe 0..<input.n_parameters {
                guard let entry = unsafe input.parameters[index] else { continue }
                try unsafe Parameters.check(entry.pointee.key, entry.pointee.value, of: .input)
            }
            try unsafe reader.add(
                name: input.name, datatype: input.datatype,
                shape: UnsafeBufferPointer(start: input.shape, count: input.n_shape),
                contents: input.contents)
        }
        return try reader.finish()
    }

    private static func outputs(
        of request: Inference__ModelInferRequest
    ) throws(MessageFault) -> [String] {
        var names: [String] = []
        for index in unsafe 0..<request.n_outputs {
            guard let output = unsafe request.outputs[index]?.pointee else { continue }
            for index in unsafe 0..<output.n_parameters {
                guard let entry = unsafe output.parameters[index] else { continue }
                try unsafe Parameters.check(entry.pointee.key, entry.pointee.value, of: .output)
            }
            names.append(unsafe text(output.name))
        }
        return names
    }
}

extension InferenceReply {
    /// Any `ModelInferResponse`. Parameters are looked over and left out.
    package static func decodeAny(
        _ message: ByteBuffer, bounds: MessageBounds
    ) throws(MessageFault) -> InferenceReply {
        let tensors = unsafe Inference__ModelInferResponse.descriptor
        let output = unsafe Inference__ModelInferResponse__InferOutputTensor.descriptor
        let rules = unsafe [
            CountRule(
                parent: tensors, field: 5, maximum: Int(bounds.tensors), scope: .message,
                what: "outputs (limits.tensors_per_message)"),
            bounds.parameterRule(tensors, field: 4), bounds.parameterRule(output, field: 4),
            bounds.shapeRule(output, field: 3),
        ]
        return try unsafe withInference(
            Inference__ModelInferResponse.self, message, rawField: 6, rules: rules, bounds: bounds
        ) { reply, raws throws(MessageFault) in
            var reader = unsafe TensorReader(
                raws: raws, tensors: reply.n_outputs, what: "output", bounds: bounds)
            for index in unsafe 0..<reply.n_outputs {
                guard let output = unsafe reply.outputs[index]?.pointee else { continue }
                try unsafe reader.add(
                    name: output.name, datatype: output.datatype,
                    shape: UnsafeBufferPointer(start: output.shape, count: output.n_shape),
                    contents: output.contents)
            }
            let outputs = try reader.finish()
            return unsafe InferenceReply(
                model: text(reply.model_name), version: text(reply.model_version),
                id: text(reply.id), outputs: outputs)
        }
    }
}

extension MessageBounds {
    fileprivate func parameterRule(
        _ parent: UnsafePointer<ProtobufCMessageDescriptor>, field: UInt32
    ) -> CountRule {
        unsafe CountRule(
            parent: parent, field: field, maximum: Int(parameters), scope: .message,
            what: "parameters (limits.parameters_per_message)")
    }

    func shapeRule(
        _ parent: UnsafePointer<ProtobufCMessageDescriptor>, field: UInt32
    ) -> CountRule {
        unsafe CountRule(
            parent: parent, field: field, maximum: Shape.rankMax, scope: .parent,
            what: "dimensions of one tensor")
    }
}

/// Scans an inference message, keeps the raw contents out of protobuf-c's sight as slices of the message, and
/// unpacks the rest.
private func withInference<Message: CMessage, Value>(
    _ type: Message.Type, _ message: ByteBuffer, rawField: UInt32, rules: [CountRule],
    bounds: MessageBounds,
    _ read: (Message, [ByteBuffer]) throws(MessageFault) -> Value
) throws(MessageFault) -> Value {
    guard message.readableBytes <= bounds.messageBytes else {
        throw MessageFault(
            .tooLarge,
            "a message of \(message.readableBytes) bytes: at most \(bounds.messageBytes) are "
                + "allowed (limits.message)")
    }
    var scanner = BoundingScanner(
        depthMax: Int(bounds.nestingDepth), rules: rules, detaching: rawField,
        atMost: Int(bounds.tensors))
    try unsafe scanner.scan(message.readableBytesUInt8Span, as: Message.descriptor)
    let raws = scanner.detachedRanges.compactMap { range in
        message.getSlice(at: message.readerIndex + range.lowerBound, length: range.count)
    }
    let rest = ByteBuffer(joining: scanner.keptRanges, of: message)
    let arena = Arena(budget: bounds.arenaBudget)
    return try unsafe rest.withUnsafeReadableBytes { bytes throws(MessageFault) in
        try unsafe arena.withUnpacked(type, bytes) { message throws(MessageFault) in
            try read(message, raws)
        }
    }
}

extension ByteBuffer {
    /// The pieces of `whole` behind one another; without a copy when they are one piece, as they are when the
    /// raw contents come last.
    fileprivate init(joining pieces: [Range<Int>], of whole: ByteBuffer) {
        let slices = pieces.compactMap { piece in
            whole.getSlice(at: whole.readerIndex + piece.lowerBound, length: piece.count)
        }
        if slices.count == 1 {
            self = slices[0]
            return
        }
        self.init()
        reserveCapacity(slices.reduce(0) { $0 + $1.readableBytes })
        for slice in slices { writeImmutableBuffer(slice) }
    }
}
