// Which tokens are known, which are being asked about, and who waits. A value: questions and answers in,
// decisions out. It knows no clock, no lock and no event loop.

package import Contract
private import NIOCore

/// One question to an issuer that shall be asked now.
package struct Lookup: Sendable {
    package var key: CacheKey
    package var token: Secret
    /// Index of the issuer in the settings.
    package var issuer: Int
    package var generation: UInt64
    /// The token was active before: its look-ups have slots of their own.
    package var known: Bool
}

/// What came of a look-up.
package enum LookupOutcome: Sendable {
    case active(Identity, Grants, maxTTL: Nanoseconds)
    case inactive
    case expired
    case failed(CallFailure)
}

/// What the gate does with a token that was just shown.
package enum Asked {
    case known(Credential)
    case refused(CallFailure)
    /// The waiter was taken in; when `start` is there, that look-up must be performed.
    case waits(start: Lookup?)
}

/// What to tell to whom after a look-up.
package struct Settlement<Waiter> {
    package var waiters: [Waiter]
    package var result: Result<Credential, CallFailure>
}

/// The identity cache (SECURITY.md, Tokens). Active and inactive answers live in segments of their own, so a
/// flood of random tokens never evicts a known one. One look-up per token at a time, however many wait.
///
/// A flight is *queued* (in a queue, no look-up started; exits: started, or dropped when nobody waits) or
/// *started* (exit: `settle`).
package struct IdentityCache<Waiter> {
    private struct Flight {
        var lookup: Lookup
        var waiters: [UInt64: Waiter] = [:]
        var started: Bool
    }

    private enum Refusal {
        case inactive
        case expired
        case failed(CallFailure)
    }

    private let limits: AdmissionLimits
    private var active: RecentlyUsed<Credential>
    private var inactive: RecentlyUsed<(refusal: Refusal, until: Instant)>
    private var flights: [CacheKey: Flight] = [:]
    private var queuedKnown = CircularBuffer<CacheKey>()
    private var queuedUnknown = CircularBuffer<CacheKey>()
    private var runningKnown = 0
    private var runningUnknown = 0
    private let plans: PlanDesk
    private var stopped = false
    package private(set) var waiterCount = 0
    package private(set) var generation: UInt64 = 0

    package init(limits: AdmissionLimits, plans: PlanDesk? = nil) {
        self.limits = limits
        self.plans = plans ?? PlanDesk(limits: limits)
        active = RecentlyUsed(entriesMax: limits.activeEntries, bytesMax: limits.activeBytes)
        inactive = RecentlyUsed(entriesMax: limits.inactiveEntries)
    }

    package var activeCount: Int { active.count }
    package var activeBytes: Int { active.bytes }
    package var inactiveCount: Int { inactive.count }
    package var runningLookups: Int { runningKnown + runningUnknown }
    package var queuedLookups: Int { queuedKnown.count + queuedUnknown.count }
    package var accountCount: Int { plans.tenantCount }

    // MARK: A token is shown

    /// Answers from memory, or takes the waiter in.
    package mutating func ask(
        _ key: CacheKey, token: Secret, issuer: Int, waiter: Waiter, id: UInt64, now: Instant
    ) -> Asked {
        let previous = active.use(key)
        if let previous, now < previous.freshUntil { return .known(previous) }
        if let negative = inactive.use(key) {
            if now < negative.until { return .refused(Self.failure(of: negative.refusal)) }
            inactive.remove(key)
        }
        guard !stopped else { return .refused(Self.stopping) }
        guard waiterCount < limits.waiters else {
            return .refused(Self.crowded("callers wait", limits.waiters, "waiters"))
        }
        if flights[key] != nil {
            flights[key]?.waiters[id] = waiter
            waiterCount += 1
            return .waits(start: nil)
        }
        let lookup = Lookup(
            key: key, token: token, issuer: issuer, generation: generation, known: previous != nil)
        let starts = hasRoom(known: lookup.known)
        guard starts || queueLength(known: lookup.known) < limits.queuedLookups else {
            return .refused(Self.crowded("look-ups wait", limits.queuedLookups, "queued_lookups"))
        }
        waiterCount += 1
        flights[key] = Flight(lookup: lookup, waiters: [id: waiter], started: starts)
        if starts {
            countRunning(lookup.known, by: 1)
            return .waits(start: lookup)
        }
        if lookup.known { queuedKnown.append(key) } else { queuedUnknown.append(key) }
        return .waits(start: nil)
    }

    /// A waiter lost patience or interest. The look-up goes on for the others and for the cache.
    package mutating func leave(_ key: CacheKey, id: UInt64) -> Waiter? {
        guard let waiter = flights[key]?.waiters.removeValue(forKey: id) else { return nil }
        waiterCount -= 1
        return waiter
    }

    // MARK: An issuer has answered

    /// Remembers the answer and says who gets it. `started` is when the issuer was asked: a revocation is
    /// believed from there.
    package mutating func settle(
        _ lookup: Lookup, _ outcome: LookupOutcome, started: Instant, now: Instant
    ) -> Settlement<Waiter> {
        let result: Result<Credential, CallFailure>
        let current = lookup.generation == generation
        switch outcome {
        case .active(let identity, let grants, let maxTTL):
            let credential = makeCredential(
                identity, grants, maxTTL: maxTTL, generation: lookup.generation, started: started,
                now: now)
            if current { active.insert(credential, for: lookup.key, bytes: credential.byteCount) }
            result = .success(credential)
        case .inactive:
            let validUntil = active.use(lookup.key)?.validUntil
            let isOver = validUntil.map { $0 <= now } ?? false
            result = refuse(lookup, isOver ? .expired : .inactive, for: limits.negativeTime, now)
            active.remove(lookup.key)
        case .expired:
            result = refuse(lookup, .expired, for: limits.negativeTime, now)
            active.remove(lookup.key)
        case .failed(var failure):
            // The old answer stays only to mark the token as known: it is not fresh, so nobody gets it.
            failure.notStarted = true
            failure.retryAfter = failure.retryAfter ?? .seconds(1)
            result = refuse(lookup, .failed(failure), for: limits.failureTime, now)
        }
        let waiters = flights.removeValue(forKey: lookup.key).map { Array($0.waiters.values) } ?? []
        waiterCount -= waiters.count
        return Settlement(waiters: waiters, result: result)
    }

    /// The slot of a look-up is free again, which may be later than its answer (a verifier that ignores its
    /// deadline keeps its slot). Returns the next look-up to perform.
    package mutating func finished(_ lookup: Lookup) -> Lookup? {
        countRunning(lookup.known, by: -1)
        while hasRoom(known: true), let key = queuedKnown.popFirst() {
            if let next = take(key) { return next }
        }
        while hasRoom(known: false), let key = queuedUnknown.popFirst() {
            if let next = take(key) { return next }
        }
        return nil
    }

    // MARK: Wider events

    /// Forgets every answer; look-ups under way answer their waiters and are not remembered.
    package mutating func forgetEverything() {
        generation += 1
        active.removeAll()
        inactive.removeAll()
    }

    /// Asks nobody any more. Returns everybody who waits.
    package mutating func stop() -> Settlement<Waiter> {
        stopped = true
        let waiters = flights.values.flatMap { $0.waiters.values }
        flights.removeAll()
        queuedKnown.removeAll()
        queuedUnknown.removeAll()
        waiterCount = 0
        return Settlement(waiters: waiters, result: .failure(Self.stopping))
    }

    // MARK: Leaves

    private func hasRoom(known: Bool) -> Bool {
        guard runningLookups < limits.lookups else { return false }
        return known || runningUnknown < max(1, limits.lookups - limits.lookupsForKnown)
    }

    private func queueLength(known: Bool) -> Int {
        known ? queuedKnown.count : queuedUnknown.count
    }

    private mutating func countRunning(_ known: Bool, by difference: Int) {
        if known { runningKnown += difference } else { runningUnknown += difference }
    }

    /// The queued flight as a started one; nil when everybody who waited for it has left.
    private mutating func take(_ key: CacheKey) -> Lookup? {
        guard var flight = flights[key], !flight.started else { return nil }
        guard !flight.waiters.isEmpty else {
            flights.removeValue(forKey: key)
            return nil
        }
        flight.started = true
        flights[key] = flight
        countRunning(flight.lookup.known, by: 1)
        return flight.lookup
    }

    private mutating func refuse(
        _ lookup: Lookup, _ refusal: Refusal, for time: Nanoseconds, _ now: Instant
    ) -> Result<Credential, CallFailure> {
        if lookup.generation == generation {
            inactive.insert((refusal, now + time), for: lookup.key)
        }
        return .failure(Self.failure(of: refusal))
    }

    private mutating func makeCredential(
        _ identity: Identity, _ grants: Grants, maxTTL: Nanoseconds, generation: UInt64,
        started: Instant, now: Instant
    ) -> Credential {
        let validUntil = identity.validFor.map { now + $0 }
        let believed =
            identity.validFor == nil ? min(maxTTL, limits.unknownExpiryTime) : maxTTL
        return Credential(
            identity: identity, grants: grants,
            freshUntil: min(started + believed, validUntil ?? Instant(nanoseconds: .max)),
            validUntil: validUntil, generation: generation,
            account: plans.tenant(of: identity, now: now))
    }

    private static func failure(of refusal: Refusal) -> CallFailure {
        switch refusal {
        case .inactive:
            CallFailure(
                .unauthenticated, .tokenInactive, "the token is not active", notStarted: true)
        case .expired:
            CallFailure(.unauthenticated, .tokenExpired, "the token has expired", notStarted: true)
        case .failed(let failure): failure
        }
    }

    private static var stopping: CallFailure {
        CallFailure(.unavailable, .stopping, "the gateway is stopping", notStarted: true)
    }

    private static func crowded(_ what: String, _ limit: Int, _ setting: String) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "the token cannot be checked now: already \(limit) \(what) (limit \(setting))",
            notStarted: true, retryAfter: .seconds(1))
    }
}
