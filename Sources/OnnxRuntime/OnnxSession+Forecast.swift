// A run whose outputs' shapes are known before: their place in the answer's buffer is given to the engine.

import COnnxRuntime
import Contract
import NIOCore

extension OnnxSession {
    /// Runs with every output in its place, when the forecast tells them. Returns nil when the engine refused, which
    /// may be the forecast's fault: the row is then as it was before, for a run without it. Throws `terminated`,
    /// and `runFailed` when the outputs are too many bytes.
    func runForecast(
        _ inputCount: Int, _ outputs: [Int], _ terminator: RunTerminator?,
        _ values: borrowing ValueRow, batch: Int64
    ) throws(EngineFailure) -> [Tensor]? {
        var total = 0
        for index in outputs {
            guard let rule = forecast.rules[index],
                let length = rule.byteCount(batch: batch)
            else { return nil }
            guard length <= outputBytesMax - OnnxSession.aligned(total) else {
                throw tooLong(
                    signature.outputs[index].name, rule.kind.datatype,
                    Shape(row: rule.row(batch: batch), rank: rule.rank) ?? Shape())
            }
            total = OnnxSession.aligned(total) + length
        }
        guard total > 0 else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: total)
        var failure: EngineFailure?
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { memory in
            do throws(EngineFailure) {
                try unsafe place(outputs, in: memory, values, after: inputCount, batch: batch)
                // The memory stays where it is until this closure returns; the values only point into it.
                try execute(inputCount, outputs, terminator, values)
                return total
            } catch {
                failure = error
                return 0
            }
        }
        if let failure {
            if failure == .terminated { throw failure }
            values.release(from: inputCount)
            return nil
        }
        return tensors(outputs, in: buffer, batch: batch)
    }

    /// Makes a value for each output, over its part of `memory`.
    private func place(
        _ outputs: [Int], in memory: UnsafeMutableRawBufferPointer,
        _ values: borrowing ValueRow, after inputCount: Int, batch: Int64
    ) throws(EngineFailure) {
        guard let base = memory.baseAddress else { throw .runFailed("no memory for the outputs") }
        let api = unsafe environment.engine.api
        var end = 0
        for position in outputs.indices {
            guard let rule = forecast.rules[outputs[position]],
                let length = rule.byteCount(batch: batch)
            else { throw .runFailed("an output cannot be told") }
            let start = OnnxSession.aligned(end)
            while end < start {
                unsafe memory[end] = 0
                end += 1
            }
            precondition(length <= memory.count - start, "the outputs fit their memory")
            try unsafe withDimensions(rule.row(batch: batch)) { dimensions throws(EngineFailure) in
                try unsafe environment.engine.check(
                    COnnxRuntime_CreateTensorWithData(
                        api, environment.memory, base + start, length, dimensions, rule.rank,
                        rule.kind.engineType, values.slot(inputCount + position)), .run)
            }
            end = start + length
        }
    }

    /// The answer: each output with its part of `buffer`.
    private func tensors(_ outputs: [Int], in buffer: ByteBuffer, batch: Int64) -> [Tensor] {
        var tensors: [Tensor] = []
        tensors.reserveCapacity(outputs.count)
        var end = 0
        for index in outputs {
            guard let rule = forecast.rules[index],
                let length = rule.byteCount(batch: batch),
                let shape = Shape(row: rule.row(batch: batch), rank: rule.rank)
            else { preconditionFailure("the same was told before the run") }
            let start = OnnxSession.aligned(end)
            end = start + length
            tensors.append(
                Tensor(
                    name: signature.outputs[index].name, datatype: rule.kind.datatype,
                    shape: shape,
                    bytes: length > 0
                        ? buffer.getSlice(at: start, length: length) ?? ByteBuffer()
                        : ByteBuffer()))
        }
        return tensors
    }
}
