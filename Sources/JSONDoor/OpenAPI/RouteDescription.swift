// What a route says of itself to those who write clients: the words of /openapi.json. The rest of that document (paths,
// methods, captures, access, limits, media types) is read from the routes themselves, so that it cannot drift.

/// Stands at its ``Route``. What the route's other members tell is not said again here: refusals that follow from its
/// access, its captures and its body are added by ``OpenAPIDocument``.
package struct RouteDescription: Sendable {
    /// Chapters of the document, in their order.
    package enum Tag: String, Sendable, CaseIterable {
        case server, models, inference, streaming, repository, console, authorization, unsupported

        /// One sentence for the chapter's head.
        package var summary: String {
            switch self {
            case .server: "Whether the gateway lives and serves, what it speaks, and this document."
            case .models: "What is known of a model without waking it."
            case .inference: "Tensors in, tensors out."
            case .streaming: "Server-sent events: how far a cold start has come, and streams."
            case .repository: "Which models there are; in and out of service."
            case .console: "The console's page, its parts and its data."
            case .authorization: "Tokens (RFC 6749, 7009, 7662, 8414)."
            case .unsupported: "Extensions of other servers this one does not have."
            }
        }
    }

    /// A query parameter or a field of the request's head. Captures of the path are known by their names.
    package struct Parameter: Sendable {
        package enum Place: String, Sendable { case query, header }

        package var place: Place
        package var name: String
        package var summary: String
        package var schema: APISchema
        package var isRequired: Bool

        package init(
            _ place: Place, _ name: String, _ summary: String, _ schema: APISchema,
            isRequired: Bool = false
        ) {
            self.place = place
            self.name = name
            self.summary = summary
            self.schema = schema
            self.isRequired = isRequired
        }
    }

    /// One form a body may have.
    package struct Media: Sendable {
        /// For example `application/json`.
        package var type: String
        package var schema: APISchema
        /// JSON text; empty: none is shown.
        package var example: String

        package init(_ type: String, _ schema: APISchema, example: String = "") {
            self.type = type
            self.schema = schema
            self.example = example
        }

        package static func json(_ schema: APISchema, example: String = "") -> Media {
            Media(HTTPAnswer.json, schema, example: example)
        }
    }

    /// One status a request can end with.
    package struct Outcome: Sendable {
        package var status: Int
        package var summary: String
        /// Empty: an empty body.
        package var media: [Media]
        /// Fields of its own, by name in lower case.
        package var fields: [(name: String, summary: String)]

        package init(
            _ status: Int, _ summary: String, _ media: [Media] = [],
            fields: [(name: String, summary: String)] = []
        ) {
            self.status = status
            self.summary = summary
            self.media = media
            self.fields = fields
        }

        /// A failure with the house's JSON (``HTTPAnswer/error(_:_:code:reason:)``).
        package static func failure(_ status: Int, _ summary: String) -> Outcome {
            Outcome(status, summary, [.json(.component("Error"))])
        }
    }

    /// Names the operation in generated clients, unique: `modelInfer`.
    package var operation: String
    package var tag: Tag
    /// Half a line.
    package var summary: String
    /// More, as sentences; empty when the summary says it all.
    package var details: String
    package var parameters: [Parameter]
    /// The forms its body may have; empty: as the route's media types say, of any content.
    package var bodies: [Media]
    package var bodyIsRequired: Bool
    /// Every way it can end well, and failures that do not follow from the route.
    package var outcomes: [Outcome]
    /// One of these is needed; empty: any active token will do. `infer:{model}` is meant literally.
    package var scopes: [String]
    /// Left out of the document, as the console's files are.
    package var isHidden: Bool

    package init(
        _ operation: String, _ tag: Tag, _ summary: String, details: String = "",
        parameters: [Parameter] = [], bodies: [Media] = [], bodyIsRequired: Bool = false,
        outcomes: [Outcome], scopes: [String] = [], isHidden: Bool = false
    ) {
        self.operation = operation
        self.tag = tag
        self.summary = summary
        self.details = details
        self.parameters = parameters
        self.bodies = bodies
        self.bodyIsRequired = bodyIsRequired
        self.outcomes = outcomes
        self.scopes = scopes
        self.isHidden = isHidden
    }
}
