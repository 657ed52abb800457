// The engine's environment: one for the process, with one thread pool for all sessions. Made at start-up, because
// opening the library and the first session cost 20-80 ms.

import COnnxRuntime
import Synchronization

/// A line of the engine's log.
package struct EngineLogLine: Sendable, Equatable {
    package enum Level: Int32, Sendable { case verbose, info, warning, error, fatal }
    package var level: Level
    package var message: String
}

/// How the engine is started.
package struct OnnxEnvironmentSettings: Sendable {
    /// The library's file; nil for SLUICE_ONNXRUNTIME or else the usual places.
    package var library: String?
    /// Threads one operator of one run may use, all runs together sharing one pool; 1 means the calling thread
    /// alone and no pool.
    package var intraThreads = 1
    /// Lines below this level are not made.
    package var logLevel = EngineLogLine.Level.error
    /// Receives the engine's log, on any thread, and must not wait; nil drops it.
    package var log: (@Sendable (EngineLogLine) -> Void)?

    package init() {}
}

/// The started engine. May be used from any thread; sessions keep it alive. ONNX Runtime knows one environment a
/// process: a second one made while the first lives shares its threads, whatever its settings say.
@safe package final class OnnxEnvironment: Sendable {
    let engine: Engine
    // Made in the initialiser, released in deinit, and between the two only read; ONNX Runtime's environment,
    // memory information and default allocator may be used by several threads.
    nonisolated(unsafe) let environment: OpaquePointer
    nonisolated(unsafe) let memory: OpaquePointer
    nonisolated(unsafe) let allocator: UnsafeMutablePointer<OrtAllocator>
    // For runs nobody ends: never changed, so all may share them.
    nonisolated(unsafe) let runOptions: OpaquePointer

    /// The library's version, for example `1.31.1`.
    package let version: String

    /// Opens the library and starts the engine. Throws `libraryMissing`, `versionTooOld` or `loadFailed`.
    package init(_ settings: OnnxEnvironmentSettings = OnnxEnvironmentSettings())
        throws(EngineFailure)
    {
        let (engine, version) = try Engine.open(at: settings.library)
        self.engine = engine
        self.version = version
        EngineLog.forward(to: settings.log)
        let environment = try unsafe OnnxEnvironment.start(engine, settings)
        unsafe self.environment = unsafe environment
        do throws(EngineFailure) {
            try unsafe engine.check(
                COnnxRuntime_DisableTelemetryEvents(engine.api, environment), .load)
            var memory: OpaquePointer?
            try unsafe engine.check(COnnxRuntime_CreateCpuMemoryInfo(engine.api, &memory), .load)
            var allocator: UnsafeMutablePointer<OrtAllocator>?
            try unsafe engine.check(
                COnnxRuntime_GetAllocatorWithDefaultOptions(engine.api, &allocator), .load)
            var runOptions: OpaquePointer?
            try unsafe engine.check(COnnxRuntime_CreateRunOptions(engine.api, &runOptions), .load)
            guard let memory = unsafe memory, let allocator = unsafe allocator,
                let runOptions = unsafe runOptions
            else { throw .loadFailed("ONNX Runtime gave no allocator") }
            try unsafe FirstSession.pay(engine, environment)
            unsafe self.memory = unsafe memory
            unsafe self.allocator = unsafe allocator
            unsafe self.runOptions = unsafe runOptions
        } catch {
            unsafe COnnxRuntime_ReleaseEnv(engine.api, environment)
            throw error
        }
    }

    deinit {
        unsafe COnnxRuntime_ReleaseRunOptions(engine.api, runOptions)
        unsafe COnnxRuntime_ReleaseMemoryInfo(engine.api, memory)
        unsafe COnnxRuntime_ReleaseEnv(engine.api, environment)
    }

    /// Gives freed heap pages back to the system: after a session was released most of its memory is still the
    /// process's (RUNTIME.md). Takes milliseconds and holds the heap's locks, so call it on a thread that may
    /// wait, never on an event loop.
    package static func trimMemory() { _ = COnnxRuntime_trimHeap() }

    /// Resident bytes of the process: its own, those of files, and the most of both since ``resetMemoryPeak()``
    /// (proc_pid_status(5)). Nil where the system does not tell. Takes some tens of microseconds.
    package static func memory() -> (anonymous: UInt64, mapped: UInt64, peak: UInt64)? {
        var anonymous: UInt64 = 0
        var mapped: UInt64 = 0
        var peak: UInt64 = 0
        guard unsafe COnnxRuntime_readMemory(&anonymous, &mapped, &peak) else { return nil }
        return (anonymous, mapped, peak)
    }

    /// The peak counts from here (clear_refs in proc_pid_clear_refs(5)).
    package static func resetMemoryPeak() { COnnxRuntime_resetMemoryPeak() }

    private static func start(
        _ engine: Engine, _ settings: OnnxEnvironmentSettings
    ) throws(EngineFailure) -> OpaquePointer {
        precondition(settings.intraThreads >= 1, "the engine needs at least the calling thread")
        let api = unsafe engine.api
        var made: OpaquePointer?
        try unsafe engine.check(COnnxRuntime_CreateThreadingOptions(api, &made), .load)
        guard let threads = unsafe made else {
            throw .loadFailed("ONNX Runtime gave no threading options")
        }
        defer { unsafe COnnxRuntime_ReleaseThreadingOptions(api, threads) }
        try unsafe engine.check(
            COnnxRuntime_SetGlobalIntraOpNumThreads(
                api, threads, Int32(clamping: settings.intraThreads)), .load)
        try unsafe engine.check(COnnxRuntime_SetGlobalInterOpNumThreads(api, threads, 1), .load)
        // A spinning thread takes a whole core from the event loops.
        try unsafe engine.check(COnnxRuntime_SetGlobalSpinControl(api, threads, 0), .load)
        var environment: OpaquePointer?
        let level = OrtLoggingLevel(rawValue: UInt32(settings.logLevel.rawValue))
        try unsafe engine.check(
            COnnxRuntime_CreateEnv(
                api, EngineLog.callback, nil, level, "sluice", threads, &environment), .load)
        guard let environment = unsafe environment else {
            throw .loadFailed("ONNX Runtime gave no environment")
        }
        return unsafe environment
    }
}

/// Where the engine's log goes. The callback is the process's, not an environment's, because ONNX Runtime keeps
/// the first environment's callback for as long as any environment lives.
private enum EngineLog {
    private static let sink = Mutex<(@Sendable (EngineLogLine) -> Void)?>(nil)

    static func forward(to log: (@Sendable (EngineLogLine) -> Void)?) {
        sink.withLock { $0 = log }
    }

    static let callback: OrtLoggingFunction = { _, severity, _, _, _, message in
        guard let log = EngineLog.sink.withLock({ $0 }), let message = unsafe message else {
            return
        }
        let level = EngineLogLine.Level(rawValue: Int32(severity.rawValue)) ?? .error
        log(
            EngineLogLine(
                level: level, message: Engine.bounded(unsafe String(cString: message))))
    }
}
