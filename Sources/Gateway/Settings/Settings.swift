// Everything an operator can set, with its defaults. Read once at start, by the house alone; rooms receive their
// part as values. sluice.example.yaml shows every key.

package import Admission
package import Contract
package import JSONDoor
package import Shards

/// The settings of a gateway. The defaults serve the folder `./models` with an issuer and a certificate of its own.
package struct Settings: Sendable, Equatable {
    /// Where callers connect (TLS).
    package var listen = Endpoint(host: "0.0.0.0", port: 8443)
    /// Where probes and metrics are asked for, in plaintext.
    package var admin = Endpoint(host: "127.0.0.1", port: 9464)
    /// The folder of tokens and of the gateway's own certificate.
    package var state = "./.sluice"
    package var tls = TransportSettings()
    package var proxy = ProxySettings()
    package var models = ModelSettings()
    package var memory = MemorySettings()
    package var engine = EngineSettings()
    package var auth = AuthenticationSettings()
    /// What callers may use. `Plans(plans).names` is what a policy may name.
    package var plans: [Plan] = []
    package var http = HTTPLimits()
    /// `http.console`: whether the callers' port shows the page at `/`.
    package var showsConsole = true
    /// `http.hsts`.
    package var isStrictTransport = true
    /// `cors`.
    package var origins = CrossOrigin()
    package var limits = Limits()
    /// Calls in progress, all together.
    package var callsMax = 65_536
    /// Calls in progress of one client.
    package var callsPerClientMax = 8_192
    package var shards = ShardingSettings()
    package var log = LogSettings()
    package var audit = AuditSettings()
    package var usage = UsageSettings()
    package var traces = TraceSettings()
    package var metrics = MetricsSettings()

    package init() {}
}

/// `models`: where they come from.
package struct ModelSettings: Sendable, Equatable {
    /// A folder that holds NAME/VERSION/model.onnx, or `s3://BUCKET/PREFIX`.
    package var repository = "./models"
    /// How often the folder is looked at for changes; zero: at start only.
    package var poll = Nanoseconds.seconds(30)
    /// Whether a version without a manifest.json does not exist.
    package var requiresManifest = false
    package var trial = TrialSettings()
    package var bucket = BucketSettings()
    package var cache = CacheSettings()
    /// What is wanted of some models' memory; of several rules that name a model the first counts.
    package var rules: [ModelRule] = []

    package init() {}
}

/// `models.trial`: what the child process may use that tries a version without a manifest before its first load.
package struct TrialSettings: Sendable, Equatable {
    /// Zero: no trial.
    package var time = Nanoseconds.seconds(30)
    package var memory = 2 << 30

    package init() {}
}

/// `models.s3`: how a bucket is reached.
package struct BucketSettings: Sendable, Equatable {
    /// `https://HOST:PORT`; nil: Amazon's, of the region.
    package var endpoint: String?
    package var region = "us-east-1"
    /// HOST/BUCKET/KEY instead of BUCKET.HOST/KEY.
    package var usesPathStyle = true
    /// PEM; nil: the system's authorities.
    package var authority: String?
    package var accessKeyFile: String?
    package var secretKeyFile: String?
    package var sessionTokenFile: String?
    /// The section of the shared AWS credentials file.
    package var profile: String?

    package init() {}
}

/// `models.cache`: where a bucket's models are kept once they were called.
package struct CacheSettings: Sendable, Equatable {
    /// Nil: `cache` in the state folder.
    package var path: String?
    package var bytes = 20 << 30

    package init() {}
}

/// `memory`: what awake models may hold together.
package struct MemorySettings: Sendable, Equatable {
    /// Bytes of their own; nil: half of what the process may use.
    package var anonymous: Int?
    /// Bytes of their files that are mapped; nil: the other half.
    package var mapped: Int?
    /// No model is evicted before it has been awake this long.
    package var awakeMin = Nanoseconds.seconds(1)
    /// A model that was not called for this long goes to sleep; zero: none does before its memory is wanted.
    package var idle = Nanoseconds.zero
    /// Whether mapped models that stay hot get a second, faster session while there is memory to spare.
    package var promote = true
    /// Loads in an hour from which on a warning is logged; zero: never.
    package var loadsWarn = 60

    package init() {}
}

/// `engine`: ONNX Runtime.
package struct EngineSettings: Sendable, Equatable {
    /// The library's file; nil: the usual places.
    package var library: String?
    /// Threads one run may use.
    package var threads = 1

    package init() {}
}

/// `shards`: where models run.
package struct ShardingSettings: Sendable, Equatable {
    /// Threads that run models; nil: one a core.
    package var count: Int?
    /// Threads that load models; nil: one for two cores.
    package var loaders: Int?
    /// Models whose runs are at most this long run on the connection's event loop; zero: none.
    package var inlineRunMax = Nanoseconds.microseconds(100)
    /// How long one turn of an event loop may run models.
    package var inlineTurnBudget = Nanoseconds.milliseconds(1)
    /// Calls that may wait in front of one shard.
    package var queueMax = 1_024

    package init() {}
}

/// `log`.
package struct LogSettings: Sendable, Equatable {
    package enum Level: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error
    }
    package enum Format: String, Sendable, CaseIterable { case text, json }

    package var level = Level.info
    package var format = Format.text

    package init() {}
}

/// `auth`: whose tokens are believed and what they allow.
package struct AuthenticationSettings: Sendable, Equatable {
    /// Never empty.
    package var issuers = [IssuerSettings()]
    /// A scope of another issuer's and the scopes it grants here.
    package var scopes: [String: [String]] = [:]
    /// Empty: scopes alone decide.
    package var rules: [PolicyRule] = []
    package var owners: [Ownership] = []
    package var certificates: [CertificateIdentity] = []
    package var ages = ScopeAges()
    package var gate = GateSettings()
    package var server = AuthorizationServerSettings()

    package init() {}
}
