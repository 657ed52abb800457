// Ends a run from outside: a deadline, a cancel, a stop.

import COnnxRuntime
import Synchronization

/// Told to, ends every run it was given to. One is made for a call that may need it and is not reset.
///
/// Thread rule: ``terminate()`` may be called from any thread, before, during and after a run, any number of
/// times; the run holds the terminator, so it may be dropped at any time. The engine looks between two nodes of
/// the graph: usually within 10 ms, seconds inside one huge operator (RUNTIME.md).
@safe package final class RunTerminator: Sendable {
    private let environment: OnnxEnvironment
    // Made in the initialiser and released in deinit. Between the two the engine only reads one flag of it, which
    // RunOptionsSetTerminate sets from other threads by design (onnxruntime_c_api.h).
    nonisolated(unsafe) let options: OpaquePointer
    private let told = Atomic<Bool>(false)

    /// Throws `runFailed` when the engine has no memory left.
    package init(_ environment: OnnxEnvironment) throws(EngineFailure) {
        self.environment = environment
        var options: OpaquePointer?
        let engine = environment.engine
        try unsafe engine.check(COnnxRuntime_CreateRunOptions(engine.api, &options), .run)
        guard let options = unsafe options else { throw .runFailed("no run options") }
        unsafe self.options = unsafe options
    }

    deinit { unsafe COnnxRuntime_ReleaseRunOptions(environment.engine.api, options) }

    /// Ends the run, or the coming one.
    package func terminate() {
        told.store(true, ordering: .releasing)
        let engine = environment.engine
        unsafe engine.discard(COnnxRuntime_RunOptionsSetTerminate(engine.api, options))
    }

    /// True once ``terminate()`` was called.
    package var isTerminated: Bool { told.load(ordering: .acquiring) }
}
