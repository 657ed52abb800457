// The life of one call on the shards, decided in a value: it is answered exactly once, and its work ends exactly once.

/// Where one hopped call stands.
package enum RunPhase: Sendable, Equatable {
    /// Not begun: in a desk's batch, behind a load, in a queue. Leaves by `begin` or `abandon`.
    case waiting
    /// A shard runs it. Leaves by `end` or `abandon`.
    case running
    /// Answered, and the run has been told to stop. Leaves by `end`.
    case stopping
    /// Answered and no longer worked on. Final.
    case over

    package enum End: Sendable, Equatable {
        /// The caller waits for this result.
        case answer
        /// The caller has its answer; tell that the work has stopped.
        case workEnded
    }

    package enum Abandonment: Sendable, Equatable {
        /// Answer; the work never starts.
        case drop
        /// Answer and stop the run.
        case stop
        /// It has been answered.
        case tooLate
    }

    /// True when the caller still waits for its answer.
    package var isOpen: Bool { self == .waiting || self == .running }

    /// A shard takes the call: false when it has been given up meanwhile.
    package mutating func begin() -> Bool {
        guard self == .waiting else { return false }
        self = .running
        return true
    }

    /// The run has returned.
    package mutating func end() -> End {
        switch self {
        case .running:
            self = .over
            return .answer
        case .stopping:
            self = .over
            return .workEnded
        case .waiting, .over:
            preconditionFailure("a run ended that had not begun")
        }
    }

    /// The deadline has passed, the caller has cancelled or the gateway stops.
    package mutating func abandon() -> Abandonment {
        switch self {
        case .waiting:
            self = .over
            return .drop
        case .running:
            self = .stopping
            return .stop
        case .stopping, .over:
            return .tooLate
        }
    }
}
