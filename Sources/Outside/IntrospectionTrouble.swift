// Why an introspection endpoint gave no answer: for the caller in two words, for the operator's log in full.

import AsyncHTTPClient
import Contract
import Foundation
import Logging
import NIOCore
import Synchronization

/// Everything that is not a verdict.
enum IntrospectionTrouble: Error {
    /// The endpoint does not accept the gateway's own credentials or question.
    case refused(status: UInt)
    case status(UInt)
    case notJSON
    case tooLarge
    case unreadable(AnswerFault)
    /// A signed answer was asked for, and one came that is not believed.
    case unsigned(String)
    case late
    case cancelled
    case unreachable(String)

    init(_ error: any Error) {
        self =
            switch error {
            case let trouble as IntrospectionTrouble: trouble
            case is NIOTooManyBytesError: .tooLarge
            case is CancellationError: .cancelled
            case let error as HTTPClientError
            where [.deadlineExceeded, .readTimeout, .connectTimeout].contains(error): .late
            case let error as HTTPClientError where error == .cancelled: .cancelled
            default: .unreachable(String(String(describing: error).prefix(256)))
            }
    }

    static func isLostConnection(_ error: any Error) -> Bool {
        switch error {
        case let error as HTTPClientError: error == .remoteConnectionClosed
        case let error as IOError: [ECONNRESET, EPIPE].contains(error.errnoCode)
        default: false
        }
    }

    /// For the operator. Never holds the token, the secret or the body of the answer.
    var why: String {
        switch self {
        case .refused(let status):
            "status \(status): check client_id, client_auth and its secret or key"
        case .status(let code): "status \(code)"
        case .notJSON: "the answer has another content type than was asked for"
        case .tooLarge: "the answer is too large"
        case .unreadable(let fault): fault.description
        case .unsigned(let why): why
        case .late: "no answer in time"
        case .cancelled: "cancelled"
        case .unreachable(let text): text
        }
    }
}

/// Turns troubles into failures and tells the operator, at most once in ten seconds for each kind.
final class IntrospectionAlarm: Sendable {
    private struct State {
        var quietUntil: NIODeadline?
        var suppressed = 0
    }

    private let issuer: String
    private let logger: Logger
    private let refusals = Mutex(State())
    private let others = Mutex(State())

    init(issuer: String, logger: Logger) {
        self.issuer = issuer
        self.logger = logger
    }

    func report(_ trouble: IntrospectionTrouble) -> CallFailure {
        switch trouble {
        case .refused:
            if let suppressed = refusals.withLock({ speak(&$0) }) {
                logger.error(
                    "The authorization server refuses this gateway",
                    metadata: metadata(trouble, suppressed))
            }
            return CallFailure(
                .unavailable, .issuerRefused,
                "the issuer '\(issuer)' does not accept this gateway; its operator has been told",
                notStarted: true, retryAfter: .seconds(5))
        case .cancelled: break
        default:
            if let suppressed = others.withLock({ speak(&$0) }) {
                logger.warning(
                    "The authorization server gives no answer",
                    metadata: metadata(trouble, suppressed))
            }
        }
        return CallFailure(
            .unavailable, .issuerUnavailable, "the issuer '\(issuer)' gave no answer",
            notStarted: true, retryAfter: .seconds(1))
    }

    /// How many were not told since the last time, or nil when it is too early to speak again.
    private func speak(_ state: inout State) -> Int? {
        let now = NIODeadline.now()
        if let quietUntil = state.quietUntil, now < quietUntil {
            state.suppressed += 1
            return nil
        }
        defer { state = State(quietUntil: now + .seconds(10)) }
        return state.suppressed
    }

    private func metadata(_ trouble: IntrospectionTrouble, _ suppressed: Int) -> Logger.Metadata {
        [
            "auth.issuer": "\(issuer)", "auth.trouble": "\(trouble.why)",
            "log.suppressed": "\(suppressed)",
        ]
    }
}
