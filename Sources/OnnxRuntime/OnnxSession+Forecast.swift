// A run whose outputs' shapes are known before: their place in the answer's buffer is given to the engine.

import COnnxRuntime
import Contract
import NIOCore

extension OnnxSession {
    /// Runs with every output in its place. Returns nil when the engine refused, which may be the forecast's fault:
    /// the row is then as it was before, for a run without it. Throws `terminated` and `runFailed` (too many bytes).
    func runForecast(
        _ inputs: [Tensor], _ outputs: [Int], _ terminator: RunTerminator?,
        _ values: borrowing ValueRow
    ) throws(EngineFailure) -> [Tensor]? {
        guard var tensors = forecastTensors(inputs, outputs) else { return nil }
        var total = 0
        for tensor in tensors {
            guard let length = OnnxSession.byteCount(tensor) else { return nil }
            total = OnnxSession.aligned(total) + length
            guard total <= outputBytesMax else { throw tooLong(tensor) }
        }
        guard total > 0 else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: total)
        var failure: EngineFailure?
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { memory in
            do throws(EngineFailure) {
                try unsafe place(tensors, in: memory, values, after: inputs.count)
                // The memory stays where it is until this closure returns, and the values only point into it.
                try execute(inputs.count, outputs, terminator, values)
                return total
            } catch {
                failure = error
                return 0
            }
        }
        if let failure {
            if failure == .terminated { throw failure }
            values.release(from: inputs.count)
            return nil
        }
        OnnxSession.slice(buffer, into: &tensors)
        return tensors
    }

    private func forecastTensors(_ inputs: [Tensor], _ outputs: [Int]) -> [Tensor]? {
        var tensors: [Tensor] = []
        tensors.reserveCapacity(outputs.count)
        for index in outputs {
            guard let shape = forecast.shape(of: index, for: inputs) else { return nil }
            tensors.append(
                Tensor(
                    name: signature.outputs[index].name,
                    datatype: signature.outputs[index].datatype, shape: shape, bytes: ByteBuffer()))
        }
        return tensors
    }

    /// Makes a value for each output, over its part of `memory`.
    private func place(
        _ tensors: [Tensor], in memory: UnsafeMutableRawBufferPointer,
        _ values: borrowing ValueRow, after inputCount: Int
    ) throws(EngineFailure) {
        guard let base = memory.baseAddress else { throw .runFailed("no memory for the outputs") }
        let engine = environment.engine
        var end = 0
        for position in tensors.indices {
            let start = OnnxSession.aligned(end)
            while end < start {
                unsafe memory[end] = 0
                end += 1
            }
            guard let length = OnnxSession.byteCount(tensors[position]),
                length <= memory.count - start
            else { throw .runFailed("the outputs do not fit their memory") }
            let datatype = tensors[position].datatype
            try unsafe tensors[position].shape.withDimensions {
                dimensions, rank throws(EngineFailure) in
                try unsafe engine.check(
                    COnnxRuntime_CreateTensorWithData(
                        engine.api, environment.memory, base + start, length, dimensions, rank,
                        datatype.engineType, values.slot(inputCount + position)), .run)
            }
            end = start + length
        }
    }

    /// The bytes of a tensor of numbers; nil for strings and impossible shapes.
    static func byteCount(_ tensor: borrowing Tensor) -> Int? {
        guard let width = tensor.datatype.width, let elements = tensor.shape.elementCount,
            case let (length, overflow) = elements.multipliedReportingOverflow(by: width), !overflow
        else { return nil }
        return length
    }

    /// Gives each tensor its part of `buffer`, in which they lie one after the other, each at a multiple of 8.
    private static func slice(_ buffer: ByteBuffer, into tensors: inout [Tensor]) {
        var end = 0
        for position in tensors.indices {
            let start = aligned(end)
            let length = byteCount(tensors[position]) ?? 0
            end = start + length
            if length > 0, let part = buffer.getSlice(at: start, length: length) {
                tensors[position].bytes = part
            }
        }
    }
}
