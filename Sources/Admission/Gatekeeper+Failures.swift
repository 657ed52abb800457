// What the gate says to those it does not let in.

import Contract

extension Gatekeeper {
    static var boundElsewhere: CallFailure {
        CallFailure(
            .unauthenticated, .tokenInactive,
            "the token is bound to a client certificate which this session does not have",
            notStarted: true)
    }

    static func tooOld(_ issuer: String) -> CallFailure {
        CallFailure(
            .unavailable, .issuerUnavailable,
            "the issuer '\(issuer)' gave no answer, and this call needs one of now",
            notStarted: true, retryAfter: .seconds(1))
    }

    static var noToken: CallFailure {
        CallFailure(
            .unauthenticated, .tokenMissing, "this gateway asks for a bearer token",
            notStarted: true)
    }

    static var noIssuer: CallFailure {
        CallFailure(.unauthenticated, .tokenInactive, "the token is not active", notStarted: true)
    }

    static func tooManyCalls(_ limit: Int, _ whose: String, _ setting: String)
        -> CallFailure
    {
        CallFailure(
            .resourceExhausted, .tooManyCalls,
            "already \(limit) calls \(whose) in progress (limit \(setting))", notStarted: true,
            retryAfter: .milliseconds(100))
    }
}
