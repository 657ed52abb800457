// One client of one issuer, whatever tokens and connections it uses: its slots, its number for the shards, and its accounts.

import Contract
private import Synchronization

/// Shared by all credentials of a client. Usable from every thread.
package final class Tenant: Sendable {
    private struct Accounts {
        var byPlan: [String: PlanAccount] = [:]
        // What the last call asked for and got.
        var asked = ""
        var latest: PlanAccount?
        var generation: UInt64 = 0
    }

    package let issuer: String
    package let client: String
    /// Small; the same for all calls of this tenant, given to another only when this one is gone. 0 is the house's.
    package let number: UInt32
    private let slots: SlotCounter
    private let accounts = Mutex(Accounts())

    /// - Parameter calls: in progress, whatever the plans say (limits.calls_per_client).
    init(issuer: String, client: String, number: UInt32, calls: Ceiling) {
        self.issuer = issuer
        self.client = client
        self.number = number
        slots = SlotCounter(calls)
    }

    /// Calls in progress.
    package var count: Int { slots.count }
    package func take() -> Bool { slots.take() }
    package func giveBack() { slots.giveBack() }

    /// The account under the plan that `asked` means now. `find` is called only when that is not known.
    func account(
        _ asked: String, generation: UInt64, find: () -> Plan, open: (Plan) -> PlanAccount
    ) -> PlanAccount {
        accounts.withLock { accounts in
            let isCurrent = accounts.generation == generation
            if isCurrent, let latest = accounts.latest, accounts.asked == asked { return latest }
            if !isCurrent {
                // Accounts of plans that are gone: their calls in progress keep them.
                accounts.byPlan = accounts.byPlan.filter { !$0.value.isForgettable }
            }
            let plan = find()
            let account = accounts.byPlan[plan.name] ?? open(plan)
            account.follow(plan, generation)
            accounts.byPlan[plan.name] = account
            accounts.asked = asked
            accounts.latest = account
            accounts.generation = generation
            return account
        }
    }

    /// Of the plans it calls under, or did.
    var planAccounts: [PlanAccount] { accounts.withLock { Array($0.byPlan.values) } }

    /// True when forgetting it gives nobody more than it may have.
    func isIdle(_ time: PlanTime, quotas: Bool) -> Bool {
        accounts.withLock { accounts in
            accounts.byPlan.values.allSatisfy { $0.isIdle(time, quotas: quotas) }
        }
    }
}

/// All tenants by issuer and client, at most `max` of them; further ones share a last one. Usable from every thread.
package final class TenantBook: Sendable {
    private struct Key: Hashable {
        var issuer: String
        var client: String
    }

    private struct State {
        var tenants: [Key: Tenant] = [:]
        /// The keys in some order, and where the next sweep goes on.
        var order: [Key] = []
        var place = 0
        var next: UInt32 = 1
        var free: [UInt32] = []
        var other: Tenant?
        /// A sweep before would find nothing new.
        var sweptAt: Instant?
    }

    private let tenantsMax: Int
    let callsPerClient: Ceiling
    private let state = Mutex(State())

    init(limits: AdmissionLimits) {
        tenantsMax = max(1, limits.clients)
        callsPerClient = Ceiling(limits.callsPerClient)
        // Growing a table this large takes milliseconds, and calls would wait for it.
        state.withLock {
            $0.tenants.reserveCapacity(min(tenantsMax, 16_384))
            $0.order.reserveCapacity(min(tenantsMax, 16_384))
        }
    }

    package var count: Int { state.withLock { $0.tenants.count } }

    /// Every tenant there is now: some hundred microseconds for the most there can be.
    var all: [Tenant] {
        state.withLock { state in
            Array(state.tenants.values) + (state.other.map { [$0] } ?? [])
        }
    }

    /// The tenant of this client. When there are too many, those go that nobody holds and that have nothing to remember.
    func tenant(issuer: String, client: String, time: PlanTime, quotas: Bool) -> Tenant {
        state.withLock { state in
            let key = Key(issuer: issuer, client: client)
            if let known = state.tenants[key] { return known }
            if state.tenants.count >= tenantsMax { sweep(&state, time, quotas) }
            guard state.tenants.count < tenantsMax else {
                let other =
                    state.other
                    ?? Tenant(
                        issuer: UsageKey.other, client: UsageKey.other, number: number(&state),
                        calls: callsPerClient)
                state.other = other
                return other
            }
            let new = Tenant(
                issuer: issuer, client: client, number: number(&state), calls: callsPerClient)
            state.tenants[key] = new
            state.order.append(key)
            return new
        }
    }

    private func number(_ state: inout State) -> UInt32 {
        if let free = state.free.popLast() { return free }
        defer { state.next += 1 }
        return state.next
    }

    /// The most that one sweep looks at, as it holds the lock: some hundred microseconds.
    private static let sweptMax = 512

    /// Looks at the next few clients, at most a hundred times a second unless it finds plenty.
    private func sweep(_ state: inout State, _ time: PlanTime, _ quotas: Bool) {
        if let last = state.sweptAt, time.now >= last,
            time.now.since(last) < .milliseconds(10)
        {
            return
        }
        var found = 0
        for _ in 0..<min(TenantBook.sweptMax, state.order.count) {
            if state.place >= state.order.count { state.place = 0 }
            guard let index = state.tenants.index(forKey: state.order[state.place]) else {
                preconditionFailure("every key in the order has its tenant")
            }
            guard isKnownUniquelyReferenced(&state.tenants.values[index]),
                state.tenants.values[index].isIdle(time, quotas: quotas)
            else {
                state.place += 1
                continue
            }
            state.free.append(state.tenants.values[index].number)
            state.tenants.remove(at: index)
            state.order.swapAt(state.place, state.order.count - 1)
            state.order.removeLast()
            found += 1
        }
        // One that found plenty need not wait for the next; one place at a time would be a sweep for each new client.
        state.sweptAt = found > TenantBook.sweptMax / 8 ? nil : time.now
    }
}
