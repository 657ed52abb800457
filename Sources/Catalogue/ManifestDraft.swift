// A manifest on its way to the disk: what an import found out, written as docs/manifest.md says and read back by
// Manifest before anybody believes it.

package import Contract

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// What a manifest will say.
package struct ManifestDraft: Sendable {
    package var name: ModelName
    package var version: ModelVersion
    /// With their hashes.
    package var files: [ModelFile]
    package var signature: Signature
    /// By output, as ``Manifest/labels``.
    package var labels: [String: [String]] = [:]
    package var golden: [GoldenCase] = []
    package var measured = Measurements()
    package var load = LoadForm.plain
    /// Texts for people, sorted by key when written.
    package var origin: [String: String] = [:]

    package init(
        name: ModelName, version: ModelVersion, files: [ModelFile], signature: Signature
    ) {
        self.name = name
        self.version = version
        self.files = files
        self.signature = signature
    }

    /// The file's bytes. Throws when this program itself would not take them: golden cases that are too large, a text
    /// that is not UTF-8.
    package func json() throws(ModelFault) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        let bytes: [UInt8]
        do {
            bytes = [UInt8](try encoder.encode(Written(self))) + [UInt8(ascii: "\n")]
        } catch let fault as ModelFault {
            throw fault
        } catch {
            throw ModelFault("the manifest cannot be written as JSON: \(error)")
        }
        _ = try Manifest(json: bytes)
        return bytes
    }
}

/// As it stands in the file.
private struct Written: Encodable {
    struct File: Encodable {
        var name: String
        var sha256: String
        var bytes: UInt64
    }
    struct Specification: Encodable {
        var name: String
        var datatype: String
        var shape: [Int64]
        var labels: [String]?

        init(_ specification: TensorSpecification, labels: [String]? = nil) {
            self.labels = labels
            name = specification.name
            datatype = specification.datatype.name
            shape = (0..<specification.shape.rank).map { specification.shape[$0] }
        }
    }
    struct Tensors: Encodable {
        var inputs: [Specification]
        var outputs: [Specification]
    }
    struct Measured: Encodable {
        var residentBytes: UInt64?
        var peakBytes: UInt64?
        var load: Double?
        var firstRun: Double?
        var warmRun: Double?

        private enum CodingKeys: String, CodingKey {
            case residentBytes = "resident_bytes"
            case peakBytes = "peak_bytes"
            case load = "load_us"
            case firstRun = "first_run_us"
            case warmRun = "warm_run_us"
        }
    }

    var format = 1
    var name: String
    var version: Int64
    var files: [File]
    var signature: Tensors
    var load: String?
    var golden: [GoldenCase]?
    var measured: Measured
    var origin: [String: String]

    init(_ draft: ManifestDraft) {
        name = draft.name.text
        version = draft.version.number
        files = draft.files.map { File(name: $0.name, sha256: $0.sha256, bytes: $0.byteCount) }
        signature = Tensors(
            inputs: draft.signature.inputs.map { Specification($0) },
            outputs: draft.signature.outputs.map {
                Specification($0, labels: draft.labels[$0.name])
            })
        load = draft.load == .plain ? nil : draft.load.rawValue
        golden = draft.golden.isEmpty ? nil : draft.golden
        func microseconds(_ time: Nanoseconds?) -> Double? {
            time.map { Double($0.count / 100) / 10 }
        }
        measured = Measured(
            residentBytes: draft.measured.residentBytes, peakBytes: draft.measured.peakBytes,
            load: microseconds(draft.measured.load),
            firstRun: microseconds(draft.measured.firstRun),
            warmRun: microseconds(draft.measured.warmRun))
        origin = draft.origin
    }
}
