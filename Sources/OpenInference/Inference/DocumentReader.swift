// Reads an infer request's JSON, keys in any order; what it does not know is passed over (OIP 7).

import Contract
import NIOCore

/// One document on its way to an ``InferenceDocument``.
struct DocumentReader {
    private var cursor: JSONCursor
    private let limits: DocumentLimits
    private var document = InferenceDocument()
    private var parameters: ParameterReader
    /// For each input: bytes it has behind the JSON, or nil.
    private var binarySizes: [Int?] = []
    /// Bytes of tensors made from text so far.
    private var converted = 0

    /// - Parameter bytes: the JSON, which every function is given again.
    init(_ bytes: Span<UInt8>, limits: DocumentLimits) throws(CallFailure) {
        self.limits = limits
        cursor = try JSONCursor(bytes)
        parameters = ParameterReader(countMax: limits.parameters)
    }

    mutating func read(_ bytes: Span<UInt8>) throws(CallFailure) {
        var hasInputs = false
        try cursor.beginObject(bytes)
        while let key = try cursor.nextKey(bytes) {
            switch key {
            case "id":
                if try !cursor.takesNull(bytes) {
                    document.request.id = try cursor.string(bytes, "id")
                }
            case "parameters":
                if try !cursor.takesNull(bytes) { try readParameters(bytes) }
            case "inputs":
                hasInputs = true
                try readInputs(bytes)
            case "outputs":
                if try !cursor.takesNull(bytes) { try readOutputs(bytes) }
            default: try cursor.skip(bytes)
            }
        }
        try cursor.finish(bytes)
        guard hasInputs else { throw DocumentFault.message("the request has no \"inputs\"") }
    }

    private mutating func readParameters(_ bytes: Span<UInt8>) throws(CallFailure) {
        let given = try parameters.read(&cursor, bytes, of: "parameters", place: .request)
        document.binaryOutput = given.binaryOutput ?? false
        document.timeout = given.timeout
        document.priority = given.priority
    }

    private mutating func readInputs(_ bytes: Span<UInt8>) throws(CallFailure) {
        try cursor.beginArray(bytes, "inputs")
        while try cursor.nextElement(bytes) {
            let index = document.request.inputs.count
            guard index < limits.tensors else {
                throw DocumentFault.tooLarge(
                    "more than \(limits.tensors) inputs (limits.tensors_per_message)")
            }
            let input = try readInput(index, bytes)
            guard !document.request.inputs.contains(where: { $0.name == input.name }) else {
                throw DocumentFault.tensor(
                    "inputs[\(index)]: the name \(Quoted.name(input.name)) comes twice")
            }
            document.request.inputs.append(input)
        }
    }

    private mutating func readInput(_ index: Int, _ bytes: Span<UInt8>) throws(CallFailure)
        -> Tensor
    {
        var place: String { "inputs[\(index)]" }
        var draft = InputDraft()
        try cursor.beginObject(bytes, place)
        while let key = try cursor.nextKey(bytes) {
            switch key {
            case "name": draft.name = try cursor.string(bytes, "\(place).name")
            case "datatype": draft.datatype = try readDatatype(index, bytes)
            case "shape": draft.shape = try readShape(index, draft, bytes)
            case "parameters":
                if try !cursor.takesNull(bytes) {
                    draft.parameters = try parameters.read(
                        &cursor, bytes, of: "\(place).parameters", place: .input)
                }
            case "data":
                if try !cursor.takesNull(bytes) { try readData(&draft, index, bytes) }
            default: try cursor.skip(bytes)
            }
        }
        return try finish(&draft, index, bytes)
    }

    private mutating func readDatatype(
        _ index: Int, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> ElementType {
        let word = try cursor.string(bytes, "inputs[\(index)].datatype")
        guard let datatype = ElementType(name: word) else {
            let allowed = ElementType.allCases.map(\.name).joined(separator: ", ")
            throw DocumentFault.tensor(
                "inputs[\(index)].datatype is \(Quoted.name(word)): one of \(allowed)")
        }
        return datatype
    }

    private mutating func readShape(
        _ index: Int, _ draft: InputDraft, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> Shape {
        var place: String { "inputs[\(index)]" }
        var shape = Shape()
        try cursor.beginArray(bytes, "\(place).shape")
        while try cursor.nextElement(bytes) {
            let dimension = try cursor.integer(bytes, "a dimension of \(place).shape")
            guard dimension >= 0 else {
                throw DocumentFault.tensor(
                    "\(place)\(draft.label): dimension \(shape.rank) of the shape is \(dimension), "
                        + "must not be negative")
            }
            guard shape.append(dimension) else {
                throw DocumentFault.tensor("a tensor has at most \(Shape.rankMax) dimensions")
            }
        }
        return shape
    }

    private mutating func readOutputs(_ bytes: Span<UInt8>) throws(CallFailure) {
        try cursor.beginArray(bytes, "outputs")
        while try cursor.nextElement(bytes) {
            let index = document.outputs.count
            guard index < limits.tensors else {
                throw DocumentFault.tooLarge(
                    "more than \(limits.tensors) outputs (limits.tensors_per_message)")
            }
            let output = try readOutput(index, bytes)
            document.outputs.append(output)
            document.request.outputs.append(output.name)
        }
    }

    private mutating func readOutput(
        _ index: Int, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> RequestedOutput {
        var place: String { "outputs[\(index)]" }
        var name: String?
        var given = GivenParameters()
        try cursor.beginObject(bytes, place)
        while let key = try cursor.nextKey(bytes) {
            switch key {
            case "name": name = try cursor.string(bytes, "\(place).name")
            case "parameters":
                if try !cursor.takesNull(bytes) {
                    given = try parameters.read(
                        &cursor, bytes, of: "\(place).parameters", place: .output)
                }
            default: try cursor.skip(bytes)
            }
        }
        guard let name else { throw DocumentFault.message("\(place) has no \"name\"") }
        return RequestedOutput(
            name, binary: given.binary, classification: given.classification,
            isBase64: given.isBase64)
    }
}

// MARK: - The bytes of an input

/// What is known of an input while its object is read.
private struct InputDraft {
    var name: String?
    var datatype: ElementType?
    var shape: Shape?
    var parameters: GivenParameters?
    /// Where its data begins, when it came before something that it must be read by.
    var dataStart: Int?
    var bytes: ByteBuffer?

    /// For messages.
    var label: String { name.map { " " + Quoted.name($0) } ?? "" }
}

extension DocumentReader {
    /// Reads the data at once where datatype and shape are known, else passes over it.
    private mutating func readData(
        _ draft: inout InputDraft, _ index: Int, _ bytes: Span<UInt8>
    ) throws(CallFailure) {
        _ = try cursor.peek(bytes)
        let start = cursor.position
        guard let datatype = draft.datatype, let shape = draft.shape else {
            draft.dataStart = start
            try cursor.skip(bytes)
            return
        }
        draft.bytes = try parse(datatype, shape, draft, index, bytes)
        // Byte strings may turn out to be base64 while the parameters have not been seen.
        if datatype == .bytes, draft.parameters == nil { draft.dataStart = start }
    }

    private mutating func parse(
        _ datatype: ElementType, _ shape: Shape, _ draft: InputDraft, _ index: Int,
        _ bytes: Span<UInt8>
    ) throws(CallFailure) -> ByteBuffer {
        let parser = TensorText(
            datatype: datatype, shape: shape, isBase64: draft.parameters?.isBase64 ?? false,
            words: DataWords(
                index: index, name: draft.name, datatype: datatype, shape: shape))
        let bytes = try parser.parse(&cursor, bytes, budget: limits.messageBytes - converted)
        converted += bytes.readableBytes
        return bytes
    }

    private mutating func finish(
        _ draft: inout InputDraft, _ index: Int, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> Tensor {
        var place: String { "inputs[\(index)]" }
        guard let name = draft.name else { throw DocumentFault.message("\(place) has no \"name\"") }
        guard let datatype = draft.datatype else {
            throw DocumentFault.message("\(place)\(draft.label) has no \"datatype\"")
        }
        guard let shape = draft.shape else {
            throw DocumentFault.message("\(place)\(draft.label) has no \"shape\"")
        }
        if let start = draft.dataStart, draft.bytes == nil || draft.parameters?.isBase64 == true {
            converted -= draft.bytes?.readableBytes ?? 0
            let end = cursor.position
            cursor.position = start
            draft.bytes = try parse(datatype, shape, draft, index, bytes)
            cursor.position = end
        }
        let size = draft.parameters?.binarySize
        if draft.bytes != nil, size != nil {
            throw DocumentFault.tensor(
                "\(place)\(draft.label) has both \"data\" and parameters.binary_data_size")
        }
        if draft.bytes == nil, size == nil, shape.elementCount != 0 {
            throw DocumentFault.tensor(
                "\(place)\(draft.label) has neither \"data\" nor parameters.binary_data_size")
        }
        if let size {
            try check(
                size,
                DataWords(index: index, name: name, datatype: datatype, shape: shape))
        }
        binarySizes.append(size)
        return Tensor(
            name: name, datatype: datatype, shape: shape, bytes: draft.bytes ?? ByteBuffer())
    }

    private func check(_ size: Int, _ words: DataWords) throws(CallFailure) {
        guard let count = words.shape.elementCount else {
            throw DocumentFault.tensor("\(words.place) has the impossible shape \(words.shape)")
        }
        // Byte strings are counted when the call meets its model.
        guard let width = words.datatype.width else { return }
        let (expected, overflow) = count.multipliedReportingOverflow(by: width)
        guard !overflow, size == expected else {
            throw DocumentFault.tensor(
                "\(words.place): parameters.binary_data_size is \(size), "
                    + "\(words.datatype) \(words.shape) has "
                    + (overflow ? "more bytes than can be counted" : "\(expected) bytes"))
        }
    }

    /// Gives the inputs in binary form their slices of what follows the JSON; all of it must be used.
    ///
    /// - Parameter isSplit: whether the request said where the JSON ends.
    consuming func finish(
        _ rest: ByteBuffer, isSplit: Bool
    ) throws(CallFailure) -> InferenceDocument {
        var rest = rest
        for (index, size) in binarySizes.enumerated() {
            guard let size else { continue }
            var name: String { Quoted.name(document.request.inputs[index].name) }
            guard isSplit || size == 0 else {
                throw DocumentFault.message(
                    "inputs[\(index)] \(name) has parameters.binary_data_size, which needs the header "
                        + "Inference-Header-Content-Length")
            }
            guard let slice = rest.readSlice(length: size) else {
                throw DocumentFault.tensor(
                    "inputs[\(index)] \(name): unexpected size for input, "
                        + "parameters.binary_data_size is \(size) and \(rest.readableBytes) bytes are left"
                )
            }
            document.request.inputs[index].bytes = slice
        }
        guard rest.readableBytes == 0 else {
            throw DocumentFault.message(
                "unexpected additional input data: \(rest.readableBytes) bytes follow the last binary input"
            )
        }
        return document
    }
}
