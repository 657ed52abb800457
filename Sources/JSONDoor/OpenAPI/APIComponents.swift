// The named parts of /openapi.json: the objects of OIP 1.1 and its extensions, the house's error, and what every answer's head
// may hold.

import Contract
import OpenInference

/// JSON objects and arrays from texts that are JSON already.
enum APIJSON {
    static func object(_ members: [(name: String, json: String)]) -> String {
        "{" + members.map { JSONText.quoted($0.name) + ":" + $0.json }.joined(separator: ",") + "}"
    }

    static func array(_ elements: [String]) -> String {
        "[" + elements.joined(separator: ",") + "]"
    }

    static func reference(_ kind: String, _ name: String) -> String {
        "{\"$ref\":" + JSONText.quoted("#/components/\(kind)/\(name)") + "}"
    }
}

enum APIComponents {
    static let schemas: [(name: String, schema: APISchema)] =
        whole + [
            ("Error", error), ("Parameters", parameters), ("TensorData", tensorData),
            ("ServerReadiness", .object([.init("live", .boolean), .init("ready", .boolean)])),
            ("ServerLiveness", .object([.init("live", .boolean)])),
            (
                "ModelReadiness",
                .object([.init("name", .string()), .init("ready", .boolean)])
            ),
        ]

    /// What the house answers a failure with: OIP 1.1, and the members of RFC 9457.
    private static let error = APISchema.object([
        .init("error", .noted(.string(), "What was wrong, what was allowed, where to change it.")),
        .optional("title", .string()), .optional("status", .integer(least: 400, most: 599)),
        .optional("code", .noted(.string(), "A status of gRPC: NOT_FOUND")),
        .optional("reason", .noted(.string(), "Finer: MODEL_NOT_FOUND")),
        .optional(
            "retry_after",
            .noted(.integer(least: 1), "Whole seconds; of an event, which has no Retry-After.")),
    ])

    private static let parameters = APISchema.map(.either([.string(), .number, .boolean]))

    /// Nested as the shape says, or flat and row-major.
    private static let tensorData = APISchema.array(
        .either([.number, .string(), .boolean, .component("TensorData")]))

    static let datatype = APISchema.choice(ElementType.allCases.map(\.name))
    static let shape = APISchema.array(.integer(least: 0), most: Shape.rankMax)
    private static let dimensions = APISchema.array(
        .noted(.integer(least: -1), "-1 is free"), most: Shape.rankMax)

    private static let tensorMetadata = APISchema.object([
        .init("name", .string()), .init("datatype", datatype), .init("shape", dimensions),
    ])

    private static let whole: [(name: String, schema: APISchema)] = [
        (
            "InferenceRequest",
            .object([
                .optional("id", .noted(.string(), "Comes back with the answer.")),
                .optional("parameters", .component("Parameters")),
                .init("inputs", .array(.component("RequestInput"))),
                .optional(
                    "outputs",
                    .noted(.array(.component("RequestedOutput")), "None: all of the model's.")),
            ])
        ),
        (
            "RequestInput",
            .object([
                .init("name", .string()), .init("shape", shape), .init("datatype", datatype),
                .optional("parameters", .component("Parameters")),
                .optional(
                    "data",
                    .noted(
                        .component("TensorData"), "Absent when the tensor follows as bytes.")),
            ])
        ),
        (
            "RequestedOutput",
            .object([
                .init("name", .string()), .optional("parameters", .component("Parameters")),
            ])
        ),
        (
            "InferenceResponse",
            .object([
                .optional("id", .string()), .init("model_name", .string()),
                .optional("model_version", .string()),
                .optional("parameters", .component("Parameters")),
                .init("outputs", .array(.component("ResponseOutput"))),
            ])
        ),
        (
            "ResponseOutput",
            .object([
                .init("name", .string()), .init("datatype", datatype), .init("shape", shape),
                .optional("parameters", .component("Parameters")),
                .optional("data", .component("TensorData")),
            ])
        ),
        (
            "ModelExample",
            .object([
                .init("request", .component("InferenceRequest")),
                .init("response", .component("InferenceResponse")),
            ])
        ),
        (
            "ServerMetadata",
            .object([
                .init("name", .string()), .init("version", .string()),
                .init("extensions", .array(.string())),
            ])
        ),
        (
            "ModelMetadata",
            .object([
                .init("name", .string()), .optional("versions", .array(.string())),
                .init("platform", .string()), .init("inputs", .array(tensorMetadata)),
                .init("outputs", .array(tensorMetadata)),
            ])
        ),
        (
            "RepositoryIndex",
            .array(
                .object([
                    .init("name", .string()), .optional("version", .string()),
                    .optional(
                        "state",
                        .choice(["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"])),
                    .optional("reason", .string()),
                ]))
        ),
        ("ModelConfig", modelConfig), ("ModelStatistics", statistics),
    ]

    private static let configTensor = APISchema.object([
        .init("name", .string()), .init("data_type", .string(pattern: "^TYPE_[A-Z0-9]+$")),
        .init("dims", .array(.integer(least: -1))),
    ])

    private static let modelConfig = APISchema.object([
        .init("name", .string()), .init("platform", .string()),
        .init("max_batch_size", .integer(least: 0)),
        .init("input", .array(configTensor)), .init("output", .array(configTensor)),
    ])

    private static let duration = APISchema.object([
        .init("count", .integer(least: 0)), .init("ns", .integer(least: 0)),
    ])

    private static let statistics = APISchema.object([
        .init(
            "model_stats",
            .array(
                .object([
                    .init("name", .string()), .init("version", .string()),
                    .init("last_inference", .integer(least: 0)),
                    .init("inference_count", .integer(least: 0)),
                    .init("execution_count", .integer(least: 0)),
                    .init("inference_stats", .map(duration)),
                ])))
    ])
}

// MARK: - Heads and refusals

extension APIComponents {
    /// The fields answers may have, by the component's name.
    static let fields: [(name: String, field: String, summary: String)] = [
        ("RequestId", "x-request-id", "Names the request in the gateway's log."),
        (
            "RetryAfter", "retry-after",
            "Whole seconds after which trying again makes sense (RFC 9110 section 10.2.3)."
        ),
        (
            "RateLimit", "ratelimit",
            "What the caller's plan has left: \"calls\";r=50;t=30 is 50 in the next 30 s."
        ),
        (
            "RateLimitPolicy", "ratelimit-policy",
            "The quota behind it: \"calls\";q=100;w=60 is 100 in 60 s."
        ),
        ("Authenticate", "www-authenticate", "Bearer, and what is wrong with the token."),
    ]

    /// One refusal that follows from what a route is.
    struct Refusal {
        var status: Int
        var name: String
        var summary: String
        var fields: [String] = []
    }

    static let refusals: [Refusal] = [
        Refusal(
            status: 400, name: "BadRequest",
            summary: "The request's head, query or body says what cannot be."),
        Refusal(
            status: 401, name: "Unauthorized",
            summary: "No token, or one that is not active.", fields: ["Authenticate"]),
        Refusal(
            status: 403, name: "Forbidden", summary: "The token lacks a scope.",
            fields: ["Authenticate"]),
        Refusal(
            status: 404, name: "NotFound",
            summary: "There is no such model or version, or it is not this caller's."),
        Refusal(
            status: 406, name: "NotAcceptable",
            summary: "The request accepts none of the types this path answers with."),
        Refusal(status: 408, name: "Slow", summary: "The request did not come in its time."),
        Refusal(
            status: 409, name: "Conflict",
            summary: "The model cannot be called as it is: broken, or in quarantine."),
        Refusal(
            status: 411, name: "LengthRequired", summary: "The request announces no body."),
        Refusal(
            status: 413, name: "TooLarge",
            summary: "The body is larger than this path or the model's shapes allow."),
        Refusal(
            status: 415, name: "MediaType",
            summary: "The body is of a type or a coding this path does not take."),
        Refusal(
            status: 421, name: "Misdirected",
            summary: "Host is not the name the connection was opened for."),
        Refusal(
            status: 429, name: "TooMany", summary: "The caller's plan has nothing left for now.",
            fields: ["RetryAfter"]),
        Refusal(status: 431, name: "HeadTooLarge", summary: "The request's head is too large."),
        Refusal(status: 500, name: "Internal", summary: "A fault of the gateway's or a model's."),
        Refusal(
            status: 503, name: "Unavailable",
            summary:
                "Not now: a queue is full, an issuer or a store is away, or the gateway stops.",
            fields: ["RetryAfter"]),
    ]

    /// The statuses of refusals that follow from the route itself.
    static func refusals(of route: Route) -> [Int] {
        var statuses: Set<Int> = [400, 408, 413, 421, 431, 500]
        if route.access == .token { statuses.formUnion([401, 403, 429, 503]) }
        if route.path.contains("{model}") { statuses.formUnion([404, 409]) }
        if route.bodyBytesMax > 0 { statuses.insert(415) }
        if route.needsBody { statuses.insert(411) }
        if !route.produces.isEmpty { statuses.insert(406) }
        return statuses.sorted()
    }

    /// What stands in a path's braces.
    static func capture(_ name: String) -> (summary: String, schema: APISchema) {
        switch name {
        case "model":
            (
                "The model's name.",
                .string(pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
            )
        case "version":
            (
                "The version's number, an alias an operator chose, or latest.",
                .string(pattern: "^([1-9][0-9]{0,17}|[a-z][a-z0-9-]{0,63})$")
            )
        default: ("One part of the path.", .string(pattern: "^[A-Za-z0-9._~-]+$"))
        }
    }
}
