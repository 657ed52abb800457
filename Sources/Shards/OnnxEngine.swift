// The real engine of this room: sessions of ONNX Runtime as models, its terminators as stoppers.

package import Catalogue
package import Contract
package import OnnxRuntime

/// Loads the models of the catalogue into ONNX Runtime.
package struct OnnxEngine: ModelEngine {
    private let environment: OnnxEnvironment
    private let options: OnnxSessionOptions
    private let inspector: (any ModelInspector)?

    /// `inspector`: looks at a model's files before the engine opens them; nil trusts every file.
    package init(
        _ environment: OnnxEnvironment, options: OnnxSessionOptions = OnnxSessionOptions(),
        inspector: (any ModelInspector)? = nil
    ) {
        self.environment = environment
        self.options = options
        self.inspector = inspector
    }

    package func load(
        _ entry: ModelEntry, as form: LoadForm
    ) throws(CallFailure) -> any LoadedModel {
        guard let inspector else { return try open(entry.modelPath, entry, form) }
        let files = try OnnxEngine.inspecting(entry) { () throws(ModelFault) in
            try inspector.inspect(entry)
        }
        let model = try open(files.path, entry, form)
        try OnnxEngine.inspecting(entry) { () throws(ModelFault) in try files.confirm() }
        return model
    }

    private func open(
        _ path: String, _ entry: ModelEntry, _ form: LoadForm
    ) throws(CallFailure) -> OnnxModel {
        var options = options
        options.mapped = options.mapped || form == .mapped
        do throws(EngineFailure) {
            return OnnxModel(
                try OnnxSession(path: path, environment: environment, options: options), entry)
        } catch {
            // Callers see this: where the files are is not theirs to know.
            throw entry.brokenFailure(
                error.text.replacing(path, with: ModelEntry.modelFileName))
        }
    }

    private static func inspecting<Value>(
        _ entry: ModelEntry, _ body: () throws(ModelFault) -> Value
    ) throws(CallFailure) -> Value {
        do throws(ModelFault) {
            return try body()
        } catch {
            throw entry.brokenFailure(error.message)
        }
    }

    package func stopper() -> any RunStopper {
        do throws(EngineFailure) {
            return OnnxStopper(try RunTerminator(environment))
        } catch {
            // The engine has no memory for a few bytes: the run will find out soon.
            return OnnxStopper(nil)
        }
    }

    package func trimMemory() { OnnxEnvironment.trimMemory() }

    package func memory() -> ProcessMemory? {
        OnnxEnvironment.memory().map {
            ProcessMemory(anonymous: $0.anonymous, mapped: $0.mapped, peak: $0.peak)
        }
    }

    package func resetMemoryPeak() { OnnxEnvironment.resetMemoryPeak() }
}

/// One session.
private final class OnnxModel: LoadedModel {
    private let session: OnnxSession
    private let name: String

    init(_ session: OnnxSession, _ entry: ModelEntry) {
        self.session = session
        name = entry.name
    }

    var signature: Signature { session.signature }

    func run(_ prepared: Prepared, stopper: any RunStopper) throws(CallFailure) -> [Tensor] {
        do throws(EngineFailure) {
            return try session.run(
                inputs: prepared.inputs, outputs: prepared.outputs,
                terminator: (stopper as? OnnxStopper)?.terminator)
        } catch {
            throw translated(error)
        }
    }

    /// The engine's words in the caller's.
    private func translated(_ failure: EngineFailure) -> CallFailure {
        let message = "model '\(name)': \(failure.text)"
        return switch failure {
        case .invalidInput: CallFailure(.invalidArgument, .badTensor, message)
        case .unsupported: CallFailure(.unimplemented, .runFailed, message)
        case .libraryMissing, .versionTooOld, .loadFailed, .runFailed, .terminated:
            CallFailure(.internal, .runFailed, message)
        }
    }
}

private final class OnnxStopper: RunStopper {
    let terminator: RunTerminator?

    init(_ terminator: RunTerminator?) { self.terminator = terminator }

    func stop() { terminator?.terminate() }
}
