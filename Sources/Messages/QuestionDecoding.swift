// The small request messages: metadata, readiness, index, load and unload, statistics, control, accounts.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

extension Question {
    /// Decodes the request message of `method`.
    package init(
        decoding message: ByteBuffer, for method: Method, bounds: MessageBounds
    ) throws(MessageFault) {
        switch method {
        case .infer, .inferStream:
            throw MessageFault(.malformed, "a call of method \(method) carries tensors")
        case .serverMetadata, .serverReady, .healthWatch:
            self = try unsafe Question.read(Inference__ServerReadyRequest.self, message, bounds) {
                _ in Question()
            }
        case .modelMetadata:
            self = try unsafe Question.read(Inference__ModelMetadataRequest.self, message, bounds) {
                unsafe Question(model: text($0.name), version: text($0.version))
            }
        case .modelReady:
            self = try unsafe Question.read(Inference__ModelReadyRequest.self, message, bounds) {
                unsafe Question(model: text($0.name), version: text($0.version))
            }
        case .modelStatistics:
            self = try unsafe Question.read(
                Inference__ModelStatisticsRequest.self, message, bounds
            ) {
                unsafe Question(model: text($0.name), version: text($0.version))
            }
        case .repositoryIndex:
            self = try unsafe Question.read(
                Inference__RepositoryIndexRequest.self, message, bounds
            ) { request throws(MessageFault) in
                try unsafe Question.refuseRepository(request.repository_name)
                return unsafe Question(readyOnly: request.ready != 0)
            }
        case .repositoryLoad:
            self = try Question.load(message, bounds)
        case .repositoryUnload:
            self = try Question.unload(message, bounds)
        case .modelControl:
            self = try Question.control(message, bounds)
        case .modelAccount:
            self = try unsafe Question.read(Sluice__V1__ModelAccountRequest.self, message, bounds) {
                _ in Question()
            }
        case .modelAlias:
            self = try Question.alias(message, bounds)
        case .gatewayControl:
            self = try Question.order(message, bounds)
        case .accessCheck:
            self = try Question.accessCheck(message, bounds)
        }
    }

    private static func load(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe read(
            Inference__RepositoryModelLoadRequest.self, message, bounds, parameters: 3
        ) { request throws(MessageFault) in
            try unsafe refuseRepository(request.repository_name)
            for index in unsafe 0..<request.n_parameters {
                guard let entry = unsafe request.parameters[index] else { continue }
                let key = unsafe text(entry.pointee.key)
                guard key == "config" || key.hasPrefix("file:") else { continue }
                guard let value = unsafe entry.pointee.value,
                    unsafe Parameters.asks(value.pointee)
                else { continue }
                throw MessageFault(
                    .unsupported,
                    "parameter \(MessageFault.quote(key)): a model is loaded as it lies in the "
                        + "repository; files and configuration in a request are not supported")
            }
            return unsafe Question(model: text(request.model_name))
        }
    }

    /// `unload_dependents` needs no answer: no model here depends on another.
    private static func unload(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe read(
            Inference__RepositoryModelUnloadRequest.self, message, bounds, parameters: 3
        ) { request throws(MessageFault) in
            try unsafe refuseRepository(request.repository_name)
            return unsafe Question(model: text(request.model_name))
        }
    }

    private static func control(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe read(Sluice__V1__ModelControlRequest.self, message, bounds) {
            request throws(MessageFault) in
            let number = unsafe request.action.rawValue
            guard number != 0 else {
                throw MessageFault(.malformed, "a ModelControlRequest needs an action")
            }
            guard let control = ModelControl(rawValue: number) else {
                throw MessageFault(.unsupported, "action \(number) is unknown")
            }
            return Question(control: control)
        }
    }

    private static func refuseRepository(_ name: UnsafePointer<CChar>?) throws(MessageFault) {
        guard unsafe text(name).isEmpty else {
            throw MessageFault(
                .unsupported, "there is one repository: repository_name is to be left out")
        }
    }

    private static func read<Message: CMessage>(
        _ type: Message.Type, _ message: ByteBuffer, _ bounds: MessageBounds,
        parameters: UInt32? = nil, _ read: (Message) throws(MessageFault) -> Question
    ) throws(MessageFault) -> Question {
        var rules: [CountRule] = []
        if let parameters {
            rules = unsafe [
                CountRule(
                    parent: Message.descriptor, field: parameters, maximum: Int(bounds.parameters),
                    scope: .message, what: "parameters (limits.parameters_per_message)")
            ]
        }
        return try withMessage(type, message, bounds, rules: rules, read)
    }
}

/// Scans and unpacks a message that carries no tensors.
func withMessage<Message: CMessage, Value>(
    _ type: Message.Type, _ message: ByteBuffer, _ bounds: MessageBounds, rules: [CountRule],
    _ read: (Message) throws(MessageFault) -> Value
) throws(MessageFault) -> Value {
    guard message.readableBytes <= bounds.messageBytes else {
        throw MessageFault(
            .tooLarge,
            "a message of \(message.readableBytes) bytes: at most \(bounds.messageBytes) are "
                + "allowed (limits.message)")
    }
    var scanner = BoundingScanner(depthMax: Int(bounds.nestingDepth), rules: rules)
    try unsafe scanner.scan(message.readableBytesUInt8Span, as: Message.descriptor)
    let arena = Arena(budget: bounds.arenaBudget)
    return try unsafe message.withUnsafeReadableBytes { bytes throws(MessageFault) in
        try unsafe arena.withUnpacked(type, bytes, read)
    }
}
