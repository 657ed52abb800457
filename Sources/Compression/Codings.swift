// The content codings of HTTP that the house speaks (RFC 9110 section 8.4.1), by zlib.

/// A coding of a request's or an answer's body.
package enum ContentCoding: String, Sendable, CaseIterable {
    case gzip
    /// The zlib format (RFC 1950), as HTTP calls it.
    case deflate
}
