// One version of one model in the catalogue: what callers may know of it and what a shard needs to load it.
// Immutable, so it is shared by every thread without a lock; its sessions live in Shards, under its index.

package import Contract

/// One version of a model. A changed file makes a new entry; an unchanged one keeps its entry over scans.
package final class ModelEntry: Sendable {
    /// What the index and the metadata call an ONNX model, as Triton does (OIP 1.2).
    package static let platform = "onnxruntime_onnx"
    /// The file a version's folder holds the model in.
    package static let modelFileName = "model.onnx"

    /// Counts up from 0 in the order entries were made and is never given to another entry of this registry:
    /// state per model can be kept in arrays.
    package let index: Int
    package let name: String
    /// The version's number as text, as replies and metadata show it.
    package let version: String
    package let versionNumber: Int64
    /// Absolute path of the version's folder.
    package let directory: String
    /// Absolute path of the model file.
    package let modelPath: String
    package let files: [ModelFile]
    package let signature: Signature
    package let limits: ModelLimits
    package let measured: Measurements
    package let load: LoadForm
    /// Bytes of all files of this version but the model's own: what is mapped of a model whose weights stay in their file.
    package let weightBytes: UInt64
    /// Why this version cannot be served; nil when it can, as far as its files tell.
    package let fault: String?

    /// Tells this content of the files from every other, also after a restart.
    package let contentKey: UInt64

    let scanned: ScannedModel
    /// Every output, in the signature's order: shared by all calls that do not choose.
    let everyOutput: [Int]
    /// What each input is checked against, in the signature's order.
    let checks: [InputCheck]

    package init(index: Int, _ scanned: ScannedModel) {
        self.index = index
        name = scanned.name.text
        version = scanned.version.description
        versionNumber = scanned.version.number
        directory = scanned.directory
        modelPath = scanned.directory + "/" + ModelEntry.modelFileName
        files = scanned.files
        signature = scanned.signature
        limits = scanned.limits
        measured = scanned.measured
        load = scanned.load
        weightBytes = scanned.files.reduce(0) {
            $1.name == ModelEntry.modelFileName ? $0 : $0 &+ $1.byteCount
        }
        fault = scanned.fault
        contentKey = ContentKey.of(scanned)
        self.scanned = scanned
        everyOutput = Array(scanned.signature.outputs.indices)
        checks = scanned.signature.inputs.map(InputCheck.init)
    }

    /// By output, as ``Manifest/labels``; empty when the manifest names no classes.
    package var labels: [String: [String]] { scanned.labels }

    /// Bytes of all files of this version.
    package var fileBytes: UInt64 { files.reduce(0) { $0 &+ $1.byteCount } }

    /// The failure of every call while the version cannot be served.
    package func brokenFailure(_ reason: String) -> CallFailure {
        CallFailure(
            .failedPrecondition, .modelBroken,
            "model '\(name)' version \(version) cannot be served: \(reason)", notStarted: true)
    }
}

extension ModelEntry {
    /// Says how the signature the engine found in the loaded model differs from this entry's, or nil when calls
    /// checked against the entry fit the session: same inputs and outputs in the same order. Shapes of outputs
    /// are not compared, they are what the converter happened to write.
    package func mismatch(with loaded: Signature) -> String? {
        if let difference = ModelEntry.difference(
            "input", signature.inputs, loaded.inputs, comparesShapes: true)
        {
            return difference
        }
        return ModelEntry.difference(
            "output", signature.outputs, loaded.outputs, comparesShapes: false)
    }

    private static func difference(
        _ kind: String, _ declared: [TensorSpecification], _ loaded: [TensorSpecification],
        comparesShapes: Bool
    ) -> String? {
        guard declared.count == loaded.count else {
            return "the manifest declares \(declared.count) \(kind)s, the model has \(loaded.count)"
        }
        for (ours, theirs) in zip(declared, loaded) {
            if ours.name != theirs.name {
                return "the manifest declares \(kind) '\(ours.name)' where the model has "
                    + "'\(theirs.name)'"
            }
            if ours.datatype != theirs.datatype {
                return "the manifest declares \(kind) '\(ours.name)' as \(ours.datatype), "
                    + "the model as \(theirs.datatype)"
            }
            if comparesShapes, ours.shape.rank != theirs.shape.rank {
                return "the manifest declares \(kind) '\(ours.name)' as \(ours.shape), "
                    + "the model as \(theirs.shape)"
            }
        }
        return nil
    }
}

/// A call whose tensors have been checked: the engine can run it as it is.
package struct Prepared: Sendable {
    package let entry: ModelEntry
    /// One for each input of the signature, in its order.
    package let inputs: [Tensor]
    /// Indices into `entry.signature.outputs`, in the order the caller wants them.
    package let outputs: [Int]
    /// Bytes of all inputs.
    package let byteCount: Int
    /// The caller's id of the request, echoed in the reply; may be empty.
    package let requestID: String

    package init(
        entry: ModelEntry, inputs: [Tensor], outputs: [Int], byteCount: Int, requestID: String
    ) {
        self.entry = entry
        self.inputs = inputs
        self.outputs = outputs
        self.byteCount = byteCount
        self.requestID = requestID
    }
}
