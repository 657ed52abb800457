// The paths of single models in /openapi.json: the routes with `{model}` that run it, with the model's name put in, its
// signature as the schema and its golden case as the example.

import Contract
import NIOHTTP1
import OpenInference

struct ModelPaths {
    private(set) var paths: [(path: String, method: String, operation: String)] = []
    private(set) var schemas: [(name: String, json: String)] = []
    private(set) var count = 0
    private var byteCount = 0
    private let routes: [Route]

    /// Uses those of the routes that run the latest version of a model.
    init(routes: [Route]) {
        self.routes = routes.filter { route in
            route.method == .POST && route.path == Self.inferPath && route.description != nil
        }
    }

    static let inferPath = "/v2/models/{model}/infer"

    /// False when there is no room for it.
    mutating func add(_ model: ModelCard) -> Bool {
        guard let route = routes.first, let general = route.description else { return true }
        guard count < OpenAPIDocument.modelsMax else { return false }
        let names = (
            request: "model.\(model.name).request", response: "model.\(model.name).response"
        )
        let schemas = [
            (name: names.request, json: Self.request(model.signature).json),
            (name: names.response, json: Self.response(model.signature).json),
        ]
        let operation = APIOperation(
            route, Self.description(general, of: model, names), fixed: ["model": model.name]
        ).json
        let bytes = operation.utf8.count + schemas.reduce(0) { $0 + $1.json.utf8.count }
        guard byteCount + bytes <= OpenAPIDocument.modelBytesMax else { return false }
        byteCount += bytes
        count += 1
        self.schemas += schemas
        paths.append((route.path.replacing("{model}", with: model.name), "post", operation))
        return true
    }

    private static func description(
        _ general: RouteDescription, of model: ModelCard,
        _ names: (request: String, response: String)
    ) -> RouteDescription {
        var description = general
        description.summary = "Runs \(model.name)"
        description.details = "Version \(model.version) is in service."
        var (request, response) = ("", "")
        if let example = model.example {
            if example.byteCount <= OpenAPIDocument.exampleBytesMax {
                (request, response) = (example.request, example.response)
            } else {
                description.details +=
                    " An example is at /v2/models/\(model.name)/example."
            }
        }
        description.bodies = special(
            general.bodies, .json(.component(names.request), example: request))
        description.outcomes = general.outcomes.map { outcome in
            guard outcome.status == 200 else { return outcome }
            var outcome = outcome
            outcome.media = special(
                outcome.media, .json(.component(names.response), example: response))
            return outcome
        }
        return description
    }

    /// The media with the model's own JSON in place of the general one.
    private static func special(
        _ media: [RouteDescription.Media], _ json: RouteDescription.Media
    ) -> [RouteDescription.Media] {
        media.map { $0.type == json.type ? json : $0 }
    }

    // MARK: - A signature as a schema

    private static func request(_ signature: Signature) -> APISchema {
        let inputs = signature.inputs.map { tensor(tensor: $0, isNested: true) }
        return .object([
            .optional("id", .string()), .optional("parameters", .component("Parameters")),
            .init("inputs", list(inputs, least: inputs.count)),
            .optional(
                "outputs",
                .array(
                    .object([
                        .init("name", .choice(signature.outputs.map(\.name))),
                        .optional("parameters", .component("Parameters")),
                    ]))),
        ])
    }

    private static func response(_ signature: Signature) -> APISchema {
        .object([
            .optional("id", .string()), .init("model_name", .string()),
            .optional("model_version", .string()),
            .optional("parameters", .component("Parameters")),
            .init(
                "outputs",
                list(signature.outputs.map { tensor(tensor: $0, isNested: false) }, least: 0)),
        ])
    }

    private static func list(_ tensors: [APISchema], least: Int) -> APISchema {
        .array(
            tensors.count == 1 ? tensors[0] : .either(tensors), least: least, most: tensors.count)
    }

    private static func tensor(tensor: TensorSpecification, isNested: Bool) -> APISchema {
        let element = element(of: tensor.datatype)
        // A request may say that bytes follow, or a classification was asked for: then there is no data, or it is text.
        return .object([
            .init("name", .choice([tensor.name])),
            .init("datatype", isNested ? .choice([tensor.datatype.name]) : APIComponents.datatype),
            .init("shape", shape(of: tensor.shape, isFixed: isNested)),
            .optional("parameters", .component("Parameters")),
            .optional(
                "data",
                isNested
                    ? .array(.either([element, .component("TensorData")]))
                    : .array(.either([element, .string()]))),
        ])
    }

    private static func shape(of shape: Shape, isFixed: Bool) -> APISchema {
        let text = shape.dimensions.map { $0 < 0 ? "free" : String($0) }.joined(separator: ", ")
        // What a converter wrote down as an output's shape is not always what comes.
        guard isFixed else { return .noted(APIComponents.shape, "[\(text)]") }
        return .tuple(
            shape.dimensions.map { $0 < 0 ? .integer(least: 0) : .constant($0) })
    }

    private static func element(of datatype: ElementType) -> APISchema {
        switch datatype {
        case .bool: .boolean
        case .uint8: .integer(least: 0, most: UInt64(UInt8.max))
        case .uint16: .integer(least: 0, most: UInt64(UInt16.max))
        case .uint32: .integer(least: 0, most: UInt64(UInt32.max))
        case .uint64: .integer(least: 0, most: .max)
        case .int8: .integer(least: Int64(Int8.min), most: UInt64(Int8.max))
        case .int16: .integer(least: Int64(Int16.min), most: UInt64(Int16.max))
        case .int32: .integer(least: Int64(Int32.min), most: UInt64(Int32.max))
        case .int64: .integer(least: .min, most: UInt64(Int64.max))
        case .fp16, .bf16, .fp32, .fp64: .number
        case .bytes: .string()
        }
    }
}
