// The calls a client can make. Each is one message out and one back; the walk there is in Switchboard.

import NIOCore
import SluiceMessages
import SwiftProtobuf

extension SluiceClient {
    /// Runs a model.
    ///
    /// ```swift
    /// let flower = try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2]] as [[Float]])
    /// let inference = try await client.infer("iris", inputs: [flower])
    /// let label = try inference.output("label").values(as: Int64.self)
    /// ```
    ///
    /// A sleeping model is woken, which can take a while. Cancelling the task tells the gateway to stop.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version; without it, the model's default one.
    ///   - inputs: one tensor for each input the model has; see ``metadata(of:version:timeout:)``.
    ///   - outputs: the outputs wanted; without it, all.
    ///   - timeout: for the call, all its attempts together; without it, ``Configuration/callTimeout``.
    ///   - options: what is rarely needed.
    ///   - onProgress: told how far the waking of the model has come. Runs on the connection's thread: return
    ///     at once, and do not wait there.
    /// - Throws: ``SluiceError``; with code ``SluiceError/Code/cancelled`` when the task was cancelled.
    public func infer(
        _ model: String, version: String? = nil, inputs: [Tensor], outputs: [String]? = nil,
        timeout: Duration? = nil, options: CallOptions = CallOptions(),
        onProgress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(SluiceError) -> Inference {
        let request = try await inference(
            .infer, model, version, inputs, outputs, options, wantsProgress: onProgress != nil)
        let answer = try await call(
            request, deadline: deadline(timeout), onProgress: onProgress)
        var inference = try InferenceCoding.inference(answer.payload)
        inference.timing = answer.timing
        inference.rateLimit = answer.rateLimit
        return inference
    }

    /// Runs a model that answers in several messages.
    ///
    /// The call begins when the first message is asked for and is cancelled when the iterator is dropped.
    ///
    /// ```swift
    /// for try await part in client.inferStream("writer", inputs: [prompt]) {
    ///     print(try part.output("text").strings())
    /// }
    /// ```
    ///
    /// The parameters are those of ``infer(_:version:inputs:outputs:timeout:options:onProgress:)``.
    public func inferStream(
        _ model: String, version: String? = nil, inputs: [Tensor], outputs: [String]? = nil,
        timeout: Duration? = nil, options: CallOptions = CallOptions(),
        onProgress: (@Sendable (Progress) -> Void)? = nil
    ) -> InferenceStream {
        InferenceStream { [self] () async throws(SluiceError) in
            let request = try await inference(
                .inferStream, model, version, inputs, outputs, options,
                wantsProgress: onProgress != nil)
            return MessageReader(
                switchboard, request, deadline: deadline(timeout), onProgress: onProgress)
        }
    }

    private func inference(
        _ method: CallMethod, _ model: String, _ version: String?, _ inputs: [Tensor],
        _ outputs: [String]?, _ options: CallOptions, wantsProgress: Bool
    ) async throws(SluiceError) -> CallRequest {
        var request = CallRequest(method: method, model: model, version: version ?? "")
        request.wantsProgress = wantsProgress
        request.options = options
        request.payload = InferenceCoding.request(
            model: model, version: version ?? "", inputs: inputs, outputs: outputs ?? [])
        try request.checkHeader()
        switch options.token.source {
        case .none: break
        case .fixed(let token): request.token = token
        case .provider(let provide):
            do {
                request.token = try await provide()
            } catch {
                throw SluiceError(
                    .unauthenticated, reason: Reason.tokenProviderFailed,
                    "The token provider failed.", cause: error)
            }
        }
        try request.checkHeader()
        return request
    }

    /// What a model is called with and answers. Never wakes the model.
    public func metadata(
        of model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) -> ModelMetadata {
        var message = Inference_ModelMetadataRequest()
        message.name = model
        message.version = version ?? ""
        let reply: Inference_ModelMetadataResponse = try await ask(
            .modelMetadata, model, version, message, timeout)
        func tensor(
            _ tensor: Inference_ModelMetadataResponse.TensorMetadata
        ) -> ModelMetadata.TensorDescription {
            .init(
                name: tensor.name, datatype: Datatype(rawValue: tensor.datatype),
                shape: tensor.shape.map(Int.init(clamping:)))
        }
        return ModelMetadata(
            name: reply.name, versions: reply.versions, platform: reply.platform,
            inputs: reply.inputs.map(tensor), outputs: reply.outputs.map(tensor),
            aliases: Dictionary(
                reply.properties.compactMap { key, value in
                    key.hasPrefix("alias.") ? (String(key.dropFirst(6)), value) : nil
                }, uniquingKeysWith: { first, _ in first }))
    }

    /// Whether calls for the model are taken. A sleeping model is ready.
    public func isReady(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) -> Bool {
        var message = Inference_ModelReadyRequest()
        message.name = model
        message.version = version ?? ""
        let reply: Inference_ModelReadyResponse = try await ask(
            .modelReady, model, version, message, timeout)
        return reply.ready
    }

    /// Which gateway answers.
    public func serverMetadata(timeout: Duration? = nil) async throws(SluiceError) -> ServerMetadata
    {
        let reply: Inference_ServerMetadataResponse = try await ask(
            .serverMetadata, "", nil, Inference_ServerMetadataRequest(), timeout)
        return ServerMetadata(
            name: reply.name, version: reply.version, extensions: reply.extensions)
    }

    /// Whether the gateway takes calls.
    public func isServerReady(timeout: Duration? = nil) async throws(SluiceError) -> Bool {
        let reply: Inference_ServerReadyResponse = try await ask(
            .serverReady, "", nil, Inference_ServerReadyRequest(), timeout)
        return reply.ready
    }

    /// The models this caller may see.
    ///
    /// - Parameter readyOnly: leave out those that take no calls now.
    public func index(
        readyOnly: Bool = false, timeout: Duration? = nil
    ) async throws(SluiceError) -> [IndexedModel] {
        var message = Inference_RepositoryIndexRequest()
        message.ready = readyOnly
        let reply: Inference_RepositoryIndexResponse = try await ask(
            .repositoryIndex, "", nil, message, timeout)
        return reply.models.map {
            IndexedModel(name: $0.name, version: $0.version, state: $0.state, reason: $0.reason)
        }
    }

    /// Puts a model into service again and wakes it.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version or an alias; without it, every version is put into service and the latest is woken.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func load(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        var message = Inference_RepositoryModelLoadRequest()
        message.modelName = model
        let _: Inference_RepositoryModelLoadResponse = try await ask(
            .repositoryLoad, model, version, message, timeout)
    }

    /// Takes a model out of service until ``load(_:version:timeout:)``.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version or an alias; without it, all of them.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func unload(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        var message = Inference_RepositoryModelUnloadRequest()
        message.modelName = model
        let _: Inference_RepositoryModelUnloadResponse = try await ask(
            .repositoryUnload, model, version, message, timeout)
    }

    /// What a model did since the gateway started, for each of its versions.
    ///
    /// - Parameter model: without it, every model this caller may see.
    public func statistics(
        _ model: String? = nil, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) -> [ModelStatistics] {
        var message = Inference_ModelStatisticsRequest()
        message.name = model ?? ""
        message.version = version ?? ""
        let reply: Inference_ModelStatisticsResponse = try await ask(
            .modelStatistics, model ?? "", version, message, timeout)
        return reply.modelStats.map(ModelStatistics.init)
    }

    /// Whether the gateway serves: first how it is now, then each change, for as long as it is read.
    ///
    /// While the gateway cannot be reached the value is false and the watch goes on trying.
    public func watchHealth() -> HealthWatch { HealthWatch(switchboard) }
}

extension ModelStatistics {
    fileprivate init(_ message: Inference_ModelStatistics) {
        let times = message.inferenceStats
        self.init(
            name: message.name, version: message.version, lastInference: message.lastInference,
            inferences: message.inferenceCount, executions: message.executionCount,
            success: Count(times.success), failure: Count(times.fail), queue: Count(times.queue),
            run: Count(times.computeInfer))
    }
}

extension ModelStatistics.Count {
    fileprivate init(_ message: Inference_StatisticDuration) {
        self.init(count: message.count, time: .nanoseconds(Int64(clamping: message.ns)))
    }
}

// MARK: - The walk of a unary call

extension SluiceClient {
    func deadline(_ timeout: Duration?) -> NIODeadline {
        .now() + .nanoseconds((timeout ?? configuration.callTimeout).nanoseconds)
    }

    /// One small question and its answer.
    func ask<Reply: Message>(
        _ method: CallMethod, _ model: String, _ version: String?, _ message: some Message,
        _ timeout: Duration?
    ) async throws(SluiceError) -> Reply {
        var request = CallRequest(method: method, model: model, version: version ?? "")
        request.payload = try HelloCoding.encoded(message)
        try request.checkHeader()
        let answer = try await call(request, deadline: deadline(timeout), onProgress: nil)
        guard let reply: Reply = HelloCoding.decoded(answer.payload) else {
            throw SluiceError(
                .internal, reason: Reason.badReply, "The answer is no \(Reply.protoMessageName).")
        }
        return reply
    }

    /// Hands a call to the switchboard and waits for its end. Nil only waits for a connection.
    func call(
        _ request: CallRequest?, deadline: NIODeadline,
        onProgress: (@Sendable (Progress) -> Void)?
    ) async throws(SluiceError) -> RawAnswer {
        let ticket = switchboard.nextTicket()
        let result: CallResult = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                switchboard.post(
                    .call(
                        .init(
                            ticket: ticket, request: request,
                            sink: .unary(continuation, onProgress: onProgress), deadline: deadline))
                )
                // A cancel that came before the call is not seen by the handler's errand.
                if Task.isCancelled { switchboard.post(.cancel(ticket, .callerCancelled)) }
            }
        } onCancel: {
            switchboard.post(.cancel(ticket, .callerCancelled))
        }
        return try result.get()
    }
}

extension SluiceError {
    static var callerCancelled: SluiceError {
        SluiceError(.cancelled, reason: Reason.cancelledByCaller, "The calling task was cancelled.")
    }
}
