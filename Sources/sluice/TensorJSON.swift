// Tensors on the command line: JSON arrays in, JSON arrays out.

import Foundation
import SluiceClient

/// Reads `NAME=JSON` arguments against a model's signature and writes outputs as nested arrays.
enum TensorJSON {
    /// A tensor from the text of a JSON array (or a single value), its shape that of the nesting.
    static func tensor(
        _ json: String, for input: ModelMetadata.TensorDescription
    ) throws -> Tensor {
        let parsed: Any
        do {
            parsed = try JSONSerialization.jsonObject(
                with: Data(json.utf8), options: .fragmentsAllowed)
        } catch {
            throw CommandFailure(
                .data, "input '\(input.name)' is not JSON: expected an array such as [[1, 2]]")
        }
        var shape: [Int] = []
        var elements: [Any] = []
        try flatten(parsed, depth: 0, shape: &shape, into: &elements, name: input.name)
        return try tensor(elements, shape: shape, for: input)
    }

    private static func flatten(
        _ value: Any, depth: Int, shape: inout [Int], into elements: inout [Any], name: String
    ) throws {
        guard let array = value as? [Any] else {
            guard depth == shape.count else {
                throw CommandFailure(.data, "input '\(name)': rows differ in depth")
            }
            elements.append(value)
            return
        }
        guard depth < 8 else {
            throw CommandFailure(.data, "input '\(name)' has more than 8 dimensions")
        }
        if depth == shape.count, elements.isEmpty {
            shape.append(array.count)
        } else if depth >= shape.count || shape[depth] != array.count {
            throw CommandFailure(.data, "input '\(name)': rows differ in length")
        }
        for element in array {
            try flatten(element, depth: depth + 1, shape: &shape, into: &elements, name: name)
        }
    }

    private static func tensor(
        _ elements: [Any], shape: [Int], for input: ModelMetadata.TensorDescription
    ) throws -> Tensor {
        func numbers<Number>(_ convert: (NSNumber) -> Number?) throws -> [Number] {
            try elements.map { element in
                guard let number = element as? NSNumber, !(element is String),
                    let converted = convert(number)
                else {
                    throw CommandFailure(
                        .data,
                        "input '\(input.name)' is \(input.datatype.rawValue); '\(element)' does not fit"
                    )
                }
                return converted
            }
        }
        func integers<Integer: FixedWidthInteger>(_: Integer.Type) throws -> [Integer] {
            try numbers { Integer($0.stringValue) }
        }
        let name = input.name
        switch input.datatype {
        case .fp32: return try Tensor(name, shape: shape, numbers { $0.floatValue })
        case .fp64: return try Tensor(name, shape: shape, numbers { $0.doubleValue })
        case .bool: return try Tensor(name, shape: shape, numbers { $0.boolValue })
        case .int8: return try Tensor(name, shape: shape, integers(Int8.self))
        case .int16: return try Tensor(name, shape: shape, integers(Int16.self))
        case .int32: return try Tensor(name, shape: shape, integers(Int32.self))
        case .int64: return try Tensor(name, shape: shape, integers(Int64.self))
        case .uint8: return try Tensor(name, shape: shape, integers(UInt8.self))
        case .uint16: return try Tensor(name, shape: shape, integers(UInt16.self))
        case .uint32: return try Tensor(name, shape: shape, integers(UInt32.self))
        case .uint64: return try Tensor(name, shape: shape, integers(UInt64.self))
        case .bf16: return try Tensor(name, shape: shape, numbers { BFloat16($0.floatValue) })
        case .bytes:
            return try Tensor(
                name, shape: shape,
                elements.map { element in
                    guard let text = element as? String else {
                        throw CommandFailure(
                            .data, "input '\(name)' takes strings; '\(element)' is none")
                    }
                    return text
                })
        default:
            throw CommandFailure(
                .data, "input '\(name)' is \(input.datatype.rawValue), which JSON cannot carry")
        }
    }

    /// The tensor's elements as nested JSON arrays. Floats are the shortest text that reads back the same.
    static func text(_ tensor: Tensor) throws -> String {
        let elements: [String]
        switch tensor.datatype {
        case .fp32: elements = try tensor.values(as: Float.self).map(number)
        case .fp64: elements = try tensor.values(as: Double.self).map(number)
        case .bf16: elements = try tensor.values(as: BFloat16.self).map { number($0.float) }
        case .bool: elements = try tensor.values(as: Bool.self).map(\.description)
        case .int8: elements = try tensor.values(as: Int8.self).map(\.description)
        case .int16: elements = try tensor.values(as: Int16.self).map(\.description)
        case .int32: elements = try tensor.values(as: Int32.self).map(\.description)
        case .int64: elements = try tensor.values(as: Int64.self).map(\.description)
        case .uint8: elements = try tensor.values(as: UInt8.self).map(\.description)
        case .uint16: elements = try tensor.values(as: UInt16.self).map(\.description)
        case .uint32: elements = try tensor.values(as: UInt32.self).map(\.description)
        case .uint64: elements = try tensor.values(as: UInt64.self).map(\.description)
        case .bytes:
            elements = try tensor.blobs().map { try quoted(String(decoding: $0, as: UTF8.self)) }
        default:
            throw CommandFailure(
                .data,
                "output '\(tensor.name)' is \(tensor.datatype.rawValue), which JSON cannot carry")
        }
        var rest = elements[...]
        return nested(tensor.shape[...], &rest)
    }

    private static func nested(_ shape: ArraySlice<Int>, _ elements: inout ArraySlice<String>)
        -> String
    {
        guard let count = shape.first else { return elements.popFirst() ?? "null" }
        let rows = (0..<count).map { _ in nested(shape.dropFirst(), &elements) }
        return "[" + rows.joined(separator: ", ") + "]"
    }

    /// JSON has no word for what is not a number: those are strings.
    private static func number(_ value: some BinaryFloatingPoint & LosslessStringConvertible)
        -> String
    {
        value.isFinite ? value.description : "\"\(value.description)\""
    }

    static func quoted(_ text: String) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(text), as: UTF8.self)
    }
}
