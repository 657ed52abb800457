// What the gate has done and holds, as a value for metrics; and what an operator wants to read at once.

package import Contract

package struct GateStatistics: Sendable, Equatable {
    /// Since the gateway started. Calls on a connection whose credential is fresh touch no cache and are not counted.
    package struct Counts: Sendable, Equatable {
        package var hits: UInt64 = 0
        package var negativeHits: UInt64 = 0
        package var lookups: UInt64 = 0
        package var active: UInt64 = 0
        package var inactive: UInt64 = 0
        package var failed: UInt64 = 0
        package var refreshes: UInt64 = 0
        package var staleAnswers: UInt64 = 0
        package var judgedAnew: UInt64 = 0
        package var refusedByAddress: UInt64 = 0
        package var refusedInAll: UInt64 = 0
        package var refusedByQueue: UInt64 = 0
        package var refusedByBreaker: UInt64 = 0
        package var purged: UInt64 = 0

        package init() {}
    }

    package var counts = Counts()
    package var activeEntries = 0
    package var activeBytes = 0
    package var inactiveEntries = 0
    package var inactiveBytes = 0
    package var lookupsInProgress = 0
    package var lookupsQueued = 0
    package var waiters = 0
    /// By the issuer's name.
    package var breakers: [String: Breaker.Phase] = [:]
}

/// Told what the log should say. Called on any thread, never under a lock.
package protocol GateObserver: Sendable {
    func breaker(of issuer: String, became phase: Breaker.Phase)
    func staleAnswer(from issuer: String)
    /// It answered, or did not in time; after so long.
    func asked(_ issuer: String, took time: Nanoseconds)
}

extension GateObserver {
    package func asked(_ issuer: String, took time: Nanoseconds) {}
}

/// Whose answers shall be forgotten.
package enum PurgeSelector: Sendable {
    case subject(String)
    case client(String)
    case token(Secret)
    case everything
}

/// Why a call would be allowed or refused.
package struct AccessExplanation: Sendable, Equatable {
    package var isAllowed: Bool
    /// The policy's rule that decided; empty without a policy or when none did.
    package var rule: String
    /// The token's scope that gives the right; empty when a rule's `allow` does, or none.
    package var scope: String
    /// Empty: the default plan.
    package var plan: String
    /// One sentence.
    package var why: String
}
