// An answer as bytes (RFC 9112 section 4): one buffer for head and body, with the fields every answer has.

package import NIOCore
import NIOHTTP1

package enum AnswerWriting {
    /// - Parameter connection: `close`, `keep-alive`, or nil for neither.
    package static func write(
        _ answer: HTTPAnswer, id: String, connection: String?, withBody: Bool,
        into bytes: inout ByteBuffer
    ) {
        bytes.reserveCapacity(
            minimumWritableBytes: 384 + (withBody ? answer.byteCount : 0))
        bytes.writeStaticString("HTTP/1.1 ")
        bytes.writeString(String(answer.status.code))
        bytes.writeStaticString(" ")
        bytes.writeString(answer.status.reasonPhrase)
        bytes.writeStaticString("\r\n")
        field("date", HTTPDate.now, &bytes)
        // RFC 9110 section 15.4.5: nothing that says of what was not sent again.
        if answer.status != .notModified {
            field("content-type", answer.contentType, &bytes)
            field("content-length", String(answer.byteCount), &bytes)
        }
        field("x-request-id", id, &bytes)
        bytes.writeStaticString("x-content-type-options: nosniff\r\n")
        if !answer.fields.contains(where: { $0.name == "cache-control" }) {
            bytes.writeStaticString("cache-control: no-store\r\n")
        }
        for (name, value) in answer.fields { field(name, value, &bytes) }
        if let connection { field("connection", connection, &bytes) }
        bytes.writeStaticString("\r\n")
        guard withBody else { return }
        bytes.writeImmutableBuffer(answer.body)
        for piece in answer.pieces { bytes.writeImmutableBuffer(piece) }
    }

    /// No value can end its line, whatever made it.
    private static func field(_ name: String, _ value: String, _ bytes: inout ByteBuffer) {
        bytes.writeString(name)
        bytes.writeStaticString(": ")
        if value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
            bytes.writeString(value)
        } else {
            bytes.writeBytes(value.utf8.map { $0 >= 0x20 && $0 != 0x7F ? $0 : UInt8(ascii: "?") })
        }
        bytes.writeStaticString("\r\n")
    }
}
