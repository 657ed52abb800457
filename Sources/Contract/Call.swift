// A call and its answer, the same for every door.

package import NIOCore

/// What the caller asks for; the numbers are `CallHeader.method` on the wire.
package enum Method: UInt32, Sendable, Hashable, CaseIterable {
    case infer = 1
    case inferStream = 2
    case modelMetadata = 3
    case modelReady = 4
    case serverMetadata = 5
    case serverReady = 6
    case repositoryIndex = 7
    case repositoryLoad = 8
    case repositoryUnload = 9
    case modelStatistics = 10
    case healthWatch = 11
    case modelControl = 12
    case modelAccount = 13
    case modelAlias = 14
    case gatewayControl = 15
    case accessCheck = 16
}

/// One call as a door hands it over: names are untrusted, the body is not decoded yet, so that access is
/// decided before tensors are touched.
package struct Call: Sendable {
    package var method: Method
    /// Set by the door that is not ``Door/binary``.
    package var door = Door.binary
    package var model: String
    package var version: String
    package var arrived: Instant
    /// When its head came, which may be long before ``arrived``: for traces.
    package var received: Instant
    /// Already bounded by ``Limits/deadlineMaximum``.
    package var deadline: Instant
    package var wantsProgress: Bool
    /// What the caller asked for; its plan may know better.
    package var priority: Priority
    package var trace: TraceContext?
    /// The token of another caller on whose behalf this one call is made; nil for the connection's own.
    package var token: Secret?
    package var body: any CallBody

    package init(
        method: Method, model: String, version: String, arrived: Instant, deadline: Instant,
        wantsProgress: Bool = false, priority: Priority = .interactive,
        trace: TraceContext? = nil, token: Secret? = nil, body: any CallBody
    ) {
        self.priority = priority
        self.method = method
        self.model = model
        self.version = version
        self.arrived = arrived
        received = arrived
        self.deadline = deadline
        self.wantsProgress = wantsProgress
        self.trace = trace
        self.token = token
        self.body = body
    }
}

/// The undecoded body of a call. Decoding happens after admission.
package protocol CallBody: Sendable {
    /// Bytes held, for budgets.
    var byteCount: Int { get }
    func inferenceRequest() throws(CallFailure) -> InferenceRequest
    /// For the methods whose message names a model or asks with a flag (metadata, readiness, index, load, control).
    func question() throws(CallFailure) -> Question
}

/// The few fields of the small request messages.
package struct Question: Sendable, Equatable {
    package var model: String
    package var version: String
    /// `RepositoryIndexRequest.ready`: only models in service.
    package var readyOnly: Bool
    /// `ModelControlRequest.action`; nil for every other method.
    package var control: ModelControl?
    /// `ModelAliasRequest`; nil for every other method.
    package var aliasMove: AliasMove?
    /// `GatewayControlRequest`; nil for every other method.
    package var order: GatewayOrder?
    /// `AccessCheckRequest.method`; nil for every other method.
    package var checked: Method?

    package init(
        model: String = "", version: String = "", readyOnly: Bool = false,
        control: ModelControl? = nil, aliasMove: AliasMove? = nil, order: GatewayOrder? = nil,
        checked: Method? = nil
    ) {
        self.order = order
        self.checked = checked
        self.model = model
        self.version = version
        self.readyOnly = readyOnly
        self.control = control
        self.aliasMove = aliasMove
    }
}

/// A decoded `ModelInferRequest` (OIP 2).
package struct InferenceRequest: Sendable, Equatable {
    package var model: String
    package var version: String
    package var id: String
    package var inputs: [Tensor]
    /// The outputs asked for, in the caller's order; empty means all.
    package var outputs: [String]
    /// The bytes of the model's one input, which the signature names and shapes (OIP 4.1, raw requests); then there are no
    /// `inputs`.
    package var rawInput: ByteBuffer?
    /// A deadline of the message's own, from the call's arrival (OIP 4.5, `timeout`); it can only shorten the call's.
    package var timeout: Nanoseconds?
    /// The message's own wish (OIP 4.5, `priority`); it can only make the call less urgent.
    package var priority = Priority.interactive

    package init(
        model: String, version: String, id: String, inputs: [Tensor], outputs: [String]
    ) {
        self.model = model
        self.version = version
        self.id = id
        self.inputs = inputs
        self.outputs = outputs
    }
}

/// A `ModelInferResponse` before it is encoded.
package struct InferenceReply: Sendable, Equatable {
    package var model: String
    package var version: String
    package var id: String
    package var outputs: [Tensor]

    package init(model: String, version: String, id: String, outputs: [Tensor]) {
        self.model = model
        self.version = version
        self.id = id
        self.outputs = outputs
    }
}

package struct ModelMetadata: Sendable, Equatable {
    package var name: String
    package var versions: [String]
    package var platform: String
    package var signature: Signature
    /// The version behind each name that stands for one, `latest` among them.
    package var aliases: [String: String]
    /// The most rows of one call (its manifest, `limits.batch`); nil: any number.
    package var batchMax: Int?

    package init(
        name: String, versions: [String], platform: String, signature: Signature,
        aliases: [String: String] = [:], batchMax: Int? = nil
    ) {
        self.batchMax = batchMax
        self.aliases = aliases
        self.name = name
        self.versions = versions
        self.platform = platform
        self.signature = signature
    }
}

package struct ServerMetadata: Sendable, Equatable {
    package var name: String
    package var version: String
    package var extensions: [String]

    package init(name: String, version: String, extensions: [String]) {
        self.name = name
        self.version = version
        self.extensions = extensions
    }
}

/// One line of the repository index (OIP 4.2).
package struct IndexEntry: Sendable, Equatable {
    package var name: String
    package var version: String
    /// UNKNOWN, READY, UNAVAILABLE, LOADING or UNLOADING.
    package var state: String
    package var reason: String

    package init(name: String, version: String, state: String, reason: String) {
        self.name = name
        self.version = version
        self.state = state
        self.reason = reason
    }
}

/// A count and the time it took in all, in nanoseconds (OIP 3, StatisticDuration).
package struct CountedTime: Sendable, Equatable {
    package var count: UInt64
    package var nanoseconds: UInt64

    package init(count: UInt64 = 0, nanoseconds: UInt64 = 0) {
        self.count = count
        self.nanoseconds = nanoseconds
    }

    package mutating func add(_ time: Nanoseconds) {
        count &+= 1
        nanoseconds &+= time.count
    }
}

/// Cumulative counts of one version of a model since the gateway started (OIP 4.3).
package struct ModelStatistics: Sendable, Equatable {
    package var name: String
    package var version: String
    /// Milliseconds since 1970; 0 when never called.
    package var lastInference: UInt64 = 0
    package var inferences: UInt64 = 0
    package var executions: UInt64 = 0
    package var success = CountedTime()
    package var failure = CountedTime()
    package var queue = CountedTime()
    package var run = CountedTime()

    package init(name: String, version: String) {
        self.name = name
        self.version = version
    }
}

/// What a finished call brings back.
package enum Answer: Sendable, Equatable {
    case inference(InferenceReply)
    case modelMetadata(ModelMetadata)
    case modelReady(Bool)
    case serverMetadata(ServerMetadata)
    case serverReady(Bool)
    case index([IndexEntry])
    case statistics([ModelStatistics])
    /// The fleet, and the models asked for.
    case account(FleetAccount, [ModelAccount])
    case alias(AliasChange)
    case gateway(GatewayReport)
    case access(AccessReport)
    /// Load, unload and control: an empty message.
    case done
    /// One message of a health watch: true while the gateway serves.
    case health(Bool)
}

/// Where a call's time went. Zero when a phase did not happen.
package struct Timing: Sendable, Equatable {
    package var admission = Nanoseconds.zero
    package var queue = Nanoseconds.zero
    package var load = Nanoseconds.zero
    /// Parts of `load`, as far as this call waited for them: its files on their way, and the engine making it of them. For
    /// traces: callers are not told.
    package var fetch = Nanoseconds.zero
    package var create = Nanoseconds.zero
    package var run = Nanoseconds.zero
    /// CPU the run took; for the ledger: callers are not told.
    package var cpu = Nanoseconds.zero
    package var batch: UInt32 = 0
    /// True when the model was not awake when the call came.
    package var cold = false
    /// What the model held while it ran, in bytes, mapped ones too. For the ledger: callers are not told.
    package var residentBytes: UInt64 = 0

    package init() {}
}

/// How far the waking of a model has come.
package struct Progress: Sendable, Equatable {
    package enum State: UInt32, Sendable { case queued = 1, fetching = 2, loading = 3, warming = 4 }
    package var state: State
    /// 0...1, or nil when unknown.
    package var fraction: Double?
    /// Expected time to go, or nil when unknown.
    package var remaining: Nanoseconds?

    package init(state: State, fraction: Double? = nil, remaining: Nanoseconds? = nil) {
        self.state = state
        self.fraction = fraction
        self.remaining = remaining
    }
}
