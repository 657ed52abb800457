// What the routes of the Open Inference Protocol and its extensions say of themselves (OIP 1, 4). Refusals that follow from a
// route's access, captures and body are not repeated.

package import NIOHTTP1

extension RouteDescription {
    private static let seeing = ["infer:{model}", "models:read"]
    private static let reading = ["infer:*", "models:read"]

    private static func good(_ summary: String, _ component: String) -> Outcome {
        Outcome(200, summary, [.json(.component(component))])
    }

    /// Answers of calls that have a deadline and may have to make room.
    private static let ends: [Outcome] = [
        .failure(504, "The deadline was over first."),
        .failure(507, "The model cannot fit into the memory budget."),
    ]

    package static let serverLive = RouteDescription(
        "serverLive", .server, "Whether the gateway lives",
        outcomes: [good("It does.", "ServerLiveness")])
    package static let serverReady = RouteDescription(
        "serverReady", .server, "Whether the gateway takes calls",
        outcomes: [good("It does.", "ServerReadiness")])
    package static let serverMetadata = RouteDescription(
        "serverMetadata", .server, "The gateway's name, version and extensions",
        outcomes: [good("They are.", "ServerMetadata")])
    package static let openAPI = RouteDescription(
        "openAPI", .server, "This document",
        details: "Made from the routes, and from those models the token may see.",
        outcomes: [
            Outcome(
                200, "An OpenAPI 3.1 document.", [.json(.object([.init("openapi", .string())]))],
                fields: [("etag", "Changes with the document.")]),
            Outcome(304, "The document is the one If-None-Match names."),
        ])

    package static let modelMetadata = RouteDescription(
        "modelMetadata", .models, "A model's inputs, outputs and versions",
        details: "Known without waking the model.",
        outcomes: [good("They are.", "ModelMetadata")], scopes: seeing)
    package static let modelReady = RouteDescription(
        "modelReady", .models, "Whether a call of the model would be taken",
        details: "A model that sleeps is ready: it is woken by its first call.",
        outcomes: [
            good("It would.", "ModelReadiness"),
            .failure(404, "It is unknown, not this caller's, or out of service."),
        ], scopes: seeing)
    package static let modelList = RouteDescription(
        "modelList", .models, "The names of the models the token may see",
        outcomes: [
            Outcome(200, "They are.", [.json(.object([.init("models", .array(.string()))]))])
        ], scopes: reading)
    package static let modelConfig = RouteDescription(
        "modelConfig", .models, "A model's configuration, in Triton's words",
        outcomes: [good("It is.", "ModelConfig")], scopes: seeing)
    package static let modelStatistics = RouteDescription(
        "modelStatistics", .models, "A model's counts since the gateway started",
        outcomes: [good("They are.", "ModelStatistics")], scopes: seeing)
    package static let everyStatistics = RouteDescription(
        "everyStatistics", .models, "The counts of every model the token may see",
        outcomes: [good("They are.", "ModelStatistics")], scopes: reading)
    package static let modelExample = RouteDescription(
        "modelExample", .models, "A call of the model that works, and its answer",
        details:
            "The first golden case of the model's manifest; 404 when it has none that JSON can carry.",
        outcomes: [good("It is.", "ModelExample")], scopes: seeing)

    private static let events = APISchema.noted(
        .string(), "Events named progress, message, end and error; the data of each is JSON.")

    package static let modelEvents = RouteDescription(
        "modelEvents", .streaming, "What becomes of a model, as server-sent events",
        details: "Its state now and at each change, and how far a cold start has come.",
        outcomes: [Outcome(200, "They come.", [Media(EventStream.mediaType, events)])],
        scopes: seeing)
    static let browserModule = RouteDescription(
        "browserModule", .streaming, "The client for browsers, an ES module",
        outcomes: [Outcome(200, "It is.")], isHidden: true)

    package static let modelInfer = RouteDescription(
        "modelInfer", .inference, "Runs a model",
        details:
            "A model that sleeps is woken. With Inference-Header-Content-Length the body is that many bytes "
            + "of JSON and then the tensors' bytes, little-endian and row-major, in the order of the JSON. "
            + "Accept: text/event-stream asks for events: how far a cold start has come, and the answer.",
        parameters: [
            Parameter(
                .header, "Inference-Header-Content-Length",
                "Bytes of the JSON in a body of octets; 0: the body is one raw tensor.",
                .integer(least: 0))
        ],
        // Not required: a raw tensor may have no elements, and so no bytes.
        bodies: [
            .json(.component("InferenceRequest")), Media("application/octet-stream", .binary),
        ],
        outcomes: [
            Outcome(
                200, "The model's outputs.",
                [
                    .json(.component("InferenceResponse")),
                    Media("application/octet-stream", .binary),
                    Media(EventStream.mediaType, events),
                ],
                fields: [
                    (
                        "inference-header-content-length",
                        "Bytes of the JSON when outputs follow as bytes."
                    )
                ]),
            .failure(501, "The request asks for an extension that is not here."),
        ] + ends, scopes: ["infer:{model}"])

    package static let repositoryIndex = RouteDescription(
        "repositoryIndex", .repository, "Every version of every model the token may see",
        bodies: [.json(.object([.optional("ready", .boolean)]))],
        outcomes: [good("They are.", "RepositoryIndex")], scopes: reading)
    private static func change(
        _ operation: String, _ summary: String, _ word: String,
        parameter: APISchema.Member, _ more: [Outcome]
    ) -> RouteDescription {
        RouteDescription(
            operation, .repository, summary,
            bodies: [
                .json(
                    .object([
                        .optional("parameters", .either([.object([parameter]), .null]))
                    ]))
            ],
            outcomes: [
                Outcome(
                    200, "It is done.",
                    [.json(.object([.init("name", .string()), .init(word, .boolean)]))])
            ] + more, scopes: ["models:admin"])
    }

    package static let repositoryLoad = change(
        "repositoryLoad", "Puts a model into service and wakes it", "load",
        parameter: .optional("config", .noted(.string(), "Not here: only an empty text is taken.")),
        [.failure(501, "The request brings a configuration or files.")] + ends)
    package static let repositoryUnload = change(
        "repositoryUnload", "Takes a model out of service; calls under way end well", "unload",
        parameter: .optional("unload_dependents", .boolean), [])

    /// A path of another server's extension.
    package static func notHere(
        _ method: HTTPMethod, _ path: String, _ why: String
    ) -> RouteDescription {
        RouteDescription(
            operation(method, path), .unsupported, "Not here", details: why,
            outcomes: [.failure(501, "It is not here.")])
    }

    /// `getV2Logging`. What tells a path with a version from the one without is added where the document is written.
    private static func operation(_ method: HTTPMethod, _ path: String) -> String {
        let words = path.replacing("/versions/{version}", with: "")
            .split { !$0.isLetter && !$0.isNumber }
        return method.rawValue.lowercased()
            + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    /// The same, left out of the document.
    package var hidden: RouteDescription {
        var hidden = self
        hidden.isHidden = true
        return hidden
    }
}
