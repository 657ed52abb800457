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

    private let body: ByteBuffer
    private var cursor: JSONCursor

    /// The document is the buffer's readable bytes. Looks at the first of them only.
    package init(_ body: ByteBuffer) throws(CallFailure) {
        self.body = body
        cursor = try JSONCursor(body.readableBytesUInt8Span)
    }

    /// The kind of the value that comes next.
    package mutating func peek() throws(CallFailure) -> Kind {
        let body = body
        return try cursor.peek(body.readableBytesUInt8Span)
    }

    /// The document's end: nothing but space may follow.
    package mutating func finish() throws(CallFailure) {
        let body = body
        try cursor.finish(body.readableBytesUInt8Span)
    }

    /// - Parameter what: the value's name, for failures; here and below.
    package mutating func beginObject(
        _ what: @autoclosure () -> String = "the document"
    ) throws(CallFailure) {
        let body = body
        try cursor.beginObject(body.readableBytesUInt8Span, what())
    }

    package mutating func beginArray(
        _ what: @autoclosure () -> String = "the document"
    ) throws(CallFailure) {
        let body = body
        try cursor.beginArray(body.readableBytesUInt8Span, what())
    }

    /// The next member's key, its value comes next; nil behind the object's end.
    package mutating func nextKey() throws(CallFailure) -> String? {
        let body = body
        return try cursor.nextKey(body.readableBytesUInt8Span)
    }

    /// Whether another element comes; false behind the array's end.
    package mutating func nextElement() throws(CallFailure) -> Bool {
        let body = body
        return try cursor.nextElement(body.readableBytesUInt8Span)
    }

    package mutating func string(
        _ what: @autoclosure () -> String
    ) throws(CallFailure) -> String {
        let body = body
        return try cursor.string(body.readableBytesUInt8Span, what())
    }

    package mutating func bool(_ what: @autoclosure () -> String) throws(CallFailure) -> Bool {
        let body = body
        return try cursor.bool(body.readableBytesUInt8Span, what())
    }

    /// Takes a null, if one comes.
    package mutating func takesNull() throws(CallFailure) -> Bool {
        let body = body
        return try cursor.takesNull(body.readableBytesUInt8Span)
    }

    /// A whole number: no fraction, no exponent, within 64 bits.
    package mutating func integer(
        _ what: @autoclosure () -> String
    ) throws(CallFailure) -> Int64 {
        let body = body
        return try cursor.integer(body.readableBytesUInt8Span, what())
    }

    package mutating func number(
        _ what: @autoclosure () -> String
    ) throws(CallFailure) -> JSONNumber {
        let body = body
        return try cursor.number(body.readableBytesUInt8Span, what())
    }

    /// Passes the next value, whatever it is; its structure is checked.
    package mutating func skip() throws(CallFailure) {
        let body = body
        try cursor.skip(body.readableBytesUInt8Span)
    }
}

/// A number of a document. Tensors' elements never become one.
package struct JSONNumber: Sendable, Equatable {
    package var double: Double
    /// When it was written without fraction and exponent and fits.
    package var integer: Int64?

    package init(double: Double, integer: Int64?) {
        self.double = double
        self.integer = integer
    }
}

/// Names from outside in messages.
enum Quoted {
    /// At most 64 bytes of it, quoted; what cannot be printed is escaped.
    static func name(_ name: String) -> String {
        guard name.utf8.count > 64 else { return JSONText.quoted(name) }
        // By bytes: one character may have any number of them.
        return JSONText.quoted(String(decoding: name.utf8.prefix(60), as: UTF8.self) + "...")
    }
}
