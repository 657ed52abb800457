// Checks the tensors of a call against the model's signature, before the engine sees a byte. On the path of
// every call: nothing is allocated unless inputs come out of order or outputs are chosen, and no text is
// made unless the call fails.

package import Contract
private import NIOCore

extension ModelEntry {
    /// Checks everything a caller could get wrong and puts the inputs into the model's order. Throws
    /// INVALID_ARGUMENT naming model, tensor, what was expected and what came.
    package func prepare(_ request: InferenceRequest) throws(CallFailure) -> Prepared {
        if !request.model.isEmpty, request.model != name { throw otherModel(request.model) }
        if !request.version.isEmpty, request.version != version {
            throw otherVersion(request.version)
        }
        let inputs = isInOrder(request.inputs) ? request.inputs : try ordered(request.inputs)
        var byteCount = 0
        for index in inputs.indices {
            try check(inputs[index], at: index)
            byteCount += inputs[index].bytes.readableBytes
        }
        let outputs = request.outputs.isEmpty ? everyOutput : try chosen(request.outputs)
        return Prepared(
            entry: self, inputs: inputs, outputs: outputs, byteCount: byteCount,
            requestID: request.id)
    }

    private func isInOrder(_ tensors: [Tensor]) -> Bool {
        guard tensors.count == signature.inputs.count else { return false }
        for index in tensors.indices where tensors[index].name != signature.inputs[index].name {
            return false
        }
        return true
    }

    /// The tensors in the signature's order; each declared input exactly once.
    private func ordered(_ tensors: [Tensor]) throws(CallFailure) -> [Tensor] {
        let declared = signature.inputs
        var places = [Int](repeating: -1, count: declared.count)
        for (place, tensor) in tensors.enumerated() {
            guard let index = declared.firstIndex(where: { $0.name == tensor.name }) else {
                throw failure(
                    "input", tensor.name,
                    "unknown; the model's inputs are \(Wording.list(declared.map(\.name)))")
            }
            guard places[index] < 0 else { throw failure("input", tensor.name, "given twice") }
            places[index] = place
        }
        var result: [Tensor] = []
        result.reserveCapacity(declared.count)
        for (index, place) in places.enumerated() {
            guard place >= 0 else {
                throw failure(
                    "input", declared[index].name,
                    "missing; expected \(declared[index].datatype) \(declared[index].shape)")
            }
            result.append(tensors[place])
        }
        return result
    }

    private func chosen(_ names: [String]) throws(CallFailure) -> [Int] {
        var result: [Int] = []
        result.reserveCapacity(names.count)
        for name in names {
            guard let index = signature.outputs.firstIndex(where: { $0.name == name }) else {
                throw failure(
                    "output", name,
                    "unknown; the model's outputs are "
                        + Wording.list(signature.outputs.map(\.name)))
            }
            guard !result.contains(index) else { throw failure("output", name, "asked for twice") }
            result.append(index)
        }
        return result
    }
}

// MARK: - One tensor

extension ModelEntry {
    private func check(_ tensor: Tensor, at index: Int) throws(CallFailure) {
        let datatype = signature.inputs[index].datatype
        guard tensor.datatype == datatype else {
            throw failure(
                "input", tensor.name,
                "datatype is \(tensor.datatype), must be \(datatype)")
        }
        try checkShape(tensor, signature.inputs[index].shape)
        guard let elements = tensor.shape.elementCount else {
            throw failure(
                "input", tensor.name, "shape \(tensor.shape) has more elements than can be counted")
        }
        guard let width = datatype.width else { return try checkStrings(tensor, elements) }
        let (expected, overflow) = elements.multipliedReportingOverflow(by: width)
        guard !overflow, tensor.bytes.readableBytes == expected else {
            let wanted = overflow ? "more than can be counted" : String(expected)
            throw failure(
                "input", tensor.name,
                "\(tensor.bytes.readableBytes) bytes do not fill \(datatype) \(tensor.shape): "
                    + "must be \(wanted)")
        }
        if datatype == .bool { try checkBooleans(tensor) }
    }

    private func checkShape(_ tensor: Tensor, _ declared: Shape) throws(CallFailure) {
        let rank = declared.rank
        guard tensor.shape.rank == rank else {
            throw misfit(
                tensor, declared, "it has \(tensor.shape.rank) dimensions, must have \(rank)")
        }
        for dimension in 0..<rank {
            let actual = tensor.shape[dimension]
            let expected = declared[dimension]
            if actual < 0 {
                throw misfit(
                    tensor, declared, "dimension \(dimension) is \(actual), must not be negative")
            }
            if expected >= 0, actual != expected {
                throw misfit(
                    tensor, declared, "dimension \(dimension) is \(actual), must be \(expected)")
            }
        }
    }

    /// Byte strings: each a 32-bit little-endian length and that many bytes, as many as the shape says.
    private func checkStrings(_ tensor: Tensor, _ elements: Int) throws(CallFailure) {
        let bytes = tensor.bytes
        let end = bytes.writerIndex
        var position = bytes.readerIndex
        var count = 0
        while position < end {
            guard end - position >= 4,
                let length = bytes.getInteger(at: position, endianness: .little, as: UInt32.self)
            else {
                throw failure(
                    "input", tensor.name,
                    "element \(count) has \(end - position) bytes where a length of 4 bytes must be"
                )
            }
            guard Int(length) <= end - position - 4 else {
                throw failure(
                    "input", tensor.name,
                    "element \(count) says it has \(length) bytes, \(end - position - 4) are left")
            }
            position += 4 + Int(length)
            count += 1
        }
        guard count == elements else {
            throw failure(
                "input", tensor.name,
                "\(count) byte strings do not fill shape \(tensor.shape): must be \(elements)")
        }
    }

    /// The engine reads the bytes as C++ `bool`, for which any other value is undefined.
    private func checkBooleans(_ tensor: Tensor) throws(CallFailure) {
        if let wrong = tensor.bytes.readableBytesView.first(where: { $0 > 1 }) {
            throw failure("input", tensor.name, "holds the byte \(wrong), BOOL must be 0 or 1")
        }
    }
}

// MARK: - What went wrong

extension ModelEntry {
    private func misfit(_ tensor: Tensor, _ declared: Shape, _ why: String) -> CallFailure {
        failure("input", tensor.name, "shape \(tensor.shape) does not fit \(declared): \(why)")
    }

    private func failure(_ kind: String, _ tensor: String, _ what: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badTensor,
            "model '\(name)' \(kind) \(Wording.quoted(tensor)): \(what)", notStarted: true)
    }

    private func otherModel(_ named: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badMessage,
            "the call is for model '\(name)', its message names \(Wording.quoted(named))",
            notStarted: true)
    }

    private func otherVersion(_ named: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badMessage,
            "the call is for model '\(name)' version \(version), its message names version "
                + Wording.quoted(named), notStarted: true)
    }
}
