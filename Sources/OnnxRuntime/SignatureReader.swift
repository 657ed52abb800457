// Reads a loaded model's inputs and outputs: names, datatypes and shapes, refusing what the protocol cannot say.

import COnnxRuntime
import Contract

/// Reads one session's signature. Used while the session is being made, on the loading thread.
@safe struct SignatureReader {
    enum Side {
        case inputs, outputs
        var word: String { self == .inputs ? "input" : "output" }
    }

    private let environment: OnnxEnvironment
    private let session: OpaquePointer
    private var engine: Engine { environment.engine }

    init(environment: OnnxEnvironment, session: OpaquePointer) {
        self.environment = environment
        unsafe self.session = unsafe session
    }

    /// The side's tensors in the model's order, and their names as C strings without the zero at the end.
    func read(
        _ side: Side
    ) throws(EngineFailure) -> (specifications: [TensorSpecification], names: [[CChar]]) {
        var count = 0
        try unsafe engine.check(
            side == .inputs
                ? COnnxRuntime_SessionGetInputCount(engine.api, session, &count)
                : COnnxRuntime_SessionGetOutputCount(engine.api, session, &count), .load)
        var specifications: [TensorSpecification] = []
        var names: [[CChar]] = []
        for index in 0..<count {
            let name = try name(of: side, at: index)
            names.append(name)
            specifications.append(
                try specification(
                    of: side, at: index,
                    named: String(decoding: name.map(UInt8.init(bitPattern:)), as: UTF8.self)))
        }
        return (specifications, names)
    }

    private func name(of side: Side, at index: Int) throws(EngineFailure) -> [CChar] {
        let allocator = unsafe environment.allocator
        var text: UnsafeMutablePointer<CChar>?
        try unsafe engine.check(
            side == .inputs
                ? COnnxRuntime_SessionGetInputName(
                    engine.api, session, index, allocator, &text)
                : COnnxRuntime_SessionGetOutputName(
                    engine.api, session, index, allocator, &text), .load)
        guard let text = unsafe text else { throw .loadFailed("\(side.word) \(index) has no name") }
        defer { unsafe engine.discard(COnnxRuntime_AllocatorFree(engine.api, allocator, text)) }
        return unsafe Array(UnsafeBufferPointer(start: text, count: strlen(text)))
    }

    private func specification(
        of side: Side, at index: Int, named name: String
    ) throws(EngineFailure) -> TensorSpecification {
        let api = unsafe engine.api
        var made: OpaquePointer?
        try unsafe engine.check(
            side == .inputs
                ? COnnxRuntime_SessionGetInputTypeInfo(api, session, index, &made)
                : COnnxRuntime_SessionGetOutputTypeInfo(api, session, index, &made), .load)
        guard let type = unsafe made else {
            throw .loadFailed("\(side.word) '\(name)' has no type")
        }
        defer { unsafe COnnxRuntime_ReleaseTypeInfo(api, type) }
        var kind = ONNX_TYPE_UNKNOWN
        try unsafe engine.check(COnnxRuntime_GetOnnxTypeFromTypeInfo(api, type, &kind), .load)
        var tensor: OpaquePointer?
        try unsafe engine.check(COnnxRuntime_CastTypeInfoToTensorInfo(api, type, &tensor), .load)
        guard kind == ONNX_TYPE_TENSOR, let tensor = unsafe tensor else {
            throw SignatureReader.notATensor(kind, side, name)
        }
        let (datatype, shape) = try unsafe engine.typeAndShape(
            of: tensor, "\(side.word) '\(name)'", .load)
        return TensorSpecification(name: name, datatype: datatype, shape: shape)
    }

    private static func notATensor(_ kind: ONNXType, _ side: Side, _ name: String) -> EngineFailure
    {
        let (what, mend) =
            switch kind {
            case ONNX_TYPE_SEQUENCE:
                ("a sequence", "export a classifier without ZipMap (skl2onnx: zipmap=False)")
            case ONNX_TYPE_MAP:
                ("a map", "export a classifier without ZipMap (skl2onnx: zipmap=False)")
            case ONNX_TYPE_SPARSETENSOR: ("a sparse tensor", "export it dense")
            case ONNX_TYPE_OPTIONAL: ("optional", "export it as always present")
            default: ("of a type this gateway does not know", "export it as a tensor")
            }
        return .unsupported("\(side.word) '\(name)' is \(what), not a tensor; \(mend)")
    }
}

extension Engine {
    /// The datatype and shape of a run's output.
    func typeAndShape(
        ofValue value: OpaquePointer, _ name: @autoclosure () -> String
    ) throws(EngineFailure) -> (ElementType, Shape) {
        var made: OpaquePointer?
        try unsafe check(COnnxRuntime_GetTensorTypeAndShape(api, value, &made), .run)
        guard let information = unsafe made else { throw .runFailed("an output has no type") }
        defer { unsafe COnnxRuntime_ReleaseTensorTypeAndShapeInfo(api, information) }
        return try unsafe typeAndShape(of: information, "output '\(name())'", .run)
    }

    /// The datatype and shape a tensor's information holds; `subject` names it in a failure.
    func typeAndShape(
        of information: OpaquePointer, _ subject: @autoclosure () -> String, _ phase: Phase
    ) throws(EngineFailure) -> (ElementType, Shape) {
        var type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED
        try unsafe check(COnnxRuntime_GetTensorElementType(api, information, &type), phase)
        guard let datatype = ElementType(engineType: type) else {
            throw .unsupported(
                "\(subject()) has the ONNX datatype \(type.rawValue), which the protocol cannot carry"
            )
        }
        var rank = 0
        try unsafe check(COnnxRuntime_GetDimensionsCount(api, information, &rank), phase)
        guard rank <= Shape.rankMax else {
            throw .unsupported(
                "\(subject()) has \(rank) dimensions; at most \(Shape.rankMax) are supported")
        }
        var dimensions = InlineArray<8, Int64>(repeating: 0)
        var span = dimensions.mutableSpan
        let status = unsafe span.withUnsafeMutableBufferPointer { pointer in
            guard let base = pointer.baseAddress else { return unsafe OpaquePointer?.none }
            return unsafe COnnxRuntime_GetDimensions(api, information, base, rank)
        }
        try unsafe check(status, phase)
        var shape = Shape()
        for index in 0..<rank {
            // The engine says -1 for a free dimension; anything negative means the same.
            _ = shape.append(max(dimensions[index], -1))
        }
        return (datatype, shape)
    }
}
