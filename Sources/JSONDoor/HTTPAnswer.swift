// What a request is answered with, and the one mapping from the house's failures to HTTP.

package import Contract
package import NIOCore
package import NIOHTTP1
import OpenInference

/// A whole answer. Content-Length, Date, X-Request-Id and the security fields are the connection's business.
package struct HTTPAnswer: Sendable {
    package static let json = "application/json"
    package static let text = "text/plain; charset=utf-8"

    package var status: HTTPResponseStatus
    package var contentType: String
    /// Names in lower case; values of our own making, never what a request said.
    package var fields: [(name: String, value: String)]
    package var body: ByteBuffer
    /// More of the body, behind `body`: large tensors, which are not copied.
    package var pieces: [ByteBuffer] = []
    /// Where the call's time went: `Server-Timing`.
    package var timing: Timing?
    /// Nothing more is read from this connection.
    package var closes = false
    /// Why there is nothing better, for logs; the status alone where no failure of the house is behind it.
    package private(set) var code: StatusCode?
    package private(set) var reason = Reason.none

    package init(
        status: HTTPResponseStatus, contentType: String = HTTPAnswer.json,
        fields: [(name: String, value: String)] = [], body: ByteBuffer
    ) {
        self.status = status
        self.contentType = contentType
        self.fields = fields
        self.body = body
    }

    package init(
        status: HTTPResponseStatus, contentType: String = HTTPAnswer.json,
        fields: [(name: String, value: String)] = [], text: String
    ) {
        self.init(
            status: status, contentType: contentType, fields: fields, body: ByteBuffer(string: text)
        )
    }

    /// `{"error": ...}` as the Open Inference Protocol has it (OIP 1.1), with the members of RFC 9457.
    package static func error(
        _ status: HTTPResponseStatus, _ message: String, code: String = "", reason: String = ""
    ) -> HTTPAnswer {
        HTTPAnswer(status: status, text: members(status, message, code, reason) + "}\n")
    }

    /// The document of ``error(_:_:code:reason:)`` without its end.
    private static func members(
        _ status: HTTPResponseStatus, _ message: String, _ code: String, _ reason: String
    ) -> String {
        var text = "{\"error\":" + JSONText.quoted(message)
        text += ",\"title\":" + JSONText.quoted(status.reasonPhrase) + ",\"status\":\(status.code)"
        if !code.isEmpty { text += ",\"code\":" + JSONText.quoted(code) }
        if !reason.isEmpty { text += ",\"reason\":" + JSONText.quoted(reason) }
        return text
    }

    /// Bytes of the whole body.
    package var byteCount: Int { pieces.reduce(body.readableBytes) { $0 + $1.readableBytes } }

    /// The same answer, after which the connection ends.
    package var last: HTTPAnswer {
        var answer = self
        answer.closes = true
        return answer
    }
}

// MARK: - Failures

extension HTTPAnswer {
    /// A call's failure as an answer: the only place where one becomes the other.
    package static func failure(_ failure: CallFailure) -> HTTPAnswer {
        var answer = HTTPAnswer(
            status: status(failure.code, failure.reason), text: members(failure) + "}\n")
        answer.code = failure.code
        answer.reason = failure.reason
        if let wait = failure.retryAfter { answer.fields.append(retryAfter(wait)) }
        switch answer.status {
        case .unauthorized:
            answer.fields.append(("www-authenticate", challenge(failure)))
        case .forbidden where failure.reason == .scopeMissing:
            answer.fields.append(
                ("www-authenticate", "Bearer realm=\"sluice\", error=\"insufficient_scope\""))
        default: break
        }
        return answer
    }

    /// The same failure in an event: an event has no fields, so that `retry_after` stands in the document, in seconds.
    package static func event(of failure: CallFailure) -> ByteBuffer {
        let wait = failure.retryAfter.map { ",\"retry_after\":" + retryAfter($0).value } ?? ""
        return ByteBuffer(string: members(failure) + wait + "}\n")
    }

    private static func members(_ failure: CallFailure) -> String {
        members(
            status(failure.code, failure.reason), failure.message, failure.code.name,
            failure.reason == .none ? "" : failure.reason.rawValue)
    }

    /// Whole seconds, at least one (RFC 9110 section 10.2.3).
    package static func retryAfter(_ time: Nanoseconds) -> (name: String, value: String) {
        (
            "retry-after",
            String(
                max(1, (time.count / 1_000_000) / 1_000 + (time.count % 1_000_000_000 > 0 ? 1 : 0)))
        )
    }

    /// RFC 6750 section 3: a request without a token is told no error.
    private static func challenge(_ failure: CallFailure) -> String {
        failure.reason == .tokenMissing
            ? "Bearer realm=\"sluice\"" : "Bearer realm=\"sluice\", error=\"invalid_token\""
    }

    /// What HTTP calls a call's outcome.
    package static func status(_ code: StatusCode, _ reason: Reason) -> HTTPResponseStatus {
        // Some reasons are more than their code says.
        switch reason {
        case .messageTooLarge: return .payloadTooLarge
        case .memoryLimit, .cacheLimit: return .insufficientStorage
        case .queueFull: return .serviceUnavailable
        default: break
        }
        switch code {
        case .ok: return .ok
        case .invalidArgument, .outOfRange: return .badRequest
        case .unauthenticated: return .unauthorized
        case .permissionDenied: return .forbidden
        case .notFound: return .notFound
        // The caller cannot mend it by another request: the model's state has to change.
        case .alreadyExists, .aborted, .failedPrecondition: return .conflict
        case .resourceExhausted: return .tooManyRequests
        case .unimplemented: return .notImplemented
        case .unavailable: return .serviceUnavailable
        case .deadlineExceeded: return .gatewayTimeout
        // Nobody is there to read it; the logs say 499 as others do.
        case .cancelled: return .custom(code: 499, reasonPhrase: "Client Closed Request")
        case .unknown, .internal, .dataLoss: return .internalServerError
        }
    }
}
