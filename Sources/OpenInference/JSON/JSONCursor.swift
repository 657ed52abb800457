// The machinery of the strict reader of JSON (RFC 8259): where it stands in the text, and what it stands in. The text comes with
// each question, because nothing here may keep it.

import Contract

/// A place in a document. Every function is given the same `bytes`; those that throw name the offset and what was expected
/// there: INVALID_ARGUMENT (BAD_MESSAGE).
struct JSONCursor {
    private struct Level {
        var isObject: Bool
        var isEmpty = true
    }

    /// From the document's beginning.
    var position = 0
    private var levels = InlineArray<32, Level>(repeating: Level(isObject: false))
    private var depth = 0
    private var keys = KeyBook()

    /// Looks at the first bytes only.
    init(_ bytes: Span<UInt8>) throws(CallFailure) {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
            throw fault(at: 0, "JSON begins without a byte order mark (RFC 8259 section 8.1)")
        }
        if bytes.count >= 2, bytes[0] >= 0xFE || bytes[0] == 0 || bytes[1] == 0 {
            throw fault(at: 0, "JSON must be UTF-8, not UTF-16 or UTF-32 (RFC 8259 section 8.1)")
        }
    }

    /// The kind of the value that comes next.
    mutating func peek(_ bytes: Span<UInt8>) throws(CallFailure) -> JSONScanner.Kind {
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count else { throw unexpected("a value", bytes) }
        switch bytes[position] {
        case JSONBytes.openObject: return .object
        case JSONBytes.openArray: return .array
        case JSONBytes.quote: return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case JSONBytes.minus where !JSONCursor.isInfinity(bytes, position): return .number
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw unexpected("a value", bytes)
        }
    }

    /// - Parameter what: the value's name, for the failure.
    private mutating func expect(
        _ kind: JSONScanner.Kind, _ bytes: Span<UInt8>, _ what: () -> String
    ) throws(CallFailure) {
        let actual = try peek(bytes)
        guard actual == kind else {
            throw fault(at: position, "\(what()) must be \(kind.rawValue), not \(actual.rawValue)")
        }
    }

    /// The document's end: nothing but space may follow.
    mutating func finish(_ bytes: Span<UInt8>) throws(CallFailure) {
        JSONBytes.skipSpace(bytes, &position)
        guard position == bytes.count else {
            throw unexpected("the end of the document", bytes)
        }
    }
}

// MARK: - Objects and arrays

extension JSONCursor {
    mutating func beginObject(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String = "the document"
    ) throws(CallFailure) {
        try expect(.object, bytes, what)
        try descend(Level(isObject: true))
    }

    mutating func beginArray(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String = "the document"
    ) throws(CallFailure) {
        try expect(.array, bytes, what)
        try descend(Level(isObject: false))
    }

    private mutating func descend(_ level: Level) throws(CallFailure) {
        guard depth < JSONScanner.depthMax else {
            throw fault(
                at: position, "objects and arrays are nested at most \(JSONScanner.depthMax) deep")
        }
        if level.isObject { keys.begin() }
        levels[depth] = level
        depth += 1
        position += 1
    }

    /// The next member's key, its value comes next; nil behind the object's end.
    mutating func nextKey(_ bytes: Span<UInt8>) throws(CallFailure) -> String? {
        guard let key = try nextKeyPlace(bytes) else { return nil }
        return JSONBytes.text(bytes, key)
    }

    private mutating func nextKeyPlace(
        _ bytes: Span<UInt8>
    ) throws(CallFailure) -> JSONStringPlace? {
        guard try !isOver(JSONBytes.closeObject, "',' or '}'", bytes) else { return nil }
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == JSONBytes.quote else {
            throw unexpected("a key in quotes", bytes)
        }
        let start = position
        let key = try takeString(bytes)
        guard keys.count < JSONScanner.membersMax else {
            throw fault(at: start, "an object has at most \(JSONScanner.membersMax) members")
        }
        guard keys.insert(key, bytes) else {
            throw fault(
                at: start,
                "the key \(Quoted.name(JSONBytes.text(bytes, key))) comes twice in one object")
        }
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == JSONBytes.colon else {
            throw unexpected("':' after a key", bytes)
        }
        position += 1
        return key
    }

    /// Whether another element comes; false behind the array's end.
    mutating func nextElement(_ bytes: Span<UInt8>) throws(CallFailure) -> Bool {
        try !isOver(JSONBytes.closeArray, "',' or ']'", bytes)
    }

    /// Passes the comma before the next member, or the end.
    private mutating func isOver(
        _ end: UInt8, _ expected: StaticString, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> Bool {
        precondition(depth > 0, "asked for a member outside of objects and arrays")
        JSONBytes.skipSpace(bytes, &position)
        let isFirst = levels[depth - 1].isEmpty
        guard position < bytes.count else {
            throw unexpected(isFirst ? "a member or the end" : expected, bytes)
        }
        if bytes[position] == end {
            position += 1
            depth -= 1
            if levels[depth].isObject { keys.end() }
            return true
        }
        if isFirst {
            levels[depth - 1].isEmpty = false
            return false
        }
        guard bytes[position] == JSONBytes.comma else { throw unexpected(expected, bytes) }
        position += 1
        JSONBytes.skipSpace(bytes, &position)
        if position < bytes.count, bytes[position] == end {
            throw fault(at: position, "a comma must be followed by another value, not by the end")
        }
        return false
    }
}

// MARK: - Values

extension JSONCursor {
    mutating func string(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String
    ) throws(CallFailure) -> String {
        try expect(.string, bytes, what)
        return JSONBytes.text(bytes, try takeString(bytes))
    }

    mutating func bool(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String
    ) throws(CallFailure) -> Bool {
        try expect(.bool, bytes, what)
        let isTrue = JSONBytes.isTrue(bytes, position)
        guard isTrue || JSONBytes.isFalse(bytes, position) else {
            throw unexpected("true or false", bytes)
        }
        position += isTrue ? 4 : 5
        return isTrue
    }

    /// Takes a null, if one comes.
    mutating func takesNull(_ bytes: Span<UInt8>) throws(CallFailure) -> Bool {
        guard try peek(bytes) == .null else { return false }
        guard JSONBytes.isNull(bytes, position) else { throw unexpected("null", bytes) }
        position += 4
        return true
    }

    /// A whole number: no fraction, no exponent, within 64 bits.
    mutating func integer(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String
    ) throws(CallFailure) -> Int64 {
        try expect(.number, bytes, what)
        let start = position
        guard let decimal = DecimalNumber.scan(bytes, &position) else {
            throw unexpected("a digit", bytes)
        }
        guard let value = decimal.integer(Int64.self, bytes, start..<position) else {
            throw fault(
                at: start,
                "\(what()) must be a whole number within 64 bits, without '.' or exponent")
        }
        return value
    }

    mutating func number(
        _ bytes: Span<UInt8>, _ what: @autoclosure () -> String
    ) throws(CallFailure) -> JSONNumber {
        try expect(.number, bytes, what)
        let start = position
        guard let decimal = DecimalNumber.scan(bytes, &position) else {
            throw unexpected("a digit", bytes)
        }
        guard let value = decimal.double(bytes, start..<position) else {
            throw fault(at: start, "\(what()) is a number that is too large or too long")
        }
        return JSONNumber(
            double: value, integer: decimal.integer(Int64.self, bytes, start..<position))
    }

    /// Passes the next value, whatever it is; its structure is checked.
    mutating func skip(_ bytes: Span<UInt8>) throws(CallFailure) {
        let outside = depth
        repeat {
            if depth > outside {
                if levels[depth - 1].isObject {
                    if try nextKeyPlace(bytes) == nil { continue }
                } else if try !nextElement(bytes) {
                    continue
                }
            }
            switch try peek(bytes) {
            case .object: try beginObject(bytes)
            case .array: try beginArray(bytes)
            case .string: _ = try takeString(bytes)
            case .number:
                guard DecimalNumber.scan(bytes, &position) != nil else {
                    throw unexpected("a digit", bytes)
                }
            case .bool: _ = try bool(bytes, "it")
            case .null: _ = try takesNull(bytes)
            }
        } while depth > outside
    }

    private mutating func takeString(
        _ bytes: Span<UInt8>
    ) throws(CallFailure) -> JSONStringPlace {
        do throws(JSONStringFault) {
            return try JSONBytes.string(bytes, &position)
        } catch {
            throw fault(at: error.offset, error.message)
        }
    }
}

// MARK: - What is wrong

extension JSONCursor {
    /// Something else than `expected` stands at the position.
    private func unexpected(_ expected: StaticString, _ bytes: Span<UInt8>) -> CallFailure {
        if JSONCursor.isInfinity(bytes, position) {
            return fault(at: position, JSONCursor.notFinite)
        }
        return fault(
            at: position, "expected \(expected), found \(JSONCursor.found(bytes, position))")
    }

    private func fault(at offset: Int, _ message: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badMessage, "the JSON body, byte \(offset): \(message)",
            notStarted: true)
    }

    static let notFinite =
        "JSON has no NaN and no infinities: send the tensor in binary form (parameters.binary_data_size)"

    /// Whether NaN, Infinity or -Infinity stands here, as some writers of JSON would have it.
    static func isInfinity(_ bytes: Span<UInt8>, _ position: Int) -> Bool {
        guard position < bytes.count else { return false }
        switch bytes[position] {
        case UInt8(ascii: "N"), UInt8(ascii: "I"): return true
        case JSONBytes.minus:
            return position + 1 < bytes.count
                && (bytes[position + 1] == UInt8(ascii: "I")
                    || bytes[position + 1] == UInt8(ascii: "i")
                    || bytes[position + 1] == UInt8(ascii: "N"))
        default: return false
        }
    }

    /// The byte at a place, in words: never more of the body than that.
    static func found(_ bytes: Span<UInt8>, _ position: Int) -> String {
        guard position < bytes.count else { return "the end" }
        let byte = bytes[position]
        guard byte > 0x20, byte < 0x7F else { return "the byte \(JSONBytes.hexadecimal(byte))" }
        return "'\(Character(Unicode.Scalar(byte)))'"
    }
}
