// Why a store did not answer as asked: for the operator's log in full, for callers in few words.

import AsyncHTTPClient
package import Contract
import Foundation
import NIOCore
import NIOHTTP1

/// Everything that is not the answer asked for.
package enum StoreTrouble: Error, Sendable, Equatable {
    /// It does not accept our keys, or not for this.
    case refused(status: UInt, code: String, message: String)
    /// No such object, or no such bucket.
    case missing(code: String)
    /// The object is no longer the one that was asked for.
    case changed
    /// It says itself that it cannot now.
    case failing(status: UInt, code: String)
    case unexpected(status: UInt, code: String, message: String)
    /// The answer is not what the protocol says.
    case unreadable(String)
    /// Whole objects come where parts were asked for.
    case rangeIgnored
    case unreachable(String)
    /// No byte for too long.
    case stalled
    /// The connection ended in the middle.
    case cut
    /// Our own keys cannot be read.
    case credentials(String)
    case cancelled

    init(_ error: any Error) {
        self =
            switch error {
            case let trouble as StoreTrouble: trouble
            case let error as GatewayError: .credentials(error.description)
            case let fault as StoreAnswerFault: .unreadable(fault.message)
            case is NIOTooManyBytesError: .unreadable("it is too long")
            case is CancellationError: .cancelled
            case let error as HTTPClientError: StoreTrouble.translated(error)
            case let error as IOError where [ECONNRESET, EPIPE].contains(error.errnoCode): .cut
            // A connection that ends before the body does.
            case let error as HTTPParserError where error == .invalidEOFState: .cut
            case let error as ChannelError where error == .eof || error == .inputClosed: .cut
            default: .unreachable(String(String(describing: error).prefix(256)))
            }
    }

    private static func translated(_ error: HTTPClientError) -> StoreTrouble {
        switch error {
        case .deadlineExceeded, .readTimeout, .writeTimeout: .stalled
        case .connectTimeout: .unreachable("no connection in time")
        case .remoteConnectionClosed, .bodyLengthMismatch: .cut
        case .cancelled: .cancelled
        default: .unreachable(String(String(describing: error).prefix(256)))
        }
    }

    /// The answer's status and its error in XML, if there is one.
    package init(status: UInt, body: [UInt8]) {
        let (code, message) = StoreAnswer.error(body) ?? ("", "")
        self =
            switch status {
            case 401, 403: .refused(status: status, code: code, message: message)
            case 400 where StoreTrouble.refusals.contains(code):
                .refused(status: status, code: code, message: message)
            case 404: .missing(code: code)
            case 412: .changed
            case 408, 429, 500...599: .failing(status: status, code: code)
            default: .unexpected(status: status, code: code, message: message)
            }
    }

    private static let refusals: Set<String> = [
        "AuthorizationHeaderMalformed", "InvalidToken", "ExpiredToken", "InvalidAccessKeyId",
        "InvalidSecurity", "AuthorizationQueryParametersError",
    ]

    /// Whether the same question may well be answered soon.
    package var passes: Bool {
        switch self {
        case .failing, .unreachable, .stalled, .cut: true
        case .refused, .missing, .changed, .unexpected, .unreadable, .rangeIgnored, .credentials,
            .cancelled:
            false
        }
    }

    /// Half a sentence for the operator. Holds no key and no secret.
    package var why: String {
        switch self {
        case .refused(let status, let code, let message):
            "it refuses this gateway: \(StoreTrouble.words(status, code, message))"
                + StoreTrouble.advice(code)
        case .missing(let code): "there is nothing: 404 \(code.isEmpty ? "Not Found" : code)"
        case .changed: "the object was replaced while it was read"
        case .failing(let status, let code): "it fails: \(StoreTrouble.words(status, code, ""))"
        case .unexpected(let status, let code, let message):
            "it answers \(StoreTrouble.words(status, code, message))"
        case .unreadable(let what): "its answer cannot be read: \(what)"
        case .rangeIgnored: "it sends whole objects where parts were asked for"
        case .unreachable(let text): "it cannot be reached: \(text)"
        case .stalled: "it sends nothing"
        case .cut: "it ends the connection in the middle"
        case .credentials(let text): text
        case .cancelled: "nobody waits any more"
        }
    }

    private static func words(_ status: UInt, _ code: String, _ message: String) -> String {
        ["\(status)", code, message.isEmpty ? "" : "(\(message))"].filter { !$0.isEmpty }
            .joined(separator: " ")
    }

    private static func advice(_ code: String) -> String {
        switch code {
        case "SignatureDoesNotMatch": "; check the secret key (models.s3)"
        case "InvalidAccessKeyId": "; check the access key (models.s3)"
        case "AuthorizationHeaderMalformed": "; check models.s3.region"
        case "RequestTimeTooSkewed": "; check this machine's clock"
        case "ExpiredToken", "InvalidToken": "; the session token is no longer good"
        default: "; check the keys and what they may do (models.s3)"
        }
    }

    /// What callers of a model are told that is not here: no address, no key, no name of a bucket.
    var forCallers: String {
        switch self {
        case .refused: "the models' store refuses this gateway; its operator has been told"
        case .credentials: "this gateway has no keys to the models' store"
        case .stalled: "the models' store sends nothing"
        case .cut: "the models' store ends the connection in the middle"
        case .failing(let status, _): "the models' store fails with status \(status)"
        case .unreachable: "the models' store cannot be reached"
        case .changed: "the file was replaced in the models' store while it was fetched"
        case .missing, .unexpected, .unreadable, .rangeIgnored:
            "the models' store does not answer as it should"
        case .cancelled: "nobody waits for it any more"
        }
    }
}

/// How often and when something is tried again. A value: time and chance come from outside.
package struct RetryPlan: Sendable {
    private let triesMax: Int
    private let first: Nanoseconds
    private let longest: Nanoseconds
    private var inARow = 0
    private var all = 0

    /// However much each try brings: a store that gives a few bytes and hangs up is not asked for ever.
    package static let failuresMax = 1_000

    package init(triesMax: Int, first: Nanoseconds, longest: Nanoseconds) {
        self.triesMax = triesMax
        self.first = first
        self.longest = longest
    }

    /// A try has failed. The wait before the next one, or nil when there is none.
    /// - Parameter chance: 0..<1; spreads those who failed together.
    package mutating func failed(hasProgressed: Bool, chance: Double) -> Nanoseconds? {
        all += 1
        inARow = hasProgressed ? 1 : inARow + 1
        guard inARow < triesMax, all < RetryPlan.failuresMax else { return nil }
        return RetryPlan.wait(
            failures: inARow, first: first, longest: longest, chance: chance)
    }

    /// Doubles with each failure; between half of that and all of it.
    package static func wait(
        failures: Int, first: Nanoseconds, longest: Nanoseconds, chance: Double
    ) -> Nanoseconds {
        let doubled = first.count << UInt64(min(max(failures, 1) - 1, 20))
        let whole = min(doubled, longest.count)
        return Nanoseconds(whole / 2 + UInt64(Double(whole / 2) * min(max(chance, 0), 1)))
    }
}
