// One run of a model: received bytes are wrapped as the engine's values, its outputs copied once into one buffer.
// This is on the path of every call, and a tiny model takes 3 us: nothing here allocates but the answer itself.

import COnnxRuntime
package import Contract
import NIOCore

extension OnnxSession {
    /// Runs the model.
    ///
    /// - Parameters:
    ///   - inputs: one tensor for each input of ``signature``, in its order; names are not looked at. Their bytes
    ///     are read where they are when they are aligned for their datatype, otherwise from a copy.
    ///   - outputs: which of the signature's outputs to return, by index; at least one, each once.
    ///   - terminator: ends the run from another thread; nil when nobody will, which is cheaper.
    /// - Returns: the outputs in the order asked for; their bytes are slices of one buffer, each aligned to 8 bytes.
    ///   Little-endian, row-major; BYTES elements have their lengths before them.
    ///
    /// Throws `invalidInput`, `runFailed`, `terminated` or `unsupported`. May be called from any thread and by
    /// several at once; the calling thread is busy until the model is done.
    package func run(
        inputs: [Tensor], outputs: [Int], terminator: RunTerminator? = nil
    ) throws(EngineFailure) -> [Tensor] {
        let scratchBytes = try checked(inputs)
        try check(outputs)
        let result = unsafe withUnsafeTemporaryAllocation(
            of: OpaquePointer?.self, capacity: inputs.count + outputs.count
        ) { slots in
            unsafe withUnsafeTemporaryAllocation(
                byteCount: scratchBytes, alignment: OnnxSession.scratchAlignment
            ) { scratch -> Result<[Tensor], EngineFailure> in
                do throws(EngineFailure) {
                    return .success(
                        try unsafe run(inputs, outputs, terminator, slots: slots, scratch: scratch))
                } catch {
                    return .failure(error)
                }
            }
        }
        return try result.get()
    }

    private static let scratchAlignment = 16

    private func run(
        _ inputs: [Tensor], _ outputs: [Int], _ terminator: RunTerminator?,
        slots: UnsafeMutableBufferPointer<OpaquePointer?>, scratch: UnsafeMutableRawBufferPointer
    ) throws(EngineFailure) -> [Tensor] {
        // The engine's values point into the buffers of `inputs`: they stay until the values are gone.
        defer { extendLifetime(inputs) }
        let values = unsafe ValueRow(environment.engine, in: slots)
        try unsafe wrap(inputs, values, scratch)
        let batch = OutputForecast.batch(of: inputs)
        let isTold = forecast.tells(outputs, batch: batch)
        if isTold,
            let tensors = try runForecast(inputs.count, outputs, terminator, values, batch: batch)
        {
            return tensors
        }
        try execute(inputs.count, outputs, terminator, values)
        let tensors = try collect(outputs, values, after: inputs.count)
        forecast.learn(tensors, outputs, batch: batch, afterFailure: isTold)
        return tensors
    }

    // MARK: Before

    /// Checks what the engine would otherwise believe, and returns how many bytes of scratch the inputs need whose
    /// bytes are not aligned.
    private func checked(_ inputs: [Tensor]) throws(EngineFailure) -> Int {
        guard inputs.count == signature.inputs.count else {
            throw .invalidInput(
                "the model has \(signature.inputs.count) inputs, \(inputs.count) were given")
        }
        // Never empty, so that there is an address for tensors without elements.
        var scratchBytes = OnnxSession.scratchAlignment
        for index in inputs.indices {
            let kind = inputKinds[index]
            guard inputs[index].datatype == kind.datatype else {
                throw .invalidInput(
                    "input '\(signature.inputs[index].name)' is \(kind.datatype), "
                        + "not \(inputs[index].datatype)")
            }
            guard kind.width > 0 else { continue }
            let byteCount = inputs[index].bytes.readableBytes
            guard let elements = inputs[index].shape.elementCount,
                case let (expected, overflow) = elements.multipliedReportingOverflow(by: kind.width),
                !overflow, expected == byteCount
            else {
                throw .invalidInput(
                    "input '\(signature.inputs[index].name)' of \(kind.datatype) "
                        + "\(inputs[index].shape) has \(byteCount) bytes")
            }
            if !inputs[index].bytes.isAligned(to: kind.width) {
                scratchBytes += OnnxSession.padded(byteCount)
            }
        }
        return scratchBytes
    }

    private func check(_ outputs: [Int]) throws(EngineFailure) {
        guard !outputs.isEmpty else { throw .invalidInput("no output is asked for") }
        for (position, index) in outputs.enumerated() {
            guard index >= 0 && index < signature.outputs.count else {
                throw .invalidInput("the model has no output \(index)")
            }
            guard !outputs[..<position].contains(index) else {
                throw .invalidInput("output '\(signature.outputs[index].name)' is asked for twice")
            }
        }
    }

    private static func padded(_ byteCount: Int) -> Int {
        (byteCount + scratchAlignment - 1) & ~(scratchAlignment - 1)
    }

    /// Makes a value for each input, in the first slots of the row.
    private func wrap(
        _ inputs: [Tensor], _ values: borrowing ValueRow, _ scratch: UnsafeMutableRawBufferPointer
    ) throws(EngineFailure) {
        guard let base = scratch.baseAddress else { throw .runFailed("no scratch memory") }
        var used = OnnxSession.scratchAlignment
        for index in inputs.indices {
            let kind = inputKinds[index]
            guard kind.width > 0 else {
                try unsafe StringTensor.fill(
                    values.slot(index), with: inputs[index], environment)
                continue
            }
            let byteCount = inputs[index].bytes.readableBytes
            // `inputs` holds the bytes until the run is over.
            var data = unsafe inputs[index].bytes.address
            if !inputs[index].bytes.isAligned(to: kind.width) {
                let copy = unsafe base + used
                if let data = unsafe data {
                    unsafe copy.copyMemory(from: data, byteCount: byteCount)
                }
                unsafe data = UnsafeRawPointer(copy)
                used += OnnxSession.padded(byteCount)
            }
            let engine = environment.engine
            let rank = inputs[index].shape.rank
            try unsafe withDimensions(inputs[index].shape.row) {
                dimensions throws(EngineFailure) in
                try unsafe engine.check(
                    COnnxRuntime_CreateTensorWithData(
                        engine.api, environment.memory, data ?? UnsafeRawPointer(base), byteCount,
                        dimensions, rank, kind.engineType, values.slot(index)), .run)
            }
        }
    }

    // MARK: The run

    func execute(
        _ inputCount: Int, _ outputs: [Int], _ terminator: RunTerminator?,
        _ values: borrowing ValueRow
    ) throws(EngineFailure) {
        let engine = environment.engine
        let status = unsafe outputNames.withNames(of: outputs) { names in
            unsafe COnnxRuntime_Run(
                engine.api, session, terminator?.options ?? environment.runOptions,
                inputNames.base, values.slot(0), inputCount, names, outputs.count,
                values.slot(inputCount))
        }
        withExtendedLifetime(terminator) {}
        guard let status = unsafe status else { return }
        let failure = unsafe engine.failure(takingOwnershipOf: status, .run)
        if let terminator, terminator.isTerminated { throw .terminated }
        throw failure
    }

    // MARK: After

    /// Copies the outputs' bytes into one buffer.
    private func collect(
        _ outputs: [Int], _ values: borrowing ValueRow, after inputCount: Int
    ) throws(EngineFailure) -> [Tensor] {
        var tensors: [Tensor] = []
        tensors.reserveCapacity(outputs.count)
        var total = 0
        for position in outputs.indices {
            let value = try unsafe values.value(inputCount + position)
            let name = signature.outputs[outputs[position]].name
            let (datatype, shape) = try unsafe environment.engine.typeAndShape(
                ofValue: value, name)
            let byteCount = try unsafe byteCount(of: value, datatype, shape)
            total = OnnxSession.aligned(total) + byteCount
            guard total <= outputBytesMax else {
                throw tooLong(name, datatype, shape)
            }
            tensors.append(
                Tensor(name: name, datatype: datatype, shape: shape, bytes: ByteBuffer()))
        }
        guard total > 0 else { return tensors }
        let buffer = try fill(total, tensors, values, after: inputCount)
        var end = 0
        for position in tensors.indices {
            let value = try unsafe values.value(inputCount + position)
            let start = OnnxSession.aligned(end)
            let length = try unsafe byteCount(
                of: value, tensors[position].datatype, tensors[position].shape)
            end = start + length
            if length > 0, let slice = buffer.getSlice(at: start, length: length) {
                tensors[position].bytes = slice
            }
        }
        return tensors
    }

    /// A buffer with the bytes of all outputs, each at the next multiple of 8.
    private func fill(
        _ total: Int, _ tensors: [Tensor], _ values: borrowing ValueRow, after inputCount: Int
    ) throws(EngineFailure) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: total)
        var failure: EngineFailure?
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { memory in
            var end = 0
            do throws(EngineFailure) {
                for position in tensors.indices {
                    let start = OnnxSession.aligned(end)
                    // The few bytes between two outputs hold nothing of anybody's.
                    while end < start {
                        unsafe memory[end] = 0
                        end += 1
                    }
                    let value = try unsafe values.value(inputCount + position)
                    end +=
                        try unsafe copy(
                            value, tensors[position].datatype, tensors[position].shape,
                            into: UnsafeMutableRawBufferPointer(rebasing: memory[start..<total]))
                }
            } catch { failure = error }
            return end
        }
        if let failure { throw failure }
        return buffer
    }

    /// The bytes an output has in an answer.
    private func byteCount(
        of value: OpaquePointer, _ datatype: ElementType, _ shape: Shape
    ) throws(EngineFailure) -> Int {
        guard let elements = shape.elementCount else {
            throw .runFailed("an output has the impossible shape \(shape)")
        }
        guard let width = datatype.width else {
            return try unsafe StringTensor.byteCount(of: value, elements: elements, environment)
        }
        // The engine holds these bytes in memory: the product does not overflow.
        return elements * width
    }

    /// Copies one output to the start of `memory` and returns how many bytes it has.
    private func copy(
        _ value: OpaquePointer, _ datatype: ElementType, _ shape: Shape,
        into memory: UnsafeMutableRawBufferPointer
    ) throws(EngineFailure) -> Int {
        guard let elements = shape.elementCount, elements > 0 else { return 0 }
        guard let width = datatype.width else {
            return try unsafe StringTensor.copy(
                value, elements: elements, into: memory, environment)
        }
        let engine = environment.engine
        var data: UnsafeMutableRawPointer?
        try unsafe engine.check(COnnxRuntime_GetTensorData(engine.api, value, &data), .run)
        let byteCount = elements * width
        guard let data = unsafe data, byteCount <= memory.count else {
            throw .runFailed("an output changed while it was read")
        }
        unsafe memory.copyMemory(from: UnsafeRawBufferPointer(start: data, count: byteCount))
        return byteCount
    }

    static func aligned(_ byteCount: Int) -> Int { (byteCount + 7) & ~7 }

    func tooLong(_ name: String, _ datatype: ElementType, _ shape: Shape) -> EngineFailure {
        .runFailed(
            "the outputs have more than \(outputBytesMax) bytes, the most allowed; "
                + "'\(name)' is \(datatype) \(shape)")
    }
}
