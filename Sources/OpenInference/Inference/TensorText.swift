// A tensor's "data" (OIP 1.1, 7): flat, or nested exactly as its shape, straight from the text into the tensor's bytes. The
// shape decides how many elements there are before the first is looked at.

import Contract
import NIOCore

/// The data of one tensor.
struct TensorText {
    let datatype: ElementType
    let shape: Shape
    /// BYTES elements are base64 (RFC 4648 section 4) instead of text.
    let isBase64: Bool
    let words: DataWords

    private var place: String { words.place }

    /// Reads the value that comes next.
    ///
    /// - Parameter budget: bytes the tensor may have.
    func parse(
        _ cursor: inout JSONCursor, _ bytes: Span<UInt8>, budget: Int
    ) throws(CallFailure) -> ByteBuffer {
        guard let count = shape.elementCount else {
            throw DocumentFault.tensor("\(place) has the impossible shape \(shape)")
        }
        guard datatype != .fp16, datatype != .bf16 else {
            throw DocumentFault.tensor(
                "\(place): \(datatype) does not travel in JSON, send the tensor in binary form "
                    + "(parameters.binary_data_size)")
        }
        let (size, overflow) = count.multipliedReportingOverflow(by: datatype.width ?? 4)
        guard !overflow, size <= budget else {
            throw DocumentFault.tooLarge(
                "\(place): \(datatype) \(shape) takes more than the \(budget) bytes that are left of "
                    + "limits.message")
        }
        _ = try cursor.peek(bytes)
        // Each element takes two bytes of text at least: nothing is allocated for what cannot be there.
        guard count <= (bytes.count - cursor.position + 1) / 2 else {
            throw DocumentFault.tensor(
                "\(place): \"data\" has fewer elements than its shape \(shape), which has \(count)")
        }
        var position = cursor.position
        defer { cursor.position = position }
        switch datatype {
        case .bool: return try parse(BooleanText.self, words, bytes, &position, size)
        case .uint8: return try parse(IntegerText<UInt8>.self, words, bytes, &position, size)
        case .uint16: return try parse(IntegerText<UInt16>.self, words, bytes, &position, size)
        case .uint32: return try parse(IntegerText<UInt32>.self, words, bytes, &position, size)
        case .uint64: return try parse(IntegerText<UInt64>.self, words, bytes, &position, size)
        case .int8: return try parse(IntegerText<Int8>.self, words, bytes, &position, size)
        case .int16: return try parse(IntegerText<Int16>.self, words, bytes, &position, size)
        case .int32: return try parse(IntegerText<Int32>.self, words, bytes, &position, size)
        case .int64: return try parse(IntegerText<Int64>.self, words, bytes, &position, size)
        case .fp16, .bf16, .fp32:
            return try parse(FloatText.self, words, bytes, &position, size)
        case .fp64: return try parse(DoubleText.self, words, bytes, &position, size)
        case .bytes:
            var reader = StringRows(words: words, isBase64: isBase64, budget: budget)
            try walk(&reader, words, bytes, &position)
            return reader.finish()
        }
    }

    private func parse<Text: ElementText>(
        _: Text.Type, _ words: DataWords, _ bytes: Span<UInt8>, _ position: inout Int, _ size: Int
    ) throws(CallFailure) -> ByteBuffer {
        var reader = ElementRows<Text>(words: words, byteCount: size)
        try walk(&reader, words, bytes, &position)
        return reader.buffer
    }
}

// MARK: - Nesting

/// Reads the elements of one innermost array.
protocol RowReader {
    /// Starts behind the opening bracket, ends behind the closing one.
    mutating func row(
        _ bytes: Span<UInt8>, _ position: inout Int, count: Int
    ) throws(CallFailure)
    /// A scalar may stand without an array around it.
    mutating func scalar(_ bytes: Span<UInt8>, _ position: inout Int) throws(CallFailure)
}

extension TensorText {
    private func walk<Reader: RowReader>(
        _ reader: inout Reader, _ words: DataWords, _ bytes: Span<UInt8>, _ position: inout Int
    ) throws(CallFailure) {
        guard bytes[position] == JSONBytes.openArray else {
            guard shape.rank == 0 else {
                throw words.fault(
                    at: position,
                    "\"data\" must be an array, found \(JSONCursor.found(bytes, position))")
            }
            return try reader.scalar(bytes, &position)
        }
        position += 1
        JSONBytes.skipSpace(bytes, &position)
        if shape.rank > 1, position < bytes.count, bytes[position] == JSONBytes.openArray {
            try level(0, &reader, words, bytes, &position)
        } else {
            try reader.row(bytes, &position, count: shape.elementCount ?? 0)
        }
    }

    /// Starts behind the opening bracket of an array of this dimension. At most ``Shape/rankMax`` deep.
    private func level<Reader: RowReader>(
        _ dimension: Int, _ reader: inout Reader, _ words: DataWords, _ bytes: Span<UInt8>,
        _ position: inout Int
    ) throws(CallFailure) {
        let count = shape[dimension]
        if dimension == shape.rank - 1 {
            return try reader.row(bytes, &position, count: Int(count))
        }
        var done: Int64 = 0
        while true {
            JSONBytes.skipSpace(bytes, &position)
            guard position < bytes.count else { throw words.notNested(bytes, position) }
            if done == count {
                guard bytes[position] == JSONBytes.closeArray else {
                    throw words.notNested(bytes, position)
                }
                position += 1
                return
            }
            if done > 0 {
                guard bytes[position] == JSONBytes.comma else {
                    throw words.notNested(bytes, position)
                }
                position += 1
                JSONBytes.skipSpace(bytes, &position)
            }
            guard position < bytes.count, bytes[position] == JSONBytes.openArray else {
                throw words.notNested(bytes, position)
            }
            position += 1
            try level(dimension + 1, &reader, words, bytes, &position)
            done += 1
        }
    }
}

// MARK: - What is wrong

/// The failures of a tensor's data: they name the tensor, the element and the byte.
struct DataWords {
    /// The input's place in the request.
    let index: Int
    let name: String?
    let datatype: ElementType
    let shape: Shape

    /// For example `inputs[0] "x"`.
    var place: String { "inputs[\(index)]" + (name.map { " " + Quoted.name($0) } ?? "") }

    func fault(at offset: Int, _ message: String) -> CallFailure {
        DocumentFault.tensor("\(place) (byte \(offset) of the JSON): \(message)")
    }

    func fault(at offset: Int, element: Int, _ message: String) -> CallFailure {
        DocumentFault.tensor(
            "\(place), element \(element) (byte \(offset) of the JSON): \(message)")
    }

    func notNested(_ bytes: Span<UInt8>, _ position: Int) -> CallFailure {
        fault(
            at: position,
            "nested \"data\" must have the shape \(shape) exactly, or be flat; found "
                + JSONCursor.found(bytes, position))
    }

    /// What stands between two elements, or behind the last, is not what should.
    ///
    /// - Parameters:
    ///   - done: elements of this array so far, `count` when all.
    ///   - element: elements of the tensor so far.
    func separator(
        _ bytes: Span<UInt8>, _ position: Int, done: Int, count: Int, element: Int
    ) -> CallFailure {
        guard position < bytes.count else {
            return fault(at: position, element: element, "expected ',' or ']', found the end")
        }
        switch bytes[position] {
        case JSONBytes.closeArray:
            return fault(
                at: position,
                "\"data\" has fewer elements than its shape \(shape): an array ends after \(done) of "
                    + "\(count)")
        case JSONBytes.comma where done == count:
            return fault(
                at: position,
                "\"data\" has more elements than its shape \(shape): an array goes on after \(count)"
            )
        default:
            return fault(
                at: position, element: element,
                "expected ',' or ']', found \(JSONCursor.found(bytes, position))")
        }
    }

    /// All elements of an array have been read, and it does not end.
    func overrun(
        _ bytes: Span<UInt8>, _ position: Int, count: Int, element: Int
    ) -> CallFailure {
        guard count == 0, position < bytes.count, bytes[position] != JSONBytes.comma else {
            return separator(bytes, position, done: count, count: count, element: element)
        }
        return fault(
            at: position, "\"data\" has more elements than its shape \(shape), which has none")
    }

    /// No element can be read at `position`.
    ///
    /// - Parameter expected: what the datatype wants, in words.
    func unreadable(
        _ bytes: Span<UInt8>, _ position: Int, done: Int, count: Int, element: Int,
        expected: String
    ) -> CallFailure {
        if JSONCursor.isInfinity(bytes, position) {
            return fault(at: position, element: element, JSONCursor.notFinite)
        }
        guard position < bytes.count else {
            return fault(at: position, element: element, "expected \(expected), found the end")
        }
        switch bytes[position] {
        case JSONBytes.closeArray where done == 0:
            return separator(bytes, position, done: 0, count: count, element: element)
        case JSONBytes.closeArray:
            return fault(
                at: position, element: element,
                "a comma must be followed by another element, not by the end")
        case JSONBytes.openArray: return notNested(bytes, position)
        case JSONBytes.minus, UInt8(ascii: "0")...UInt8(ascii: "9"):
            return fault(at: position, element: element, "must be \(expected)")
        case JSONBytes.quote where datatype != .bytes:
            return fault(
                at: position, element: element, "must be \(expected), not a string")
        default:
            return fault(
                at: position, element: element,
                "expected \(expected), found \(JSONCursor.found(bytes, position))")
        }
    }
}
