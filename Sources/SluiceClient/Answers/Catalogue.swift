// What the gateway tells about itself and its models (Open Inference Protocol, version 2, with its repository
// and statistics extensions).

/// What a model is called with and answers.
public struct ModelMetadata: Sendable, Hashable {
    /// One input or output.
    public struct TensorDescription: Sendable, Hashable {
        public let name: String
        public let datatype: Datatype
        /// -1 is a free dimension.
        public let shape: [Int]

        public init(name: String, datatype: Datatype, shape: [Int]) {
            self.name = name
            self.datatype = datatype
            self.shape = shape
        }
    }

    public let name: String
    public let versions: [String]
    /// For example `onnxruntime_onnx`.
    public let platform: String
    public let inputs: [TensorDescription]
    public let outputs: [TensorDescription]
    /// The version behind each name that stands for one, `latest` among them.
    public let aliases: [String: String]

    public init(
        name: String, versions: [String], platform: String, inputs: [TensorDescription],
        outputs: [TensorDescription], aliases: [String: String] = [:]
    ) {
        self.aliases = aliases
        self.name = name
        self.versions = versions
        self.platform = platform
        self.inputs = inputs
        self.outputs = outputs
    }
}

/// Which gateway answers.
public struct ServerMetadata: Sendable, Hashable {
    public let name: String
    public let version: String
    /// The protocol's extensions it speaks.
    public let extensions: [String]

    public init(name: String, version: String, extensions: [String]) {
        self.name = name
        self.version = version
        self.extensions = extensions
    }
}

/// One version of a model in the gateway's index.
public struct IndexedModel: Sendable, Hashable {
    public let name: String
    public let version: String
    /// `READY`, `UNAVAILABLE`, `LOADING`, `UNLOADING` or `UNKNOWN`. A ready model can be called; whether it
    /// is in memory is the gateway's affair.
    public let state: String
    /// Why it is not ready; empty otherwise.
    public let reason: String

    public init(name: String, version: String, state: String, reason: String = "") {
        self.name = name
        self.version = version
        self.state = state
        self.reason = reason
    }

    /// True when calls are taken.
    public var isReady: Bool { state == "READY" }
}

/// What one version of a model did since the gateway started.
public struct ModelStatistics: Sendable, Hashable {
    /// How often something happened and how long it took in all.
    public struct Count: Sendable, Hashable {
        public let count: UInt64
        public let time: Duration

        public init(count: UInt64, time: Duration) {
            self.count = count
            self.time = time
        }
    }

    public let name: String
    public let version: String
    /// Milliseconds since 1970; 0 when never called.
    public let lastInference: UInt64
    /// Inferences, each row of a batch counted.
    public let inferences: UInt64
    /// Runs of the model.
    public let executions: UInt64
    public let success: Count
    public let failure: Count
    public let queue: Count
    public let run: Count

    public init(
        name: String, version: String, lastInference: UInt64, inferences: UInt64,
        executions: UInt64, success: Count, failure: Count, queue: Count, run: Count
    ) {
        self.name = name
        self.version = version
        self.lastInference = lastInference
        self.inferences = inferences
        self.executions = executions
        self.success = success
        self.failure = failure
        self.queue = queue
        self.run = run
    }
}
