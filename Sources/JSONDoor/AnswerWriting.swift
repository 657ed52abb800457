// An answer's head as bytes (RFC 9112 section 4), with the fields every answer has.

import Contract
import NIOCore
import NIOHTTP1

/// What stands in an answer's head beside what its resource says.
struct AnswerFrame {
    /// How a caller knows where the body ends (RFC 9112 section 6.3).
    enum Length {
        /// It is all there.
        case known
        case chunked
        /// By the connection's end: HTTP/1.0 has no chunks.
        case untilClose
    }

    var length = Length.known
    var date = ""
    /// `connection-number`, or the caller's own.
    var connection = ""
    var number: UInt64 = 0
    var givenID: String?
    var traceparent: String?
    /// Whether the answer depends on who asks from where.
    var variesByOrigin = false
    /// Of a page that may read this.
    var origin: String?
    /// `Strict-Transport-Security` is said.
    var isStrict = false
    /// `close` when true; `keep-alive` when it has to be said.
    var closes = false
    var keepsAlive = false
}

enum AnswerWriting {
    /// The head; the body is written behind it by whoever has it.
    static func writeHead(_ answer: HTTPAnswer, _ frame: AnswerFrame, into bytes: inout ByteBuffer)
    {
        bytes.reserveCapacity(minimumWritableBytes: 512)
        if answer.status == .ok {
            bytes.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            bytes.writeStaticString("HTTP/1.1 ")
            bytes.writeString(String(answer.status.code))
            bytes.writeStaticString(" ")
            bytes.writeString(answer.status.reasonPhrase)
            bytes.writeStaticString("\r\n")
        }
        field("date: ", frame.date, &bytes)
        if !answer.contentType.isEmpty, answer.status != .notModified {
            field("content-type: ", answer.contentType, &bytes)
        }
        writeLength(answer, frame.length, &bytes)
        writeName(frame, &bytes)
        writeManners(answer, frame, &bytes)
        if let timing = answer.timing { write(timing, &bytes) }
        for (name, value) in answer.fields {
            bytes.writeString(name)
            field(": ", value, &bytes)
        }
        if frame.closes {
            bytes.writeStaticString("connection: close\r\n\r\n")
        } else if frame.keepsAlive {
            bytes.writeStaticString("connection: keep-alive\r\n\r\n")
        } else {
            bytes.writeStaticString("\r\n")
        }
    }

    private static func writeLength(
        _ answer: HTTPAnswer, _ length: AnswerFrame.Length, _ bytes: inout ByteBuffer
    ) {
        switch length {
        // RFC 9110 section 8.6: none for an answer that cannot have a body.
        case .known where answer.status == .noContent || answer.status == .notModified: break
        case .known:
            field("content-length: ", String(answer.byteCount), &bytes)
        case .chunked: bytes.writeStaticString("transfer-encoding: chunked\r\n")
        case .untilClose: break
        }
    }

    private static func writeName(_ frame: AnswerFrame, _ bytes: inout ByteBuffer) {
        if let given = frame.givenID {
            field("x-request-id: ", given, &bytes)
        } else {
            bytes.writeStaticString("x-request-id: ")
            bytes.writeString(frame.connection)
            bytes.writeStaticString("-")
            field("", String(frame.number), &bytes)
        }
        if let traceparent = frame.traceparent { field("traceparent: ", traceparent, &bytes) }
    }

    /// W3C Server Timing: milliseconds, how many calls ran together, and `cold` when the model was asleep.
    private static func write(_ timing: Timing, _ bytes: inout ByteBuffer) {
        bytes.writeStaticString("server-timing: admission;dur=")
        write(milliseconds: timing.admission, &bytes)
        bytes.writeStaticString(", queue;dur=")
        write(milliseconds: timing.queue, &bytes)
        bytes.writeStaticString(", load;dur=")
        write(milliseconds: timing.load, &bytes)
        bytes.writeStaticString(", run;dur=")
        write(milliseconds: timing.run, &bytes)
        if timing.batch > 0 {
            bytes.writeStaticString(", batch;desc=")
            bytes.writeString(String(timing.batch))
        }
        bytes.writeStaticString(timing.cold ? ", cold\r\n" : "\r\n")
    }

    /// With three places behind the point.
    private static func write(milliseconds time: Nanoseconds, _ bytes: inout ByteBuffer) {
        let whole = time.microseconds / 1_000
        let rest = UInt32(truncatingIfNeeded: time.microseconds % 1_000)
        if whole < 10 {
            bytes.writeInteger(UInt8(ascii: "0") + UInt8(whole))
        } else {
            bytes.writeString(String(whole))
        }
        let zero = UInt32(UInt8(ascii: "0"))
        bytes.writeInteger(
            UInt32(UInt8(ascii: ".")) << 24 | (zero + rest / 100) << 16
                | (zero + rest / 10 % 10) << 8 | (zero + rest % 10))
    }

    /// What browsers go by.
    private static func writeManners(
        _ answer: HTTPAnswer, _ frame: AnswerFrame, _ bytes: inout ByteBuffer
    ) {
        func says(_ name: String) -> Bool { answer.fields.contains { $0.name == name } }
        if answer.fields.isEmpty {
            bytes.writeStaticString(
                "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\ncache-control: no-store\r\n"
            )
        } else {
            bytes.writeStaticString("x-content-type-options: nosniff\r\n")
            if !says("referrer-policy") {
                bytes.writeStaticString("referrer-policy: no-referrer\r\n")
            }
            if !says("cache-control") { bytes.writeStaticString("cache-control: no-store\r\n") }
        }
        if frame.isStrict {
            bytes.writeStaticString("strict-transport-security: max-age=31536000\r\n")
        }
        if answer.contentType.utf8.starts(with: "text/html".utf8) {
            if !says("x-frame-options") { bytes.writeStaticString("x-frame-options: DENY\r\n") }
            if !says("content-security-policy") {
                bytes.writeStaticString(
                    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n")
            }
        }
        guard frame.variesByOrigin else { return }
        bytes.writeStaticString("vary: Origin\r\n")
        guard let origin = frame.origin else { return }
        field("access-control-allow-origin: ", origin, &bytes)
        bytes.writeStaticString(CrossOrigin.exposed)
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
    private static func field(_ name: StaticString, _ value: String, _ bytes: inout ByteBuffer) {
        bytes.writeStaticString(name)
        if value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
            bytes.writeString(value)
        } else {
            bytes.writeBytes(value.utf8.map { $0 >= 0x20 && $0 != 0x7F ? $0 : UInt8(ascii: "?") })
        }
        bytes.writeStaticString("\r\n")
    }
}
