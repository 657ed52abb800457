// The caller's side of the messages: questions out, answers in. For tests, tools and the benchmark.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

extension Question {
    /// Appends the request message of `method`; nothing for the methods whose message is empty.
    package func encode(for method: Method, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        switch method {
        case .infer, .inferStream, .serverMetadata, .serverReady, .healthWatch, .modelAccount:
            return
        case .modelControl:
            let message = unsafe arena.make(Sluice__V1__ModelControlRequest.self) { message in
                unsafe message.action = Sluice__V1__ModelControlRequest__Action(
                    rawValue: control?.rawValue ?? 0)
            }
            unsafe arena.pack(message, into: &buffer)
        case .modelAlias:
            let message = unsafe arena.make(Sluice__V1__ModelAliasRequest.self) { message in
                unsafe message.alias = arena.text(aliasMove?.alias ?? "")
                unsafe message.version = arena.text(aliasMove?.version ?? "")
                unsafe message.action = Sluice__V1__ModelAliasRequest__Action(
                    rawValue: aliasMove?.action.rawValue ?? 0)
            }
            unsafe arena.pack(message, into: &buffer)
        case .gatewayControl:
            let message = unsafe arena.make(Sluice__V1__GatewayControlRequest.self) { message in
                unsafe message.action = Sluice__V1__GatewayControlRequest__Action(
                    rawValue: order?.action.rawValue ?? 0)
                unsafe message.subject = arena.text(order?.subject ?? "")
                unsafe message.client = arena.text(order?.client ?? "")
                unsafe message.token = arena.text(
                    order?.token?.reveal { String(decoding: $0, as: UTF8.self) } ?? "")
            }
            unsafe arena.pack(message, into: &buffer)
        case .accessCheck:
            let message = unsafe arena.make(Sluice__V1__AccessCheckRequest.self) { message in
                unsafe message.method = Sluice__V1__Method(rawValue: checked?.rawValue ?? 0)
            }
            unsafe arena.pack(message, into: &buffer)
        case .modelMetadata, .modelReady, .modelStatistics:
            // The three messages are alike: name 1, version 2.
            let message = unsafe arena.make(Inference__ModelReadyRequest.self) { message in
                unsafe message.name = arena.text(model)
                unsafe message.version = arena.text(version)
            }
            unsafe arena.pack(message, into: &buffer)
        case .repositoryIndex:
            let message = unsafe arena.make(Inference__RepositoryIndexRequest.self) { message in
                unsafe message.ready = readyOnly ? 1 : 0
            }
            unsafe arena.pack(message, into: &buffer)
        case .repositoryLoad, .repositoryUnload:
            // The two messages are alike: model_name 2.
            let message = unsafe arena.make(Inference__RepositoryModelLoadRequest.self) {
                unsafe $0.model_name = arena.text(model)
            }
            unsafe arena.pack(message, into: &buffer)
        }
    }
}

/// Reads what ``AnswerEncoder`` writes, and what any server of the Open Inference Protocol does.
package enum AnswerDecoder {
    package static func decode(
        _ message: ByteBuffer, for method: Method, limits: Limits
    ) throws(MessageFault) -> Answer {
        let bounds = MessageBounds(limits)
        switch method {
        case .infer, .inferStream:
            return .inference(try InferenceReply(decoding: message, bounds: bounds))
        case .modelMetadata:
            return .modelMetadata(try modelMetadata(message, bounds))
        case .modelReady:
            return try unsafe withMessage(
                Inference__ModelReadyResponse.self, message, bounds, rules: []
            ) { unsafe .modelReady($0.ready != 0) }
        case .serverReady:
            return try unsafe withMessage(
                Inference__ServerReadyResponse.self, message, bounds, rules: []
            ) { unsafe .serverReady($0.ready != 0) }
        case .healthWatch:
            return try unsafe withMessage(
                Sluice__V1__HealthStatus.self, message, bounds, rules: []
            ) { unsafe .health($0.serving != 0) }
        case .serverMetadata:
            return .serverMetadata(try serverMetadata(message, bounds))
        case .repositoryIndex:
            return .index(try index(message, bounds))
        case .repositoryLoad, .repositoryUnload:
            return try unsafe withMessage(
                Inference__RepositoryModelLoadResponse.self, message, bounds, rules: []
            ) { _ in .done }
        case .modelStatistics:
            return .statistics(try statistics(message, bounds))
        case .modelControl:
            return try unsafe withMessage(
                Sluice__V1__ModelControlResponse.self, message, bounds, rules: []
            ) { _ in .done }
        case .modelAccount:
            return try account(message, bounds)
        case .modelAlias:
            return try alias(message, bounds)
        case .gatewayControl:
            return try gateway(message, bounds)
        case .accessCheck:
            return try access(message, bounds)
        }
    }

    private static func serverMetadata(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> ServerMetadata {
        try unsafe withMessage(
            Inference__ServerMetadataResponse.self, message, bounds, rules: []
        ) {
            unsafe ServerMetadata(
                name: text($0.name), version: text($0.version),
                extensions: texts($0.extensions, count: $0.n_extensions))
        }
    }

    private static func modelMetadata(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> ModelMetadata {
        let tensor = unsafe Inference__ModelMetadataResponse__TensorMetadata.descriptor
        return try unsafe withMessage(
            Inference__ModelMetadataResponse.self, message, bounds,
            rules: [bounds.shapeRule(tensor, field: 3)]
        ) { message throws(MessageFault) in
            let signature = try unsafe Signature(
                inputs: specifications(message.inputs, count: message.n_inputs),
                outputs: specifications(message.outputs, count: message.n_outputs))
            return unsafe ModelMetadata(
                name: text(message.name),
                versions: texts(message.versions, count: message.n_versions),
                platform: text(message.platform), signature: signature,
                aliases: aliases(message.properties, count: message.n_properties))
        }
    }

    private static func specifications(
        _ list: UnsafeMutablePointer<
            UnsafeMutablePointer<Inference__ModelMetadataResponse__TensorMetadata>?
        >?, count: Int
    ) throws(MessageFault) -> [TensorSpecification] {
        guard let list = unsafe list else { return [] }
        var tensors: [TensorSpecification] = []
        for index in 0..<count {
            guard let tensor = unsafe list[index]?.pointee else { continue }
            let name = unsafe text(tensor.name)
            let datatype = try TensorReader.elementType(
                unsafe text(tensor.datatype), of: "tensor \(MessageFault.quote(name))")
            let dimensions = unsafe UnsafeBufferPointer(start: tensor.shape, count: tensor.n_shape)
            guard let shape = unsafe Shape(dimensions) else {
                throw MessageFault(.badTensor, "a tensor has at most \(Shape.rankMax) dimensions")
            }
            tensors.append(TensorSpecification(name: name, datatype: datatype, shape: shape))
        }
        return tensors
    }

    private static func index(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> [IndexEntry] {
        try unsafe withMessage(
            Inference__RepositoryIndexResponse.self, message, bounds, rules: []
        ) { message in
            var entries: [IndexEntry] = []
            for index in unsafe 0..<message.n_models {
                guard let model = unsafe message.models[index]?.pointee else { continue }
                unsafe entries.append(
                    IndexEntry(
                        name: text(model.name), version: text(model.version),
                        state: text(model.state), reason: text(model.reason)))
            }
            return entries
        }
    }

    private static func statistics(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> [ModelStatistics] {
        try unsafe withMessage(
            Inference__ModelStatisticsResponse.self, message, bounds, rules: []
        ) { message in
            var models: [ModelStatistics] = []
            for index in unsafe 0..<message.n_model_stats {
                guard let model = unsafe message.model_stats[index]?.pointee else { continue }
                var statistics = unsafe ModelStatistics(
                    name: text(model.name), version: text(model.version))
                unsafe statistics.lastInference = model.last_inference
                unsafe statistics.inferences = model.inference_count
                unsafe statistics.executions = model.execution_count
                if let times = unsafe model.inference_stats?.pointee {
                    unsafe statistics.success = time(times.success)
                    unsafe statistics.failure = time(times.fail)
                    unsafe statistics.queue = time(times.queue)
                    unsafe statistics.run = time(times.compute_infer)
                }
                models.append(statistics)
            }
            return models
        }
    }

    private static func time(
        _ duration: UnsafeMutablePointer<Inference__StatisticDuration>?
    ) -> CountedTime {
        guard let duration = unsafe duration?.pointee else { return CountedTime() }
        return unsafe CountedTime(count: duration.count, nanoseconds: duration.ns)
    }

    static func texts(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, count: Int
    ) -> [String] {
        guard let list = unsafe list else { return [] }
        return (0..<count).map { unsafe text(list[$0]) }
    }
}
