// What the console's data routes say of themselves in /openapi.json.

extension RouteDescription {
    /// The page's own files are no part of the API.
    static func consoleFile(_ name: String) -> RouteDescription {
        RouteDescription(
            "console \(name)", .console, "A file of the console's page",
            outcomes: [Outcome(200, "The file.")], isHidden: true)
    }

    private static func rights(_ names: [String]) -> APISchema {
        .object(names.map { .init($0, .boolean) })
    }

    private static func access(_ names: [String]) -> [APISchema.Member] {
        [
            .init("issuer", .string()), .init("client", .string()), .init("subject", .string()),
            .init("scopes", .array(.string())), .init("may", rights(names)),
            .init("why", .noted(.map(.string()), "Which rule or scope decides.")),
        ]
    }

    static let consoleAccess = RouteDescription(
        "access", .console, "Who the token is, and what it may do",
        outcomes: [
            Outcome(
                200, "Its names and rights.",
                [.json(.object(access(AccessResource.everywhere.map(\.name))))])
        ])

    static let consoleModelAccess = RouteDescription(
        "modelAccess", .console, "What the token may do with a model of this name",
        details: "Judged by the name: a model that does not exist is answered as one that does.",
        outcomes: [
            Outcome(
                200, "Its rights.",
                [
                    .json(
                        .object(
                            [.init("model", .string())]
                                + access(AccessResource.ofModel.map(\.name))))
                ])
        ])

    private static let bytes = APISchema.integer(least: 0)

    private static let account = APISchema.object([
        .init(
            "fleet",
            .object([
                .init("anonymous_budget", bytes), .init("anonymous_used", bytes),
                .init("mapped_budget", bytes), .init("mapped_used", bytes),
                .init("calls", .integer(least: 0)), .init("cold_calls", .integer(least: 0)),
                .init("loads_last_hour", .integer(least: 0)),
                .init("loads_warn", .integer(least: 0)),
                .init("queued", .integer(least: 0)), .init("running", .integer(least: 0)),
                .optional("uptime_ms", .number),
                .init(
                    "miss_curve",
                    .array(
                        .object([.init("extra_bytes", bytes), .init("cold_share", .number)]))),
            ])),
        .init(
            "models",
            .array(
                .object([
                    .init("name", .string()), .init("version", .string()),
                    .init(
                        "state",
                        .choice(["asleep", "queued", "loading", "awake", "leaving", "broken"])),
                    .init("anonymous_bytes", bytes), .init("mapped_bytes", bytes),
                    .init("load_ms", .number), .init("loads", .integer(least: 0)),
                    .init("evictions", .integer(least: 0)), .init("pinned", .boolean),
                    .init("calls", .integer(least: 0)), .init("failed_calls", .integer(least: 0)),
                    .init("cold_calls", .integer(least: 0)), .init("waiting", .integer(least: 0)),
                    .init("quarantined", .boolean), .init("aliases", .array(.string())),
                    .optional("awake_ms", .number), .optional("last_call_ms_ago", .number),
                    .optional("failure", .string()), .optional("trial", .string()),
                ]))),
    ])

    static let consoleAccount = RouteDescription(
        "account", .console, "What the fleet and its models cost",
        outcomes: [Outcome(200, "Sizes in bytes, times in milliseconds.", [.json(account)])],
        scopes: ["models:read"])

    static let consoleModelAccount = RouteDescription(
        "modelAccount", .console, "What a model's versions cost",
        outcomes: [Outcome(200, "Sizes in bytes, times in milliseconds.", [.json(account)])],
        scopes: ["models:read"])

    static let consoleControl = RouteDescription(
        "modelControl", .console, "Gives a model's memory back, keeps it, or serves it again",
        details: "Answered when it is done: sleep waits for the calls that use the model.",
        bodies: [
            .json(
                .object([
                    .init("action", .choice(ControlBody.actions.map(\.name))),
                    .optional(
                        "version",
                        .noted(APIComponents.capture("version").schema, "Every version without.")),
                ]), example: "{\"action\":\"pin\"}")
        ], bodyIsRequired: true,
        outcomes: [
            Outcome(200, "It is done.", [.json(.object([]))]),
            .failure(409, "The model's state does not allow it."),
            .failure(504, "It was not done in time, and goes on."),
        ], scopes: ["models:admin"])

    static let consoleClients = RouteDescription(
        "clients", .console, "What clients used of their plans, the busiest first",
        outcomes: [
            Outcome(
                200, "At most \(ClientsResource.most) of them.",
                [
                    .json(
                        .object([
                            .init("total", .integer(least: 0)),
                            .init("clients", .array(client, most: ClientsResource.most)),
                        ]))
                ])
        ], scopes: ["models:admin"])

    private static let measures = APISchema.map(
        .object([
            .init("used", .number), .optional("limit", .number),
            .optional("reset_s", .integer(least: 0)),
        ]))

    private static let client = APISchema.object([
        .init("issuer", .string()), .init("client", .string()), .init("plan", .string()),
        .init("measures", measures),
        .init(
            "models",
            .array(.object([.init("model", .string()), .init("measures", measures)]))),
    ])
}
