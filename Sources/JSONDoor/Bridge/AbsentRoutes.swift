// What other servers of the protocol have and this one does not: a clear 501 for whoever asks, behind the same token as
// everything else.

import Contract
import NIOHTTP1

enum AbsentRoutes {
    /// - Parameter limits: of the bodies that come along and are not read.
    static func all(_ limits: Limits) -> [Route] {
        sharedMemory(limits) + settings(limits) + generation(limits) + repositories(limits)
    }

    private static func sharedMemory(_ limits: Limits) -> [Route] {
        let why = "shared memory is not supported: send tensors in binary form (binary_data_size)"
        return ["/v2/systemsharedmemory", "/v2/cudasharedmemory"].flatMap { path in
            [
                absent(.GET, path + "/status", why, limits),
                absent(.GET, path + "/region/{region}/status", why, limits),
                absent(.POST, path + "/region/{region}/register", why, limits),
                absent(.POST, path + "/region/{region}/unregister", why, limits),
                absent(.POST, path + "/unregister", why, limits),
            ]
        }
    }

    private static func settings(_ limits: Limits) -> [Route] {
        let traces = "tracing has no settings here: send a traceparent field"
        let logs = "logging is set in the gateway's settings, not by callers"
        return [HTTPMethod.GET, .POST].flatMap { method in
            [
                absent(method, "/v2/trace/setting", traces, limits),
                absent(method, "/v2/models/{model}/trace/setting", traces, limits),
                absent(method, "/v2/logging", logs, limits),
            ]
        }
    }

    private static func generation(_ limits: Limits) -> [Route] {
        let why = "generate is not supported: models answer infer"
        return ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"].flatMap { path in
            [
                absent(.POST, path + "/generate", why, limits),
                absent(.POST, path + "/generate_stream", why, limits),
            ]
        }
    }

    private static func repositories(_ limits: Limits) -> [Route] {
        let why = "there is one repository: leave its name out of the path"
        return ["/index", "/models/{model}/load", "/models/{model}/unload"].map { tail in
            absent(.POST, "/v2/repository/{repository}" + tail, why, limits)
        }
    }

    private static func absent(
        _ method: HTTPMethod, _ path: String, _ why: String, _ limits: Limits
    ) -> Route {
        Route(
            method, path, access: .token, bodyBytesMax: limits.messageBytes,
            resource: AbsentResource(why: why), description: .notHere(method, path, why))
    }
}

/// Answers on the head alone.
struct AbsentResource: HTTPResource {
    let why: String

    private var answer: HTTPAnswer {
        .failure(CallFailure(.unimplemented, .none, why, notStarted: true))
    }

    func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer? { answer }

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchange.finish(answer)
        return nil
    }
}
