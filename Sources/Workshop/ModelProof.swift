// One model in a folder, loaded as the gateway will load it and run on cases: what the children of an import do. They run
// confined, so nothing here guards against a model that never ends or wants all memory.

import Catalogue
import Contract
import Files
import NIOCore
import OnnxRuntime
import Outside

/// A loaded model and what its loading showed.
struct ModelProof {
    let entry: ModelEntry
    let session: OnnxSession
    let before: (anonymous: UInt64, mapped: UInt64, peak: UInt64)
    let loadTime: Duration

    /// Loads the model of `folder` after looking at its files as the gateway does.
    ///
    /// - Parameter entry: what a manifest says; nil: the model's own head.
    init(
        folder: String, entry: ModelEntry?, options: OnnxSessionOptions,
        environment: OnnxEnvironment
    ) throws {
        let entry = try entry ?? ModelProof.entry(folder: folder)
        let files = try FolderInspector().inspect(entry)
        OnnxEnvironment.trimMemory()
        OnnxEnvironment.resetMemoryPeak()
        before = OnnxEnvironment.memory() ?? (0, 0, 0)
        let clock = ContinuousClock()
        let began = clock.now
        session = try OnnxSession(path: files.path, environment: environment, options: options)
        loadTime = clock.now - began
        try files.confirm()
        if let difference = entry.mismatch(with: session.signature) {
            throw ModelFault(difference)
        }
        self.entry = entry
    }

    /// What the head of a model without a manifest says.
    static func entry(folder path: String) throws -> ModelEntry {
        let folder = try Folder(path: path)
        let header = try OnnxHeader(try folder.file(ModelEntry.modelFileName))
        guard let name = ModelName("model"), let version = ModelVersion(number: 1) else {
            preconditionFailure("these are a name and a version")
        }
        return ModelEntry(
            index: 0,
            ScannedModel(
                name: name, version: version, directory: try Folder.resolved(path: path),
                signature: header.signature))
    }

    /// Runs the model on tensors in any order. Throws what the engine says, or which input is missing.
    func run(_ inputs: [Tensor]) throws -> [Tensor] {
        var ordered: [Tensor] = []
        for input in session.signature.inputs {
            guard let tensor = inputs.first(where: { $0.name == input.name }) else {
                throw ModelFault("the rows have no input '\(input.name)'")
            }
            ordered.append(tensor)
        }
        return try session.run(
            inputs: ordered, outputs: Array(session.signature.outputs.indices))
    }
}

/// How long a model takes and what it holds.
package struct ModelMeasures: Codable, Sendable, Equatable {
    /// Whether its weights are mapped from their file.
    package var isMapped = false
    /// Microseconds; the files are in the page cache.
    package var load = 0.0
    package var firstRun: Double?
    /// The median of several.
    package var warmRun: Double?
    /// Bytes of its own after it ran, and the most while it was loaded and ran.
    package var residentBytes: UInt64 = 0
    package var peakBytes: UInt64 = 0
    /// Bytes of its weights file that it looked at: page cache. None for a model that is not mapped.
    package var mappedBytes: UInt64 = 0

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case isMapped = "mapped"
        case load = "load_us"
        case firstRun = "first_run_us"
        case warmRun = "warm_run_us"
        case residentBytes = "resident_bytes"
        case peakBytes = "peak_bytes"
        case mappedBytes = "mapped_bytes"
    }

    /// What the model will cost, in words.
    package var cost: String {
        let own = "asleep nothing; awake \(Wording.bytes(residentBytes)) of its own"
        return isMapped ? own + " and \(Wording.bytes(mappedBytes)) of page cache" : own
    }
}
