// What a model answered, and where the time went.

/// The answer of a model.
public struct Inference: Sendable, Hashable {
    /// The model that ran.
    public let model: String
    /// The version that ran, whichever was asked for.
    public let version: String
    /// The outputs, in the order asked for; all of them when none was named.
    public let outputs: [Tensor]
    /// Where the gateway's time went.
    public internal(set) var timing: Timing
    /// What the caller's plan has left; nil without a plan that limits calls.
    public internal(set) var rateLimit: RateLimit?

    public init(
        model: String, version: String, outputs: [Tensor], timing: Timing = Timing(),
        rateLimit: RateLimit? = nil
    ) {
        self.rateLimit = rateLimit
        self.model = model
        self.version = version
        self.outputs = outputs
        self.timing = timing
    }

    /// The output of this name, or nil.
    public subscript(name: String) -> Tensor? { outputs.first { $0.name == name } }

    /// The output of this name.
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/notFound`` that names the outputs there are.
    public func output(_ name: String) throws(SluiceError) -> Tensor {
        guard let tensor = self[name] else {
            let names = outputs.map(\.name).joined(separator: ", ")
            throw SluiceError(
                .notFound, reason: Reason.badTensor,
                "Model '\(model)' answered no output '\(name)'; there are: \(names).")
        }
        return tensor
    }
}

/// Where a call's time went on the gateway. Zero when a phase did not happen.
public struct Timing: Sendable, Hashable {
    /// Checking who calls and whether they may.
    public var authentication: Duration
    /// Waiting for a place to run.
    public var queue: Duration
    /// Waking the model.
    public var load: Duration
    /// The model itself.
    public var run: Duration
    /// Calls that ran together; 0 when the gateway does not say.
    public var batch: Int
    /// True when the model was not awake when the call came.
    public var isCold: Bool

    public init(
        authentication: Duration = .zero, queue: Duration = .zero, load: Duration = .zero,
        run: Duration = .zero, batch: Int = 0, isCold: Bool = false
    ) {
        self.authentication = authentication
        self.queue = queue
        self.load = load
        self.run = run
        self.batch = batch
        self.isCold = isCold
    }
}

/// How far the waking of a model has come.
public struct Progress: Sendable, Hashable {
    /// What is being done. New states may come: keep a default branch.
    public struct State: RawRepresentable, Sendable, Hashable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }

        public static let queued = State(rawValue: 1)
        public static let fetching = State(rawValue: 2)
        public static let loading = State(rawValue: 3)
        public static let warming = State(rawValue: 4)
    }

    public let state: State
    /// 0 to 1; nil when unknown.
    public let fraction: Double?
    /// Expected time to go; nil when unknown.
    public let remaining: Duration?

    public init(state: State, fraction: Double? = nil, remaining: Duration? = nil) {
        self.state = state
        self.fraction = fraction
        self.remaining = remaining
    }
}

extension Progress.State: CustomStringConvertible {
    public var description: String {
        switch self {
        case .queued: "queued"
        case .fetching: "fetching"
        case .loading: "loading"
        case .warming: "warming"
        default: "state \(rawValue)"
        }
    }
}

/// What a call may carry besides its inputs; all of it optional.
public struct CallOptions: Sendable {
    /// 0 is normal, higher is less urgent.
    public var priority = 0
    /// The token of another caller on whose behalf this one call is made.
    public var token: SluiceClient.Configuration.Token = .none
    /// Lets the gateway see that two calls are the same.
    public var idempotencyKey = ""
    /// W3C trace context: 16 bytes trace id, 8 bytes parent span id, 1 byte flags; or empty. As text: ``traceparent``.
    public var trace: [UInt8] = []
    /// Passed on with the call; at most 64 entries and 8 KiB.
    public var metadata: [(key: String, value: String)] = []

    public init() {}
}
