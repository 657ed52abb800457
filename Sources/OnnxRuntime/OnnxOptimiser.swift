// Writes a model as the engine has optimised it, so that no later load does it again. Used at import, beside the walk.

import COnnxRuntime

/// Saves optimised models (RUNTIME.md: level 2, so that the file fits every processor of the kind it was made on).
package enum OnnxOptimiser {
    /// Loads the model at `path` and writes what the engine made of it to `destination`. Initialisers of
    /// `externalBytesMin` bytes and more go into the file `weights` beside it; nil: all stay inside.
    ///
    /// Blocks, and holds the whole model in memory. Throws `loadFailed` with the engine's reason.
    package static func save(
        _ path: String, to destination: String, weights: String?, externalBytesMin: Int,
        environment: OnnxEnvironment
    ) throws(EngineFailure) {
        guard !destination.utf8.contains(0) else {
            throw .loadFailed("the path holds a zero byte")
        }
        let engine = environment.engine
        let session = try unsafe OnnxSession.load(path, environment) {
            settings throws(EngineFailure) in
            let api = unsafe engine.api
            try unsafe engine.check(
                COnnxRuntime_SetSessionGraphOptimizationLevel(
                    api, settings, ORT_ENABLE_EXTENDED), .load)
            try unsafe engine.check(
                COnnxRuntime_SetOptimizedModelFilePath(api, settings, destination), .load)
            guard let weights else { return }
            let entries = [
                ("session.optimized_model_external_initializers_file_name", weights),
                (
                    "session.optimized_model_external_initializers_min_size_in_bytes",
                    String(externalBytesMin)
                ),
            ]
            for (key, value) in entries {
                try unsafe engine.check(
                    COnnxRuntime_AddSessionConfigEntry(api, settings, key, value), .load)
            }
        }
        unsafe COnnxRuntime_ReleaseSession(engine.api, session)
    }
}
