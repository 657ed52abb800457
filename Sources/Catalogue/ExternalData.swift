// Where a model keeps weights outside its own file. The engine opens what stands there, so every place in the file
// where a tensor can stand is looked at, and what stands there must be a file of the version.
// Field numbers are those of onnx.proto.

/// The external data of ONNX models.
package enum ExternalData {
    package static let bytesReadMax = 1 << 30
    package static let stepsMax = 32_000_000
    /// Messages inside messages; the engine's own reader stops at 100.
    package static let depthMax = 100
    /// Stands in a model as these bytes wherever it names an external file: a file without them has none.
    package static let mark = "location"
    /// The engine takes a location with this word for an address in memory (onnxruntime, tensorprotoutils.h).
    static let memoryWord = "_ORT_MEM_ADDR_"

    /// Every location in the file, as written there and unchecked; sorted. Throws for what is no model, and for
    /// more than the limits allow.
    package static func locations(in source: any RandomAccess) throws(ModelFault) -> [String] {
        var walk = LocationWalk(source)
        try walk.visit(.model, 0..<source.byteCount, depth: 0)
        return walk.locations.sorted()
    }

    /// Throws when a location breaks a rule that shows without looking at the disk. `manifest`: the files the
    /// manifest names, nil when there is none.
    package static func check(_ location: String, manifest: [ModelFile]?) throws(ModelFault) {
        guard location.utf8.first != UInt8(ascii: "/") else {
            throw fault(location, "is an absolute path")
        }
        let parts = location.unicodeScalars.split(
            separator: "/", omittingEmptySubsequences: false)
        guard !parts.contains(where: { String($0) == ".." }) else {
            throw fault(location, "leads out of the version's folder by '..'")
        }
        guard !location.contains(memoryWord) else {
            throw fault(location, "is a place in memory and no file")
        }
        guard RelativePath.parts(location) != nil else {
            throw fault(
                location,
                "is no plain path: an empty part, '.', a backslash, a control character, "
                    + "or more than \(RelativePath.partsMax) parts")
        }
        guard let manifest else { return }
        guard manifest.contains(where: { $0.name == location }) else {
            throw fault(location, "manifest.json does not name")
        }
    }

    /// `rule`: what is wrong, after "which".
    package static func fault(_ location: String, _ rule: String) -> ModelFault {
        ModelFault(
            "the model keeps weights in \(Wording.quoted(location)), which \(rule) (external data is "
                + "a plain file in the version's folder, without links, and in its manifest)")
    }
}

/// Goes through a model and collects the locations.
private struct LocationWalk {
    /// The messages which tensors lie in, at whatever depth.
    enum Kind { case model, training, function, graph, node, attribute, sparseTensor, tensor }

    var walk: ProtobufWalk
    var locations: Set<String> = []

    init(_ source: any RandomAccess) {
        walk = ProtobufWalk(
            source, bytesMax: ExternalData.bytesReadMax, stepsMax: ExternalData.stepsMax)
    }

    /// What a field holds; nil when no tensor can be in it.
    private static func kind(of field: UInt64, in kind: Kind) -> Kind? {
        switch (kind, field) {
        case (.model, 7), (.training, 1), (.training, 2), (.attribute, 6), (.attribute, 11): .graph
        case (.model, 20): .training
        case (.model, 25): .function
        case (.graph, 1), (.function, 7): .node
        case (.graph, 5), (.attribute, 5), (.attribute, 10), (.sparseTensor, 1), (.sparseTensor, 2):
            .tensor
        case (.graph, 15), (.attribute, 22), (.attribute, 23): .sparseTensor
        case (.node, 5), (.function, 11): .attribute
        default: nil
        }
    }

    mutating func visit(_ kind: Kind, _ range: Range<UInt64>, depth: Int) throws(ModelFault) {
        guard depth < ExternalData.depthMax else {
            throw ModelFault("model.onnx has parts more than \(ExternalData.depthMax) deep")
        }
        var position = range.lowerBound
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            if kind == .tensor {
                if field.number == 13 { try visitEntry(bytes) }
            } else if let inner = LocationWalk.kind(of: field.number, in: kind) {
                try visit(inner, bytes, depth: depth + 1)
            }
        }
    }

    /// StringStringEntryProto: key = 1, value = 2. Of a field that comes twice a reader takes the last: here
    /// every one counts.
    private mutating func visitEntry(_ range: Range<UInt64>) throws(ModelFault) {
        var position = range.lowerBound
        var isLocation = false
        var values: [Range<UInt64>] = []
        while let field = try walk.next(&position, end: range.upperBound) {
            guard let bytes = field.bytes else { continue }
            if field.number == 1, bytes.count == ExternalData.mark.utf8.count {
                let key = try walk.text(bytes, byteCountMax: bytes.count)
                isLocation = isLocation || key == ExternalData.mark
            } else if field.number == 2 {
                values.append(bytes)
                guard values.count <= OnnxHeader.externalFilesMax else {
                    throw LocationWalk.tooMany
                }
            }
        }
        guard isLocation else { return }
        for value in values {
            locations.insert(try walk.text(value, byteCountMax: RelativePath.byteCountMax))
            guard locations.count <= OnnxHeader.externalFilesMax else { throw LocationWalk.tooMany }
        }
    }

    private static let tooMany = ModelFault("model.onnx keeps weights in too many files")
}
