// Checks the tensors of a call against the model's signature, before the engine sees a byte. On the path of
// every call: nothing is allocated unless inputs come out of order or outputs are chosen, and no text is
// made unless the call fails.

package import Contract
private import NIOCore

/// One declared input, laid out for the check.
struct InputCheck: Sendable {
    let name: String
    let datatype: ElementType
    /// Bytes of an element; 0 for byte strings.
    let width: Int
    let rank: Int
    /// -1 where any size goes; only the first `rank` count.
    let dimensions: InlineArray<8, Int64>

    init(_ declared: TensorSpecification) {
        name = declared.name
        datatype = declared.datatype
        width = declared.datatype.width ?? 0
        rank = declared.shape.rank
        var dimensions = InlineArray<8, Int64>(repeating: 0)
        for index in 0..<declared.shape.rank { dimensions[index] = declared.shape[index] }
        self.dimensions = dimensions
    }
}

extension ModelEntry {
    /// Checks everything a caller could get wrong and puts the inputs into the model's order. Throws
    /// INVALID_ARGUMENT naming model, tensor, what was expected and what came.
    /// - Parameter asked: What the call's header named this version by, which the message may repeat.
    package func prepare(
        _ request: InferenceRequest, asked: String = ""
    ) throws(CallFailure) -> Prepared {
        if !request.model.isEmpty, request.model != name { throw otherModel(request.model) }
        if !request.version.isEmpty, request.version != version, request.version != asked {
            throw otherVersion(request.version)
        }
        let inputs: [Tensor]
        if let bytes = request.rawInput {
            inputs = [try rawInput(bytes)]
        } else {
            inputs = isInOrder(request.inputs) ? request.inputs : try ordered(request.inputs)
        }
        var byteCount = 0
        for index in inputs.indices { byteCount += try check(inputs, index) }
        if let rows = limits.batch { try checkBatch(inputs, most: rows) }
        let outputs = request.outputs.isEmpty ? everyOutput : try chosen(request.outputs)
        return Prepared(
            entry: self, inputs: inputs, outputs: outputs, byteCount: byteCount,
            requestID: request.id)
    }

    private func isInOrder(_ tensors: [Tensor]) -> Bool {
        guard tensors.count == checks.count else { return false }
        for index in tensors.indices where tensors[index].name != checks[index].name {
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
    /// Checks one input and answers its bytes. By index, because a tensor passed as a value is a reference more
    /// to count.
    private func check(_ inputs: [Tensor], _ index: Int) throws(CallFailure) -> Int {
        guard inputs[index].datatype == checks[index].datatype else {
            throw failure(
                "input", inputs[index].name,
                "datatype is \(inputs[index].datatype), must be \(checks[index].datatype)")
        }
        let rank = checks[index].rank
        guard inputs[index].shape.rank == rank else {
            throw misfit(
                inputs[index],
                "it has \(inputs[index].shape.rank) dimensions, must have \(rank)")
        }
        for dimension in 0..<rank {
            let actual = inputs[index].shape[dimension]
            let expected = checks[index].dimensions[dimension]
            // A free dimension is -1, which nothing equals that may pass.
            if actual >= 0, actual == expected || expected < 0 { continue }
            let rule = actual < 0 ? "not be negative" : "be \(expected)"
            throw misfit(inputs[index], "dimension \(dimension) is \(actual), must \(rule)")
        }
        guard let elements = inputs[index].shape.elementCount else {
            throw failure(
                "input", inputs[index].name,
                "shape \(inputs[index].shape) has more elements than can be counted")
        }
        let byteCount = inputs[index].bytes.readableBytes
        let width = checks[index].width
        if width == 0 {
            try checkStrings(inputs[index], elements)
            return byteCount
        }
        let (expected, overflow) = elements.multipliedReportingOverflow(by: width)
        guard !overflow, byteCount == expected else {
            let wanted = overflow ? "more than can be counted" : String(expected)
            throw failure(
                "input", inputs[index].name,
                "\(byteCount) bytes do not fill \(checks[index].datatype) \(inputs[index].shape): "
                    + "must be \(wanted)")
        }
        if checks[index].datatype == .bool { try checkBooleans(inputs[index]) }
        return byteCount
    }

    /// Rows are counted by the first dimension of an input where it is free.
    private func checkBatch(_ inputs: [Tensor], most: Int) throws(CallFailure) {
        for index in inputs.indices
        where checks[index].rank > 0 && checks[index].dimensions[0] < 0
            && inputs[index].shape[0] > Int64(most)
        {
            throw failure(
                "input", inputs[index].name,
                "has \(inputs[index].shape[0]) rows, \(most) are allowed (its manifest, limits.batch)"
            )
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
    private func misfit(_ tensor: Tensor, _ why: String) -> CallFailure {
        let declared = signature.inputs.first { $0.name == tensor.name }?.shape ?? []
        return failure(
            "input", tensor.name, "shape \(tensor.shape) does not fit \(declared): \(why)")
    }

    func failure(_ kind: String, _ tensor: String, _ what: String) -> CallFailure {
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
