// What a repository found out about one version of a model, before the catalogue takes it in. A value: the
// repository reads files and fills it, the registry decides what becomes of it.

package import Contract

/// One file of a version, as found on disk.
package struct ModelFile: Sendable, Hashable {
    /// Relative to the version's folder, for example `model.onnx`.
    package var name: String
    package var byteCount: UInt64
    /// Lower-case hexadecimal SHA-256 from the manifest; empty when there is no manifest. A ``ModelInspector``
    /// compares it with the file before the model is loaded.
    package var sha256: String

    package init(name: String, byteCount: UInt64, sha256: String = "") {
        self.name = name
        self.byteCount = byteCount
        self.sha256 = sha256
    }
}

/// Limits the model itself brings (manifest, `limits`); nil means the gateway's own.
package struct ModelLimits: Sendable, Hashable {
    /// The longest a run may take.
    package var timeout: Nanoseconds?
    /// Runs of this model at the same time.
    package var concurrency: Int?
    /// Rows in one batch.
    package var batch: Int?

    package init(timeout: Nanoseconds? = nil, concurrency: Int? = nil, batch: Int? = nil) {
        self.timeout = timeout
        self.concurrency = concurrency
        self.batch = batch
    }
}

/// What was measured when the model was built or imported (manifest, `measured`); nil means not measured.
package struct Measurements: Sendable, Hashable {
    package var residentBytes: UInt64?
    package var peakBytes: UInt64?
    package var load: Nanoseconds?
    package var firstRun: Nanoseconds?
    package var warmRun: Nanoseconds?

    package init(
        residentBytes: UInt64? = nil, peakBytes: UInt64? = nil, load: Nanoseconds? = nil,
        firstRun: Nanoseconds? = nil, warmRun: Nanoseconds? = nil
    ) {
        self.residentBytes = residentBytes
        self.peakBytes = peakBytes
        self.load = load
        self.firstRun = firstRun
        self.warmRun = warmRun
    }
}

/// How a model's weights come into memory (manifest, `load`).
package enum LoadForm: String, Sendable, Hashable, CaseIterable {
    /// Optimised and packed for the processor as it is loaded: memory of the process's own.
    case plain
    /// Left in their file and mapped: the model was made ready at import, and wakes in milliseconds.
    case mapped
}

/// Two scans that give equal tokens saw the same files: sizes, inodes and times of change.
package struct ChangeToken: Sendable, Hashable {
    package var stamps: [UInt64]

    package init(_ stamps: [UInt64] = []) { self.stamps = stamps }
}

/// One version of a model as a scan found it.
package struct ScannedModel: Sendable, Hashable {
    package var name: ModelName
    package var version: ModelVersion
    /// Absolute path of the version's folder, without a slash at the end.
    package var directory: String
    package var files: [ModelFile]
    /// Empty when `fault` says that it could not be found out.
    package var signature: Signature
    /// By output, as ``Manifest/labels``.
    package var labels: [String: [String]] = [:]
    package var limits: ModelLimits
    package var measured: Measurements
    package var load: LoadForm
    /// Why this version cannot be served, as half a sentence; nil when it can.
    package var fault: String?
    package var token: ChangeToken

    package init(
        name: ModelName, version: ModelVersion, directory: String, files: [ModelFile] = [],
        signature: Signature, limits: ModelLimits = ModelLimits(),
        measured: Measurements = Measurements(), load: LoadForm = .plain, fault: String? = nil,
        token: ChangeToken = ChangeToken()
    ) {
        self.name = name
        self.version = version
        self.directory = directory
        self.files = files
        self.signature = signature
        self.limits = limits
        self.measured = measured
        self.load = load
        self.fault = fault
        self.token = token
    }

    /// Takes over everything that a manifest says of a version.
    package mutating func adopt(_ manifest: Manifest) {
        files = manifest.files
        signature = manifest.signature
        labels = manifest.labels
        limits = manifest.limits
        measured = manifest.measured
        load = manifest.load
    }
}
