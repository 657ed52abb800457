// The first session of a process costs milliseconds and more than a megabyte that no other session pays again (RUNTIME.md). It is
// made and dropped at start, so that no model's first call waits for it and no model is charged with it.

import COnnxRuntime

enum FirstSession {
    /// An ONNX model, `y = Identity(x)` of one float: IR version 8, opset 17, written by hand (onnx.proto).
    private static let model: [UInt8] = [
        // ModelProto.ir_version, graph
        0x08, 8, 0x3A, 55,
        // node: input x, output y, op_type "Identity"; name "g"
        0x0A, 16, 0x0A, 1, 0x78, 0x12, 1, 0x79, 0x22, 8,
        0x49, 0x64, 0x65, 0x6E, 0x74, 0x69, 0x74, 0x79, 0x12, 1, 0x67,
        // input x and output y: float [1]
        0x5A, 15, 0x0A, 1, 0x78, 0x12, 10, 0x0A, 8, 0x08, 1, 0x12, 4, 0x0A, 2, 0x08, 1,
        0x62, 15, 0x0A, 1, 0x79, 0x12, 10, 0x0A, 8, 0x08, 1, 0x12, 4, 0x0A, 2, 0x08, 1,
        // opset_import: version
        0x42, 2, 0x10, 17,
    ]

    /// Makes a session of it and drops it.
    static func pay(_ engine: Engine, _ environment: OpaquePointer) throws(EngineFailure) {
        let api = unsafe engine.api
        var made: OpaquePointer?
        try unsafe engine.check(COnnxRuntime_CreateSessionOptions(api, &made), .load)
        guard let settings = unsafe made else { throw .loadFailed("no session options") }
        defer { unsafe COnnxRuntime_ReleaseSessionOptions(api, settings) }
        // As the models' own sessions are made.
        try unsafe engine.check(COnnxRuntime_DisablePerSessionThreads(api, settings), .load)
        try unsafe engine.check(COnnxRuntime_DisableCpuMemArena(api, settings), .load)
        try unsafe engine.check(COnnxRuntime_DisableMemPattern(api, settings), .load)
        var session: OpaquePointer?
        let status = unsafe model.withUnsafeBytes { bytes -> OpaquePointer? in
            guard let start = bytes.baseAddress else { return nil }
            return unsafe COnnxRuntime_CreateSessionFromArray(
                api, environment, start, bytes.count, settings, &session)
        }
        try unsafe engine.check(status, .load)
        if let session = unsafe session { unsafe COnnxRuntime_ReleaseSession(api, session) }
    }
}
