// The signature of a model from the bytes of its file, without the engine and without its weights: a 2 GB file
// is read in a few windows. Field numbers are those of onnx.proto (ModelProto, GraphProto, ValueInfoProto).

package import Contract

/// What the head of an ONNX file says.
package struct OnnxHeader: Sendable, Equatable {
    package static let bytesReadMax = 64 << 20
    package static let stepsMax = 4_000_000
    package static let initializersMax = 100_000
    package static let externalFilesMax = 1_024

    /// Inputs that have a default in the file are left out, as the engine does.
    package var signature: Signature
    /// Where weights lie outside the file, as written there and unchecked; sorted.
    package var externalFiles: [String]

    /// Reads the head. Throws for anything that is not a model the gateway can serve, whatever the bytes.
    package init(_ source: any RandomAccess) throws(ModelFault) {
        var reader = GraphReader(source)
        try reader.readModel(0..<source.byteCount)
        (signature, externalFiles) = try reader.finish()
    }
}

/// Collects what matters while the graph goes by; inputs may come before or after their initializers.
private struct GraphReader {
    /// A value's type: a tensor that can be served (its shape nil when none is written), or why not.
    enum Kind {
        case tensor(ElementType, Shape?)
        case unsupported(String)
    }

    var walk: ProtobufWalk
    var sawGraph = false
    var inputs: [(name: String, kind: Kind)] = []
    var outputs: [(name: String, kind: Kind)] = []
    var initializers: Set<String> = []
    var externalFiles: Set<String> = []

    init(_ source: any RandomAccess) {
        walk = ProtobufWalk(
            source, bytesMax: OnnxHeader.bytesReadMax, stepsMax: OnnxHeader.stepsMax)
    }

    mutating func readModel(_ range: Range<UInt64>) throws(ModelFault) {
        var position = range.lowerBound
        while let field = try walk.next(&position, end: range.upperBound) {
            guard field.number == 7, let bytes = field.bytes else { continue }
            guard !sawGraph else { throw ModelFault("model.onnx has two graphs") }
            sawGraph = true
            try readGraph(bytes)
        }
    }

    private mutating func readGraph(_ range: Range<UInt64>) throws(ModelFault) {
        var position = range.lowerBound
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case 5: try readInitializer(bytes)
            case 11:
                guard inputs.count < OnnxHeader.initializersMax else {
                    throw ModelFault("model.onnx has too many inputs")
                }
                inputs.append(try readValue(bytes))
            case 12:
                guard outputs.count < Manifest.tensorsMax else {
                    throw ModelFault(
                        "model.onnx has more than \(Manifest.tensorsMax) outputs")
                }
                outputs.append(try readValue(bytes))
            default: break
            }
        }
    }

    /// TensorProto: name = 8, external_data = 13 {key = 1, value = 2}.
    private mutating func readInitializer(_ range: Range<UInt64>) throws(ModelFault) {
        var position = range.lowerBound
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            if field.number == 8 {
                guard initializers.count < OnnxHeader.initializersMax else {
                    throw ModelFault(
                        "model.onnx has more than \(OnnxHeader.initializersMax) initializers")
                }
                initializers.insert(try name(bytes))
            } else if field.number == 13 {
                try readExternal(bytes)
            }
        }
    }

    private mutating func readExternal(_ range: Range<UInt64>) throws(ModelFault) {
        var position = range.lowerBound
        var key = ""
        var value: Range<UInt64>?
        while let field = try walk.next(&position, end: range.upperBound) {
            if field.number == 1, let bytes = field.bytes { key = try name(bytes) }
            if field.number == 2 { value = field.bytes }
        }
        guard key == "location", let value else { return }
        externalFiles.insert(try walk.text(value, byteCountMax: RelativePath.byteCountMax))
        guard externalFiles.count <= OnnxHeader.externalFilesMax else {
            throw ModelFault("model.onnx keeps weights in too many files")
        }
    }

    private mutating func name(_ range: Range<UInt64>) throws(ModelFault) -> String {
        try walk.text(range, byteCountMax: Manifest.nameBytesMax)
    }
}

// MARK: - Values

extension GraphReader {
    /// ValueInfoProto: name = 1, type = 2.
    private mutating func readValue(
        _ range: Range<UInt64>
    ) throws(ModelFault) -> (name: String, kind: Kind) {
        var position = range.lowerBound
        var valueName = ""
        var kind = Kind.unsupported("has no type")
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            if field.number == 1 { valueName = try name(bytes) }
            if field.number == 2 { kind = try readType(bytes) }
        }
        return (valueName, kind)
    }

    /// TypeProto: tensor_type = 1, sequence_type = 4, map_type = 5, sparse_tensor_type = 8, optional_type = 9.
    private mutating func readType(_ range: Range<UInt64>) throws(ModelFault) -> Kind {
        var position = range.lowerBound
        var kind = Kind.unsupported("has no type")
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case 1: kind = try readTensorType(bytes)
            case 4: kind = .unsupported("is a sequence, not a tensor (convert without ZipMap)")
            case 5: kind = .unsupported("is a map, not a tensor (convert without ZipMap)")
            case 8: kind = .unsupported("is a sparse tensor")
            case 9: kind = .unsupported("is an optional value")
            default: break
            }
        }
        return kind
    }

    /// TypeProto.Tensor: elem_type = 1, shape = 2. Without a shape the value's rank is unknown.
    private mutating func readTensorType(_ range: Range<UInt64>) throws(ModelFault) -> Kind {
        var position = range.lowerBound
        var element: UInt64 = 0
        var shape: Shape?
        while let field = try walk.next(&position, end: range.upperBound) {
            if field.number == 1 { element = field.scalar }
            guard field.number == 2, let bytes = field.bytes else { continue }
            shape = try readShape(bytes)
            if shape == nil { return .unsupported("has more than \(Shape.rankMax) dimensions") }
        }
        guard let datatype = GraphReader.datatype(element) else {
            return .unsupported("has ONNX element type \(element), which has no datatype here")
        }
        return .tensor(datatype, shape)
    }

    /// TensorShapeProto: dim = 1 {dim_value = 1, dim_param = 2}. Nil when there are too many.
    private mutating func readShape(_ range: Range<UInt64>) throws(ModelFault) -> Shape? {
        var position = range.lowerBound
        var shape = Shape()
        while let field = try walk.next(&position, end: range.upperBound) {
            guard field.number == 1, let bytes = field.bytes else { continue }
            var inner = bytes.lowerBound
            var dimension: Int64 = -1
            while let part = try walk.next(&inner, end: bytes.upperBound) {
                if part.number == 1, part.bytes == nil {
                    dimension = max(-1, Int64(bitPattern: part.scalar))
                } else if part.number == 2 {
                    dimension = -1
                }
            }
            guard shape.append(dimension) else { return nil }
        }
        return shape
    }

    /// TensorProto.DataType.
    private static func datatype(_ number: UInt64) -> ElementType? {
        switch number {
        case 1: .fp32
        case 2: .uint8
        case 3: .int8
        case 4: .uint16
        case 5: .int16
        case 6: .int32
        case 7: .int64
        case 8: .bytes
        case 9: .bool
        case 10: .fp16
        case 11: .fp64
        case 12: .uint32
        case 13: .uint64
        case 16: .bf16
        default: nil
        }
    }

    /// The signature once everything has gone by.
    func finish() throws(ModelFault) -> (Signature, [String]) {
        guard sawGraph else { throw ModelFault("model.onnx is not an ONNX file: it has no graph") }
        let real = inputs.filter { !initializers.contains($0.name) }
        guard real.count <= Manifest.tensorsMax else {
            throw ModelFault(
                "model.onnx has \(real.count) inputs, \(Manifest.tensorsMax) are allowed")
        }
        guard !outputs.isEmpty else { throw ModelFault("model.onnx has no outputs") }
        let signature = Signature(
            inputs: try specifications(real, "input", shapeless: nil),
            // What an output's shape will be is only for information: any one-dimensional size.
            outputs: try specifications(outputs, "output", shapeless: [-1]))
        return (signature, externalFiles.sorted())
    }

    private func specifications(
        _ values: [(name: String, kind: Kind)], _ word: String, shapeless: Shape?
    ) throws(ModelFault) -> [TensorSpecification] {
        var seen: Set<String> = []
        var result: [TensorSpecification] = []
        for value in values {
            guard !value.name.isEmpty, seen.insert(value.name).inserted else {
                throw ModelFault("model.onnx has an \(word) without a name of its own")
            }
            switch value.kind {
            case .tensor(let datatype, let written):
                guard let shape = written ?? shapeless else {
                    throw ModelFault("\(word) \(Wording.quoted(value.name)) has no shape")
                }
                result.append(
                    TensorSpecification(name: value.name, datatype: datatype, shape: shape))
            case .unsupported(let why):
                throw ModelFault("\(word) \(Wording.quoted(value.name)) \(why)")
            }
        }
        return result
    }
}
