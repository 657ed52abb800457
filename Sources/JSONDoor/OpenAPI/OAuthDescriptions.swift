// What the authorization server's routes say of themselves (RFC 6749, 7009, 7662, 8414).

extension RouteDescription {
    private static func form(_ members: [APISchema.Member]) -> [Media] {
        [
            Media(
                OAuthEndpoint.formType,
                .object(
                    members + [
                        .optional("client_id", .string()), .optional("client_secret", .string()),
                    ], others: .string()))
        ]
    }

    /// RFC 6749 section 5.2.
    private static let trouble = APISchema.object([
        .init("error", .string()), .optional("error_description", .string()),
    ])

    private static let refusals: [Outcome] = [
        Outcome(400, "The form is not what it should be.", [.json(trouble)]),
        Outcome(
            401, "The client's secret is wrong, or there is none.", [.json(trouble)],
            fields: [("www-authenticate", "Basic.")]),
        Outcome(403, "The client may not do that.", [.json(trouble)]),
        Outcome(
            429, "Too many requests or wrong secrets from this address.", [.json(trouble)],
            fields: [("retry-after", "Whole seconds.")]),
        Outcome(
            503, "The issuer is busy.", [.json(trouble)],
            fields: [("retry-after", "Whole seconds.")]),
    ]

    private static func endpoint(
        _ operation: String, _ summary: String, _ members: [APISchema.Member], _ answer: APISchema
    ) -> RouteDescription {
        RouteDescription(
            operation, .authorization, summary,
            details:
                "A client names itself by Authorization: Basic, or by client_id and client_secret.",
            bodies: form(members), bodyIsRequired: true,
            outcomes: [Outcome(200, "It is done.", [.json(answer)])] + refusals)
    }

    static let oauthToken = endpoint(
        "oauthToken", "A token for a client's secret",
        [.init("grant_type", .choice(["client_credentials"])), .optional("scope", .string())],
        .object([
            .init("access_token", .string()), .init("token_type", .choice(["Bearer"])),
            .init("expires_in", .integer(least: 0)), .init("scope", .string()),
        ]))
    static let oauthIntrospect = endpoint(
        "oauthIntrospect", "What a token is", [.init("token", .string())],
        .object([.init("active", .boolean)]))
    static let oauthRevoke = endpoint(
        "oauthRevoke", "Ends a token", [.init("token", .string())], .object([]))

    static let oauthMetadata = RouteDescription(
        "oauthMetadata", .authorization, "Where the authorization server's endpoints are",
        outcomes: [
            Outcome(
                200, "They are there.",
                [.json(.object([.init("issuer", .string()), .init("token_endpoint", .string())]))]),
            .failure(404, "The gateway does not know its own address."),
        ])
}
