// Gives the weights file of a model its final order: the engine aligns large tensors to 4 KiB and small ones not at all
// (measured, 1.31.1), and a file made for mapping shall begin each large tensor where every system can map it. The model
// is rewritten with the new places; field numbers are those of onnx.proto.

package import Catalogue
package import Files

/// Moves a model's external tensors into a new file.
package struct AlignedWeights {
    /// Where tensors of this size and more begin: the largest unit in which a system maps files.
    static let alignment: UInt64 = 64 << 10
    /// Where smaller ones begin: a line of the processor's cache.
    static let smallAlignment: UInt64 = 64

    /// What was moved.
    package struct Outcome: Sendable, Equatable {
        package var tensors = 0
        package var bytes: UInt64 = 0
    }

    private struct Region: Hashable {
        var offset: UInt64
        var length: UInt64
    }

    private let source: String
    private let weights: String
    private var regions: [Region] = []
    private var places: [Region: UInt64] = [:]

    /// Rewrites `model`, whose tensors lie in the file `source` of `folder`, so that they lie in the new file `weights`
    /// there. Returns the new model.
    package static func rewrite(
        _ model: [UInt8], source: String, weights: String, in folder: borrowing Folder
    ) throws -> (model: [UInt8], outcome: Outcome) {
        var work = AlignedWeights(source: source, weights: weights)
        try work.collect(.model, model[...], depth: 0)
        let end = work.arrange()
        let rewritten = try work.rewritten(.model, model[...], depth: 0)
        let old = try folder.file(source)
        let new = try folder.newFile(weights)
        for region in work.regions {
            guard let place = work.places[region] else { continue }
            var done: UInt64 = 0
            while done < region.length {
                let count = Int(min(1 << 20, region.length - done))
                let window = try old.read(at: region.offset + done, count: count)
                guard window.count == count else {
                    throw ModelFault("the engine wrote fewer weights than it says")
                }
                try new.write(window, at: place + done)
                done += UInt64(count)
            }
        }
        return (rewritten, Outcome(tensors: work.places.count, bytes: end))
    }

    private init(source: String, weights: String) {
        self.source = source
        self.weights = weights
    }

    // MARK: - Where tensors are

    private enum Kind { case model, function, graph, node, attribute, sparseTensor, tensor }

    private static func kind(of field: UInt64, in kind: Kind) -> Kind? {
        switch (kind, field) {
        case (.model, 7), (.attribute, 6), (.attribute, 11): .graph
        case (.model, 25): .function
        case (.graph, 1), (.function, 7): .node
        case (.graph, 5), (.attribute, 5), (.attribute, 10), (.sparseTensor, 1), (.sparseTensor, 2):
            .tensor
        case (.graph, 15), (.attribute, 22), (.attribute, 23): .sparseTensor
        case (.node, 5), (.function, 11): .attribute
        default: nil
        }
    }

    /// Notes every region that a tensor of the model lies in.
    private mutating func collect(
        _ kind: Kind, _ message: ArraySlice<UInt8>, depth: Int
    ) throws(ModelFault) {
        guard depth < ExternalData.depthMax else { throw WireFields.broken }
        if kind == .tensor {
            if let region = try region(of: message), !regions.contains(region) {
                regions.append(region)
            }
            return
        }
        var fields = WireFields(message)
        while let field = try fields.next() {
            guard let payload = field.payload,
                let inner = AlignedWeights.kind(of: field.number, in: kind)
            else { continue }
            try collect(inner, payload, depth: depth + 1)
        }
    }

    /// TensorProto.external_data = 13 {key = 1, value = 2}; nil for a tensor that is inside the model.
    private func region(of tensor: ArraySlice<UInt8>) throws(ModelFault) -> Region? {
        var fields = WireFields(tensor)
        var entries: [String: String] = [:]
        while let field = try fields.next() {
            guard field.number == 13, let payload = field.payload else { continue }
            var parts = WireFields(payload)
            var (key, value) = ("", "")
            while let part = try parts.next() {
                guard let text = part.payload else { continue }
                if part.number == 1 { key = String(decoding: text, as: UTF8.self) }
                if part.number == 2 { value = String(decoding: text, as: UTF8.self) }
            }
            entries[key] = value
        }
        guard let location = entries[ExternalData.mark] else { return nil }
        guard location == source else {
            throw ModelFault("the engine leaves weights in the file '\(location)'")
        }
        guard let offset = UInt64(entries["offset"] ?? "0"),
            let length = entries["length"].flatMap({ UInt64($0) })
        else { throw ModelFault("the engine wrote a tensor without its place") }
        return Region(offset: offset, length: length)
    }

    /// Large tensors first, in their order, then small ones. Returns where the file ends.
    private mutating func arrange() -> UInt64 {
        var end: UInt64 = 0
        for isLarge in [true, false] {
            let unit = isLarge ? AlignedWeights.alignment : AlignedWeights.smallAlignment
            for region in regions where (region.length >= AlignedWeights.alignment) == isLarge {
                end = (end + unit - 1) / unit * unit
                places[region] = end
                end += region.length
            }
        }
        return end
    }

    // MARK: - The new model

    private func rewritten(
        _ kind: Kind, _ message: ArraySlice<UInt8>, depth: Int
    ) throws(ModelFault) -> [UInt8] {
        if kind == .tensor { return try rewrittenTensor(message) }
        var fields = WireFields(message)
        var result: [UInt8] = []
        result.reserveCapacity(message.count)
        while let field = try fields.next() {
            guard let payload = field.payload,
                let inner = AlignedWeights.kind(of: field.number, in: kind)
            else {
                result += field.raw
                continue
            }
            WireFields.append(
                field.number, try rewritten(inner, payload, depth: depth + 1), to: &result)
        }
        return result
    }

    private func rewrittenTensor(_ message: ArraySlice<UInt8>) throws(ModelFault) -> [UInt8] {
        guard let region = try region(of: message), let place = places[region]
        else { return Array(message) }
        var fields = WireFields(message)
        var result: [UInt8] = []
        while let field = try fields.next() {
            if field.number != 13 || field.payload == nil { result += field.raw }
        }
        let entries = [
            (ExternalData.mark, weights), ("offset", String(place)),
            ("length", String(region.length)),
        ]
        for (key, value) in entries {
            var entry: [UInt8] = []
            WireFields.append(1, Array(key.utf8), to: &entry)
            WireFields.append(2, Array(value.utf8), to: &entry)
            WireFields.append(13, entry, to: &result)
        }
        return result
    }
}

/// The fields of a protobuf message in memory, in their order.
package struct WireFields {
    package struct Field {
        package var number: UInt64
        /// Tag and content, as they stand.
        package var raw: ArraySlice<UInt8>
        /// The bytes of wire type 2; nil for others.
        package var payload: ArraySlice<UInt8>?
    }

    static let broken = ModelFault("the engine wrote a model that cannot be read")

    private let message: ArraySlice<UInt8>
    private var position: Int

    package init(_ message: ArraySlice<UInt8>) {
        self.message = message
        position = message.startIndex
    }

    package mutating func next() throws(ModelFault) -> Field? {
        guard position < message.endIndex else { return nil }
        let start = position
        let tag = try varint()
        var payload: ArraySlice<UInt8>?
        switch tag & 7 {
        case 0: _ = try varint()
        case 1: try skip(8)
        case 2:
            let length = try varint()
            guard length <= UInt64(message.endIndex - position) else { throw WireFields.broken }
            payload = message[position..<position + Int(length)]
            position += Int(length)
        case 5: try skip(4)
        default: throw WireFields.broken
        }
        return Field(number: tag >> 3, raw: message[start..<position], payload: payload)
    }

    private mutating func skip(_ count: Int) throws(ModelFault) {
        guard count <= message.endIndex - position else { throw WireFields.broken }
        position += count
    }

    private mutating func varint() throws(ModelFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < message.endIndex, shift < 64 {
            let byte = message[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        throw WireFields.broken
    }

    /// Writes a field of wire type 2.
    package static func append(_ number: UInt64, _ payload: [UInt8], to bytes: inout [UInt8]) {
        append(number << 3 | 2, to: &bytes)
        append(UInt64(payload.count), to: &bytes)
        bytes += payload
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
