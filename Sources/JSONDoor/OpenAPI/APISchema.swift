// JSON Schema (draft 2020-12, as OpenAPI 3.1 has it), as much of it as this API needs. Values that write themselves.

import OpenInference

/// What a JSON value, or a body of bytes, looks like.
package indirect enum APISchema: Sendable {
    /// One of ``APIComponents``, by its name.
    case component(String)
    /// Any JSON value.
    case any
    case null
    case boolean
    case integer(least: Int64? = nil, most: UInt64? = nil)
    case number
    /// - Parameters:
    ///   - pattern: an ECMA-262 regular expression; nil: any text.
    ///   - most: characters.
    case string(pattern: String? = nil, most: Int? = nil)
    /// One of these texts.
    case choice([String])
    case array(APISchema, least: Int? = nil, most: Int? = nil)
    /// One schema for each element, and as many elements.
    case tuple([APISchema])
    case constant(Int64)
    /// - Parameter others: what members beyond those named are; nil: anything, and they mean nothing.
    case object([Member], others: APISchema? = nil)
    /// Any names, values of one kind.
    case map(APISchema)
    case either([APISchema])
    /// Bytes that are not JSON.
    case binary
    /// The same, with a sentence about it.
    case noted(APISchema, String)

    /// One member of an object.
    package struct Member: Sendable {
        package var name: String
        package var schema: APISchema
        package var isRequired: Bool

        package init(_ name: String, _ schema: APISchema, isRequired: Bool = true) {
            self.name = name
            self.schema = schema
            self.isRequired = isRequired
        }

        /// May be absent.
        package static func optional(_ name: String, _ schema: APISchema) -> Member {
            Member(name, schema, isRequired: false)
        }
    }
}

extension APISchema {
    /// The schema as JSON.
    package var json: String { "{" + members.joined(separator: ",") + "}" }

    /// Its members, `"type":"string"` and so on.
    private var members: [String] {
        switch self {
        case .component(let name): ["\"$ref\":" + JSONText.quoted("#/components/schemas/\(name)")]
        case .any, .binary: []
        case .null: [APISchema.type("null")]
        case .boolean: [APISchema.type("boolean")]
        case .number: [APISchema.type("number")]
        case .integer(let least, let most):
            [APISchema.type("integer")] + APISchema.limit("minimum", least)
                + APISchema.limit("maximum", most)
        case .string(let pattern, let most):
            [APISchema.type("string")]
                + (pattern.map { ["\"pattern\":" + JSONText.quoted($0)] } ?? [])
                + APISchema.limit("maxLength", most)
        case .choice(let texts): [APISchema.type("string"), "\"enum\":" + JSONText.array(texts)]
        case .array(let element, let least, let most):
            [APISchema.type("array"), "\"items\":" + element.json]
                + APISchema.limit("minItems", least) + APISchema.limit("maxItems", most)
        case .tuple(let elements): APISchema.tuple(elements)
        case .constant(let value): ["\"const\":\(value)"]
        case .object(let members, let others):
            APISchema.object(members)
                + (others.map { ["\"additionalProperties\":" + $0.json] } ?? [])
        case .map(let value): [APISchema.type("object"), "\"additionalProperties\":" + value.json]
        case .either(let schemas):
            ["\"anyOf\":[" + schemas.map(\.json).joined(separator: ",") + "]"]
        case .noted(let schema, let note):
            schema.members + ["\"description\":" + JSONText.quoted(note)]
        }
    }

    private static func object(_ members: [Member]) -> [String] {
        let properties = members.map { JSONText.quoted($0.name) + ":" + $0.schema.json }
        let required = members.filter(\.isRequired).map(\.name)
        return [type("object"), "\"properties\":{" + properties.joined(separator: ",") + "}"]
            + (required.isEmpty ? [] : ["\"required\":" + JSONText.array(required)])
    }

    private static func tuple(_ elements: [APISchema]) -> [String] {
        // An empty list of schemas is not allowed.
        let each =
            elements.isEmpty
            ? [] : ["\"prefixItems\":[" + elements.map(\.json).joined(separator: ",") + "]"]
        return [type("array")] + each + limit("minItems", elements.count)
            + limit("maxItems", elements.count)
    }

    private static func type(_ word: String) -> String { "\"type\":\"\(word)\"" }

    private static func limit(_ name: String, _ value: (some BinaryInteger)?) -> [String] {
        value.map { ["\"\(name)\":\($0)"] } ?? []
    }
}
