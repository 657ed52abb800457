// ONNX Runtime's function table, opened at run time, and the one way from its status to our failure.

import COnnxRuntime

/// The library's table of functions. It lives in the library's own memory, which is never closed, and is never
/// written after it was got, so any thread may use it at any time.
@safe struct Engine: Sendable {
    // Immutable memory of the library, there until the process ends.
    nonisolated(unsafe) let api: UnsafePointer<OrtApi>

    /// Where the library is looked for when nobody names it, in this order.
    static let places = [
        "/usr/local/lib/libonnxruntime.so", "/usr/local/lib/libonnxruntime.so.1",
        "libonnxruntime.so.1", "libonnxruntime.so", "libonnxruntime.so.1.21",
    ]

    static let mend =
        "Run scripts/setup (make setup) to install it, or name the library by SLUICE_ONNXRUNTIME"

    /// Opens the library at `path`, or else the one SLUICE_ONNXRUNTIME names, or else the first of ``places``.
    /// Returns its version too, for example `1.31.1`.
    static func open(at path: String?) throws(EngineFailure) -> (engine: Engine, version: String) {
        var candidates = Engine.places
        if let path {
            candidates = [path]
        } else if let named = unsafe COnnxRuntime_namedLibrary() {
            candidates = [unsafe String(cString: named)]
        }
        COnnxRuntime_forbidTelemetry()
        var reasons: [String] = []
        for candidate in candidates {
            switch Engine.open(candidate) {
            case .success(let opened): return opened
            case .failure(.libraryMissing(let reason)): reasons.append(reason)
            case .failure(let failure): throw failure
            }
        }
        throw .libraryMissing(
            "ONNX Runtime's library was not found (\(reasons.joined(separator: "; "))). "
                + Engine.mend)
    }

    private init(api: UnsafePointer<OrtApi>) { unsafe self.api = unsafe api }

    private static func open(
        _ path: String
    ) -> Result<(engine: Engine, version: String), EngineFailure> {
        let capacity = 256
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2 * capacity) {
            texts in
            guard let version = texts.baseAddress else { return .failure(.libraryMissing(path)) }
            let reason = unsafe version + capacity
            var api: UnsafePointer<OrtApi>?
            let opening = unsafe COnnxRuntime_open(path, &api, version, reason, capacity)
            if let api = unsafe api, opening == COnnxRuntimeOpened {
                return .success((unsafe Engine(api: api), unsafe String(cString: version)))
            }
            if opening == COnnxRuntimeTooOld {
                return .failure(
                    .versionTooOld(
                        "\(path) is ONNX Runtime \(unsafe String(cString: version)), too old for C API "
                            + "\(COnnxRuntime_headerVersion()). \(Engine.mend)"))
            }
            return .failure(.libraryMissing(unsafe String(cString: reason)))
        }
    }
}

// MARK: Status

extension Engine {
    /// What was being done when a status came back, which decides the failure's case.
    enum Phase { case load, run }

    /// Returns when the status is nil (success), otherwise throws what it says and releases it.
    @inline(__always)
    func check(_ status: OpaquePointer?, _ phase: Phase) throws(EngineFailure) {
        if let status = unsafe status {
            throw unsafe failure(takingOwnershipOf: status, phase)
        }
    }

    @inline(never)
    func failure(takingOwnershipOf status: OpaquePointer, _ phase: Phase) -> EngineFailure {
        let code = unsafe COnnxRuntime_GetErrorCode(api, status)
        let text = Engine.bounded(
            unsafe String(cString: COnnxRuntime_GetErrorMessage(api, status)))
        unsafe COnnxRuntime_ReleaseStatus(api, status)
        switch phase {
        case .load: return .loadFailed(text)
        case .run: return code == ORT_INVALID_ARGUMENT ? .invalidInput(text) : .runFailed(text)
        }
    }

    /// Drops a status that may fail where nothing can be done about it (releasing, for example).
    func discard(_ status: OpaquePointer?) {
        if let status = unsafe status { unsafe COnnxRuntime_ReleaseStatus(api, status) }
    }

    /// One line, bounded: the engine's texts may hold whole graphs.
    static func bounded(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        guard line.count > EngineFailure.textMax else { return line }
        return line.prefix(EngineFailure.textMax - 3) + "..."
    }
}
