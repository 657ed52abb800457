// Every path of the Open Inference Protocol and its extensions, and what is asked there. A new endpoint is one line.

import Compression
package import Contract
import NIOCore
import NIOHTTP1
import OpenInference

package enum BridgeRoutes {
    /// Bytes of the bodies without tensors.
    static let questionBytesMax = 1 << 20

    /// All of them; each asks for a token.
    ///
    /// - Parameter guide: who knows the names of classes; nil: they have none.
    package static func all(limits: Limits, guide: (any ModelGuide)? = nil) -> [Route] {
        let maker = Maker(limits: limits, guide: guide)
        return maker.server() + maker.models() + maker.repository() + AbsentRoutes.all(limits)
    }

    private struct Maker {
        let limits: Limits
        let guide: (any ModelGuide)?

        func server() -> [Route] {
            [
                get("/v2", .serverMetadata, .serverMetadata),
                get("/v2/", .serverMetadata, .serverMetadata.hidden),
                Route(
                    .GET, "/v2/health/live", access: .token, resource: ReadyAnswer { _ in .live },
                    description: .serverLive),
                get("/v2/health/ready", .serverReady, .serverReady),
                get("/v2/models", .modelList, .modelList),
                get("/v2/models/stats", .plain(.modelStatistics), .everyStatistics),
            ]
        }

        func models() -> [Route] {
            ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"].flatMap { path in
                [
                    post(
                        path + "/infer", .infer(guide), .modelInfer, bytesMax: limits.messageBytes,
                        produces: [HTTPAnswer.json, HTTPAnswer.octets, EventStream.mediaType],
                        needsBody: true),
                    get(path, .plain(.modelMetadata), .modelMetadata),
                    get(path + "/ready", .modelReady, .modelReady),
                    get(path + "/config", .modelConfig, .modelConfig),
                    get(path + "/stats", .plain(.modelStatistics), .modelStatistics),
                ]
            }
        }

        func repository() -> [Route] {
            [
                post("/v2/repository/index", .repositoryIndex, .repositoryIndex),
                post("/v2/repository/models/{model}/load", .repositoryLoad, .repositoryLoad),
                post("/v2/repository/models/{model}/unload", .repositoryUnload, .repositoryUnload),
            ]
        }

        private func get(
            _ path: String, _ endpoint: BridgeEndpoint, _ description: RouteDescription
        ) -> Route {
            Route(
                .GET, path, access: .token, resource: BridgeResource(endpoint, limits: limits),
                description: description)
        }

        private func post(
            _ path: String, _ endpoint: BridgeEndpoint, _ description: RouteDescription,
            bytesMax: Int = BridgeRoutes.questionBytesMax, produces: [String]? = nil,
            needsBody: Bool = false
        ) -> Route {
            Route(
                .POST, path, access: .token, bodyBytesMax: min(bytesMax, limits.messageBytes),
                mediaTypes: [HTTPAnswer.json, HTTPAnswer.octets], codings: ContentCoding.allCases,
                resource: BridgeResource(endpoint, limits: limits), produces: produces,
                needsBody: needsBody, description: description)
        }
    }
}

// MARK: - What is asked

extension BridgeEndpoint {
    static func infer(_ guide: (any ModelGuide)?) -> BridgeEndpoint {
        BridgeEndpoint(.infer) { (request, bytes, limits) throws(CallFailure) in
            let body = TensorBody(
                bytes, headerLength: try request.tensorHeaderLength(),
                limits: DocumentLimits(limits))
            @Sendable func isLong(_ answer: Answer) -> Bool {
                guard case .inference(let reply) = answer, let form = body.form else {
                    return false
                }
                return InferenceAnswer.textBytes(of: reply, for: form) > TensorBody.longTensors
            }
            return Question(body: body, isLong: isLong) { (answer) throws(CallFailure) in
                guard case .inference(let reply) = answer, var form = body.form else {
                    return try .json(answer)
                }
                if form.classifies, let guide {
                    form.labels = guide.labels(of: reply.model, version: reply.version)
                }
                return .inference(try InferenceAnswer.encode(reply, for: form))
            }
        }
    }

    /// The walk says what both doors have; this is HTTP's (OIP 4).
    static let serverMetadata = plain(.serverMetadata) { (_, answer) throws(CallFailure) in
        guard case .serverMetadata(var metadata) = answer else { return try .json(answer) }
        metadata.extensions += [
            "model_repository(unload_dependents)", "model_configuration", "binary_tensor_data",
            "classification", "parameters",
        ]
        return try .json(.serverMetadata(metadata))
    }

    static let serverReady = plain(.serverReady) { (_, answer) throws(CallFailure) in
        guard case .serverReady(false) = answer else { return try .json(answer) }
        return .failure(
            CallFailure(
                .unavailable, .draining, "the gateway is not ready: it is stopping",
                notStarted: true, retryAfter: .seconds(1)))
    }

    /// A model that sleeps is ready. One that is unknown, hidden from this caller or out of service is not, and all three
    /// answer alike.
    static let modelReady = plain(.modelReady) { (request, answer) throws(CallFailure) in
        guard case .modelReady(let isReady) = answer else { return try .json(answer) }
        guard isReady else {
            return .failure(
                CallFailure(
                    .notFound, .modelNotFound,
                    "the model is not ready: this gateway has none of this name and version in service",
                    notStarted: true))
        }
        return try .json(answer, model: request.model)
    }

    /// KServe's list: names alone.
    static let modelList = plain(.repositoryIndex) { (_, answer) throws(CallFailure) in
        guard case .index(let entries) = answer else { return try .json(answer) }
        var names: [String] = []
        for entry in entries where names.last != entry.name { names.append(entry.name) }
        return HTTPAnswer(status: .ok, text: "{\"models\":" + JSONText.array(names) + "}")
    }

    static let modelConfig = plain(.modelMetadata) { (_, answer) throws(CallFailure) in
        guard case .modelMetadata(let metadata) = answer else { return try .json(answer) }
        var body = ByteBuffer()
        ModelConfigJSON.write(ModelConfig(metadata, batchMax: metadata.batchMax), into: &body)
        return HTTPAnswer(status: .ok, body: body)
    }

    static let repositoryIndex = BridgeEndpoint(.repositoryIndex) {
        (_, bytes, _) throws(CallFailure) in
        let readyOnly = try RepositoryBody.readyOnly(bytes)
        return Question(
            body: QuestionBody(
                Contract.Question(readyOnly: readyOnly), byteCount: bytes.readableBytes)
        ) { (answer) throws(CallFailure) in try .json(answer) }
    }

    static let repositoryLoad = change(.repositoryLoad, "load") { (bytes) throws(CallFailure) in
        try RepositoryBody.checkLoad(bytes)
    }

    static let repositoryUnload = change(.repositoryUnload, "unload") {
        (bytes) throws(CallFailure) in try RepositoryBody.checkUnload(bytes)
    }

    /// Answered as KServe does; Triton's clients read no body.
    private static func change(
        _ method: Contract.Method, _ word: String,
        check: @escaping @Sendable (ByteBuffer) throws(CallFailure) -> Void
    ) -> BridgeEndpoint {
        BridgeEndpoint(method) { (request, bytes, _) throws(CallFailure) in
            try check(bytes)
            return Question(
                body: QuestionBody(Contract.Question(), byteCount: bytes.readableBytes)
            ) { _ in
                HTTPAnswer(
                    status: .ok,
                    text: "{\"name\":" + JSONText.quoted(request.model) + ",\"\(word)\":true}")
            }
        }
    }
}

// MARK: - How it is answered

extension HTTPAnswer {
    static let octets = "application/octet-stream"
    static let live = HTTPAnswer(status: .ok, text: "{\"live\":true}")

    static func json(_ answer: Answer, model: String = "") throws(CallFailure) -> HTTPAnswer {
        var body = ByteBuffer()
        try AnswerJSON.write(answer, model: model, into: &body)
        return HTTPAnswer(status: .ok, body: body)
    }

    /// JSON, or JSON and the tensors' bytes behind it (OIP 4.1).
    static func inference(_ encoded: EncodedAnswer) -> HTTPAnswer {
        var pieces = encoded.pieces
        let first = pieces.isEmpty ? ByteBuffer() : pieces.removeFirst()
        var answer = HTTPAnswer(status: .ok, body: first)
        answer.pieces = pieces
        if let length = encoded.headerLength {
            answer.contentType = octets
            answer.fields.append(("inference-header-content-length", String(length)))
        }
        return answer
    }
}
