// What happened to the runs of one model, for the statistics of OIP 4.3. Collected beside a lease, added up with it.

package import Contract

/// Counts and times of one model's runs since the gateway started.
package struct RunTally: Sendable, Equatable {
    package var success = CountedTime()
    package var failure = CountedTime()
    package var queue = CountedTime()
    package var run = CountedTime()
    /// When the last run ended; nil when there was none.
    package var last: Instant?

    package init() {}

    package mutating func add(
        succeeded: Bool, queue waited: Nanoseconds, run time: Nanoseconds, at now: Instant
    ) {
        if succeeded {
            success.add(waited + time)
        } else {
            failure.add(waited + time)
        }
        queue.add(waited)
        run.add(time)
        last = now
    }

    package mutating func add(_ other: RunTally) {
        guard let theirs = other.last else { return }
        success.add(other.success)
        failure.add(other.failure)
        queue.add(other.queue)
        run.add(other.run)
        last = last.map { max($0, theirs) } ?? theirs
    }
}

extension CountedTime {
    fileprivate mutating func add(_ other: CountedTime) {
        count &+= other.count
        nanoseconds &+= other.nanoseconds
    }
}
