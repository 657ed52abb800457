// What happened to the runs of one model, for the statistics of OIP 4.3. Collected beside a lease, added up with it.

package import Contract

/// Counts and times of one model's runs since the gateway started, as the statistics show them.
package struct RunTally: Sendable, Equatable {
    /// Time in the queue and running.
    package var success = CountedTime()
    package var failure = CountedTime()
    package var queue = CountedTime()
    package var run = CountedTime()
    /// Runs whose call had to wait until the model was awake.
    package var cold: UInt64 = 0
    /// When the last run ended; nil when there was none.
    package var last: Instant?

    package init() {}
}

/// The same as plain sums, for the path of every call. All times in nanoseconds.
package struct RunSums: Sendable, Equatable {
    package private(set) var runs: UInt64 = 0
    private var failures: UInt64 = 0
    private var time: UInt64 = 0
    private var failureTime: UInt64 = 0
    private var queueTime: UInt64 = 0
    private var cold: UInt64 = 0
    private var last: UInt64 = 0

    package init() {}

    /// When the last of them ended.
    package var latest: Instant { Instant(nanoseconds: last) }

    package mutating func add(
        succeeded: Bool, cold wasCold: Bool = false, queue waited: UInt64 = 0, run: UInt64,
        at now: Instant
    ) {
        runs &+= 1
        if wasCold { cold &+= 1 }
        time &+= run
        queueTime &+= waited
        last = now.nanoseconds
        guard !succeeded else { return }
        failures &+= 1
        failureTime &+= run &+ waited
    }

    package mutating func add(_ other: RunSums) {
        guard other.runs > 0 else { return }
        runs &+= other.runs
        failures &+= other.failures
        time &+= other.time
        failureTime &+= other.failureTime
        queueTime &+= other.queueTime
        cold &+= other.cold
        last = max(last, other.last)
    }

    package var tally: RunTally {
        var tally = RunTally()
        guard runs > 0 else { return tally }
        tally.success = CountedTime(
            count: runs &- failures, nanoseconds: time &+ queueTime &- failureTime)
        tally.failure = CountedTime(count: failures, nanoseconds: failureTime)
        tally.queue = CountedTime(count: runs, nanoseconds: queueTime)
        tally.run = CountedTime(count: runs, nanoseconds: time)
        tally.cold = cold
        tally.last = Instant(nanoseconds: last)
        return tally
    }
}
