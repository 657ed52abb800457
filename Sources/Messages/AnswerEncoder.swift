// An answer as the payload of a REPLY or DATA frame. On the walk: the last step back, in the door.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// Writes answers. `byteCount` and `encode` agree: a door asks for the one to size its buffer and its frames,
/// then calls the other.
package enum AnswerEncoder {
    /// Bytes of the message. Cheap for an inference; the small answers are put together to be counted.
    package static func byteCount(of answer: Answer) -> Int {
        switch answer {
        case .inference(let reply): return reply.wireByteCount
        case .modelReady(let flag), .serverReady(let flag), .health(let flag): return flag ? 2 : 0
        case .done: return 0
        case .modelMetadata, .serverMetadata, .index, .statistics, .account, .alias, .gateway,
            .access:
            var buffer = ByteBuffer()
            encode(answer, into: &buffer)
            return buffer.readableBytes
        }
    }

    /// Appends the message.
    package static func encode(_ answer: Answer, into buffer: inout ByteBuffer) {
        switch answer {
        case .inference(let reply):
            reply.encode(into: &buffer)
        case .modelReady(let flag), .serverReady(let flag), .health(let flag):
            // Field 1 of ModelReadyResponse, ServerReadyResponse and HealthStatus; absent when false.
            if flag { buffer.writeMultipleIntegers(UInt8(0x08), UInt8(1)) }
        case .done:
            return
        case .modelMetadata(let metadata):
            encode(metadata, into: &buffer)
        case .serverMetadata(let metadata):
            encode(metadata, into: &buffer)
        case .index(let entries):
            encode(entries, into: &buffer)
        case .statistics(let statistics):
            encode(statistics, into: &buffer)
        case .account(let fleet, let models):
            encode(fleet, models, into: &buffer)
        case .alias(let change):
            encode(change, into: &buffer)
        case .gateway(let report):
            encode(report, into: &buffer)
        case .access(let report):
            encode(report, into: &buffer)
        }
    }

    /// The message in pieces, for one too long for a frame: large tensors are not copied.
    package static func pieces(of answer: Answer) -> [ByteBuffer] {
        if case .inference(let reply) = answer { return reply.pieces }
        var message = ByteBuffer()
        encode(answer, into: &message)
        return [message]
    }

    private static func encode(_ metadata: ModelMetadata, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Inference__ModelMetadataResponse.self) { message in
            unsafe message.name = arena.text(metadata.name)
            unsafe message.n_versions = metadata.versions.count
            unsafe message.versions = arena.texts(metadata.versions)
            unsafe message.platform = arena.text(metadata.platform)
            unsafe message.n_inputs = metadata.signature.inputs.count
            unsafe message.inputs = arena.specifications(metadata.signature.inputs)
            unsafe message.n_outputs = metadata.signature.outputs.count
            unsafe message.outputs = arena.specifications(metadata.signature.outputs)
            unsafe message.n_properties = metadata.aliases.count
            unsafe message.properties = arena.properties(metadata.aliases)
        }
        unsafe arena.pack(message, into: &buffer)
    }

    private static func encode(_ metadata: ServerMetadata, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Inference__ServerMetadataResponse.self) { message in
            unsafe message.name = arena.text(metadata.name)
            unsafe message.version = arena.text(metadata.version)
            unsafe message.n_extensions = metadata.extensions.count
            unsafe message.extensions = arena.texts(metadata.extensions)
        }
        unsafe arena.pack(message, into: &buffer)
    }

    private static func encode(_ entries: [IndexEntry], into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Inference__RepositoryIndexResponse.self) { message in
            unsafe message.n_models = entries.count
            unsafe message.models = arena.list(entries) { entry in
                unsafe arena.make(Inference__RepositoryIndexResponse__ModelIndex.self) { model in
                    unsafe model.name = arena.text(entry.name)
                    unsafe model.version = arena.text(entry.version)
                    unsafe model.state = arena.text(entry.state)
                    unsafe model.reason = arena.text(entry.reason)
                }
            }
        }
        unsafe arena.pack(message, into: &buffer)
    }

    private static func encode(_ statistics: [ModelStatistics], into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Inference__ModelStatisticsResponse.self) { message in
            unsafe message.n_model_stats = statistics.count
            unsafe message.model_stats = arena.list(statistics) { unsafe arena.statistics($0) }
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

extension Arena {
    fileprivate borrowing func texts(
        _ texts: [String]
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        unsafe list(texts) { unsafe text($0) }
    }

    fileprivate borrowing func specifications(
        _ tensors: [TensorSpecification]
    ) -> UnsafeMutablePointer<
        UnsafeMutablePointer<Inference__ModelMetadataResponse__TensorMetadata>?
    >? {
        unsafe list(tensors) { tensor in
            unsafe make(Inference__ModelMetadataResponse__TensorMetadata.self) { message in
                unsafe message.name = text(tensor.name)
                unsafe message.datatype = text(tensor.datatype.name)
                unsafe message.n_shape = tensor.shape.rank
                unsafe message.shape = list(tensor.shape.dimensions) { $0 }
            }
        }
    }

    fileprivate borrowing func statistics(
        _ statistics: ModelStatistics
    ) -> UnsafeMutablePointer<Inference__ModelStatistics> {
        unsafe make(Inference__ModelStatistics.self) { message in
            unsafe message.name = text(statistics.name)
            unsafe message.version = text(statistics.version)
            unsafe message.last_inference = statistics.lastInference
            unsafe message.inference_count = statistics.inferences
            unsafe message.execution_count = statistics.executions
            unsafe message.inference_stats = make(Inference__InferStatistics.self) { times in
                unsafe times.success = duration(statistics.success)
                unsafe times.fail = duration(statistics.failure)
                unsafe times.queue = duration(statistics.queue)
                unsafe times.compute_infer = duration(statistics.run)
            }
        }
    }

    private borrowing func duration(
        _ time: CountedTime
    ) -> UnsafeMutablePointer<Inference__StatisticDuration> {
        unsafe make(Inference__StatisticDuration.self) { message in
            unsafe message.count = time.count
            unsafe message.ns = time.nanoseconds
        }
    }
}
