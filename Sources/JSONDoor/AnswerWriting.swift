// An answer as bytes (RFC 9112 section 4): one buffer for head and body, with the fields every answer has.

package import NIOCore
import NIOHTTP1

package enum AnswerWriting {
    /// How a caller knows where the body ends (RFC 9112 section 6.3).
    package enum Length: Sendable {
        /// It is all there.
        case known
        case chunked
        /// By the connection's end: HTTP/1.0 has no chunks.
        case untilClose
    }

    /// The head; the body is written behind it by whoever has it.
    ///
    /// - Parameter connection: `close`, `keep-alive`, or nil for neither.
    package static func writeHead(
        _ answer: HTTPAnswer, length: Length, id: String, connection: String?,
        into bytes: inout ByteBuffer
    ) {
        bytes.reserveCapacity(minimumWritableBytes: 512)
        bytes.writeStaticString("HTTP/1.1 ")
        bytes.writeString(String(answer.status.code))
        bytes.writeStaticString(" ")
        bytes.writeString(answer.status.reasonPhrase)
        bytes.writeStaticString("\r\n")
        field("date", HTTPDate.now, &bytes)
        field("content-type", answer.contentType, &bytes)
        switch length {
        case .known: field("content-length", String(answer.body.readableBytes), &bytes)
        case .chunked: bytes.writeStaticString("transfer-encoding: chunked\r\n")
        case .untilClose: break
        }
        field("x-request-id", id, &bytes)
        bytes.writeStaticString("x-content-type-options: nosniff\r\ncache-control: no-store\r\n")
        for (name, value) in answer.fields { field(name, value, &bytes) }
        if let connection { field("connection", connection, &bytes) }
        bytes.writeStaticString("\r\n")
    }

    /// One chunk (RFC 9112 section 7.1); nothing for no bytes, which would be the last chunk.
    static func writeChunk(_ piece: ByteBuffer, into out: inout Outlet) {
        guard piece.readableBytes > 0 else { return }
        out.write { bytes in
            bytes.writeString(String(piece.readableBytes, radix: 16))
            bytes.writeStaticString("\r\n")
        }
        out.append(piece)
        out.write { $0.writeStaticString("\r\n") }
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
