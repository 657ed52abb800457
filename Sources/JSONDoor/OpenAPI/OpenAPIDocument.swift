// /openapi.json (OpenAPI 3.1) as a value: written from the routes a port really has, and from the models a caller may see.

package import NIOCore
import NIOHTTP1
import OpenInference

/// The description of the API for one caller. Writing it takes milliseconds with many models: not for event loops.
package struct OpenAPIDocument: Sendable {
    /// Models that get paths of their own. For the others the paths with `{model}` hold just as well.
    package static let modelsMax = 100
    /// Bytes of those paths together; models beyond are left out as if there were too many.
    package static let modelBytesMax = 1 << 20
    /// Bytes of an example that is shown here; larger ones are at the model's own `/example`.
    package static let exampleBytesMax = 16 << 10

    let routes: [Route]
    let version: String

    /// - Parameters:
    ///   - routes: those without a description are said to have none.
    ///   - version: the gateway's.
    package init(routes: [Route], version: String) {
        self.routes = routes.filter { !($0.description?.isHidden ?? false) }
        self.version = version
    }

    /// - Parameters:
    ///   - models: at most ``modelsMax`` are used, in their order.
    ///   - others: models this caller may see beside them.
    package func json(_ models: [ModelCard], others: Int) -> ByteBuffer {
        var writer = ModelPaths(routes: routes)
        var left = others
        for model in models {
            if !writer.add(model) { left += 1 }
        }
        let text = APIJSON.object([
            ("openapi", "\"3.1.1\""), ("info", info(shown: writer.count, others: left)),
            ("servers", "[{\"url\":\"/\"}]"), ("tags", tags), ("paths", paths(writer.paths)),
            ("components", components(writer.schemas)),
        ])
        return ByteBuffer(string: text + "\n")
    }

    private func info(shown: Int, others: Int) -> String {
        var about =
            "The Open Inference Protocol v2 over HTTP, and what this gateway has beyond it. Paths of "
            + "single models are made from their signatures; \(shown) of those this token may see are "
            + "shown."
        if others > 0 {
            about +=
                " \(others) more are not: the paths with {model} are theirs too, and "
                + "/v2/models/NAME/example has a call that works for each."
        }
        return APIJSON.object([
            ("title", "\"Sluice\""), ("version", JSONText.quoted(version)),
            ("description", JSONText.quoted(about)),
        ])
    }

    private var tags: String {
        let used = Set(routes.compactMap { $0.description?.tag })
        return APIJSON.array(
            RouteDescription.Tag.allCases.filter(used.contains).map { tag in
                APIJSON.object([
                    ("name", JSONText.quoted(tag.rawValue)),
                    ("description", JSONText.quoted(tag.summary)),
                ])
            })
    }

    /// Paths in the order of the routes, each with its methods.
    private func paths(_ concrete: [(path: String, method: String, operation: String)]) -> String {
        var order: [String] = []
        var operations: [String: [(name: String, json: String)]] = [:]
        func add(_ path: String, _ method: String, _ operation: String) {
            if operations[path] == nil { order.append(path) }
            operations[path, default: []].append((method, operation))
        }
        for route in routes {
            add(
                route.path, route.method.rawValue.lowercased(),
                APIOperation(route).json)
        }
        for (path, method, operation) in concrete { add(path, method, operation) }
        return APIJSON.object(order.map { ($0, APIJSON.object(operations[$0] ?? [])) })
    }

    private func components(_ models: [(name: String, json: String)]) -> String {
        let schemas =
            APIComponents.schemas.map { (name: $0.name, json: $0.schema.json) } + models
        let responses = APIComponents.refusals.map { refusal in
            (
                name: refusal.name,
                json: APIOperation.answer(
                    .failure(refusal.status, refusal.summary), fields: refusal.fields)
            )
        }
        let headers = APIComponents.fields.map { field in
            (
                name: field.name,
                json: APIJSON.object([
                    ("description", JSONText.quoted(field.summary)),
                    ("schema", APISchema.string().json),
                ])
            )
        }
        return APIJSON.object([
            ("securitySchemes", Self.security), ("schemas", APIJSON.object(schemas)),
            ("responses", APIJSON.object(responses)), ("headers", APIJSON.object(headers)),
        ])
    }

    private static let security = APIJSON.object([
        (
            "bearer",
            APIJSON.object([
                ("type", "\"http\""), ("scheme", "\"bearer\""),
                (
                    "description",
                    JSONText.quoted(
                        "A token of an issuer the gateway trusts. The words behind a requirement are "
                            + "scopes, of which the token has one; a policy may ask for more.")
                ),
            ])
        )
    ])
}
