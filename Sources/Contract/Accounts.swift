// What each model costs, why it is or is not in memory, and what the whole fleet's memory is worth. Measured by
// Shards, carried by Messages, put into words by the command line.

/// What an operator may do to a model's memory, and to what is known of models; the numbers are `ModelControlRequest.Action` on the wire.
package enum ModelControl: UInt32, Sendable, Hashable, CaseIterable {
    /// Gives the memory back; the model stays in service and the next call wakes it.
    case sleep = 1
    /// Keeps the model in memory once it is awake, whatever needs room.
    case pin = 2
    case unpin = 3
    /// Looks now for models that came, changed or went; means no model.
    case refresh = 4
    /// Serves again what was kept away because the process ended while it was at work.
    case unquarantine = 5
}

/// What one version of a model costs and how it is used; counts are since the gateway started.
package struct ModelAccount: Sendable, Equatable {
    /// Where the model is; the numbers are `ModelState` on the wire.
    package enum State: UInt32, Sendable, Hashable, CaseIterable {
        case asleep = 1
        /// Calls wait and no loader has begun yet.
        case queued = 2
        case loading = 3
        case awake = 4
        /// Its memory is being given back.
        case leaving = 5
        /// The last load failed and is not tried again for a while.
        case broken = 6
    }

    package var name: String
    package var version: String
    package var state: State
    /// Never evicted while it is awake.
    package var isPinned = false
    /// Memory of its own at rest, in bytes, measured; 0 when it was never loaded.
    package var anonymousBytes: UInt64 = 0
    /// Bytes of its files that are mapped at rest; 0 when it was never loaded.
    package var mappedBytes: UInt64 = 0
    /// The most memory of its own while it was loaded, in bytes; 0 when it was never loaded.
    package var loadPeakBytes: UInt64 = 0
    /// Bytes that did not come back when it was last released.
    package var unreturnedBytes: UInt64 = 0
    /// How long the last load took; zero when there was none.
    package var loadTime = Nanoseconds.zero
    /// For how long it has been awake; nil when it is not.
    package var awakeFor: Nanoseconds?
    /// How long ago the last call ended; nil when it was never called.
    package var sinceLastCall: Nanoseconds?
    package var callsSinceWake: UInt64 = 0
    package var loads: UInt64 = 0
    package var evictions: UInt64 = 0
    /// Recent calls: each counts 1 at first and less as time goes by.
    package var demand: Double = 0
    /// Reload time times demand by bytes: of the models awake, the lowest is evicted first.
    package var score: Double = 0
    /// How long ago it was last evicted; nil when it never was.
    package var sinceEviction: Nanoseconds?
    /// The model that needed the room; empty when it was evicted for another reason, or never.
    package var evictedFor = ""
    /// Why the last load failed; empty unless ``State/broken``.
    package var failure = ""
    /// The names that stand for this version, sorted; `latest` among them.
    package var aliases: [String] = []
    /// Why `latest` does not go to this version though it is the newer one; empty when nothing is to be said.
    package var trial = ""
    /// Not served because the process ended too often while it was at work.
    package var isQuarantined = false
    /// How often that was.
    package var strikes: UInt32 = 0
    /// Its weights stay in their file and are mapped.
    package var isMapped = false
    /// For how long a second, faster session has served; nil when none does.
    package var promotedFor: Nanoseconds?
    /// What that session holds, in bytes; a part of ``anonymousBytes``.
    package var promotedBytes: UInt64 = 0
    /// The measured share of the run time that it saves, 0...1; 0 while too little is known.
    package var promotionSaving: Double = 0
    /// Inside a window in which a rule keeps it warm.
    package var isKeptWarm = false
    /// Not called for so long it goes to sleep; zero: it does not.
    package var idleMax = Nanoseconds.zero
    /// Why an earlier promotion ended; empty when there was none or one serves.
    package var promotionNote = ""
    /// Calls that ran.
    package var calls: UInt64 = 0
    /// Those of them that failed.
    package var failedCalls: UInt64 = 0
    /// Those of them that had to wait until it was awake.
    package var coldCalls: UInt64 = 0
    /// Calls that wait now: for the model, or for their turn.
    package var waiting: UInt32 = 0
    /// How far the load under way has come, 0...1; 0 when nothing is known.
    package var waking: Double = 0
    /// From their arrival to the end of their run.
    package var latency = LatencyCounts()

    package init(name: String, version: String, state: State) {
        self.name = name
        self.version = version
        self.state = state
    }
}

/// The memory that all models share, and how well it serves. All sizes in bytes.
package struct FleetAccount: Sendable, Equatable {
    /// 0 when no budget is kept.
    package var anonymousBudget: UInt64 = 0
    package var anonymousUsed: UInt64 = 0
    /// 0 when no budget is kept.
    package var mappedBudget: UInt64 = 0
    package var mappedUsed: UInt64 = 0
    /// Calls that needed a model, since the gateway started.
    package var calls: UInt64 = 0
    /// Those of them that found it asleep.
    package var coldCalls: UInt64 = 0
    package var loadsLastHour: UInt64 = 0
    /// Rising in ``MissPoint/extraBytes``; empty while too little is known.
    package var missCurve: [MissPoint] = []
    /// Loads in an hour from which on the operator is warned; 0: never.
    package var loadsWarn: UInt64 = 0
    /// How long the gateway has run; nil when it is not known.
    package var uptime: Nanoseconds?
    /// Calls of awake models that wait for their turn.
    package var queued: UInt32 = 0
    package var running: UInt32 = 0

    package init() {}
}

/// With a budget that much larger, so many of the calls would have been cold.
package struct MissPoint: Sendable, Equatable {
    package var extraBytes: UInt64
    /// 0...1.
    package var coldShare: Double

    package init(extraBytes: UInt64, coldShare: Double) {
        self.extraBytes = extraBytes
        self.coldShare = coldShare
    }
}
