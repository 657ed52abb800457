// A file that the binary carries: the same for everybody, known by the hash of its bytes.

package import Contract
import NIOCore
import NIOHTTP1

/// Answers GET and HEAD; 304 to those who have it (RFC 9110 section 13.1.2).
package struct StaticFile: HTTPResource {
    /// Strong, of the bytes: another build's file has another one.
    package let tag: String
    private let found: HTTPAnswer
    private let unchanged: HTTPAnswer

    /// - Parameter fields: further ones of the answer, names in lower case.
    package init(
        _ bytes: [UInt8], contentType: String, fields: [(name: String, value: String)] = []
    ) {
        tag = "\"" + StaticFile.digest(bytes) + "\""
        // Asked for anew each time, and sent only when it is another one.
        let known = [("etag", tag), ("cache-control", "no-cache")] + fields
        found = HTTPAnswer(
            status: .ok, contentType: contentType, fields: known, body: ByteBuffer(bytes: bytes))
        unchanged = HTTPAnswer(
            status: .notModified, contentType: contentType, fields: known, body: ByteBuffer())
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchange.finish(isKnown(request) ? unchanged : found)
        return nil
    }

    private func isKnown(_ request: HTTPRequest) -> Bool {
        request.head.headers[canonicalForm: "if-none-match"].contains { shown in
            shown == "*" || (shown.hasPrefix("W/") ? shown.dropFirst(2) : shown[...]) == tag
        }
    }

    /// FNV-1a of 64 bits, and the length: these files are our own, nobody makes two of one hash.
    private static func digest(_ bytes: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16) + "-" + String(bytes.count, radix: 16)
    }
}
