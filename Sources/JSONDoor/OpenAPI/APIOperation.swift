// One operation of /openapi.json: a route, or a route with a model's name put in.

import Contract
import NIOHTTP1
import OpenInference

struct APIOperation {
    let route: Route
    let description: RouteDescription
    /// What stands in the braces of the path and is no parameter any more.
    var fixed: [String: String] = [:]

    init(_ route: Route) {
        self.route = route
        description =
            route.description
            ?? RouteDescription(
                Self.name(of: route), .server, "Nobody has described this route", outcomes: [])
    }

    init(_ route: Route, _ description: RouteDescription, fixed: [String: String]) {
        self.route = route
        self.description = description
        self.fixed = fixed
    }

    private static func name(of route: Route) -> String {
        route.method.rawValue.lowercased() + route.path
    }

    /// `/v2/models/{model}/infer` and `/v2/models/iris/infer` are two operations; so are those with a version.
    private var name: String {
        guard fixed.isEmpty else {
            return description.operation + "." + fixed.values.sorted().joined(separator: ".")
        }
        return description.operation + (route.path.contains("{version}") ? "OfVersion" : "")
    }

    var json: String {
        var members: [(name: String, json: String)] = [
            ("operationId", JSONText.quoted(name)),
            ("tags", JSONText.array([description.tag.rawValue])),
            ("summary", JSONText.quoted(description.summary)),
        ]
        if !description.details.isEmpty {
            members.append(("description", JSONText.quoted(description.details)))
        }
        if !parameters.isEmpty { members.append(("parameters", APIJSON.array(parameters))) }
        if let body { members.append(("requestBody", body)) }
        members.append(("responses", responses))
        members.append(("security", security))
        return APIJSON.object(members)
    }

    /// Each scope is one way in.
    private var security: String {
        guard route.access == .token else { return "[]" }
        guard !description.scopes.isEmpty else { return "[{\"bearer\":[]}]" }
        return APIJSON.array(
            description.scopes.map { scope in
                var scope = scope
                for (name, value) in fixed {
                    scope = scope.replacing("{\(name)}", with: value)
                }
                return APIJSON.object([("bearer", JSONText.array([scope]))])
            })
    }

    private var parameters: [String] {
        let captures = route.captureNames.filter { fixed[$0] == nil }.map { name in
            let (summary, schema) = APIComponents.capture(name)
            return Self.parameter("path", name, summary, schema, isRequired: true)
        }
        return captures
            + description.parameters.map {
                Self.parameter(
                    $0.place.rawValue, $0.name, $0.summary, $0.schema, isRequired: $0.isRequired)
            }
    }

    private static func parameter(
        _ place: String, _ name: String, _ summary: String, _ schema: APISchema,
        isRequired: Bool
    ) -> String {
        APIJSON.object([
            ("name", JSONText.quoted(name)), ("in", JSONText.quoted(place)),
            ("required", String(isRequired)), ("description", JSONText.quoted(summary)),
            ("schema", schema.json),
        ])
    }

    private var body: String? {
        guard route.bodyBytesMax > 0 else { return nil }
        let media =
            description.bodies.isEmpty
            ? route.mediaTypes.map { RouteDescription.Media($0, .any) } : description.bodies
        guard !media.isEmpty else { return nil }
        return APIJSON.object([
            ("required", String(description.bodyIsRequired)),
            (
                "description",
                JSONText.quoted("At most \(route.bodyBytesMax) bytes.")
            ),
            ("content", Self.content(media)),
        ])
    }

    private var responses: String {
        var answers: [Int: String] = [:]
        for status in APIComponents.refusals(of: route) {
            guard let refusal = APIComponents.refusals.first(where: { $0.status == status })
            else { continue }
            answers[status] = APIJSON.reference("responses", refusal.name)
        }
        for outcome in description.outcomes {
            answers[outcome.status] = Self.answer(
                outcome, fields: route.access == .token ? ["RateLimit", "RateLimitPolicy"] : [])
        }
        return APIJSON.object(
            answers.sorted { $0.key < $1.key }.map { (String($0.key), $0.value) })
    }

    /// - Parameter fields: names in ``APIComponents/fields``.
    static func answer(_ outcome: RouteDescription.Outcome, fields: [String]) -> String {
        var members: [(name: String, json: String)] = [
            ("description", JSONText.quoted(outcome.summary))
        ]
        var heads = (["RequestId"] + fields).compactMap { name in
            APIComponents.fields.first { $0.name == name }
                .map { (name: $0.field, json: APIJSON.reference("headers", name)) }
        }
        heads += outcome.fields.map { field in
            (
                name: field.name,
                json: APIJSON.object([
                    ("description", JSONText.quoted(field.summary)),
                    ("schema", APISchema.string().json),
                ])
            )
        }
        members.append(("headers", APIJSON.object(heads)))
        if !outcome.media.isEmpty { members.append(("content", content(outcome.media))) }
        return APIJSON.object(members)
    }

    private static func content(_ media: [RouteDescription.Media]) -> String {
        APIJSON.object(
            media.map { media in
                var members = [(name: "schema", json: media.schema.json)]
                if !media.example.isEmpty { members.append(("example", media.example)) }
                return (media.type, APIJSON.object(members))
            })
    }
}
