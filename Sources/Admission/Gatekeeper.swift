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
        var policy: ScopePolicy
    }

    private let choice: IssuerChoice
    private let limits: AdmissionLimits
    private let key: [UInt8]
    private let clock: @Sendable () -> Instant
    private let pause: @Sendable (Nanoseconds) async throws -> Void
    private let unknownModel: @Sendable (String) -> CallFailure
    private let house: SlotCounter
    package let plans: PlanDesk
    private let generation = Atomic<UInt64>(0)
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
        issuers: [TrustedIssuer], policy: ScopePolicy, limits: AdmissionLimits = AdmissionLimits(),
        key: [UInt8] = Cryptography.randomBytes(32), plans: PlanDesk? = nil,
        unknownModel: @escaping @Sendable (String) -> CallFailure,
        clock: @escaping @Sendable () -> Instant = { Instant.now() },
        pause: @escaping @Sendable (Nanoseconds) async throws -> Void = {
            try await Task.sleep(for: .nanoseconds(Int64(clamping: $0.count)))
        }
    ) throws(GatewayError) {
        choice = try IssuerChoice(issuers)
        self.limits = limits
        self.key = key
        self.clock = clock
        self.pause = pause
        self.unknownModel = unknownModel
        house = SlotCounter(maximum: limits.calls)
        let plans = plans ?? PlanDesk(limits: limits)
        self.plans = plans
        state = Mutex(State(cache: IdentityCache(limits: limits, plans: plans), policy: policy))
        (lookups, begin) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    // MARK: Who

    /// Says who shows this token. Call on `eventLoop`. Only for `.asked` is `done` called, later, once, on
    /// `eventLoop`: with the credential, or with a failure (DEADLINE_EXCEEDED at `deadline`).
    ///
    /// A credential from `done` may be used for what waited for it even when it is no longer fresh.
    package func identify(
        _ token: Secret?, peer: Peer, now: Instant, deadline: Instant,
        on eventLoop: any EventLoop, done: @escaping Inquiry.Done
    ) -> Recognition {
        guard let token, !token.isEmpty else {
            return .refused(
                CallFailure(
                    .unauthenticated, .tokenMissing, "this gateway asks for a bearer token",
                    notStarted: true))
        }
        let keyed: (CacheKey, Int)?
        do throws(CallFailure) {
            keyed = try cacheKey(of: token, peer: peer)
        } catch {
            return .refused(error)
        }
        guard let (key, issuer) = keyed else { return .refused(Self.noIssuer) }
        let id = inquiries.add(1, ordering: .relaxed).newValue
        let inquiry = Inquiry(key: key, id: id, peer: peer, eventLoop: eventLoop, done: done)
        let asked = state.withLock {
            $0.cache.ask(key, token: token, issuer: issuer, waiter: inquiry, id: id, now: now)
        }
        switch asked {
        case .known(let credential):
            return credential.isBound(to: peer.certificateDigest)
                ? .known(credential) : .refused(Self.boundElsewhere)
        case .refused(let failure): return .refused(failure)
        case .waits(let start):
            inquiry.arm(deadline: deadline) { self.overdue(inquiry) }
            if let start { begin.yield(start) }
            return .asked(inquiry)
        }
    }

    /// The caller that waited has gone. Its `done` is not called any more.
    package func cancel(_ inquiry: Inquiry) {
        inquiry.abandon()
        _ = state.withLock { $0.cache.leave(inquiry.key, id: inquiry.id) }
    }

    /// True while the credential may be used without asking the issuer again.
    package func isFresh(_ credential: Credential, now: Instant) -> Bool {
        now < credential.freshUntil && credential.generation == generation.load(ordering: .relaxed)
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
        if let validUntil = credential.validUntil, now >= validUntil {
            throw CallFailure(
                .unauthenticated, .tokenExpired, "the token has expired", notStarted: true)
        }
        switch credential.grants.judge(method, model: model) {
        case .allowed: break
        case .hidden: throw unknownModel(model)
        case .missing(let scope):
            throw CallFailure(
                .permissionDenied, .scopeMissing, "the token lacks the scope \(scope)",
                notStarted: true)
        }
        guard house.take() else {
            throw Self.tooManyCalls(limits.calls, "in all", "calls")
        }
        guard credential.account.take() else {
            house.giveBack()
            throw Self.tooManyCalls(limits.callsPerClient, "of this client", "calls_per_client")
        }
        do throws(CallFailure) {
            // The policy's plan goes here.
            let ticket = try plans.enter(
                credential.account, plan: "", model: counted, bytes: bytes, wish: wish, now: now)
            return Pass(credential: credential, house: house, ticket: ticket)
        } catch {
            credential.account.giveBack()
            house.giveBack()
            throw error
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

    /// Takes a new policy and forgets every answer: credentials made before are no longer fresh.
    package func reload(policy: ScopePolicy) {
        state.withLock {
            $0.policy = policy
            $0.cache.forgetEverything()
            generation.store($0.cache.generation, ordering: .relaxed)
        }
    }

    /// Forgets every answer, for example after a revocation that must work at once.
    package func forgetEverything() {
        state.withLock {
            $0.cache.forgetEverything()
            generation.store($0.cache.generation, ordering: .relaxed)
        }
    }
}

// MARK: Look-ups

extension Gatekeeper {
    /// Performs a look-up and those that waited for its slot.
    private func perform(_ first: Lookup) async {
        var next: Lookup? = first
        while let lookup = next {
            await look(up: lookup)
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
            return .verdict(try await choice.issuers[lookup.issuer].verifier.verify(lookup.token))
        } catch {
            return .failure(error)
        }
    }

    private func settle(_ lookup: Lookup, _ verified: Verified, started: Instant) {
        let issuer = choice.issuers[lookup.issuer]
        let now = clock()
        let settlement = state.withLock { state in
            let outcome: LookupOutcome
            switch verified {
            case .verdict(.active(var identity)):
                identity.issuer = issuer.name
                let grants = state.policy.grants(
                    for: identity.scopes, vocabulary: issuer.vocabulary)
                outcome = .active(identity, grants, maxTTL: issuer.maxTTL)
            case .verdict(.inactive): outcome = .inactive
            case .verdict(.expired): outcome = .expired
            case .failure(let failure): outcome = .failed(failure)
            case .overdue, .stopped:
                outcome = .failed(
                    CallFailure(
                        .unavailable, .issuerUnavailable,
                        "the issuer '\(issuer.name)' did not answer in \(limits.lookupTime)"))
            }
            return state.cache.settle(lookup, outcome, started: started, now: now)
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

    /// The key over issuer, settings generation and token, and the issuer to ask; nil when no issuer is meant.
    private func cacheKey(of token: Secret, peer: Peer) throws(CallFailure) -> (CacheKey, Int)? {
        // A closure cannot throw a typed error through `reveal`, so the verdict comes out as a value.
        let found: (isToken: Bool, key: (CacheKey, Int)?) = token.reveal { bytes in
            guard TokenSyntax.isToken(bytes, lengthMax: limits.tokenBytes) else {
                return (false, nil)
            }
            guard let issuer = choice.index(token: bytes, serverName: peer.serverName) else {
                return (true, nil)
            }
            var message = Array(choice.issuers[issuer].name.utf8)
            message.append(0)
            let generation = generation.load(ordering: .relaxed)
            for shift in stride(from: 56, through: 0, by: -8) {
                message.append(UInt8(truncatingIfNeeded: generation >> UInt64(shift)))
            }
            message.append(contentsOf: bytes)
            return (
                true,
                (CacheKey(digest: Cryptography.hmacSHA256(key: key, message: message)), issuer)
            )
        }
        guard found.isToken else {
            throw CallFailure(
                .unauthenticated, .tokenMalformed,
                "this is no bearer token: \(token.count) bytes where 1 to \(limits.tokenBytes) "
                    + "characters of RFC 6750 are allowed (limit token_bytes)",
                notStarted: true)
        }
        return found.key
    }
}

// MARK: Failures

extension Gatekeeper {
    static var boundElsewhere: CallFailure {
        CallFailure(
            .unauthenticated, .tokenInactive,
            "the token is bound to a client certificate which this session does not have",
            notStarted: true)
    }

    private static var noIssuer: CallFailure {
        CallFailure(.unauthenticated, .tokenInactive, "the token is not active", notStarted: true)
    }

    private static func tooManyCalls(_ limit: Int, _ whose: String, _ setting: String)
        -> CallFailure
    {
        CallFailure(
            .resourceExhausted, .tooManyCalls,
            "already \(limit) calls \(whose) in progress (limit \(setting))", notStarted: true,
            retryAfter: .milliseconds(100))
    }
}
