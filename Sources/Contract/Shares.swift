// Whose call it is when the shards are busy, and what a plan has left. Decided by Admission, used by Shards and doors.

/// How urgent a call is. Interactive calls go before batch calls; batch calls are never starved.
package enum Priority: UInt8, Sendable, Hashable, CaseIterable {
    case interactive = 0
    case batch = 1

    /// `CallHeader.priority`: 0 is normal, higher is less urgent.
    package init(header number: UInt32) { self = number == 0 ? .interactive : .batch }
}

/// The tenant a call is queued for. Tenants share the shards by weight, whatever they ask for.
package struct Share: Sendable, Hashable {
    /// A small number of this process, the same for all calls of one tenant (issuer and client).
    package var tenant: UInt32
    /// Relative to other tenants; at least 1.
    package var weight: UInt32
    package var priority: Priority

    package init(tenant: UInt32, weight: UInt32 = 1, priority: Priority = .interactive) {
        self.tenant = tenant
        self.weight = max(1, weight)
        self.priority = priority
    }

    /// For the house's own runs and for callers without a plan.
    package static let house = Share(tenant: 0)
}

/// What is left of the tightest limit of a caller's plan after this call, for `RateLimit` fields
/// (draft-ietf-httpapi-ratelimit-headers).
package struct Allowance: Sendable, Hashable {
    /// The limit's name, for example `calls` or `day`.
    package var name: String
    package var limit: UInt64
    /// In how many seconds the limit applies.
    package var windowSeconds: UInt64
    package var remaining: UInt64
    /// Until `remaining` is `limit` again, rounded up.
    package var resetSeconds: UInt64

    package init(
        name: String, limit: UInt64, windowSeconds: UInt64, remaining: UInt64, resetSeconds: UInt64
    ) {
        self.name = name
        self.limit = limit
        self.windowSeconds = windowSeconds
        self.remaining = remaining
        self.resetSeconds = resetSeconds
    }
}
