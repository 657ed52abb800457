// A loaded model. Shards loads it on a loader thread and runs it on its own threads or on an event loop.

import COnnxRuntime
package import Contract

/// How a model is loaded.
package struct OnnxSessionOptions: Sendable, Equatable {
    /// The weights stay in their file and are mapped: the model wakes in milliseconds and its weights are the page
    /// cache's, not the process's; a run costs some more (RUNTIME.md). For models optimised once at import, with
    /// their weights in an external file. Turns prepacking and graph optimisation off.
    package var mapped = false
    /// The graph runs as it is written, without optimisation: what an optimised one is compared with.
    package var plain = false
    /// Keeps activations' memory for the next run instead of giving it back: faster for large activations.
    package var arena = false
    /// The most bytes the outputs of one run may have together, after which the run fails.
    package var outputBytesMax = 1 << 30

    package init() {}
}

/// One loaded model and its signature.
///
/// Thread rule: any number of threads may run one session at the same time. Loading and the last release take
/// milliseconds to seconds: do both where waiting is allowed, and call ``OnnxEnvironment/trimMemory()`` after.
@safe package final class OnnxSession: Sendable {
    /// The model's inputs and outputs, in its order. A tensor without any shape in the model and a scalar both have
    /// rank 0 here: the engine does not tell them apart.
    package let signature: Signature

    let environment: OnnxEnvironment
    let outputBytesMax: Int
    // Made in the initialiser and released in deinit; ONNX Runtime's Run may be called by several threads at once
    // (onnxruntime_c_api.h, OrtApi::Run).
    nonisolated(unsafe) let session: OpaquePointer
    // Never written after the initialiser.
    let inputKinds: [TensorKind]
    let inputNames: NameTable
    let outputNames: NameTable
    let forecast: OutputForecast

    /// Loads the model in the file at `path`, with external data beside it. Throws `loadFailed` with the engine's
    /// reason, or `unsupported` when an input or output is not a tensor of the protocol's datatypes.
    package init(
        path: String, environment: OnnxEnvironment,
        options: OnnxSessionOptions = OnnxSessionOptions()
    ) throws(EngineFailure) {
        let engine = environment.engine
        let session = try unsafe OnnxSession.load(path, environment) {
            settings throws(EngineFailure) in try unsafe options.apply(to: settings, engine)
        }
        do throws(EngineFailure) {
            let reader = unsafe SignatureReader(environment: environment, session: session)
            let inputs = try reader.read(.inputs)
            let outputs = try reader.read(.outputs)
            signature = Signature(inputs: inputs.specifications, outputs: outputs.specifications)
            forecast = OutputForecast(signature)
            inputKinds = signature.inputs.map { TensorKind($0.datatype) }
            inputNames = NameTable(inputs.names)
            outputNames = NameTable(outputs.names)
        } catch {
            unsafe COnnxRuntime_ReleaseSession(engine.api, session)
            throw error
        }
        unsafe self.session = unsafe session
        self.environment = environment
        outputBytesMax = options.outputBytesMax
    }

    deinit { unsafe COnnxRuntime_ReleaseSession(environment.engine.api, session) }

    /// Makes a session with the options that `apply` sets. The caller owns it.
    static func load(
        _ path: String, _ environment: OnnxEnvironment,
        _ apply: (OpaquePointer) throws(EngineFailure) -> Void
    ) throws(EngineFailure) -> OpaquePointer {
        // A zero would cut the path short on its way into C.
        guard !path.utf8.contains(0) else { throw .loadFailed("the path holds a zero byte") }
        let engine = environment.engine
        let api = unsafe engine.api
        var made: OpaquePointer?
        try unsafe engine.check(COnnxRuntime_CreateSessionOptions(api, &made), .load)
        guard let settings = unsafe made else { throw .loadFailed("no session options") }
        defer { unsafe COnnxRuntime_ReleaseSessionOptions(api, settings) }
        try unsafe engine.check(COnnxRuntime_DisablePerSessionThreads(api, settings), .load)
        try unsafe apply(settings)
        var session: OpaquePointer?
        try unsafe engine.check(
            COnnxRuntime_CreateSession(
                api, environment.environment, path, settings, &session), .load)
        guard let session = unsafe session else { throw .loadFailed("no session") }
        return unsafe session
    }
}

extension OnnxSessionOptions {
    fileprivate func apply(
        to settings: OpaquePointer, _ engine: Engine
    ) throws(EngineFailure) {
        let api = unsafe engine.api
        if !arena {
            try unsafe engine.check(COnnxRuntime_DisableCpuMemArena(api, settings), .load)
            // The pattern plans one block for all activations, which without an arena is only one more
            // allocation.
            try unsafe engine.check(COnnxRuntime_DisableMemPattern(api, settings), .load)
        }
        guard mapped || plain else { return }
        try unsafe engine.check(
            COnnxRuntime_SetSessionGraphOptimizationLevel(api, settings, ORT_DISABLE_ALL),
            .load)
        guard mapped else { return }
        try unsafe engine.check(
            COnnxRuntime_AddSessionConfigEntry(
                api, settings, "session.disable_prepacking", "1"), .load)
    }
}
