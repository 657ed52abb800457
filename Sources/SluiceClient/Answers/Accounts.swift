// What the gateway tells about its memory: what each model costs, why it is or is not in memory, and what more
// memory would be worth (the protocol's MODEL_ACCOUNT).

/// What one version of a model costs and how it is used. Counts are since the gateway started.
public struct ModelAccount: Sendable, Hashable {
    /// Where a model is. New states may come: keep a default branch.
    public struct State: RawRepresentable, Hashable, Sendable {
        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        /// Not in memory; the next call wakes it.
        public static let asleep = State(rawValue: "asleep")
        /// Calls wait, and its load has not begun yet.
        public static let queued = State(rawValue: "queued")
        public static let loading = State(rawValue: "loading")
        /// In memory.
        public static let awake = State(rawValue: "awake")
        /// Its memory is being given back.
        public static let leaving = State(rawValue: "leaving")
        /// The last load failed and is not tried again for a while, or its files cannot be served.
        public static let broken = State(rawValue: "broken")
    }

    public var name: String
    public var version: String
    public var state: State
    /// Never evicted while it is awake.
    public var isPinned = false
    /// Memory of its own at rest, in bytes, measured; 0 when it was never loaded.
    public var anonymousBytes: UInt64 = 0
    /// Bytes of its files that are mapped at rest; 0 when it was never loaded.
    public var mappedBytes: UInt64 = 0
    /// The most memory of its own while it was loaded, in bytes; 0 when it was never loaded.
    public var loadPeakBytes: UInt64 = 0
    /// Bytes that did not come back when it was last released.
    public var unreturnedBytes: UInt64 = 0
    /// How long the last load took; nil when there was none.
    public var loadTime: Duration?
    /// For how long it has been awake; nil when it is not.
    public var awakeFor: Duration?
    /// How long ago the last call ended; nil when it was never called.
    public var sinceLastCall: Duration?
    public var callsSinceWake: UInt64 = 0
    public var loads: UInt64 = 0
    public var evictions: UInt64 = 0
    /// Recent calls: each counts 1 at first and less as time goes by.
    public var demand: Double = 0
    /// Reload time times demand by bytes: of the models awake, the lowest is evicted first.
    public var score: Double = 0
    /// How long ago it was last evicted; nil when it never was.
    public var sinceEviction: Duration?
    /// The model that needed the room; empty when it was evicted for another reason, or never.
    public var evictedFor = ""
    /// Why it is broken; empty otherwise.
    public var failure = ""
    /// The names that stand for this version, sorted; `latest` among them.
    public var aliases: [String] = []
    /// Why `latest` does not go to this version though it is the newer one; empty when nothing is to be said.
    public var trial = ""
    /// Not served because the gateway ended too often while it was at work.
    public var isQuarantined = false
    /// How often that was.
    public var strikes = 0
    /// Its weights stay in their file and are mapped.
    public var isMapped = false
    /// For how long a second, faster session has served it; nil when none does.
    public var promotedFor: Duration?
    /// What that session holds, in bytes; a part of ``anonymousBytes``.
    public var promotedBytes: UInt64 = 0
    /// The measured share of the run time that it saves, 0 to 1; 0 while too little is known.
    public var promotionSaving: Double = 0
    /// Inside a window in which a rule keeps it warm: it goes only when nobody else can make room.
    public var isKeptWarm = false
    /// Not called for so long it goes to sleep; nil: it does not.
    public var idleLimit: Duration?
    /// Why an earlier promotion ended; empty when there was none or one serves.
    public var promotionNote = ""
    /// Calls that ran.
    public var calls: UInt64 = 0
    /// Those of them that failed.
    public var failedCalls: UInt64 = 0
    /// Those of them that had to wait until it was awake.
    public var coldCalls: UInt64 = 0
    /// Calls that wait now: for the model, or for their turn.
    public var waiting = 0
    /// How far the load under way has come, 0 to 1; nil when none is, or nothing is known.
    public var waking: Double?
    /// How long its calls took, from their arrival to the end of their run.
    public var latency = LatencyDigest()

    public init(name: String, version: String, state: State) {
        self.name = name
        self.version = version
        self.state = state
    }
}

/// The memory that all models share, and how well it serves. Sizes are in bytes.
public struct FleetAccount: Sendable, Hashable {
    /// With a budget that much larger, so many of the calls would have been cold.
    public struct MissPoint: Sendable, Hashable {
        public var extraBytes: UInt64
        /// 0 to 1.
        public var coldShare: Double

        public init(extraBytes: UInt64, coldShare: Double) {
            self.extraBytes = extraBytes
            self.coldShare = coldShare
        }
    }

    /// Every model, sorted by name and version.
    public var models: [ModelAccount] = []
    /// 0 when no budget is kept.
    public var anonymousBudget: UInt64 = 0
    public var anonymousUsed: UInt64 = 0
    /// 0 when no budget is kept.
    public var mappedBudget: UInt64 = 0
    public var mappedUsed: UInt64 = 0
    /// Calls that needed a model, since the gateway started.
    public var calls: UInt64 = 0
    /// Those of them that found it asleep.
    public var coldCalls: UInt64 = 0
    public var loadsLastHour: UInt64 = 0
    /// Rising in ``MissPoint/extraBytes``; empty while too little is known.
    public var missCurve: [MissPoint] = []
    /// Loads in an hour from which on the operator is warned; 0: never.
    public var loadsWarn: UInt64 = 0
    /// How long the gateway has run; nil when it does not say.
    public var uptime: Duration?
    /// Calls of awake models that wait for their turn.
    public var queued = 0
    public var running = 0

    public init() {}
}
