// A strict reader of JSON (RFC 8259) that is asked for one token after another: nothing of the document is kept but the keys
// of the objects it stands in. On the walk: between an HTTP body and what it asks.

package import Contract
package import NIOCore

/// Reads a document from front to back. What is not JSON throws INVALID_ARGUMENT (BAD_MESSAGE) naming the byte's offset
/// from the document's beginning and what was expected there.
///
///     var scanner = try JSONScanner(body)
///     try scanner.beginObject()
///     while let key = try scanner.nextKey() {
///         switch key {
///         case "ready": ready = try scanner.bool("ready")
///         default: try scanner.skip()
///         }
///     }
///     try scanner.finish()
package struct JSONScanner {
    /// Objects and arrays within one another.
    package static let depthMax = 32
    /// Members of one object.
    package static let membersMax = 1_024

    package enum Kind: String, Sendable {
        case object = "an object"
        case array = "an array"
        case string = "a string"
        case number = "a number"
        case bool = "true or false"
        case null = "null"
    }

    private struct Level {
        var isObject: Bool
        var isEmpty = true
        var keys = KeySet()
    }

    /// The document is its readable bytes.
    let body: ByteBuffer
    /// From the document's beginning.
    var position = 0
    private var levels: [Level] = []

    /// Looks at the first bytes only.
    package init(_ body: ByteBuffer) throws(CallFailure) {
        self.body = body
        let bytes = body.readableBytesUInt8Span
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
            throw fault(at: 0, "JSON begins without a byte order mark (RFC 8259 section 8.1)")
        }
        if bytes.count >= 2, bytes[0] >= 0xFE || bytes[0] == 0 || bytes[1] == 0 {
            throw fault(at: 0, "JSON must be UTF-8, not UTF-16 or UTF-32 (RFC 8259 section 8.1)")
        }
    }

    /// The kind of the value that comes next.
    package mutating func peek() throws(CallFailure) -> Kind {
        let body = body
        let bytes = body.readableBytesUInt8Span
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count else { throw unexpected("a value") }
        switch bytes[position] {
        case JSONBytes.openObject: return .object
        case JSONBytes.openArray: return .array
        case JSONBytes.quote: return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case JSONBytes.minus where !JSONScanner.isInfinity(bytes, position): return .number
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw unexpected("a value")
        }
    }

    /// - Parameter what: the value's name, for the failure.
    private mutating func expect(_ kind: Kind, _ what: String) throws(CallFailure) {
        let actual = try peek()
        guard actual == kind else {
            throw fault(at: position, "\(what) must be \(kind.rawValue), not \(actual.rawValue)")
        }
    }

    /// The document's end: nothing but space may follow.
    package mutating func finish() throws(CallFailure) {
        let body = body
        let bytes = body.readableBytesUInt8Span
        JSONBytes.skipSpace(bytes, &position)
        guard position == bytes.count else { throw unexpected("the end of the document") }
    }
}

// MARK: - Objects and arrays

extension JSONScanner {
    package mutating func beginObject(_ what: String = "the document") throws(CallFailure) {
        try expect(.object, what)
        try descend(Level(isObject: true))
    }

    package mutating func beginArray(_ what: String = "the document") throws(CallFailure) {
        try expect(.array, what)
        try descend(Level(isObject: false))
    }

    private mutating func descend(_ level: Level) throws(CallFailure) {
        guard levels.count < JSONScanner.depthMax else {
            throw fault(
                at: position, "objects and arrays are nested at most \(JSONScanner.depthMax) deep")
        }
        levels.append(level)
        position += 1
    }

    /// The next member's key, its value comes next; nil behind the object's end.
    package mutating func nextKey() throws(CallFailure) -> String? {
        let body = body
        let bytes = body.readableBytesUInt8Span
        guard try !isOver(JSONBytes.closeObject, "',' or '}'", bytes) else { return nil }
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == JSONBytes.quote else {
            throw unexpected("a key in quotes")
        }
        let start = position
        let key = JSONBytes.text(bytes, try takeString(bytes))
        guard levels[levels.count - 1].keys.count < JSONScanner.membersMax else {
            throw fault(at: start, "an object has at most \(JSONScanner.membersMax) members")
        }
        guard levels[levels.count - 1].keys.insert(key) else {
            throw fault(at: start, "the key \(Quoted.name(key)) comes twice in one object")
        }
        JSONBytes.skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == JSONBytes.colon else {
            throw unexpected("':' after a key")
        }
        position += 1
        return key
    }

    /// Whether another element comes; false behind the array's end.
    package mutating func nextElement() throws(CallFailure) -> Bool {
        let body = body
        let bytes = body.readableBytesUInt8Span
        return try !isOver(JSONBytes.closeArray, "',' or ']'", bytes)
    }

    /// Passes the comma before the next member, or the end.
    private mutating func isOver(
        _ end: UInt8, _ expected: String, _ bytes: Span<UInt8>
    ) throws(CallFailure) -> Bool {
        precondition(!levels.isEmpty, "asked for a member outside of objects and arrays")
        JSONBytes.skipSpace(bytes, &position)
        let last = levels.count - 1
        guard position < bytes.count else {
            throw unexpected(levels[last].isEmpty ? "a member or the end" : expected)
        }
        if bytes[position] == end {
            position += 1
            levels.removeLast()
            return true
        }
        if levels[last].isEmpty {
            levels[last].isEmpty = false
            return false
        }
        guard bytes[position] == JSONBytes.comma else { throw unexpected(expected) }
        position += 1
        JSONBytes.skipSpace(bytes, &position)
        if position < bytes.count, bytes[position] == end {
            throw fault(at: position, "a comma must be followed by another value, not by the end")
        }
        return false
    }
}

// MARK: - Values

extension JSONScanner {
    package mutating func string(_ what: String) throws(CallFailure) -> String {
        try expect(.string, what)
        let body = body
        let bytes = body.readableBytesUInt8Span
        return JSONBytes.text(bytes, try takeString(bytes))
    }

    package mutating func bool(_ what: String) throws(CallFailure) -> Bool {
        try expect(.bool, what)
        let body = body
        let bytes = body.readableBytesUInt8Span
        let isTrue = JSONBytes.isTrue(bytes, position)
        guard isTrue || JSONBytes.isFalse(bytes, position) else {
            throw unexpected("true or false")
        }
        position += isTrue ? 4 : 5
        return isTrue
    }

    /// Takes a null, if one comes.
    package mutating func takesNull() throws(CallFailure) -> Bool {
        guard try peek() == .null else { return false }
        let body = body
        let bytes = body.readableBytesUInt8Span
        guard JSONBytes.isNull(bytes, position) else { throw unexpected("null") }
        position += 4
        return true
    }

    /// A whole number: no fraction, no exponent, within 64 bits.
    package mutating func integer(_ what: String) throws(CallFailure) -> Int64 {
        let start = position
        guard let value = try number(what).integer else {
            throw fault(
                at: start, "\(what) must be a whole number within 64 bits, without '.' or exponent")
        }
        return value
    }

    package mutating func number(_ what: String) throws(CallFailure) -> JSONNumber {
        try expect(.number, what)
        let body = body
        let bytes = body.readableBytesUInt8Span
        let start = position
        guard let decimal = DecimalNumber.scan(bytes, &position) else {
            throw unexpected("a digit")
        }
        guard let value = decimal.double(bytes, start..<position) else {
            throw fault(at: start, "\(what) is a number that is too large or too long")
        }
        return JSONNumber(
            double: value, integer: decimal.integer(Int64.self, bytes, start..<position))
    }

    /// Passes the next value, whatever it is; its structure is checked.
    package mutating func skip() throws(CallFailure) {
        let outside = levels.count
        repeat {
            // Between values, everything but the first level's own members.
            if levels.count > outside {
                if levels[levels.count - 1].isObject {
                    if try nextKey() == nil { continue }
                } else if try !nextElement() {
                    continue
                }
            }
            switch try peek() {
            case .object: try beginObject()
            case .array: try beginArray()
            case .string:
                let body = body
                _ = try takeString(body.readableBytesUInt8Span)
            case .number: try skipNumber()
            case .bool: _ = try bool("")
            case .null: _ = try takesNull()
            }
        } while levels.count > outside
    }

    private mutating func skipNumber() throws(CallFailure) {
        let body = body
        guard DecimalNumber.scan(body.readableBytesUInt8Span, &position) != nil else {
            throw unexpected("a digit")
        }
    }

    private mutating func takeString(_ bytes: Span<UInt8>) throws(CallFailure) -> JSONStringPlace {
        do throws(JSONStringFault) {
            return try JSONBytes.string(bytes, &position)
        } catch {
            throw fault(at: error.offset, error.message)
        }
    }
}

/// A number of a document. Tensors' elements never become one.
package struct JSONNumber: Sendable, Equatable {
    package var double: Double
    /// When it was written without fraction and exponent and fits.
    package var integer: Int64?
}

// MARK: - What is wrong

extension JSONScanner {
    /// Something else than `expected` stands at the position.
    func unexpected(_ expected: String) -> CallFailure {
        let bytes = body.readableBytesUInt8Span
        if JSONScanner.isInfinity(bytes, position) {
            return fault(at: position, JSONScanner.notFinite)
        }
        return fault(
            at: position, "expected \(expected), found \(JSONScanner.found(bytes, position))")
    }

    func fault(at offset: Int, _ message: String) -> CallFailure {
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

/// The keys of one object so far, by their bytes. The first few are compared one by one; the rest are hashed.
private struct KeySet {
    private static let fewMax = 8
    private var few: [String] = []
    private var many: Set<[UInt8]> = []

    var count: Int { few.count + many.count }

    /// False when the key was there.
    mutating func insert(_ key: String) -> Bool {
        guard !few.contains(where: { $0.utf8.elementsEqual(key.utf8) }) else { return false }
        guard few.count >= KeySet.fewMax else {
            few.append(key)
            return true
        }
        return many.insert(Array(key.utf8)).inserted
    }
}

/// Names from outside in messages.
enum Quoted {
    /// At most 64 bytes of it, quoted; what cannot be printed is escaped.
    static func name(_ name: String) -> String {
        JSONText.quoted(name.utf8.count <= 64 ? name : name.prefix(60) + "...")
    }
}
