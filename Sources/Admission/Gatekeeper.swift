// The gate: who is calling, and may they? Between the doors (which bring tokens and calls) and the catalogue.
// It does no I/O: issuers are asked through `TokenVerifier`, within `run()`.

package import Contract
package import NIOCore
private import Synchronization
private import TLS

/// What the gate knows of a token at once.
package enum Recognition: Sendable {
    case known(Credential)
    case refused(CallFailure)
    /// The issuer is being asked; `done` will be called on the event loop.
    case asked(Inquiry)
}

/// Identifies callers and admits their calls. Usable from every thread; `identify` answers from memory without
/// a task, `admit` without a lock.
package final class Gatekeeper: Sendable {
    private struct State {
        var cache: IdentityCache<Inquiry>
        var choice: IssuerChoice
    }

    private let limits: AdmissionLimits
    private let keyedHash: KeyedHash
    private let clock: @Sendable () -> Instant
    private let pause: @Sendable (Nanoseconds) async throws -> Void
    private let observer: (any GateObserver)?
    private let unknownModel: @Sendable (String) -> CallFailure
    private let house: SlotCounter
    // Of the limits, what new settings may change.
    private let calls = Ceiling(0)
    private let tokenBytes = Ceiling(0)
    package let plans: PlanDesk
    private let generation = Atomic<UInt64>(1)
    private let inquiries = Atomic<UInt64>(0)
    private let state: Mutex<State>
    private let lookups: AsyncStream<Lookup>
    /// Holds at most `limits.lookups` elements: each was given a slot by the cache first.
    private let begin: AsyncStream<Lookup>.Continuation

    /// - Parameters:
    ///   - key: random bytes of this process, never written anywhere.
    ///   - plans: what callers may use; its tenants are the clients of this gate.
    ///   - unknownModel: the very failure the catalogue answers for a model it does not have; a forbidden
    ///     model answers the same.
    ///   - clock: read only around a look-up, never on the path of a call.
    package init(
        issuers: [TrustedIssuer], policy: AccessPolicy, limits: AdmissionLimits = AdmissionLimits(),
        key: [UInt8] = Cryptography.randomBytes(32), plans: PlanDesk? = nil,
        observer: (any GateObserver)? = nil,
        unknownModel: @escaping @Sendable (String) -> CallFailure,
        clock: @escaping @Sendable () -> Instant = { Instant.now() },
        // Between two tries of a look-up, on the look-up's own task; a cancel ends it.
        pause: @escaping @Sendable (Nanoseconds) async throws -> Void = {
            try await Task.sleep(for: .nanoseconds(Int64(clamping: $0.count)))
        }
    ) throws(GatewayError) {
        let choice = try IssuerChoice(issuers)
        self.observer = observer
        self.limits = limits
        keyedHash = KeyedHash(key: key)
        self.clock = clock
        self.pause = pause
        self.unknownModel = unknownModel
        house = SlotCounter(calls)
        calls.move(to: limits.calls)
        tokenBytes.move(to: limits.tokenBytes)
        let plans = plans ?? PlanDesk(limits: limits)
        self.plans = plans
        state = Mutex(
            State(
                cache: IdentityCache(limits: limits, policy: policy, plans: plans), choice: choice))
        (lookups, begin) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    // MARK: Who

    /// Says who shows this token. Call on `eventLoop`. Only for `.asked` is `done` called, later, once, on
    /// `eventLoop`: with the credential, or with a failure (DEADLINE_EXCEEDED at `deadline`).
    ///
    /// A credential from `done` may be used for what waited for it even when it is no longer fresh.
    ///
    /// Without a token the session's certificate says who it is, when `auth.certificates` knows it; a token counts more.
    /// - Parameter need: the call it is for: `auth.max_ttl_by_scope` may want a younger answer.
    package func identify(
        _ token: Secret?, peer: Peer, need: CallNeed? = nil, now: Instant, deadline: Instant,
        on eventLoop: any EventLoop, done: @escaping Inquiry.Done
    ) -> Recognition {
        guard let token, !token.isEmpty else {
            let certified = state.withLock {
                $0.cache.certified(peer.certificateSubject, now: now)
            }
            return certified.map { .known($0) } ?? .refused(Self.noToken)
        }
        let found: Shown?
        do throws(CallFailure) {
            found = try shown(token, peer: peer, need: need)
        } catch {
            return .refused(error)
        }
        guard let shown = found else { return .refused(Self.noIssuer) }
        if let known = state.withLock({ $0.cache.recall(shown, now: now) }) {
            return recognition(known, shown, peer)
        }
        let id = inquiries.add(1, ordering: .relaxed).newValue
        let inquiry = Inquiry(key: shown.key, id: id, eventLoop: eventLoop, done: done) {
            [self] credential in present(credential, to: peer, need: need)
        }
        let asked = state.withLock {
            $0.cache.ask(shown, waiter: inquiry, id: id, now: now)
        }
        guard case .waits(let start) = asked else { return recognition(asked, shown, peer) }
        inquiry.arm(deadline: deadline) { self.overdue(inquiry) }
        if let start { begin.yield(start) }
        return .asked(inquiry)
    }

    private func recognition(_ asked: Asked, _ shown: Shown, _ peer: Peer) -> Recognition {
        switch asked {
        case .waits: preconditionFailure("who waits has been taken in")
        case .refused(let failure): return .refused(failure)
        case .known(let credential, let refresh):
            if let refresh { begin.yield(refresh) }
            if credential.isStale { observer?.staleAnswer(from: shown.issuer.name) }
            switch present(credential, to: peer, need: shown.need) {
            case .success(let credential): return .known(credential)
            case .failure(let failure): return .refused(failure)
            }
        }
    }

    /// The credential as this session may use it.
    private func present(
        _ credential: Credential, to peer: Peer, need: CallNeed?
    ) -> Result<Credential, CallFailure> {
        guard credential.isBound(to: peer.certificateDigest) else {
            return .failure(Self.boundElsewhere)
        }
        if credential.isStale, let need, credential.ages.ageMax(need) != nil {
            return .failure(Self.tooOld(credential.identity.issuer))
        }
        guard credential.grants.looksAtCertificate, !peer.certificateSubject.isEmpty else {
            return .success(credential)
        }
        return .success(
            state.withLock {
                $0.cache.judged(credential, certificate: peer.certificateSubject)
            })
    }

    /// The caller that waited has gone. Its `done` is not called any more.
    package func cancel(_ inquiry: Inquiry) {
        inquiry.abandon()
        _ = state.withLock { $0.cache.leave(inquiry.key, id: inquiry.id) }
    }

    /// True while the credential may be used without ``identify(_:peer:need:now:deadline:on:done:)``. Once in a
    /// credential's life it says no early: who identifies then is answered at once and has the answer refreshed.
    package func isFresh(
        _ credential: Credential, need: CallNeed? = nil, now: Instant
    ) -> Bool {
        guard now < credential.freshUntil, !credential.isWithdrawn,
            credential.generation == generation.load(ordering: .relaxed),
            credential.isYoung(for: need, now: now)
        else { return false }
        return now < credential.refreshAt || !credential.claimRefresh()
    }

    // MARK: May they

    /// Lets one call in: its token still valid, its method and model granted, a slot free.
    ///
    /// Throws UNAUTHENTICATED (TOKEN_EXPIRED), PERMISSION_DENIED (SCOPE_MISSING) where no model is named,
    /// the catalogue's NOT_FOUND for a model that is not granted, or RESOURCE_EXHAUSTED (TOO_MANY_CALLS, and those of
    /// ``PlanDesk/enter(_:plan:model:bytes:wish:now:)``).
    /// - Parameters:
    ///   - counted: the model as the plan counts it: empty when the catalogue has none of this name.
    ///   - bytes: of the call's message.
    ///   - wish: what the caller asked for.
    package func admit(
        _ credential: Credential, method: Method, model: String, counted: String = "",
        bytes: Int = 0, wish: Priority = .interactive, now: Instant
    ) throws(CallFailure) -> Pass {
        let plan = try judge(credential, method: method, model: model, now: now)
        guard house.take() else {
            throw Self.tooManyCalls(calls.maximum, "in all", "calls")
        }
        guard credential.account.take() else {
            house.giveBack()
            throw Self.tooManyCalls(
                plans.callsPerClient.maximum, "of this client", "calls_per_client")
        }
        do throws(CallFailure) {
            let ticket = try plans.enter(
                credential.account, plan: plan, model: counted, bytes: bytes, wish: wish, now: now)
            return Pass(credential: credential, house: house, ticket: ticket)
        } catch {
            credential.account.giveBack()
            house.giveBack()
            throw error
        }
    }

    /// The part of ``admit(_:method:model:counted:bytes:wish:now:)`` that takes nothing: who asks, and for what. Returns the
    /// plan's name.
    @discardableResult
    package func judge(
        _ credential: Credential, method: Method, model: String, now: Instant
    ) throws(CallFailure) -> String {
        if let validUntil = credential.validUntil, now >= validUntil {
            throw CallFailure(
                .unauthenticated, .tokenExpired, "the token has expired", notStarted: true)
        }
        switch credential.grants.judge(method, model: model) {
        case .allowed(_, let plan): return plan
        case .hidden(let rule):
            var failure = unknownModel(model)
            failure.rule = rule
            throw failure
        case .missing(let scope):
            let what =
                scope.isEmpty
                ? "this gateway's policy has no rule for this caller"
                : "the token lacks the scope \(scope)"
            throw CallFailure(
                .permissionDenied, .scopeMissing, what, notStarted: true,
                rule: credential.grants.scene)
        }
    }

    /// Calls that hold a slot now.
    package var callsInProgress: Int { house.count }

    // MARK: Long life

    /// Performs the look-ups until it is cancelled; then everybody who waits gets UNAVAILABLE (STOPPING). Call
    /// once.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await lookup in lookups {
                group.addTask { await self.perform(lookup) }
            }
            let left = state.withLock { $0.cache.stop() }
            for inquiry in left.waiters { inquiry.settle(left.result) }
            group.cancelAll()
        }
    }
}

// MARK: Look-ups

extension Gatekeeper {
    /// Performs a look-up and those that waited for its slot.
    private func perform(_ first: Lookup) async {
        var next: Lookup? = first
        while let lookup = next {
            let now = clock()
            switch state.withLock({ $0.cache.begin(lookup, now: now) }) {
            case .go(let lookup): await look(up: lookup)
            case .refused(let settlement): tell(settlement, lookup.issuer)
            }
            next = state.withLock { $0.cache.finished(lookup) }
        }
    }

    /// Asks the issuer; at the deadline the waiters are told, and the slot is kept until the verifier returns.
    private func look(up lookup: Lookup) async {
        let started = clock()
        await withTaskGroup(of: Verified.self) { group in
            group.addTask { await self.verify(lookup) }
            group.addTask {
                do {
                    try await self.pause(self.limits.lookupTime)
                } catch {
                    // Cancelled: the look-up was decided, or the gateway stops.
                    return .stopped
                }
                return .overdue
            }
            settle(lookup, await group.next() ?? .stopped, started: started)
            group.cancelAll()
        }
    }

    private enum Verified: Sendable {
        case verdict(Verdict)
        case failure(CallFailure)
        case overdue
        case stopped
    }

    private func verify(_ lookup: Lookup) async -> Verified {
        do throws(CallFailure) {
            return .verdict(try await lookup.issuer.verifier.verify(lookup.token))
        } catch {
            return .failure(error)
        }
    }

    private func settle(_ lookup: Lookup, _ verified: Verified, started: Instant) {
        let late = CallFailure(
            .unavailable, .issuerUnavailable,
            "the issuer '\(lookup.issuer.name)' did not answer in \(limits.lookupTime)")
        let outcome: LookupOutcome =
            switch verified {
            case .verdict(.active(let identity)): .active(identity)
            case .verdict(.inactive): .inactive
            case .verdict(.expired): .expired
            case .failure(let failure): .failed(failure)
            case .overdue: .failed(late)
            case .stopped: .notAsked(late)
            }
        let now = clock()
        observer?.asked(lookup.issuer.name, took: now.since(started))
        let settlement = state.withLock {
            $0.cache.settle(lookup, outcome, started: started, now: now)
        }
        tell(settlement, lookup.issuer)
    }

    private func tell(_ settlement: Settlement<Inquiry>, _ issuer: TrustedIssuer) {
        if let phase = settlement.breaker { observer?.breaker(of: issuer.name, became: phase) }
        if case .success(let credential) = settlement.result, credential.isStale,
            !settlement.waiters.isEmpty
        {
            observer?.staleAnswer(from: issuer.name)
        }
        for inquiry in settlement.waiters { inquiry.settle(settlement.result) }
    }

    private func overdue(_ inquiry: Inquiry) {
        guard state.withLock({ $0.cache.leave(inquiry.key, id: inquiry.id) }) != nil else { return }
        inquiry.settle(
            .failure(
                CallFailure(
                    .deadlineExceeded, .deadlinePast, "the token was not checked in time",
                    notStarted: true)))
    }

    /// The token under the key of its issuer; nil when no issuer is meant.
    private func shown(
        _ token: Secret, peer: Peer, need: CallNeed?
    ) throws(CallFailure) -> Shown? {
        let choice = state.withLock { $0.choice }
        // A closure cannot throw a typed error through `reveal`, so the verdict comes out as a value.
        let found: (isToken: Bool, shown: Shown?) = token.reveal { bytes in
            guard TokenSyntax.isToken(bytes, lengthMax: tokenBytes.maximum) else {
                return (false, nil)
            }
            guard let index = choice.index(token: bytes, serverName: peer.serverName) else {
                return (true, nil)
            }
            let issuer = choice.issuers[index]
            return (
                true,
                Shown(
                    key: cacheKey(bytes, issuer: issuer.name), token: token, issuer: issuer,
                    address: peer.address, need: need)
            )
        }
        guard found.isToken else {
            throw CallFailure(
                .unauthenticated, .tokenMalformed,
                "this is no bearer token: \(token.count) bytes where 1 to \(tokenBytes.maximum) "
                    + "characters of RFC 6750 are allowed (limit token_bytes)",
                notStarted: true)
        }
        return found.shown
    }

    /// The same token of two issuers is two things.
    private func cacheKey(_ token: [UInt8], issuer: String) -> CacheKey {
        CacheKey(keyedHash.code(label: issuer, message: token))
    }
}

// MARK: Changes while it runs

extension Gatekeeper {
    /// New settings: calls in progress in all and of one client, and the longest token. From now on; what is under way stays.
    package func apply(calls: Int, callsPerClient: Int, tokenBytes: Int) {
        self.calls.move(to: calls)
        plans.callsPerClient.move(to: callsPerClient)
        self.tokenBytes.move(to: tokenBytes)
    }

    /// Takes a new policy. Everybody is judged anew by what the issuers have said; none is asked again.
    package func reload(policy: AccessPolicy) {
        state.withLock {
            $0.cache.adopt(policy)
            generation.store($0.cache.generation, ordering: .relaxed)
        }
    }

    /// Takes other issuers. One that is given as it was keeps its answers; the tokens of others are asked about again.
    /// Throws CONFIGURATION, and changes nothing, when two could be meant by the same token.
    package func reload(issuers: [TrustedIssuer]) throws(GatewayError) {
        let choice = try IssuerChoice(issuers)
        state.withLock {
            $0.choice = choice
            $0.cache.adopt(issuers: issuers)
            generation.store($0.cache.generation, ordering: .relaxed)
        }
    }

    /// Forgets what issuers have said: the next use of each token asks again. Returns how many answers were forgotten.
    /// Takes the lock for one part of the cache at a time.
    @discardableResult
    package func purge(_ selector: PurgeSelector) -> Int {
        var count = 0
        switch selector {
        case .token(let token):
            let names = state.withLock { $0.choice.issuers.map(\.name) }
            let keys = token.reveal { bytes in names.map { cacheKey(bytes, issuer: $0) } }
            for key in keys where state.withLock({ $0.cache.purge(key) }) { count += 1 }
        case .subject(let subject): count = purge { $0.subject == subject }
        case .client(let client): count = purge { $0.client == client }
        case .everything: count = purge { _ in true }
        }
        state.withLock {
            $0.cache.endPurge()
            generation.store($0.cache.generation, ordering: .relaxed)
        }
        return count
    }

    private func purge(_ matches: @Sendable (Identity) -> Bool) -> Int {
        state.withLock { $0.cache.beginPurge() }
        var count = 0
        for part in 0..<state.withLock({ $0.cache.partCount }) {
            // Let go of after the lock.
            let removed = state.withLock { $0.cache.purge(part: part, where: matches) }
            count += removed.count
        }
        return count
    }

    /// Forgets every answer, for example after a revocation that must work at once.
    package func forgetEverything() { purge(.everything) }

    /// Whether a call would be let in, and which rule and scope say so. Admits nothing.
    package func explain(
        _ credential: Credential, method: Method, model: String
    ) -> AccessExplanation {
        let policy = state.withLock { $0.cache.policy }
        return policy.explain(
            credential.identity, vocabulary: credential.facts.vocabulary,
            grants: credential.grants, method: method, model: model)
    }

    package var statistics: GateStatistics {
        state.withLock { state in
            var statistics = GateStatistics()
            statistics.counts = state.cache.counts
            statistics.activeEntries = state.cache.activeCount
            statistics.activeBytes = state.cache.activeBytes
            statistics.inactiveEntries = state.cache.inactiveCount
            statistics.inactiveBytes = state.cache.inactiveBytes
            statistics.lookupsInProgress = state.cache.runningLookups
            statistics.lookupsQueued = state.cache.queuedLookups
            statistics.waiters = state.cache.waiterCount
            for issuer in state.choice.issuers {
                statistics.breakers[issuer.name] =
                    state.cache.breakers[issuer.opening]?.phase ?? .closed
            }
            return statistics
        }
    }
}
