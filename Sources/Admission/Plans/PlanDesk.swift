// Where a call that policy allows meets its plan: rate, concurrency, bytes and quotas. Between the gate's judgement and the
// catalogue. No I/O, no clock: the house tells it the time on the wall twice a second and takes the counts to the ledger.

package import Contract
private import Synchronization

/// Counts a call in and, when its work has stopped, what it used. Destroyed on any thread; part of a ``Pass``.
package struct PlanTicket: ~Copyable, Sendable {
    /// Whose call it is on the shards.
    package let share: Share
    /// What is left of the tightest limit after this call; nil without one that can be told.
    package let allowance: Allowance?
    /// The plan's name; empty for callers without one.
    package var plan: String { account.planName }
    /// Filled in before it ends.
    package var use = PlanUse()
    private let desk: PlanDesk
    private let account: PlanAccount
    private let slot: Int
    private let bytes: Int

    fileprivate init(
        desk: PlanDesk, account: PlanAccount, tenant: UInt32, _ entry: PlanAccount.Entry, bytes: Int
    ) {
        self.desk = desk
        self.account = account
        self.bytes = bytes
        slot = entry.slot
        allowance = entry.allowance
        share = Share(
            tenant: tenant, weight: entry.share.weight, priority: entry.share.priority)
    }

    deinit { desk.settle(account, slot, bytes: bytes, use) }
}

/// All plans, tenants and their counts. Usable from every thread.
package final class PlanDesk: Sendable {
    private struct Restored {
        var sums: [String: [UsageSum]] = [:]
        var at: Int64 = 0
    }

    private let tenants: TenantBook
    /// Calls in progress of each client.
    var callsPerClient: Ceiling { tenants.callsPerClient }
    private let plans: Mutex<Plans>
    private let generation = Atomic<UInt64>(1)
    private let haveQuotas: Atomic<Bool>
    /// Seconds since 1970, as told last.
    private let wall: Atomic<Int64>
    private let restored = Mutex(Restored())
    /// Accounts the ledger has not heard of.
    private let news = Mutex<[PlanAccount]>([])
    private let slotCount: SlotCounter

    /// - Parameter wall: seconds since 1970.
    package init(
        _ plans: Plans = Plans(), limits: AdmissionLimits = AdmissionLimits(), wall: Int64 = 0
    ) {
        self.plans = Mutex(plans)
        self.wall = Atomic(wall)
        haveQuotas = Atomic(plans.haveQuotas)
        tenants = TenantBook(limits: limits)
        slotCount = SlotCounter(maximum: limits.clientModels)
    }

    // MARK: - Who

    package var tenantCount: Int { tenants.count }

    /// The tenant that all tokens of one client share: the client's id, or the subject where the issuer names none.
    package func tenant(of identity: Identity, now: Instant) -> Tenant {
        tenants.tenant(
            issuer: identity.issuer,
            client: identity.client.isEmpty ? identity.subject : identity.client,
            time: time(now), quotas: haveQuotas.load(ordering: .relaxed))
    }

    // MARK: - Calls

    /// Takes a call in under its plan. The ticket counts it for as long as it lives.
    ///
    /// Throws RESOURCE_EXHAUSTED with RATE_LIMIT, CONCURRENCY_LIMIT, BYTES_LIMIT, QUOTA_DAY or QUOTA_MONTH; then nothing is
    /// charged.
    /// - Parameters:
    ///   - plan: what the policy says; empty: the default one.
    ///   - model: one of the catalogue, or empty when the call is about none.
    ///   - bytes: of the call's message.
    ///   - wish: what the caller asked for; it gets at most what its plan gives.
    package func enter(
        _ tenant: Tenant, plan: String, model: String, bytes: Int, wish: Priority, now: Instant
    ) throws(CallFailure) -> PlanTicket {
        let time = time(now)
        let generation = generation.load(ordering: .acquiring)
        let account = tenant.account(
            plan, generation: generation, find: { plans.withLock { $0.plan(plan) } },
            open: { open($0, tenant, generation, time) })
        let entry = try account.enter(model: model, bytes: bytes, wish: wish, time)
        if entry.isNews { news.withLock { $0.append(account) } }
        return PlanTicket(
            desk: self, account: account, tenant: tenant.number, entry, bytes: bytes)
    }

    private func open(
        _ plan: Plan, _ tenant: Tenant, _ generation: UInt64, _ time: PlanTime
    ) -> PlanAccount {
        let (sums, at) = restored.withLock { restored -> ([UsageSum], Int64) in
            let key = PlanDesk.key(tenant.issuer, tenant.client, plan.name)
            return (restored.sums.removeValue(forKey: key) ?? [], restored.at)
        }
        return PlanAccount(
            issuer: tenant.issuer, client: tenant.client, plan: plan, generation: generation,
            restored: sums, restoredAt: at, time: time, room: slotCount)
    }

    fileprivate func settle(
        _ account: PlanAccount, _ slot: Int, bytes: Int, _ use: borrowing PlanUse
    ) {
        let time = PlanTime(
            now: Instant(nanoseconds: 0), wall: wall.load(ordering: .relaxed))
        if account.settle(slot, bytes: bytes, copy use, time) {
            news.withLock { $0.append(account) }
        }
    }

    private func time(_ now: Instant) -> PlanTime {
        PlanTime(now: now, wall: wall.load(ordering: .relaxed))
    }

    // MARK: - The house

    /// Other limits from now on: counts and buckets stay, calls in progress keep what they have.
    package func reload(_ plans: Plans) {
        self.plans.withLock { $0 = plans }
        haveQuotas.store(plans.haveQuotas, ordering: .relaxed)
        generation.add(1, ordering: .releasing)
    }

    /// What a policy may name.
    package var names: [String] { plans.withLock { $0.names } }

    /// The time on the wall, in seconds since 1970; twice a second.
    package func tick(wall seconds: Int64) { wall.store(seconds, ordering: .relaxed) }

    /// What the ledger remembers of the day and month; before the first call.
    package func restore(_ sums: [UsageSum], at seconds: Int64) {
        restored.withLock { restored in
            restored.at = seconds
            for sum in sums {
                restored.sums[PlanDesk.key(sum.issuer, sum.client, sum.plan), default: []]
                    .append(sum)
            }
        }
    }

    private static func key(_ issuer: String, _ client: String, _ plan: String) -> String {
        "\(issuer)\u{0}\(client)\u{0}\(plan)"
    }

    /// How clients stand with their plans: those `most` that are busiest. Looks at every client, for milliseconds when there are
    /// many: not for event loops.
    package func standings(most: Int, now: Instant) -> ClientStandings {
        let time = time(now)
        let accounts = tenants.all.flatMap(\.planAccounts)
        let busiest = accounts.map { (weight: $0.weight(time), account: $0) }
            .sorted { left, right in
                left.weight != right.weight
                    ? left.weight > right.weight : left.account.client < right.account.client
            }
        return ClientStandings(
            clients: busiest.prefix(max(0, most)).map { $0.account.standing(time) },
            total: accounts.count)
    }

    /// What was counted since this was called last: each count exactly once.
    package func collect() -> [UsageRow] {
        let accounts = news.withLock { news in
            defer { news.removeAll(keepingCapacity: true) }
            return news
        }
        return accounts.flatMap { $0.collect() }
    }
}
