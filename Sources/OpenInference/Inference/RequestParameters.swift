// The parameters of an infer request, its inputs and its outputs (OIP 4.1, 4.5): those with a meaning here, and those that
// ask for what does not exist here. The rest is ignored, as in Messages.

import Contract

/// What parameters were given at one place.
struct GivenParameters {
    var binarySize: Int?
    var binary: Bool?
    var binaryOutput: Bool?
    var classification: Int?
    var isBase64 = false
    var timeout: Nanoseconds?
    var priority = Priority.interactive
}

struct ParameterReader {
    enum Place { case request, input, output }

    private enum Value {
        case string(String)
        case number(JSONNumber)
        case bool(Bool)

        /// Whether it is more than "no": clients send zero, false and "" for nothing.
        var asks: Bool {
            switch self {
            case .string(let text): !text.isEmpty
            case .number(let number): number.double != 0
            case .bool(let flag): flag
            }
        }
    }

    let countMax: Int
    private var count = 0

    init(countMax: Int) { self.countMax = countMax }

    /// - Parameter what: the object's name, for failures.
    mutating func read(
        _ cursor: inout JSONCursor, _ bytes: Span<UInt8>,
        of what: @autoclosure () -> String, place: Place
    ) throws(CallFailure) -> GivenParameters {
        var given = GivenParameters()
        try cursor.beginObject(bytes, what())
        while let key = try cursor.nextKey(bytes) {
            count += 1
            guard count <= countMax else {
                throw DocumentFault.tooLarge(
                    "more than \(countMax) parameters (limits.parameters_per_message)")
            }
            func name() -> String { "\(what()).\(Quoted.name(key).dropFirst().dropLast())" }
            guard let value = try read(&cursor, bytes, name) else { continue }
            switch place {
            case .request: try take(key, value, name, ofRequest: &given)
            case .input: try take(key, value, name, ofInput: &given)
            case .output: try take(key, value, name, ofOutput: &given)
            }
        }
        return given
    }

    /// Nil for null, which says nothing.
    private func read(
        _ cursor: inout JSONCursor, _ bytes: Span<UInt8>, _ name: () -> String
    ) throws(CallFailure) -> Value? {
        switch try cursor.peek(bytes) {
        case .string: return .string(try cursor.string(bytes, name()))
        case .number: return .number(try cursor.number(bytes, name()))
        case .bool: return .bool(try cursor.bool(bytes, name()))
        case .null:
            _ = try cursor.takesNull(bytes)
            return nil
        case .object, .array:
            throw DocumentFault.message("\(name()) must be a string, a number, true or false")
        }
    }

    private func take(
        _ key: String, _ value: Value, _ name: () -> String, ofRequest given: inout GivenParameters
    ) throws(CallFailure) {
        switch key {
        case "binary_data_output": given.binaryOutput = try flag(value, name)
        case "timeout":
            let microseconds = try whole(value, name)
            guard microseconds <= Int64.max / 1_000 else {
                throw DocumentFault.message("\(name()) is longer than any time")
            }
            if microseconds > 0 { given.timeout = .microseconds(UInt64(microseconds)) }
        case "priority":
            // 0 is the default and 1 the highest (OIP 4.5): everything below waits behind.
            given.priority = try whole(value, name) <= 1 ? .interactive : .batch
        case "sequence_id", "sequence_start", "sequence_end":
            guard !value.asks else {
                throw DocumentFault.unsupported("\(name()): sequences of calls are not supported")
            }
        default:
            guard !key.hasPrefix("triton_") else {
                throw DocumentFault.message("\(name()): names that begin with triton_ are reserved")
            }
        }
    }

    private func take(
        _ key: String, _ value: Value, _ name: () -> String, ofInput given: inout GivenParameters
    ) throws(CallFailure) {
        switch key {
        case "binary_data_size": given.binarySize = Int(try whole(value, name))
        case "content_type": given.isBase64 = try isBase64(value, name)
        case "shared_memory_region": try refuseSharedMemory(value, name)
        default: return
        }
    }

    private func take(
        _ key: String, _ value: Value, _ name: () -> String, ofOutput given: inout GivenParameters
    ) throws(CallFailure) {
        switch key {
        case "binary_data": given.binary = try flag(value, name)
        case "classification":
            let count = Int(try whole(value, name))
            given.classification = count > 0 ? count : nil
        case "content_type": given.isBase64 = try isBase64(value, name)
        case "shared_memory_region": try refuseSharedMemory(value, name)
        default: return
        }
    }

    private func flag(_ value: Value, _ name: () -> String) throws(CallFailure) -> Bool {
        guard case .bool(let flag) = value else {
            throw DocumentFault.message("\(name()) must be true or false")
        }
        return flag
    }

    /// Zero or more.
    private func whole(_ value: Value, _ name: () -> String) throws(CallFailure) -> Int64 {
        guard case .number(let number) = value, let whole = number.integer, whole >= 0 else {
            throw DocumentFault.message("\(name()) must be a whole number, 0 or more")
        }
        return whole
    }

    private func isBase64(_ value: Value, _ name: () -> String) throws(CallFailure) -> Bool {
        guard case .string(let word) = value else {
            throw DocumentFault.message("\(name()) must be a string")
        }
        return word == "base64"
    }

    private func refuseSharedMemory(_ value: Value, _ name: () -> String) throws(CallFailure) {
        guard !value.asks else {
            throw DocumentFault.unsupported(
                "\(name()): shared memory is not supported; send the tensor's bytes")
        }
    }
}
