// What an operator asks of an import, checked before anything is begun. Beside the walk: `sluice models import`.

package import Contract

/// What a file of a trained model is, by its name; what it really holds shows when it is read.
package enum SourceKind: String, Sendable, CaseIterable {
    case onnx, pickle, xgboost, lightgbm

    /// The kind of a file, or nil when its name ends in none of ``endings``.
    package init?(fileName: String) {
        let lowered = fileName.lowercased()
        let match = SourceKind.endings.first { lowered.hasSuffix($0.ending) }
        guard let match, lowered.utf8.count > match.ending.utf8.count else { return nil }
        self = match.kind
    }

    package static let endings: [(ending: String, kind: SourceKind)] = [
        (".onnx", .onnx), (".pkl", .pickle), (".pickle", .pickle), (".joblib", .pickle),
        (".json", .xgboost), (".ubj", .xgboost), (".txt", .lightgbm),
    ]

    /// Whether Python is needed to read it.
    package var isConverted: Bool { self != .onnx }

    package var title: String {
        switch self {
        case .onnx: "ONNX model"
        case .pickle: "pickle"
        case .xgboost: "XGBoost model"
        case .lightgbm: "LightGBM model"
        }
    }
}

/// What each child of an import may use.
package struct WorkshopLimits: Sendable, Equatable {
    package var memoryBytes: UInt64 = 4 << 30
    package var time: Duration = .seconds(600)

    package init() {}
}

/// One import.
package struct ImportRequest: Sendable {
    /// As the operator wrote it.
    package var file: String
    package var kind: SourceKind
    package var name: ModelName
    /// Nil: the next free one.
    package var version: ModelVersion?
    /// A file of rows for the parity; nil: rows are generated.
    package var rows: String?
    package var limits = WorkshopLimits()
    /// The largest difference from the original, relative for numbers above 1.
    package var tolerance = ImportRequest.toleranceDefault
    /// Where the Python environment is; nil: made in the user's cache.
    package var pythonEnvironment: String?

    package static let toleranceDefault = 1e-4

    /// Throws what is not allowed and what is.
    package init(
        file: String, name: String, version: String?, rows: String? = nil
    ) throws(GatewayError) {
        guard let kind = SourceKind(fileName: file) else {
            let endings = SourceKind.endings.map(\.ending).joined(separator: " ")
            throw GatewayError(
                .data, "'\(file)' cannot be imported: its name must end in one of \(endings)",
                mend: "Other models: export them as ONNX, and import the .onnx")
        }
        guard let name = ModelName(name) else {
            throw GatewayError(
                .data,
                "--name is no model name: it begins with a letter or digit and has letters, digits, '.', '_' and '-', "
                    + "at most \(ModelName.lengthMax)")
        }
        if let version {
            guard let number = ModelVersion(version) else {
                throw GatewayError(
                    .data, "--version must be a positive whole number without leading zeros")
            }
            self.version = number
        }
        self.file = file
        self.kind = kind
        self.name = name
        self.rows = rows
    }

    /// The source's own name, as the manifest keeps it: no path of the operator's machine.
    package var fileName: String { file.split(separator: "/").last.map(String.init) ?? file }
}

/// The steps of an import, in order.
package enum ImportStep: String, Sendable, CaseIterable, Codable {
    case environment, convert, optimise, verify, write
}

/// What an import tells while it goes on.
package enum ImportEvent: Sendable, Equatable {
    case began(ImportStep)
    /// How much of the step is done, 0 to 1.
    case progress(ImportStep, Double)
    case note(String)
    case ended(ImportStep, String)
}
