// Which tokens are known, which are being asked about, and who waits. A value: questions and answers in,
// decisions out. It knows no clock, no lock and no event loop.

package import Contract
import NIOCore

/// A token as it is shown.
package struct Shown: Sendable {
    package var key: CacheKey
    package var token: Secret
    package var issuer: TrustedIssuer
    /// The numeric address it came from.
    package var address: String
    package var need: CallNeed?

    package init(
        key: CacheKey, token: Secret, issuer: TrustedIssuer, address: String, need: CallNeed? = nil
    ) {
        self.key = key
        self.token = token
        self.issuer = issuer
        self.address = address
        self.need = need
    }
}

/// One question to an issuer that shall be asked now.
package struct Lookup: Sendable {
    package var key: CacheKey
    package var token: Secret
    package var issuer: TrustedIssuer
    /// The token was active before: its look-ups have slots of their own and no budget.
    package var known: Bool
    /// Where the budget was taken from.
    var address: String
    var isProbe = false
}

/// What came of a look-up.
package enum LookupOutcome: Sendable {
    case active(Identity)
    case inactive
    case expired
    case failed(CallFailure)
    /// Nobody was asked: says nothing about the issuer.
    case notAsked(CallFailure)
}

/// What the gate does with a token that was just shown.
package enum Asked {
    /// When `refresh` is there, that look-up must be performed in the background.
    case known(Credential, refresh: Lookup?)
    case refused(CallFailure)
    /// The waiter was taken in; when `start` is there, that look-up must be performed.
    case waits(start: Lookup?)
}

/// What to tell to whom after a look-up.
package struct Settlement<Waiter> {
    package var waiters: [Waiter]
    package var result: Result<Credential, CallFailure>
    /// The issuer's breaker when it changed.
    package var breaker: Breaker.Phase?
}

/// The identity cache (SECURITY.md, Tokens). Active and inactive answers live in segments of their own, so a
/// flood of random tokens never evicts a known one. One look-up per token at a time, however many wait.
package struct IdentityCache<Waiter> {
    /// *queued* (in a queue, no look-up started; exits: started, or dropped when nobody waits) or *started* (exit:
    /// `settle`).
    struct Flight {
        var lookup: Lookup
        var waiters: [UInt64: Waiter] = [:]
        var started: Bool
        var isRefresh = false
        /// A purge came since it began: its answer is told, not remembered.
        var isForgotten = false
    }

    /// A failure on the heap: it is rare, and the segment's entries stay small.
    final class KeptFailure: Sendable {
        let failure: CallFailure
        init(_ failure: CallFailure) { self.failure = failure }
    }

    enum Refusal {
        case inactive
        case expired
        case failed(KeptFailure)
    }

    struct Negative {
        var refusal: Refusal
        var until: Instant
    }

    let limits: AdmissionLimits
    package private(set) var policy: AccessPolicy
    var active: Segment<Credential>
    var inactive: Segment<Negative>
    var flights: [CacheKey: Flight] = [:]
    var queuedKnown = CircularBuffer<CacheKey>()
    var queuedUnknown = CircularBuffer<CacheKey>()
    var runningKnown = 0
    var runningUnknown = 0
    var breakers: [UInt64: Breaker] = [:]
    var budget: LookupBudget
    let plans: PlanDesk
    var stopped = false
    package internal(set) var counts = GateStatistics.Counts()
    package internal(set) var waiterCount = 0
    /// Credentials of another generation are judged anew before they are used.
    package internal(set) var generation: UInt64 = 1

    package init(
        limits: AdmissionLimits, policy: AccessPolicy = AccessPolicy(), plans: PlanDesk? = nil
    ) {
        self.limits = limits
        self.policy = policy
        self.plans = plans ?? PlanDesk(limits: limits)
        active = Segment(bytesMax: limits.activeBytes)
        inactive = Segment(bytesMax: limits.inactiveBytes)
        budget = LookupBudget(
            perAddress: limits.lookupsPerAddress, inAll: limits.lookupsInAll,
            addressesMax: limits.lookupAddresses)
    }

    package var activeCount: Int { active.count }
    package var activeBytes: Int { active.bytes }
    package var inactiveCount: Int { inactive.count }
    package var inactiveBytes: Int { inactive.bytes }
    package var runningLookups: Int { runningKnown + runningUnknown }
    package var queuedLookups: Int { queuedKnown.count + queuedUnknown.count }
    package var accountCount: Int { plans.tenantCount }

    // MARK: A token is shown

    /// Answers from memory; nil when the issuer must be asked.
    package mutating func recall(_ shown: Shown, now: Instant) -> Asked? {
        let previous = active.use(shown.key)
        if let previous, previous.facts.opening == shown.issuer.opening,
            now < previous.freshUntil, previous.isYoung(for: shown.need, now: now)
        {
            counts.hits += 1
            let credential = current(previous, shown.key)
            return .known(credential, refresh: refresh(credential, shown, now: now))
        }
        if let negative = inactive.use(shown.key) {
            if now < negative.until {
                if case .failed(let kept) = negative.refusal,
                    let stale = stale(
                        previous, shown.issuer, kept.failure, need: shown.need, now: now)
                {
                    counts.staleAnswers += 1
                    return .known(stale, refresh: nil)
                }
                counts.negativeHits += 1
                return .refused(Self.failure(of: negative.refusal))
            }
            inactive.remove(shown.key)
        }
        if flights[shown.key] == nil,
            let wait = breakers[shown.issuer.opening]?.refusal(at: now)
        {
            let failure = resting(shown.issuer, wait)
            if let stale = stale(previous, shown.issuer, failure, need: shown.need, now: now) {
                counts.staleAnswers += 1
                return .known(stale, refresh: nil)
            }
            counts.refusedByBreaker += 1
            return .refused(failure)
        }
        return nil
    }

    /// Answers from memory, or takes the waiter in.
    package mutating func ask(
        _ shown: Shown, waiter: Waiter, id: UInt64, now: Instant
    ) -> Asked {
        if let known = recall(shown, now: now) { return known }
        guard !stopped else { return .refused(Self.stopping) }
        guard waiterCount < limits.waiters else {
            counts.refusedByQueue += 1
            return .refused(Self.crowded("callers wait", limits.waiters, "waiters"))
        }
        if flights[shown.key] != nil {
            flights[shown.key]?.waiters[id] = waiter
            waiterCount += 1
            return .waits(start: nil)
        }
        let known = active.contains(shown.key)
        guard hasRoom(known: known) || queueLength(known: known) < limits.queuedLookups else {
            counts.refusedByQueue += 1
            return .refused(Self.crowded("look-ups wait", limits.queuedLookups, "queued_lookups"))
        }
        let block = LookupBudget.block(of: shown.address)
        if !known, let refusal = budget.take(block, at: now) {
            return .refused(failure(of: refusal))
        }
        waiterCount += 1
        return .waits(start: fly(shown, block, known: known, waiters: [id: waiter]))
    }

    /// A waiter lost patience or interest. The look-up goes on for the others and for the cache.
    package mutating func leave(_ key: CacheKey, id: UInt64) -> Waiter? {
        guard let waiter = flights[key]?.waiters.removeValue(forKey: id) else { return nil }
        waiterCount -= 1
        return waiter
    }

    /// Who shows this certificate and no token, or nil when it means nobody.
    package mutating func certified(_ subject: String, now: Instant) -> Credential? {
        guard let identity = policy.identity(certificate: subject) else { return nil }
        let facts = Facts(
            identity: identity, vocabulary: .local, opening: 0, askedAt: now,
            freshUntil: Instant(nanoseconds: .max), validUntil: nil)
        return judge(
            facts, account: plans.tenant(of: identity, now: now), certificate: subject)
    }

    // MARK: An issuer has answered

    /// Remembers the answer and says who gets it. `started` is when the issuer was asked: a revocation is
    /// believed from there.
    package mutating func settle(
        _ lookup: Lookup, _ outcome: LookupOutcome, started: Instant, now: Instant
    ) -> Settlement<Waiter> {
        let phase = note(outcome, of: lookup, now: now)
        let result: Result<Credential, CallFailure>
        switch outcome {
        case .active(let identity):
            if !lookup.known { budget.giveBack(lookup.address) }
            let credential = makeCredential(identity, lookup, started: started, now: now)
            if isKept(lookup) {
                active.insert(credential, for: lookup.key, bytes: credential.byteCount)
                inactive.remove(lookup.key)
            }
            result = .success(credential)
        case .inactive, .expired:
            let previous = active.remove(lookup.key)
            previous?.withdraw()
            var isOver = previous?.validUntil.map { $0 <= now } ?? false
            if case .expired = outcome { isOver = true }
            result = refuse(lookup, isOver ? .expired : .inactive, for: limits.negativeTime, now)
        case .failed(var failure), .notAsked(var failure):
            // The old answer stays to mark the token as known; only an issuer with `stale` lets it be used.
            failure.notStarted = true
            failure.retryAfter = failure.retryAfter ?? .seconds(1)
            let refused = refuse(
                lookup, .failed(KeptFailure(failure)), for: limits.failureTime, now)
            let previous = active.use(lookup.key)
            result =
                stale(previous, lookup.issuer, failure, need: nil, now: now).map { .success($0) }
                ?? refused
        }
        let waiters = flights.removeValue(forKey: lookup.key).map { Array($0.waiters.values) } ?? []
        waiterCount -= waiters.count
        if case .success(let credential) = result, credential.isStale {
            counts.staleAnswers += UInt64(waiters.count)
        }
        return Settlement(waiters: waiters, result: result, breaker: phase)
    }

    // MARK: Wider events

    /// Takes a new policy: everybody is judged anew by what the issuers have said already.
    package mutating func adopt(_ policy: AccessPolicy) {
        self.policy = policy
        generation += 1
    }

    /// Issuers were closed and opened: answers of those that are gone lapse, their tokens stay known.
    package mutating func adopt(issuers: [TrustedIssuer]) {
        let kept = Set(issuers.map(\.opening))
        breakers = breakers.filter { kept.contains($0.key) }
        generation += 1
    }

    /// Asks nobody any more. Returns everybody who waits.
    package mutating func stop() -> Settlement<Waiter> {
        stopped = true
        let waiters = flights.values.flatMap { $0.waiters.values }
        flights.removeAll()
        queuedKnown.removeAll()
        queuedUnknown.removeAll()
        waiterCount = 0
        return Settlement(waiters: waiters, result: .failure(Self.stopping), breaker: nil)
    }
}
