// Small JSON documents, member by member. Tensors are written elsewhere.

package import NIOCore

/// Writes values and puts the commas between them. Keys are our own words, texts are escaped.
///
///     var json = JSONWriter()
///     json.object { $0.member("ready", true) }
package struct JSONWriter {
    package private(set) var buffer: ByteBuffer
    private var needsComma = false

    /// Appends to what the buffer holds.
    package init(_ buffer: ByteBuffer = ByteBuffer()) { self.buffer = buffer }

    private mutating func comma() {
        if needsComma { buffer.writeInteger(JSONBytes.comma) }
        needsComma = true
    }

    private mutating func key(_ key: String) {
        comma()
        buffer.writeString(JSONText.quoted(key))
        buffer.writeInteger(JSONBytes.colon)
    }

    private mutating func nested(
        _ open: UInt8, _ close: UInt8, _ members: (inout JSONWriter) -> Void
    ) {
        buffer.writeInteger(open)
        needsComma = false
        members(&self)
        buffer.writeInteger(close)
        needsComma = true
    }

    /// The document itself, or an element of an array.
    package mutating func object(_ members: (inout JSONWriter) -> Void) {
        comma()
        nested(JSONBytes.openObject, JSONBytes.closeObject, members)
    }

    package mutating func array(_ elements: (inout JSONWriter) -> Void) {
        comma()
        nested(JSONBytes.openArray, JSONBytes.closeArray, elements)
    }

    package mutating func object(_ name: String, _ members: (inout JSONWriter) -> Void) {
        key(name)
        nested(JSONBytes.openObject, JSONBytes.closeObject, members)
    }

    package mutating func array(_ name: String, _ elements: (inout JSONWriter) -> Void) {
        key(name)
        nested(JSONBytes.openArray, JSONBytes.closeArray, elements)
    }

    package mutating func member(_ name: String, _ text: String) {
        key(name)
        buffer.writeString(JSONText.quoted(text))
    }

    package mutating func member(_ name: String, _ flag: Bool) {
        key(name)
        buffer.writeString(flag ? "true" : "false")
    }

    package mutating func member(_ name: String, _ number: some BinaryInteger) {
        key(name)
        buffer.writeString(String(number))
    }

    /// What is not finite is null: JSON has no such number.
    package mutating func member(_ name: String, _ number: Double) {
        key(name)
        buffer.writeString(number.isFinite ? number.description : "null")
    }

    package mutating func member(_ name: String, _ texts: [String]) {
        array(name) { json in
            for text in texts { json.element(text) }
        }
    }

    package mutating func element(_ text: String) {
        comma()
        buffer.writeString(JSONText.quoted(text))
    }

    package mutating func element(_ number: Int64) {
        comma()
        buffer.writeString(String(number))
    }
}
