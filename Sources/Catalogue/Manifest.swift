// manifest.json of one version (docs/manifest.md): decoded and checked as a whole before anything believes it.

package import Contract

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// A checked manifest, without its golden cases: those are long and only verification wants them.
package struct Manifest: Sendable, Equatable {
    /// The newest format this program reads.
    package static let formatMax = 1
    package static let fileName = "manifest.json"
    package static let byteCountMax = 4 << 20
    package static let filesMax = 1_024
    package static let tensorsMax = 256
    /// Also of a label.
    package static let nameBytesMax = 512
    /// The largest number in `limits`: a day in milliseconds.
    package static let limitMax: Int64 = 86_400_000

    package var name: ModelName
    package var version: ModelVersion
    package var files: [ModelFile]
    package var signature: Signature
    /// By output: the names of the classes in its last dimension, in order; an empty text where a class has none.
    package var labels: [String: [String]] = [:]
    package var limits: ModelLimits
    package var measured: Measurements
    package var load: LoadForm

    /// Decodes and checks. Throws what is wrong and where.
    package init(json: [UInt8]) throws(ModelFault) {
        guard json.count <= Manifest.byteCountMax else {
            throw ModelFault(
                "manifest.json has \(json.count) bytes, \(Manifest.byteCountMax) are allowed")
        }
        let data = Data(json)
        let head = try Manifest.decode(Head.self, from: data)
        guard head.format <= Manifest.formatMax else {
            throw ModelFault(
                "manifest.json was made by a newer sluice: format \(head.format), this one reads "
                    + "up to \(Manifest.formatMax)")
        }
        guard head.format >= 1 else {
            throw ModelFault("manifest.json: format is \(head.format), must be 1 or more")
        }
        let body = try Manifest.decode(Body.self, from: data)
        guard let name = ModelName(body.name) else {
            throw ModelFault("manifest.json: name \(Wording.quoted(body.name)) is no model name")
        }
        guard let version = ModelVersion(number: body.version) else {
            throw ModelFault("manifest.json: version is \(body.version), must be 1 or more")
        }
        self.name = name
        self.version = version
        files = try Manifest.files(body.files)
        signature = Signature(
            inputs: try Manifest.specifications(body.signature.inputs, "inputs"),
            outputs: try Manifest.specifications(body.signature.outputs, "outputs"))
        guard !signature.outputs.isEmpty else {
            throw ModelFault("manifest.json: signature.outputs is empty")
        }
        labels = try Manifest.labels(body.signature.outputs, signature.outputs)
        limits = try Manifest.limits(body.limits)
        measured = Manifest.measurements(body.measured)
        load = try Manifest.form(body.load)
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from data: Data
    ) throws(ModelFault) -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            return try decoder.decode(type, from: data)
        } catch let error as DecodingError {
            throw ModelFault("manifest.json: \(explanation(error))")
        } catch {
            throw ModelFault("manifest.json cannot be read as JSON")
        }
    }

    private static func explanation(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context):
            "\(path(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(path(context.codingPath)) has the wrong type"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            "it is not JSON, or holds a number that is too large"
        case .dataCorrupted(let context):
            "\(path(context.codingPath)): \(context.debugDescription)"
        @unknown default:
            "it cannot be decoded"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        var text = ""
        for key in keys {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : "." + key.stringValue
            }
        }
        return text.isEmpty ? "the whole" : text
    }
}

// MARK: - As it stands in the file

extension Manifest {
    private struct Head: Decodable { var format: Int }

    private struct Body: Decodable {
        struct File: Decodable {
            var name: String
            var sha256: String
            var bytes: Int64
        }
        struct Tensor: Decodable {
            var name: String
            var datatype: String
            var shape: [Int64]
            var labels: [String]?
        }
        struct Tensors: Decodable {
            var inputs: [Tensor]
            var outputs: [Tensor]
        }
        struct Measured: Decodable {
            var residentBytes: UInt64?
            var peakBytes: UInt64?
            var loadMicroseconds: Double?
            var firstRunMicroseconds: Double?
            var warmRunMicroseconds: Double?

            enum CodingKeys: String, CodingKey {
                case residentBytes = "resident_bytes"
                case peakBytes = "peak_bytes"
                case loadMicroseconds = "load_us"
                case firstRunMicroseconds = "first_run_us"
                case warmRunMicroseconds = "warm_run_us"
            }
        }
        struct Limits: Decodable {
            var timeoutMilliseconds: Int64?
            var concurrency: Int?
            var batch: Int?

            enum CodingKeys: String, CodingKey {
                case timeoutMilliseconds = "timeout_ms"
                case concurrency, batch
            }
        }

        var name: String
        var version: Int64
        var files: [File]
        var signature: Tensors
        var measured: Measured?
        var limits: Limits?
        var load: String?
    }
}

// MARK: - Checks

extension Manifest {
    private static func files(_ listed: [Body.File]) throws(ModelFault) -> [ModelFile] {
        guard listed.count <= filesMax else {
            throw ModelFault(
                "manifest.json lists \(listed.count) files, \(filesMax) are allowed")
        }
        var seen: Set<String> = []
        var files: [ModelFile] = []
        for file in listed {
            guard RelativePath.parts(file.name) != nil, file.name != fileName else {
                throw ModelFault(
                    "manifest.json: file name \(Wording.quoted(file.name)) is not a path inside "
                        + "the version's folder")
            }
            guard seen.insert(file.name).inserted else {
                throw ModelFault("manifest.json lists \(Wording.quoted(file.name)) twice")
            }
            guard file.sha256.utf8.count == 64, file.sha256.utf8.allSatisfy(isLowerHexadecimal)
            else {
                throw ModelFault(
                    "manifest.json: sha256 of \(Wording.quoted(file.name)) must be 64 lower-case "
                        + "hexadecimal digits")
            }
            guard file.bytes >= 0 else {
                throw ModelFault(
                    "manifest.json: bytes of \(Wording.quoted(file.name)) is \(file.bytes)")
            }
            files.append(
                ModelFile(
                    name: file.name, byteCount: UInt64(file.bytes), sha256: file.sha256))
        }
        guard seen.contains(ModelEntry.modelFileName) else {
            throw ModelFault("manifest.json does not list \(ModelEntry.modelFileName)")
        }
        return files
    }

    private static func isLowerHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }

    private static func specifications(
        _ tensors: [Body.Tensor], _ kind: String
    ) throws(ModelFault) -> [TensorSpecification] {
        guard tensors.count <= tensorsMax else {
            throw ModelFault(
                "manifest.json: signature.\(kind) has \(tensors.count) tensors, \(tensorsMax) are "
                    + "allowed")
        }
        var seen: Set<String> = []
        var result: [TensorSpecification] = []
        for tensor in tensors {
            guard !tensor.name.isEmpty, tensor.name.utf8.count <= nameBytesMax else {
                throw ModelFault(
                    "manifest.json: a name in signature.\(kind) is empty or longer than "
                        + "\(nameBytesMax) bytes")
            }
            let shown = "manifest.json: signature.\(kind) \(Wording.quoted(tensor.name))"
            guard seen.insert(tensor.name).inserted else {
                throw ModelFault("\(shown) comes twice")
            }
            guard let datatype = ElementType(name: tensor.datatype) else {
                throw ModelFault(
                    "\(shown): datatype \(Wording.quoted(tensor.datatype)) is not one of "
                        + ElementType.allCases.map(\.name).joined(separator: " "))
            }
            guard let shape = Shape(tensor.shape), tensor.shape.allSatisfy({ $0 >= -1 }) else {
                throw ModelFault(
                    "\(shown): a shape has at most \(Shape.rankMax) dimensions of -1 or more")
            }
            result.append(
                TensorSpecification(name: tensor.name, datatype: datatype, shape: shape))
        }
        return result
    }

    private static func labels(
        _ listed: [Body.Tensor], _ outputs: [TensorSpecification]
    ) throws(ModelFault) -> [String: [String]] {
        var result: [String: [String]] = [:]
        for (tensor, output) in zip(listed, outputs) {
            guard let labels = tensor.labels else { continue }
            if let fault = Manifest.fault(ofLabels: labels, for: output) {
                throw ModelFault(
                    "manifest.json: signature.outputs \(Wording.quoted(output.name)): \(fault)")
            }
            result[output.name] = labels
        }
        return result
    }

    /// Why an output cannot have these labels, as half a sentence; nil when it can. Classification (OIP 4.5) sorts a whole row,
    /// so that labels name its places only where a row is one dimension.
    package static func fault(
        ofLabels labels: [String], for output: TensorSpecification
    ) -> String? {
        let rank = output.shape.rank
        guard rank == 1 || rank == 2 else {
            return "labels are for an output of one or two dimensions, its shape is \(output.shape)"
        }
        let classes = output.shape[rank - 1]
        guard classes >= 0 else {
            return "labels need a last dimension of a fixed size, its shape is \(output.shape)"
        }
        guard labels.count == classes else {
            return "\(labels.count) labels do not fit its last dimension, which is \(classes)"
        }
        guard labels.allSatisfy({ $0.utf8.count <= nameBytesMax }) else {
            return "a label is longer than \(nameBytesMax) bytes"
        }
        return nil
    }

    private static func limits(_ limits: Body.Limits?) throws(ModelFault) -> ModelLimits {
        guard let limits else { return ModelLimits() }
        let given: [(key: String, value: Int64?)] = [
            ("timeout_ms", limits.timeoutMilliseconds),
            ("concurrency", limits.concurrency.map { Int64($0) }),
            ("batch", limits.batch.map { Int64($0) }),
        ]
        for (key, value) in given {
            guard let value else { continue }
            guard value >= 1, value <= limitMax else {
                throw ModelFault("manifest.json: limits.\(key) must be 1 to \(limitMax)")
            }
        }
        return ModelLimits(
            timeout: limits.timeoutMilliseconds.map { .milliseconds(UInt64($0)) },
            concurrency: limits.concurrency, batch: limits.batch)
    }

    private static func form(_ word: String?) throws(ModelFault) -> LoadForm {
        guard let word else { return .plain }
        guard let form = LoadForm(rawValue: word) else {
            throw ModelFault(
                "manifest.json: load is \(Wording.quoted(word)), must be one of "
                    + LoadForm.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return form
    }

    private static func measurements(_ measured: Body.Measured?) -> Measurements {
        func time(_ microseconds: Double?) -> Nanoseconds? {
            // A measurement is only a hint: one that cannot be is dropped, not an error.
            guard let microseconds, microseconds >= 0, microseconds < 1e12 else { return nil }
            return Nanoseconds(UInt64(microseconds * 1_000))
        }
        return Measurements(
            residentBytes: measured?.residentBytes, peakBytes: measured?.peakBytes,
            load: time(measured?.loadMicroseconds), firstRun: time(measured?.firstRunMicroseconds),
            warmRun: time(measured?.warmRunMicroseconds))
    }
}
