// /openapi.json: from the routes and the catalogue, for one caller, of bounded size; and the examples of models.

import Contract
import Foundation
import JSONDoor
import NIOCore
import NIOHTTP1
import Testing

@Suite struct OpenAPITests {
    private static func resource() -> any HTTPResource {
        ReadyAnswer { _ in HTTPAnswer(status: .ok, text: "{}") }
    }

    private static func route(
        _ method: HTTPMethod, _ path: String, _ description: RouteDescription?, body: Int = 0
    ) -> Route {
        Route(
            method, path, access: .token, bodyBytesMax: body,
            mediaTypes: body > 0 ? ["application/json", "application/octet-stream"] : [],
            resource: resource(), description: description)
    }

    /// The routes a bridge has.
    private static let routes = [
        route(.GET, "/v2", .serverMetadata), route(.GET, "/v2/health/live", .serverLive),
        route(.GET, "/v2/models/{model}", .modelMetadata),
        route(.GET, "/v2/models/{model}/versions/{version}", .modelMetadata),
        route(.POST, "/v2/models/{model}/infer", .modelInfer, body: 1 << 20),
        route(.POST, "/v2/models/{model}/versions/{version}/infer", .modelInfer, body: 1 << 20),
        route(.POST, "/v2/repository/models/{model}/load", .repositoryLoad, body: 1 << 20),
        Route(.GET, "/", resource: resource(), description: hidden),
    ]
    private static let hidden = RouteDescription(
        "page", .console, "The console", outcomes: [], isHidden: true)

    private static func tensor(_ name: String, _ shape: Shape, _ values: [Float]) -> Tensor {
        var bytes = ByteBuffer()
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
        return Tensor(name: name, datatype: .fp32, shape: shape, bytes: bytes)
    }

    private static func card(_ name: String, elements: Int = 2) throws -> ModelCard {
        let values = [Float](repeating: 0.1, count: elements)
        return ModelCard(
            name: name, version: "3",
            signature: Signature(
                inputs: [
                    TensorSpecification(name: "X", datatype: .fp32, shape: [-1, Int64(elements)])
                ],
                outputs: [TensorSpecification(name: "Y", datatype: .int64, shape: [-1])]),
            example: try ModelExample(
                model: name, version: "3",
                inputs: [tensor("X", [1, Int64(elements)], values)],
                outputs: [tensor("Y", [1, 1], [1e-8])]))
    }

    private static func index(_ names: [String]) -> (Call) -> Result<Answer, CallFailure> {
        { _ in
            .success(
                .index(
                    names.flatMap { name in
                        ["1", "2"].map {
                            IndexEntry(name: name, version: $0, state: "READY", reason: "")
                        }
                    }))
        }
    }

    private func bench(
        _ routes: [Route] = OpenAPITests.routes, _ body: (APIBench) throws -> Void
    ) throws {
        let bench = try APIBench(routes)
        defer { bench.end() }
        try body(bench)
    }

    private func json(_ document: ByteBuffer) throws -> Looked {
        Looked(try JSONSerialization.jsonObject(with: Data(document.readableBytesView)))
    }

    @Test func everyRouteIsThereAndEveryNameLeadsSomewhere() throws {
        let document = try json(
            OpenAPIDocument(routes: Self.routes, version: "1.2").json(
                [try Self.card("iris")], others: 0))
        #expect(document.openapi.text == "3.1.1" && document.info.version.text == "1.2")
        #expect(
            document.paths.keys == [
                "/v2", "/v2/health/live", "/v2/models/iris/infer", "/v2/models/{model}",
                "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}",
                "/v2/models/{model}/versions/{version}/infer",
                "/v2/repository/models/{model}/load",
            ])
        let names = document.all("operationId").compactMap { $0 as? String }
        #expect(names.count == 8 && Set(names).count == 8, "\(names)")
        for case let reference as String in document.all("$ref") {
            let parts = reference.split(separator: "/").map(String.init)
            #expect(parts.count == 4 && parts[0] == "#" && parts[1] == "components")
            let found = document.components[parts[2]][parts[3]]
            #expect(found.value != nil, "\(reference)")
        }
        let tags = (0..<document.tags.count).map { document.tags[$0].name.text }
        #expect(tags == ["server", "models", "inference", "repository"])
    }

    @Test func whatFollowsFromARouteIsRead() throws {
        let document = try json(
            OpenAPIDocument(routes: Self.routes, version: "").json([], others: 0))
        let infer = document.paths["/v2/models/{model}/versions/{version}/infer"].post
        #expect(infer.operationId.text == "modelInferOfVersion")
        let places = (0..<infer.parameters.count).map {
            [infer.parameters[$0]["in"].text, infer.parameters[$0].name.text]
        }
        #expect(
            places == [
                ["path", "model"], ["path", "version"],
                ["header", "Inference-Header-Content-Length"],
            ])
        #expect(infer.requestBody.required.number == 0)
        #expect(infer.requestBody.description.text == "At most 1048576 bytes.")
        #expect(
            infer.requestBody.content.keys == ["application/json", "application/octet-stream"])
        #expect(
            infer.responses.keys == [
                "200", "400", "401", "403", "404", "406", "408", "409", "413", "415", "421", "429",
                "431",
                "500", "501", "503", "504", "507",
            ])
        #expect(infer.security[0].bearer.texts == ["infer:{model}"])
        #expect(infer.responses["200"].headers.ratelimit.value != nil)
        let metadata = document.paths["/v2/models/{model}"].get
        #expect(metadata.requestBody.value == nil && metadata.security.count == 2)
        let live = document.paths["/v2/health/live"].get
        #expect(live.responses["404"].value == nil && live.responses["415"].value == nil)
        let refused = document.components.responses.TooMany
        #expect(refused.headers["retry-after"].value != nil)
    }

    @Test func aRouteNobodyDescribedIsThereAllTheSame() throws {
        let document = try json(
            OpenAPIDocument(
                routes: [Self.route(.GET, "/x", nil), Self.route(.PUT, "/x", .serverLive)],
                version: ""
            ).json([], others: 0))
        #expect(document.paths["/x"].get.summary.text == "Nobody has described this route")
        #expect(document.paths["/x"].put.operationId.text == "serverLive")
    }

    @Test func aModelHasAPathOfItsSignature() throws {
        let document = try json(
            OpenAPIDocument(routes: Self.routes, version: "").json(
                [try Self.card("a.b-c")], others: 0))
        let infer = document.paths["/v2/models/a.b-c/infer"].post
        #expect(infer.operationId.text == "modelInfer.a.b-c")
        #expect(infer.security[0].bearer.texts == ["infer:a.b-c"])
        #expect(infer.parameters.count == 1)
        let content = infer.requestBody.content["application/json"]
        #expect(content.schema["$ref"].text == "#/components/schemas/model.a.b-c.request")
        #expect(content.example.inputs[0].shape[1].number == 2)
        #expect(content.example.inputs[0].data[0].number == 0.1)
        #expect(
            infer.responses["200"].content["application/json"].example.model_version.text == "3")
        let inputs = document.components.schemas["model.a.b-c.request"].properties.inputs
        #expect(inputs.minItems.number == 1 && inputs.maxItems.number == 1)
        let tensor = inputs.items.properties
        #expect(tensor.name.enum.texts == ["X"] && tensor.datatype.enum.texts == ["FP32"])
        #expect(tensor.shape.prefixItems[1].const.number == 2)
        #expect(tensor.shape.prefixItems[0].minimum.number == 0)
    }

    @Test func manyModelsAndLargeOnesAreLeftOut() throws {
        let writer = OpenAPIDocument(routes: Self.routes, version: "")
        let cards = try (0..<150).map { try Self.card("m\($0)") }
        let many = try json(writer.json(cards, others: 5))
        let most = OpenAPIDocument.modelsMax
        #expect(many.paths.count == 7 + most)
        let about = try #require(many.info.description.text)
        #expect(about.contains("; \(most) of those") && about.contains(" \(150 - most + 5) more "))
        // 4 bytes of text an element.
        let large = try json(writer.json([try Self.card("large", elements: 5_000)], others: 0))
        let infer = large.paths["/v2/models/large/infer"].post
        #expect(infer.requestBody.content["application/json"].example.value == nil)
        #expect(infer.description.text?.contains("/v2/models/large/example") == true)
        // One that alone takes all the room: 100,000 inputs.
        var huge = try Self.card("huge")
        huge.signature.inputs = (0..<20_000).map {
            TensorSpecification(name: "X\($0)", datatype: .bytes, shape: [])
        }
        let bytes = writer.json([huge, try Self.card("iris")], others: 0)
        #expect(bytes.readableBytes < OpenAPIDocument.modelBytesMax)
        let rest = try json(bytes)
        #expect(rest.paths["/v2/models/huge/infer"].value == nil)
        #expect(rest.paths["/v2/models/iris/infer"].value != nil)
    }

    @Test func aCallerSeesItsModelsOnly() throws {
        try bench { (bench) throws in
            bench.guide.cards = [try Self.card("iris"), try Self.card("secret")]
            bench.walk.answer = Self.index(["iris"])
            let first = try bench.get("/openapi.json")
            #expect(first.hasPrefix("HTTP/1.1 200 OK\r\n") && !first.contains("secret"))
            #expect(first.contains("\r\ncontent-type: application/json\r\n"))
            #expect(first.contains("\r\ncache-control: private, no-cache\r\n"))
            #expect(first.contains("\r\nvary: authorization\r\n") && !first.contains("no-store"))
            #expect(bench.walk.calls == ["repositoryIndex  "])
            let seen = try Looked(answer: first)
            #expect(seen.paths["/v2/models/iris/infer"].value != nil)
            #expect(seen.paths["/openapi.json"].get.operationId.text == "openAPI")
            #expect(seen.paths["/v2/models/{model}/example"].get.value != nil)
            bench.walk.answer = Self.index(["iris", "secret"])
            #expect(try bench.get("/openapi.json").contains("/v2/models/secret/infer"))
            // A token that may see nothing.
            bench.walk.answer = { _ in
                .failure(CallFailure(.permissionDenied, .scopeMissing, "models:read"))
            }
            let none = try Looked(answer: try bench.get("/openapi.json"))
            #expect(none.paths["/v2/models/iris/infer"].value == nil)
            #expect(none.paths["/v2/models/{model}/infer"].value != nil)
            bench.walk.answer = { _ in
                .failure(
                    CallFailure(.resourceExhausted, .rateLimit, "slow", retryAfter: .seconds(2)))
            }
            let later = try bench.get("/openapi.json")
            #expect(later.hasPrefix("HTTP/1.1 429") && later.contains("retry-after: 2\r\n"))
        }
    }

    @Test func aDocumentIsKeptUntilTheCatalogueChanges() throws {
        try bench { (bench) throws in
            bench.guide.cards = [try Self.card("iris")]
            bench.walk.answer = Self.index(["iris"])
            let first = try bench.get("/openapi.json")
            let tag = try #require(first.firstMatch(of: #/\r\netag: (\S+)\r\n/#)?.1)
            for known in ["\(tag)", "\"x\", W/\(tag)", "*"] {
                let again = try bench.get("/openapi.json", "If-None-Match: \(known)\r\n")
                #expect(again.hasPrefix("HTTP/1.1 304 Not Modified\r\n"), "\(known)")
                #expect(again.hasSuffix("\r\n\r\n") && !again.contains("content-length"))
                #expect(again.contains("\r\netag: \(tag)\r\n"))
            }
            let other = try bench.get("/openapi.json", "If-None-Match: \"x\"\r\n")
            #expect(other.hasPrefix("HTTP/1.1 200") && bench.guide.written == 1)
            bench.guide.generation += 1
            bench.guide.cards = [try Self.card("iris", elements: 3)]
            let new = try bench.get("/openapi.json", "If-None-Match: \(tag)\r\n")
            #expect(new.hasPrefix("HTTP/1.1 200") && bench.guide.written == 2)
            // More than are kept: the first is written again.
            for generation in UInt64(10)..<20 {
                bench.guide.generation = generation
                _ = try bench.get("/openapi.json")
            }
            bench.guide.generation = 2
            _ = try bench.get("/openapi.json")
            #expect(bench.guide.written == 13)
            bench.guide.generation = 30
            bench.guide.failure = CallFailure(
                .unavailable, .queueFull, "busy", retryAfter: .seconds(1))
            #expect(try bench.get("/openapi.json").hasPrefix("HTTP/1.1 503"))
        }
    }

    @Test func anExampleIsJudgedByTheWalk() throws {
        try bench { (bench) throws in
            bench.guide.cards = [try Self.card("iris")]
            bench.walk.answer = { call in
                guard call.model == "iris" else {
                    return .failure(CallFailure(.notFound, .modelNotFound, "not known"))
                }
                return .success(
                    .modelMetadata(
                        ModelMetadata(
                            name: "iris", versions: ["2", "3"], platform: "",
                            signature: Signature(inputs: [], outputs: []),
                            aliases: ["latest": "3", "prod": "2"])))
            }
            let answer = try bench.get("/v2/models/iris/example")
            #expect(
                answer.hasSuffix(
                    "{\"request\":{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[0.1,0.1]}]},"
                        + "\"response\":{\"model_name\":\"iris\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"Y\","
                        + "\"datatype\":\"FP32\",\"shape\":[1,1],\"data\":[1e-08]}]}}\n"),
                "\(answer)")
            for version in ["prod", "latest", "2"] {
                #expect(
                    try bench.get("/v2/models/iris/versions/\(version)/example").hasPrefix(
                        "HTTP/1.1 200"))
            }
            #expect(bench.guide.asked == ["iris 3", "iris 2", "iris 3", "iris 2"])
            let hidden = try bench.get("/v2/models/secret/example")
            #expect(hidden.hasPrefix("HTTP/1.1 404") && bench.guide.asked.count == 4)
            bench.guide.cards = []
            let none = try bench.get("/v2/models/iris/example")
            #expect(none.hasPrefix("HTTP/1.1 404") && none.contains("no golden case"))
        }
    }

    @Test func anExampleIsWhatJSONCanCarry() throws {
        func example(_ tensor: Tensor) throws -> String {
            try ModelExample(model: "m", version: "1", inputs: [tensor], outputs: []).request
        }
        func tensor(_ datatype: ElementType, _ bytes: [UInt8], count: Int64 = 1) -> Tensor {
            Tensor(name: "T", datatype: datatype, shape: [count], bytes: ByteBuffer(bytes: bytes))
        }
        for (datatype, bytes, text) in [
            (ElementType.bool, [1], "true"), (.uint8, [255], "255"), (.int8, [254], "-2"),
            (.uint16, [255, 255], "65535"), (.int16, [254, 255], "-2"),
            (.uint32, [255, 255, 255, 255], "4294967295"), (.int32, [254, 255, 255, 255], "-2"),
            (.uint64, [UInt8](repeating: 255, count: 8), "18446744073709551615"),
            (.int64, [UInt8](repeating: 255, count: 8), "-1"),
            (.fp32, [0, 0, 128, 63], "1.0"), (.fp64, [0, 0, 0, 0, 0, 0, 240, 63], "1.0"),
            (.bytes, [3, 0, 0, 0, 0x61, 0x22, 0x0A], "\"a\\\"\\u000a\""),
        ] as [(ElementType, [UInt8], String)] {
            let request = try example(tensor(datatype, bytes))
            #expect(request.contains("\"data\":[\(text)]"), "\(request)")
            _ = try JSONSerialization.jsonObject(with: Data(request.utf8))
        }
        for refused in [
            tensor(.fp16, [0, 60]), tensor(.bf16, [128, 63]), tensor(.fp32, [0, 0, 128, 127]),
            tensor(.fp64, [0, 0, 0, 0, 0, 0, 248, 127]), tensor(.bytes, [1, 0, 0, 0, 255]),
            tensor(.uint8, [UInt8](repeating: 200, count: 90_000), count: 90_000),
            tensor(.uint8, [], count: 1 << 40),
        ] {
            let failure = #expect(throws: CallFailure.self) { _ = try example(refused) }
            #expect(failure?.code == .notFound, "\(refused.datatype)")
        }
    }
}
