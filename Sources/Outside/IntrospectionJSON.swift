// A strict reader of one small JSON text (RFC 8259), for answers that decide who is let in. Foundation's readers
// take the last of two equal keys without a word, and an answer that means two things must mean nothing.

/// A JSON value. An object keeps its members in order; its keys are unique.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    /// Written without fraction and exponent, and within 64 bits.
    case integer(Int64)
    /// Any other number: nothing here needs its value.
    case otherNumber
    case string(String)
    case array([JSONValue])
    case object([(key: String, value: JSONValue)])

    /// The member of an object; nil when it is missing or null, which mean the same here.
    package subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self,
            let value = members.first(where: { $0.key == key })?.value, value != .null
        else { return nil }
        return value
    }

    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null), (.otherNumber, .otherNumber): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0 == $1 }
        default: false
        }
    }
}

/// What was wrong with a JSON text, and at which byte.
package struct JSONFault: Error, Equatable {
    package enum Kind: String, Sendable {
        case syntax, encoding, duplicateKey, tooDeep, tooMany, trailing, unfinished
    }
    package var kind: Kind
    package var position: Int
}

/// Reads one value; `depthMax` levels, `valuesMax` values in all.
package struct JSONReader {
    package static let depthMax = 8
    package static let valuesMax = 4_096

    private let bytes: [UInt8]
    private var position = 0
    private var values = 0

    package static func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONValue {
        var reader = JSONReader(bytes: bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.position == bytes.count else { throw reader.fault(.trailing) }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func fault(_ kind: JSONFault.Kind) -> JSONFault {
        JSONFault(
            kind: position < bytes.count || kind != .syntax ? kind : .unfinished, position: position
        )
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
            position += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        values += 1
        guard values <= JSONReader.valuesMax else { throw fault(.tooMany) }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"):
            guard depth < JSONReader.depthMax else { throw fault(.tooDeep) }
            return try object(depth: depth + 1)
        case UInt8(ascii: "["):
            guard depth < JSONReader.depthMax else { throw fault(.tooDeep) }
            return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ text: String, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        for byte in text.utf8 where !take(byte) { throw fault(.syntax) }
        return value
    }

    private mutating func object(depth: Int) throws(JSONFault) -> JSONValue {
        position += 1
        var members: [(key: String, value: JSONValue)] = []
        var keys: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object([]) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw fault(.syntax) }
            let key = try string()
            guard keys.insert(key).inserted else { throw fault(.duplicateKey) }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw fault(.syntax) }
            members.append((key, try value(depth: depth)))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw fault(.syntax) }
        }
    }

    private mutating func array(depth: Int) throws(JSONFault) -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            elements.append(try value(depth: depth))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw fault(.syntax) }
        }
    }

    private mutating func number() throws(JSONFault) -> JSONValue {
        let start = position
        let negative = take(UInt8(ascii: "-"))
        let firstDigit = next
        var digits = try skipDigits()
        // No leading zeros.
        guard firstDigit != UInt8(ascii: "0") || digits == 1 else { throw fault(.syntax) }
        var plain = true
        if take(UInt8(ascii: ".")) {
            plain = false
            digits = try skipDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            plain = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            digits = try skipDigits()
        }
        guard plain else { return .otherNumber }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        // -0 is a number, but no integer anybody means.
        guard let integer = Int64(text), !(negative && integer == 0) else { return .otherNumber }
        return .integer(integer)
    }

    private mutating func skipDigits() throws(JSONFault) -> Int {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            position += 1
        }
        guard position > start else { throw fault(.syntax) }
        return position - start
    }

    private mutating func string() throws(JSONFault) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw fault(.encoding)
                }
                return string
            case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
            case 0..<0x20: throw fault(.encoding)
            default: text.append(byte)
            }
        }
        throw fault(.unfinished)
    }

    private mutating func escape() throws(JSONFault) -> [UInt8] {
        guard let byte = next else { throw fault(.unfinished) }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return Array(String(Character(try unicodeEscape())).utf8)
        default: throw fault(.syntax)
        }
    }

    /// The scalar after `\u`; a surrogate counts only with its other half.
    private mutating func unicodeEscape() throws(JSONFault) -> Unicode.Scalar {
        let first = try fourDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            throw fault(.encoding)
        }
        let second = try fourDigits()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw fault(.encoding) }
        return scalar
    }

    private mutating func fourDigits() throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw fault(.syntax)
            }
            position += 1
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
