// How the shards are laid out and how much may wait in them. Read once at start; only the house fills it.

package import Contract

/// The settings of the shards, with their defaults. Every queue of this room has its maximum here.
package struct ShardSettings: Sendable, Equatable {
    /// Threads that run models.
    package var count: Int
    /// Threads that load and release models.
    package var loaders: Int
    /// A model whose measured run is at most this long runs on the connection's event loop; zero: never.
    package var inlineRunMax = Nanoseconds.microseconds(100)
    /// How long one turn of an event loop may spend on inline runs; what comes after hops.
    package var inlineTurnBudget = Nanoseconds.milliseconds(1)
    /// An event loop held up this long by an inline run has the run stopped and sent to a shard. Twice this is
    /// how often the watchdog looks when it has nothing else to do.
    package var inlineStallMax = Nanoseconds.milliseconds(250)
    /// How long a model that did so runs on shards only.
    package var inlineBarTime = Nanoseconds.seconds(60)
    /// Runs that may wait in the queue of one shard.
    package var queueMax = 1_024
    /// Calls that may wait for one model to load.
    package var loadWaitersMax = 1_024
    /// Models that may wait for a loader thread.
    package var loadsMax = 1_024
    /// Calls of one event loop that may be under way on the shards.
    package var callsPerLoopMax = 16_384
    /// How long the failure of a load is remembered: the first time, four times as long the second time, ...
    package var loadRetryMin = Nanoseconds.seconds(1)
    /// ... and from the third failure on.
    package var loadRetryMax = Nanoseconds.seconds(900)
    /// How long a replaced model is remembered, so that a call that chose it just before is told to try again.
    package var retiredTime = Nanoseconds.seconds(60)
    /// What awake models may hold together, in bytes.
    package var memory = MemoryUse.unlimited
    /// A model is not evicted before it has been awake this long.
    package var awakeMin = Nanoseconds.seconds(1)
    /// A model that has not been used for this long goes to sleep by itself; zero: none does.
    package var idleMax = Nanoseconds.zero
    /// What is wanted of some models' memory; of several rules that cover a model the first counts.
    package var rules: [ModelRule] = []
    /// Mapped models that stay hot get a second, faster session while there is memory that nobody wants.
    package var promotes = true
    /// Loads in an hour from which on the operator is warned; zero: never.
    package var loadsWarn: UInt64 = 60
    /// After the deadline of a stop, how long to wait for runs that were told to stop.
    package var stopGrace = Nanoseconds.seconds(2)

    /// The defaults for a machine with this many cores.
    package init(cores: Int) {
        count = max(1, cores)
        loaders = max(1, cores / 2)
    }
}
