// When a failed call is tried again (PROTOCOL.md, Semantics: retry), decided in values.

extension SluiceClient.Configuration {
    /// When a failed call is tried again: only when the gateway could not be reached or answered
    /// `UNAVAILABLE`, or when no work was begun; never after the deadline; never within a stream that
    /// has brought a message.
    public struct RetryPolicy: Sendable, Hashable {
        /// Attempts in all; 1 never tries again.
        public var attempts: Int
        /// The pauses between attempts. When the gateway asks for a longer one, that one is taken.
        public var backoff: Backoff
        /// The share of calls that may be tried again, in the long run; keeps a failing gateway from being
        /// flooded. 0.2 allows one retry for five calls.
        public var budgetRatio: Double
        /// Retries that are allowed whatever the share says.
        public var budgetReserve: Int

        public init(
            attempts: Int = 4,
            backoff: Backoff = Backoff(base: .milliseconds(50), maximum: .seconds(2)),
            budgetRatio: Double = 0.2, budgetReserve: Int = 20
        ) {
            self.attempts = attempts
            self.backoff = backoff
            self.budgetRatio = budgetRatio
            self.budgetReserve = budgetReserve
        }

        /// Every failure is the caller's.
        public static let never = RetryPolicy(attempts: 1)
    }
}

/// What is left to spend on retries: each answered call earns a share, each retry costs one.
package struct RetryBudget {
    private let ratio: Double
    private let maximum: Double
    package private(set) var balance: Double

    package init(_ policy: SluiceClient.Configuration.RetryPolicy) {
        ratio = max(0, policy.budgetRatio)
        balance = Double(max(0, policy.budgetReserve))
        // A long quiet time must not save up for a flood: at most ten times the reserve.
        maximum = max(balance * 10, 1)
    }

    package mutating func earn() { balance = min(maximum, balance + ratio) }

    package mutating func spend() -> Bool {
        guard balance >= 1 else { return false }
        balance -= 1
        return true
    }
}

extension SluiceClient.Configuration.Backoff {
    /// The pause before attempt `failures + 1`, in nanoseconds; `luck` is drawn from 0..<1.
    package func pause(failures: Int, luck: Double) -> Int64 {
        let base = Double(self.base.nanoseconds)
        let ceiling = Double(maximum.nanoseconds)
        // 2^40 of anything is beyond every ceiling: bounded so that the power stays finite.
        let doubled = base * Double(UInt64(1) << UInt64(min(max(failures - 1, 0), 40)))
        return Int64(min(doubled, ceiling) * luck)
    }
}

extension Duration {
    /// Whole nanoseconds, at most what 64 bits hold (292 years).
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowToo) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflowToo ? (seconds < 0 ? .min : .max) : sum
    }
}
