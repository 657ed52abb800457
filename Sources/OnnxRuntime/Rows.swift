// The rows of pointers one run hands to the engine: values, names, dimensions.

import COnnxRuntime
import Contract
import NIOCore

/// The values of one run, inputs first, then outputs, in memory lent for the run. Owns the values: those that were
/// made are released with the row.
@safe struct ValueRow: ~Copyable {
    private let engine: Engine
    private let base: UnsafeMutablePointer<OpaquePointer?>
    private let count: Int

    /// An empty row in `slots`, which must have room for one value at least and outlive the row.
    init(_ engine: Engine, in slots: UnsafeMutableBufferPointer<OpaquePointer?>) {
        guard let base = slots.baseAddress, !slots.isEmpty else {
            preconditionFailure("a run has at least one output, so its row has a slot")
        }
        self.engine = engine
        unsafe self.base = unsafe base
        count = slots.count
        unsafe slots.initialize(repeating: nil)
    }

    deinit { release(from: 0) }

    /// Releases the values from a slot on, which are empty then.
    func release(from first: Int) {
        for index in first..<count {
            if let value = unsafe base[index] {
                unsafe COnnxRuntime_ReleaseValue(engine.api, value)
                unsafe base[index] = nil
            }
        }
    }

    /// Where the engine puts a value it makes: the row owns it from then on. The place after the last slot may be
    /// asked for, but not be written.
    func slot(_ index: Int) -> UnsafeMutablePointer<OpaquePointer?> {
        precondition(index >= 0 && index <= count, "no such slot")
        return unsafe base + index
    }

    /// The value in a slot, which stays the row's.
    func value(_ index: Int) throws(EngineFailure) -> OpaquePointer {
        precondition(index >= 0 && index < count, "no such slot")
        guard let value = unsafe base[index] else {
            throw .runFailed("ONNX Runtime returned no value for an output")
        }
        return unsafe value
    }
}

/// The names of a model's inputs or outputs as C wants them, made once a session and never written again.
@safe final class NameTable: Sendable {
    typealias Name = UnsafePointer<CChar>

    // Written in the initialiser only.
    nonisolated(unsafe) private let names: UnsafeMutableBufferPointer<Name>
    private let count: Int

    /// The first of all names, nil when there are none.
    var base: UnsafePointer<Name>? { unsafe UnsafePointer(names.baseAddress) }

    /// Takes names as the engine gave them, without the zero at the end.
    init(_ texts: [[CChar]]) {
        count = texts.count
        unsafe names = .allocate(capacity: texts.count)
        for (index, text) in texts.enumerated() {
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count + 1)
            for (offset, character) in text.enumerated() {
                unsafe (copy + offset).initialize(to: character)
            }
            unsafe (copy + text.count).initialize(to: 0)
            unsafe names.initializeElement(at: index, to: Name(copy))
        }
    }

    deinit {
        for index in 0..<count { unsafe names[index].deallocate() }
        unsafe names.deallocate()
    }

    /// Calls `body` with the row of the names at `indices`, of which there is at least one.
    func withNames<Result>(of indices: [Int], _ body: (UnsafePointer<Name>) -> Result) -> Result {
        let first = indices[0]
        var isRun = true
        for position in indices.indices {
            let index = indices[position]
            precondition(index >= 0 && index < count, "no such name")
            isRun = isRun && index == first + position
        }
        guard let base = unsafe base else {
            preconditionFailure("an index was within an empty table")
        }
        // Usually all outputs or the first of them: then the table itself is the row.
        if isRun { return unsafe body(base + first) }
        return unsafe withUnsafeTemporaryAllocation(of: Name.self, capacity: indices.count) { row in
            for (position, index) in indices.enumerated() {
                unsafe row.initializeElement(at: position, to: names[index])
            }
            guard let start = row.baseAddress else { preconditionFailure("an empty row") }
            return unsafe body(start)
        }
    }
}

/// Calls `body` with a row of dimensions as C wants them.
@inline(__always)
func withDimensions(
    _ row: InlineArray<8, Int64>,
    _ body: (UnsafePointer<Int64>) throws(EngineFailure) -> Void
) throws(EngineFailure) {
    try unsafe withUnsafePointer(to: row) { pointer throws(EngineFailure) in
        // An InlineArray is its elements, one after the other (SE-0453).
        try unsafe body(UnsafeRawPointer(pointer).assumingMemoryBound(to: Int64.self))
    }
}

extension ByteBuffer {
    /// Where the readable bytes start. Valid for as long as somebody holds the buffer or a slice of it and nobody
    /// writes: a write into storage that is held twice goes to a copy.
    @inline(__always)
    var address: UnsafeRawPointer? { unsafe withUnsafeReadableBytes { $0.baseAddress } }

    /// True when the readable bytes start at a multiple of `width`, as C wants elements of that many bytes.
    @inline(__always)
    func isAligned(to width: Int) -> Bool {
        UInt(bitPattern: unsafe address) & UInt(width - 1) == 0
    }
}
