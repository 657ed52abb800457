// Why a call was not answered. Every room speaks this one error type; doors turn it into their own.

/// The status codes of gRPC, with its numbers (PROTOCOL.md, `Status.code`).
package enum StatusCode: UInt32, Sendable, Hashable, CaseIterable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16

    /// For example `NOT_FOUND`.
    package var name: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }
}

/// A stable upper-case word a program can switch on, finer than the status code.
package struct Reason: RawRepresentable, Sendable, Hashable {
    package var rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    private init(_ word: String) { rawValue = word }

    package static let none = Reason("")
    package static let badTensor = Reason("BAD_TENSOR")
    package static let badMessage = Reason("BAD_MESSAGE")
    package static let messageTooLarge = Reason("MESSAGE_TOO_LARGE")
    package static let tooManyCalls = Reason("TOO_MANY_CALLS")
    package static let queueFull = Reason("QUEUE_FULL")
    package static let modelNotFound = Reason("MODEL_NOT_FOUND")
    package static let modelUnloaded = Reason("MODEL_UNLOADED")
    package static let modelLoading = Reason("MODEL_LOADING")
    package static let modelBroken = Reason("MODEL_BROKEN")
    package static let modelQuarantined = Reason("MODEL_QUARANTINED")
    package static let modelUnproved = Reason("MODEL_UNPROVED")
    package static let runFailed = Reason("RUN_FAILED")
    package static let tokenMissing = Reason("TOKEN_MISSING")
    package static let tokenMalformed = Reason("TOKEN_MALFORMED")
    package static let tokenInactive = Reason("TOKEN_INACTIVE")
    package static let tokenExpired = Reason("TOKEN_EXPIRED")
    package static let scopeMissing = Reason("SCOPE_MISSING")
    package static let issuerUnavailable = Reason("ISSUER_UNAVAILABLE")
    package static let issuerRefused = Reason("ISSUER_REFUSED")
    package static let deadlinePast = Reason("DEADLINE_PAST")
    package static let cancelledByCaller = Reason("CANCELLED_BY_CALLER")
    package static let draining = Reason("DRAINING")
    package static let stopping = Reason("STOPPING")
    package static let unknownMethod = Reason("UNKNOWN_METHOD")
    package static let memoryLimit = Reason("MEMORY_LIMIT")
    package static let rateLimit = Reason("RATE_LIMIT")
    package static let concurrencyLimit = Reason("CONCURRENCY_LIMIT")
    package static let bytesLimit = Reason("BYTES_LIMIT")
    package static let quotaDay = Reason("QUOTA_DAY")
    package static let quotaMonth = Reason("QUOTA_MONTH")
    package static let tooManyTokens = Reason("TOO_MANY_TOKENS")
    package static let certificateMissing = Reason("CERTIFICATE_MISSING")
    package static let settingsRefused = Reason("SETTINGS_REFUSED")
    package static let storeUnavailable = Reason("STORE_UNAVAILABLE")
    package static let cacheLimit = Reason("CACHE_LIMIT")
    package static let cacheUnwritable = Reason("CACHE_UNWRITABLE")
}

/// One call's failure: what was wrong, what was allowed and where to change it.
package struct CallFailure: Error, Sendable, Equatable {
    package var code: StatusCode
    package var reason: Reason
    /// For a person. Never holds a secret, never more of the input than a name.
    package var message: String
    /// True when no work was begun: the call may be tried again anywhere.
    package var notStarted: Bool
    /// When trying again makes sense; nil when nothing is known.
    package var retryAfter: Nanoseconds?
    /// The rule that decided, for the audit log; callers never see it.
    package var rule: String
    /// What the caller's plan has left, when that is why.
    package var allowance: Allowance?

    package init(
        _ code: StatusCode, _ reason: Reason = .none, _ message: String, notStarted: Bool = false,
        retryAfter: Nanoseconds? = nil, rule: String = "", allowance: Allowance? = nil
    ) {
        self.allowance = allowance
        self.rule = rule
        self.code = code
        self.reason = reason
        self.message = message
        self.notStarted = notStarted
        self.retryAfter = retryAfter
    }
}

extension CallFailure: CustomStringConvertible {
    package var description: String {
        reason == .none
            ? "\(code.name): \(message)" : "\(code.name) (\(reason.rawValue)): \(message)"
    }
}

/// A failure wider than one call: at start, while listening, in the settings.
package struct GatewayError: Error, Sendable, CustomStringConvertible {
    /// What kind of fault, which decides the process's exit status (DESIGN.md section 5).
    package enum Kind: Sendable { case configuration, unavailable, data, `internal`, permission }

    package var kind: Kind
    package var message: String
    /// What the operator can do about it, as a sentence or a command; empty when nothing is known.
    package var mend: String

    package init(_ kind: Kind, _ message: String, mend: String = "") {
        self.kind = kind
        self.message = message
        self.mend = mend
    }

    package var description: String { mend.isEmpty ? message : "\(message). \(mend)" }
}
