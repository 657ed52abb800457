// BYTES tensors: on the wire each element is a 32-bit little-endian length and its bytes (OIP 2); in the engine it
// is a string object of its own.

import COnnxRuntime
import Contract
import NIOCore

/// Reads and writes the engine's string tensors. Any bytes are allowed, zeros and broken UTF-8 too.
enum StringTensor {
    private static let lengthBytes = 4

    /// Makes a string tensor from `tensor` in `slot`. The whole encoding is checked before anything is made: the
    /// shape's element count and not a byte more or less.
    static func fill(
        _ slot: UnsafeMutablePointer<OpaquePointer?>, with tensor: Tensor,
        _ environment: OnnxEnvironment
    ) throws(EngineFailure) {
        guard let elements = tensor.shape.elementCount else {
            throw .invalidInput("input '\(tensor.name)' has the impossible shape \(tensor.shape)")
        }
        try check(tensor, elements: elements)
        let engine = environment.engine
        let rank = tensor.shape.rank
        try unsafe withDimensions(tensor.shape.row) { dimensions throws(EngineFailure) in
            try unsafe engine.check(
                COnnxRuntime_CreateTensor(
                    engine.api, environment.allocator, dimensions, rank,
                    ElementType.bytes.engineType, slot), .run)
        }
        guard let value = unsafe slot.pointee else { throw .runFailed("no string tensor") }
        var failure: EngineFailure?
        unsafe tensor.bytes.withUnsafeReadableBytes { bytes in
            var position = 0
            do throws(EngineFailure) {
                for index in 0..<elements {
                    let length = unsafe length(at: position, in: bytes)
                    position += lengthBytes
                    var target: UnsafeMutablePointer<CChar>?
                    try unsafe engine.check(
                        COnnxRuntime_GetResizedStringTensorElementBuffer(
                            engine.api, value, index, length, &target), .run)
                    if let target = unsafe target, length > 0 {
                        unsafe UnsafeMutableRawBufferPointer(start: target, count: length)
                            .copyMemory(
                                from: UnsafeRawBufferPointer(
                                    rebasing: bytes[position..<position + length]))
                    }
                    position += length
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Walks over the lengths.
    private static func check(_ tensor: Tensor, elements: Int) throws(EngineFailure) {
        let total = tensor.bytes.readableBytes
        // First, so that a huge shape without bytes costs nothing.
        var fits = elements <= total / lengthBytes
        if fits {
            unsafe tensor.bytes.withUnsafeReadableBytes { bytes in
                var position = 0
                for _ in 0..<elements {
                    guard total - position >= lengthBytes,
                        case let length = unsafe length(at: position, in: bytes),
                        length <= total - position - lengthBytes
                    else {
                        fits = false
                        return
                    }
                    position += lengthBytes + length
                }
                fits = position == total
            }
        }
        guard fits else {
            throw .invalidInput(
                "input '\(tensor.name)' of BYTES \(tensor.shape): its \(total) bytes are not "
                    + "\(elements) elements with their lengths")
        }
    }

    @inline(__always)
    private static func length(at position: Int, in bytes: UnsafeRawBufferPointer) -> Int {
        Int(
            UInt32(
                littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        )
    }

    /// The bytes an output has with its lengths.
    static func byteCount(
        of value: OpaquePointer, elements: Int, _ environment: OnnxEnvironment
    ) throws(EngineFailure) -> Int {
        guard elements > 0 else { return 0 }
        let engine = environment.engine
        var length = 0
        try unsafe engine.check(
            COnnxRuntime_GetStringTensorDataLength(engine.api, value, &length), .run)
        return length + elements * lengthBytes
    }

    /// Writes an output with its lengths to the start of `memory` and returns how many bytes it has. The engine
    /// writes all strings without a gap at the end of the room they need; from there each moves down to its place,
    /// which is never behind one that has not moved yet.
    static func copy(
        _ value: OpaquePointer, elements: Int, into memory: UnsafeMutableRawBufferPointer,
        _ environment: OnnxEnvironment
    ) throws(EngineFailure) -> Int {
        let total = try unsafe byteCount(of: value, elements: elements, environment)
        guard total <= memory.count, let base = memory.baseAddress else {
            throw .runFailed("an output changed while it was read")
        }
        let engine = environment.engine
        let lengths = elements * lengthBytes
        let result = unsafe withUnsafeTemporaryAllocation(of: Int.self, capacity: elements) {
            offsets -> Result<Int, EngineFailure> in
            guard let firstOffset = offsets.baseAddress else { return .success(0) }
            do throws(EngineFailure) {
                try unsafe engine.check(
                    COnnxRuntime_GetStringTensorContent(
                        engine.api, value, base + lengths, total - lengths, firstOffset, elements),
                    .run)
            } catch {
                return .failure(error)
            }
            var target = 0
            for index in 0..<elements {
                let start = unsafe offsets[index]
                let end = unsafe index + 1 < elements ? offsets[index + 1] : total - lengths
                guard start <= end, end <= total - lengths,
                    let length = UInt32(exactly: end - start)
                else { return .failure(.runFailed("an output string is too long")) }
                unsafe base.storeBytes(
                    of: length.littleEndian, toByteOffset: target, as: UInt32.self)
                target += lengthBytes
                unsafe (base + target).copyMemory(
                    from: base + lengths + start, byteCount: end - start)
                target += end - start
            }
            return .success(target)
        }
        return try result.get()
    }
}
