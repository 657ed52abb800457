// The identity cache's look-ups: slots, queues, refreshes, breakers; purges; and how credentials are made.

package import Contract

extension IdentityCache {
    /// What a look-up that has its slot shall do.
    package enum Beginning {
        case go(Lookup)
        /// The issuer's breaker has opened meanwhile.
        case refused(Settlement<Waiter>)
    }

    /// A look-up is about to ask its issuer.
    package mutating func begin(_ lookup: Lookup, now: Instant) -> Beginning {
        var lookup = lookup
        if lookup.issuer.asksPerToken {
            switch breakers[lookup.issuer.opening, default: Breaker()].permit(at: now) {
            case .granted: break
            case .probe: lookup.isProbe = true
            case .refused(let wait):
                counts.refusedByBreaker += 1
                let failure = resting(lookup.issuer, wait)
                return .refused(settle(lookup, .notAsked(failure), started: now, now: now))
            }
        }
        counts.lookups += 1
        return .go(lookup)
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

    /// A look-up in the background when the answer is old enough and nothing speaks against it.
    mutating func refresh(_ credential: Credential, _ shown: Shown, now: Instant) -> Lookup? {
        guard now >= credential.refreshAt, !stopped, flights[shown.key] == nil,
            breakers[shown.issuer.opening]?.refusal(at: now) == nil,
            hasRoom(known: true) || queueLength(known: true) < limits.queuedLookups
        else { return nil }
        if let negative = inactive.use(shown.key), now < negative.until { return nil }
        counts.refreshes += 1
        return fly(shown, "", known: true, waiters: [:])
    }

    /// Starts a flight, or queues it and returns nil.
    mutating func fly(
        _ shown: Shown, _ block: String, known: Bool, waiters: [UInt64: Waiter]
    ) -> Lookup? {
        let lookup = Lookup(
            key: shown.key, token: shown.token, issuer: shown.issuer, known: known, address: block)
        let starts = hasRoom(known: known)
        flights[shown.key] = Flight(
            lookup: lookup, waiters: waiters, started: starts, isRefresh: waiters.isEmpty)
        if starts {
            countRunning(known, by: 1)
            return lookup
        }
        if known { queuedKnown.append(shown.key) } else { queuedUnknown.append(shown.key) }
        return nil
    }

    func hasRoom(known: Bool) -> Bool {
        guard runningLookups < limits.lookups else { return false }
        return known || runningUnknown < max(1, limits.lookups - limits.lookupsForKnown)
    }

    func queueLength(known: Bool) -> Int {
        known ? queuedKnown.count : queuedUnknown.count
    }

    private mutating func countRunning(_ known: Bool, by difference: Int) {
        if known { runningKnown += difference } else { runningUnknown += difference }
    }

    /// The queued flight as a started one; nil when everybody who waited for it has left.
    private mutating func take(_ key: CacheKey) -> Lookup? {
        guard var flight = flights[key], !flight.started else { return nil }
        guard flight.isRefresh || !flight.waiters.isEmpty else {
            flights.removeValue(forKey: key)
            return nil
        }
        flight.started = true
        flights[key] = flight
        countRunning(flight.lookup.known, by: 1)
        return flight.lookup
    }

    /// Tells the breaker what came of a look-up. Returns its phase when that is another now.
    mutating func note(
        _ outcome: LookupOutcome, of lookup: Lookup, now: Instant
    ) -> Breaker.Phase? {
        let opening = lookup.issuer.opening
        var breaker = breakers[opening] ?? Breaker()
        let before = breaker.phase
        switch outcome {
        case .active: counts.active += 1
        case .inactive, .expired: counts.inactive += 1
        case .failed: counts.failed += 1
        case .notAsked:
            if lookup.isProbe { breaker.abandonProbe(at: now) }
            breakers[opening] = breaker
            return nil
        }
        guard lookup.issuer.asksPerToken else { return nil }
        var failure: CallFailure?
        if case .failed(let why) = outcome { failure = why }
        breaker.note(failure, isProbe: lookup.isProbe, at: now)
        breakers[opening] = breaker
        return breaker.phase == before ? nil : breaker.phase
    }

    // MARK: Purges

    /// Before the parts are purged: what is being asked will not be remembered.
    package mutating func beginPurge() {
        for key in flights.keys { flights[key]?.isForgotten = true }
    }

    /// Whether what is answered to this look-up may be remembered.
    func isKept(_ lookup: Lookup) -> Bool { flights[lookup.key]?.isForgotten == false }

    /// Forgets what matches in one part. What it returns is let go of by the caller, outside of a lock.
    package mutating func purge(
        part: Int, where matches: (Identity) -> Bool
    ) -> [Credential] {
        let removed = active.removeAll(in: part) { matches($0.identity) }
        for credential in removed { credential.withdraw() }
        counts.purged += UInt64(removed.count)
        return removed
    }

    /// Forgets one token, and what is being asked of it.
    package mutating func purge(_ key: CacheKey) -> Bool {
        flights[key]?.isForgotten = true
        inactive.remove(key)
        guard let removed = active.remove(key) else { return false }
        removed.withdraw()
        counts.purged += 1
        return true
    }

    /// After it: credentials that connections hold are looked up again.
    package mutating func endPurge() { generation += 1 }

    package var partCount: Int { active.partCount }

    // MARK: Credentials

    /// The credential as the policy of now judges it.
    mutating func current(_ credential: Credential, _ key: CacheKey) -> Credential {
        guard credential.generation != generation else { return credential }
        counts.judgedAnew += 1
        let anew = judge(credential.facts, account: credential.account)
        active.insert(anew, for: key, bytes: anew.byteCount)
        return anew
    }

    /// The same credential on a session with this certificate, for rules that look at it.
    package func judged(_ credential: Credential, certificate: String) -> Credential {
        judge(
            credential.facts, account: credential.account, certificate: certificate,
            staleUntil: credential.isStale ? credential.freshUntil : nil)
    }

    func judge(
        _ facts: Facts, account: Tenant, certificate: String = "", generation: UInt64? = nil,
        staleUntil: Instant? = nil
    ) -> Credential {
        Credential(
            facts: facts,
            grants: policy.grants(
                for: facts.identity, vocabulary: facts.vocabulary, certificate: certificate),
            ages: policy.ages, generation: generation ?? self.generation, account: account,
            staleUntil: staleUntil)
    }

    mutating func makeCredential(
        _ identity: Identity, _ lookup: Lookup, started: Instant, now: Instant
    ) -> Credential {
        let issuer = lookup.issuer
        let validUntil = identity.validFor.map { now + $0 }
        let believed =
            identity.validFor == nil
            ? min(issuer.maxTTL, limits.unknownExpiryTime) : issuer.maxTTL
        var identity = identity
        identity.issuer = issuer.name
        let facts = Facts(
            identity: identity, vocabulary: issuer.vocabulary, opening: issuer.opening,
            askedAt: started,
            freshUntil: min(started + believed, validUntil ?? Instant(nanoseconds: .max)),
            validUntil: validUntil)
        return judge(
            facts, account: plans.tenant(of: identity, now: now),
            generation: isKept(lookup) ? nil : 0)
    }

    /// What the issuer said before, when it cannot be reached and its settings allow that: for a token that is valid still,
    /// for at most `stale` after its time, and for no call that asks for a younger answer.
    func stale(
        _ previous: Credential?, _ issuer: TrustedIssuer, _ failure: CallFailure, need: CallNeed?,
        now: Instant
    ) -> Credential? {
        guard let previous, issuer.stale > .zero, failure.reason == .issuerUnavailable,
            previous.facts.opening == issuer.opening, let validUntil = previous.validUntil,
            now < validUntil, now < previous.facts.freshUntil + issuer.stale
        else { return nil }
        if let need, policy.ages.ageMax(need) != nil { return nil }
        let end = min(validUntil, previous.facts.freshUntil + issuer.stale)
        return judge(
            previous.facts, account: previous.account,
            staleUntil: min(now + limits.failureTime, end))
    }

    mutating func refuse(
        _ lookup: Lookup, _ refusal: Refusal, for time: Nanoseconds, _ now: Instant
    ) -> Result<Credential, CallFailure> {
        if isKept(lookup) {
            var bytes = 0
            if case .failed(let kept) = refusal {
                bytes = 256 + kept.failure.message.utf8.count
            }
            inactive.insert(
                Negative(refusal: refusal, until: now + time), for: lookup.key, bytes: bytes)
        }
        return .failure(Self.failure(of: refusal))
    }

    // MARK: Failures

    static func failure(of refusal: Refusal) -> CallFailure {
        switch refusal {
        case .inactive:
            CallFailure(
                .unauthenticated, .tokenInactive, "the token is not active", notStarted: true)
        case .expired:
            CallFailure(.unauthenticated, .tokenExpired, "the token has expired", notStarted: true)
        case .failed(let kept): kept.failure
        }
    }

    static var stopping: CallFailure {
        CallFailure(.unavailable, .stopping, "the gateway is stopping", notStarted: true)
    }

    /// The breaker's answer: for the reason for which it opened.
    func resting(_ issuer: TrustedIssuer, _ wait: Nanoseconds) -> CallFailure {
        let reason = breakers[issuer.opening]?.lastFailure?.reason ?? .issuerUnavailable
        let what =
            reason == .issuerRefused ? "does not accept this gateway" : "did not answer lately"
        return CallFailure(
            .unavailable, reason, "the issuer '\(issuer.name)' \(what) and is not asked for now",
            notStarted: true, retryAfter: wait)
    }

    static func crowded(_ what: String, _ limit: Int, _ setting: String) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "the token cannot be checked now: already \(limit) \(what) (limit \(setting))",
            notStarted: true, retryAfter: .seconds(1))
    }

    mutating func failure(of refusal: LookupBudget.Refusal) -> CallFailure {
        let (wait, whose, setting) =
            switch refusal {
            case .address(let wait): (wait, "from this address", "auth.lookups.per_address")
            case .all(let wait): (wait, "in all", "auth.lookups.in_all")
            }
        if case .address = refusal {
            counts.refusedByAddress += 1
        } else {
            counts.refusedInAll += 1
        }
        return CallFailure(
            .resourceExhausted, .tooManyTokens,
            "too many unknown tokens \(whose) (limit \(setting))", notStarted: true,
            retryAfter: wait, rule: setting)
    }
}
