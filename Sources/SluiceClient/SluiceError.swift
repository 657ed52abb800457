// The one error a caller of the SDK meets: what the gateway answered, or what stood in the way of asking it.

/// Why a call was not answered.
///
/// Switch on ``code`` to decide what to do, on ``reason`` to be finer, and show ``message`` to a
/// person. Every throwing function of the SDK throws this type.
public struct SluiceError: Error, Sendable {
    /// The status codes of gRPC, with its numbers. New codes may come: keep a default branch.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: Int

        public init(rawValue: Int) { self.rawValue = rawValue }

        /// The caller's task was cancelled, or the client was shut down under the call.
        public static let cancelled = Code(rawValue: 1)
        /// The gateway does not know either.
        public static let unknown = Code(rawValue: 2)
        /// The call itself is wrong: a tensor, a name, a size.
        public static let invalidArgument = Code(rawValue: 3)
        /// The time for the call ran out, here or there.
        public static let deadlineExceeded = Code(rawValue: 4)
        /// No such model, or none this caller may see.
        public static let notFound = Code(rawValue: 5)
        /// What was to be made is there already.
        public static let alreadyExists = Code(rawValue: 6)
        /// The token is good but does not allow this.
        public static let permissionDenied = Code(rawValue: 7)
        /// A limit, a queue or a quota is full.
        public static let resourceExhausted = Code(rawValue: 8)
        /// The model or the connection cannot do this as it is: trying again does not help.
        public static let failedPrecondition = Code(rawValue: 9)
        /// Something else got in between.
        public static let aborted = Code(rawValue: 10)
        /// A value outside of what is allowed.
        public static let outOfRange = Code(rawValue: 11)
        /// The gateway does not know this method.
        public static let unimplemented = Code(rawValue: 12)
        /// The gateway or the SDK broke its own rules.
        public static let `internal` = Code(rawValue: 13)
        /// The gateway cannot be reached or cannot answer now: trying again may help.
        public static let unavailable = Code(rawValue: 14)
        /// Bytes were lost.
        public static let dataLoss = Code(rawValue: 15)
        /// The token is missing, expired or unknown.
        public static let unauthenticated = Code(rawValue: 16)
    }

    public var code: Code
    /// A stable upper-case word, for example `MODEL_LOADING`; empty when there is none.
    public var reason: String
    /// For a person. Never holds a token.
    public var message: String
    /// When the gateway says that trying again makes sense.
    public var retryAfter: Duration?
    /// True when no work was begun: the call may be tried again anywhere.
    public var notStarted: Bool
    /// What the gateway added, by key.
    public var details: [String: String]
    /// What the caller's plan has left; nil without a plan that limits calls.
    public var rateLimit: RateLimit?
    /// The error below this one: of the network, of TLS, of the token provider.
    public var cause: (any Error)?

    public init(
        _ code: Code, reason: String = "", _ message: String, retryAfter: Duration? = nil,
        notStarted: Bool = false, details: [String: String] = [:], cause: (any Error)? = nil
    ) {
        self.code = code
        self.reason = reason
        self.message = message
        self.retryAfter = retryAfter
        self.notStarted = notStarted
        self.details = details
        self.cause = cause
    }

    /// True when the protocol allows the same call to be tried again.
    public var isRetryable: Bool { notStarted || code == .unavailable }
}

extension SluiceError: CustomStringConvertible {
    public var description: String {
        var text = code.description
        if !reason.isEmpty { text += " (\(reason))" }
        text += ": \(message)"
        if let retryAfter { text += " Try again after \(retryAfter)." }
        if let cause { text += " Cause: \(cause)" }
        return text
    }
}

extension SluiceError.Code: CustomStringConvertible {
    public var description: String {
        Self.names.indices.contains(rawValue) ? Self.names[rawValue] : "CODE_\(rawValue)"
    }

    private static let names = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
}

/// The reasons the SDK gives itself; the gateway's are in its documentation.
enum Reason {
    static let cancelledByCaller = "CANCELLED_BY_CALLER"
    static let clientShutDown = "CLIENT_SHUT_DOWN"
    static let deadlinePast = "DEADLINE_PAST"
    static let badTensor = "BAD_TENSOR"
    static let badReply = "BAD_REPLY"
    static let badEndpoint = "BAD_ENDPOINT"
    static let badConfiguration = "BAD_CONFIGURATION"
    static let messageTooLarge = "MESSAGE_TOO_LARGE"
    static let headerTooLarge = "HEADER_TOO_LARGE"
    static let waitingCallsFull = "WAITING_CALLS_FULL"
    static let slowReader = "SLOW_READER"
    static let connectFailed = "CONNECT_FAILED"
    static let connectTimedOut = "CONNECT_TIMED_OUT"
    static let connectionLost = "CONNECTION_LOST"
    static let connectionTruncated = "CONNECTION_TRUNCATED"
    static let keepAliveTimedOut = "KEEP_ALIVE_TIMED_OUT"
    static let goingAway = "GOING_AWAY"
    static let protocolBroken = "PROTOCOL_BROKEN"
    static let tlsFailed = "TLS_FAILED"
    static let protocolNotSpoken = "PROTOCOL_NOT_SPOKEN"
    static let tokenProviderFailed = "TOKEN_PROVIDER_FAILED"
    // The gateway's words the SDK acts on.
    static let tokenExpired = "TOKEN_EXPIRED"
    static let tokenInactive = "TOKEN_INACTIVE"
}
