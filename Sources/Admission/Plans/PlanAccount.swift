// One client under one plan: what it has in progress, what it has used, and what the ledger has not heard of yet. Its lock is
// held for the arithmetic of one call.

package import Contract
private import Synchronization

/// What a call used, told before its ticket ends.
package struct PlanUse: Sendable, Equatable {
    package var failed = false
    package var cold = false
    package var bytesOut = 0
    package var run = Nanoseconds.zero
    package var queue = Nanoseconds.zero
    package var cpu = Nanoseconds.zero
    package var load = Nanoseconds.zero
    /// What the model held while it ran.
    package var residentBytes: UInt64 = 0

    package init() {}
}

/// Usable from every thread.
final class PlanAccount: Sendable {
    /// What is counted for one model, or for what is beyond the bounds.
    private struct Slot: Sendable {
        let model: String
        var limits: PlanLimits?
        var match = ""
        var gauge = Gauge()
        var hour: Int64 = 0
        var counts = UsageCounts()
        var isTouched = false
    }

    private struct State: Sendable {
        var plan: Plan
        var generation: UInt64
        var whole = Gauge()
        var slots: [Slot] = []
        var positions: [String: Int] = [:]
        var latest = -1
        var slotsTaken = 0
        /// Slots whose counts the ledger has not heard of.
        var touched: [Int] = []
        /// Counts of an hour that has ended.
        var closed: [UsageRow] = []
        var isListed = false
    }

    /// How a call came in.
    struct Entry {
        var slot: Int
        var share: (weight: UInt32, priority: Priority)
        var allowance: Allowance?
        /// The desk shall put this account on its list.
        var isNews: Bool
    }

    let issuer: String
    let client: String
    let planName: String
    private let state: Mutex<State>
    /// Where further slots come from; they go back when this account does.
    private let room: SlotCounter

    /// - Parameter restored: what the ledger remembers of this client under this plan, read at `restoredAt`.
    init(
        issuer: String, client: String, plan: Plan, generation: UInt64, restored: [UsageSum],
        restoredAt: Int64, time: PlanTime, room: SlotCounter
    ) {
        self.issuer = issuer
        self.client = client
        self.room = room
        planName = plan.name
        var state = State(plan: plan, generation: generation)
        state.whole.turn(time)
        let isDay = WallCalendar.day(restoredAt) == time.day
        let isMonth = WallCalendar.month(restoredAt) == time.month
        for sum in restored {
            let (day, month) = (isDay ? sum.day : Spent(), isMonth ? sum.month : Spent())
            state.whole.restore(day: day, month: month)
            let slot = PlanAccount.slot(sum.model, &state, room)
            state.slots[slot].gauge.turn(time)
            state.slots[slot].gauge.restore(day: day, month: month)
        }
        self.state = Mutex(state)
    }

    deinit {
        for _ in 0..<state.withLock({ $0.slotsTaken }) { room.giveBack() }
    }

    // MARK: - Calls

    /// Counts a call in, or says which limit is in the way; then nothing was counted.
    func enter(
        model: String, bytes: Int, wish: Priority, _ time: PlanTime
    ) throws(CallFailure) -> Entry {
        let result: Result<Entry, CallFailure> = state.withLock { state in
            let slot = PlanAccount.slot(model, &state, room)
            state.whole.turn(time)
            state.slots[slot].gauge.turn(time)
            if let failure = refusal(&state, slot, model, bytes, time) { return .failure(failure) }
            state.whole.begin(bytes: bytes)
            state.slots[slot].gauge.begin(bytes: bytes)
            let isNews = touch(slot, time.hour, &state)
            state.slots[slot].counts.calls &+= 1
            state.slots[slot].counts.bytesIn &+= UInt64(max(0, bytes))
            return .success(
                Entry(
                    slot: slot,
                    share: (
                        state.plan.weight,
                        wish == .batch ? .batch : state.plan.priority
                    ), allowance: allowance(state, slot, time), isNews: isNews))
        }
        return try result.get()
    }

    /// The work has stopped. True when the desk shall put this account on its list.
    func settle(_ slot: Int, bytes: Int, _ use: PlanUse, _ time: PlanTime) -> Bool {
        let byteTime = UInt128(use.residentBytes) * UInt128(use.run.count)
        return state.withLock { state in
            state.whole.turn(time)
            state.whole.end(bytes: bytes, run: use.run.count, byteTime: byteTime)
            state.slots[slot].gauge.turn(time)
            state.slots[slot].gauge.end(bytes: bytes, run: use.run.count, byteTime: byteTime)
            let isNews = touch(slot, time.hour, &state)
            var counts = UsageCounts()
            counts.errors = use.failed ? 1 : 0
            counts.cold = use.cold ? 1 : 0
            counts.bytesOut = UInt64(max(0, use.bytesOut))
            counts.run = use.run.count
            counts.queue = use.queue.count
            counts.cpu = use.cpu.count
            counts.load = use.load.count
            counts.byteTime = byteTime
            counts.bytesPeak = use.residentBytes
            state.slots[slot].counts += counts
            return isNews
        }
    }

    private static func slot(
        _ model: String, _ state: inout State, _ room: SlotCounter
    ) -> Int {
        if state.latest >= 0, state.slots[state.latest].model == model { return state.latest }
        var slot = state.positions[model]
        if slot == nil {
            // The first slot costs nobody room, and neither does the one for the rest.
            let isFree = state.slots.isEmpty
            let hasRoom = !isFree && room.take()
            if hasRoom { state.slotsTaken += 1 }
            let name = isFree || hasRoom ? model : UsageKey.other
            slot = state.positions[name]
            if slot == nil {
                slot = state.slots.count
                let part = state.plan.part(for: name)
                state.slots.append(
                    Slot(model: name, limits: part?.limits, match: part?.match ?? ""))
                state.positions[name] = state.slots.count - 1
            }
        }
        state.latest = slot ?? 0
        return state.latest
    }

    private func refusal(
        _ state: inout State, _ slot: Int, _ model: String, _ bytes: Int, _ time: PlanTime
    ) -> CallFailure? {
        let whole = state.plan.limits
        // Models beyond the bounds share their counts, and keep their own limits.
        var (part, match) = (state.slots[slot].limits, state.slots[slot].match)
        if state.slots[slot].model != model, let own = state.plan.part(for: model) {
            (part, match) = (own.limits, own.match)
        }
        if let refusal = state.whole.refusal(whole, bytes: bytes, time) {
            return failure(refusal, nil, state.whole, whole, time)
        }
        if let part, let refusal = state.slots[slot].gauge.refusal(part, bytes: bytes, time) {
            return failure(refusal, match, state.slots[slot].gauge, part, time)
        }
        if let refusal = state.whole.takeRate(whole, time.now) {
            return failure(refusal, nil, state.whole, whole, time)
        }
        if let part, let refusal = state.slots[slot].gauge.takeRate(part, time.now) {
            state.whole.giveBackRate(whole)
            return failure(refusal, match, state.slots[slot].gauge, part, time)
        }
        return nil
    }

    private func failure(
        _ refusal: PlanRefusal, _ match: String?, _ gauge: Gauge, _ limits: PlanLimits,
        _ time: PlanTime
    ) -> CallFailure {
        var allowance: Allowance?
        gauge.allowances(limits, prefix: match == nil ? "" : "model-", time, &allowance)
        return .refused(by: refusal, plan: planName, match: match, allowance: allowance)
    }

    private func allowance(_ state: State, _ slot: Int, _ time: PlanTime) -> Allowance? {
        var tightest: Allowance?
        if !state.plan.limits.isUnlimited {
            state.whole.allowances(state.plan.limits, prefix: "", time, &tightest)
        }
        if let part = state.slots[slot].limits {
            state.slots[slot].gauge.allowances(part, prefix: "model-", time, &tightest)
        }
        return tightest
    }

    // MARK: - The plan

    /// From now on these are the limits; what is in progress and was used stays.
    func follow(_ plan: Plan, _ generation: UInt64) {
        state.withLock { state in
            guard state.generation != generation else { return }
            state.generation = generation
            guard state.plan != plan else { return }
            state.plan = plan
            for slot in state.slots.indices {
                let part = plan.part(for: state.slots[slot].model)
                state.slots[slot].limits = part?.limits
                state.slots[slot].match = part?.match ?? ""
            }
        }
    }

    /// Nothing is in progress, was used or waits for the ledger.
    var isForgettable: Bool {
        state.withLock { state in
            state.whole.calls == 0 && !state.isListed && state.whole.month.spent == Spent()
        }
    }

    func isIdle(_ time: PlanTime, quotas: Bool) -> Bool {
        state.withLock { state in
            !state.isListed && state.whole.isIdle(time, quotas: quotas)
                && state.slots.allSatisfy { $0.gauge.isIdle(time, quotas: quotas) }
        }
    }

    var slotCount: Int { state.withLock { $0.slots.count } }

    /// Whose account is told first: the busiest now, then of today.
    func weight(_ time: PlanTime) -> (calls: Int, today: UInt64) {
        state.withLock { state in
            state.whole.turn(time)
            return (state.whole.calls, state.whole.day.spent.calls)
        }
    }

    func standing(_ time: PlanTime) -> ClientStanding {
        state.withLock { state in
            state.whole.turn(time)
            var models: [ModelStanding] = []
            for slot in state.slots where models.count < ClientStanding.modelsMax {
                guard let limits = slot.limits else { continue }
                var gauge = slot.gauge
                gauge.turn(time)
                models.append(
                    ModelStanding(model: slot.model, measures: gauge.measures(limits, time)))
            }
            return ClientStanding(
                issuer: issuer, client: client, plan: planName,
                measures: state.whole.measures(state.plan.limits, time), models: models)
        }
    }

    // MARK: - The ledger

    /// Makes a slot's counts those of this hour. True when the account is news.
    private func touch(_ slot: Int, _ hour: Int64, _ state: inout State) -> Bool {
        if state.slots[slot].hour != hour {
            if !state.slots[slot].counts.isEmpty { state.closed.append(row(state.slots[slot])) }
            state.slots[slot].counts = UsageCounts()
            state.slots[slot].hour = hour
        }
        if !state.slots[slot].isTouched {
            state.slots[slot].isTouched = true
            state.touched.append(slot)
        }
        guard !state.isListed else { return false }
        state.isListed = true
        return true
    }

    private func row(_ slot: Slot) -> UsageRow {
        UsageRow(
            UsageKey(
                hour: slot.hour, issuer: issuer, client: client, plan: planName, model: slot.model),
            slot.counts)
    }

    /// What was counted since it was called last.
    func collect() -> [UsageRow] {
        state.withLock { state in
            var rows = state.closed
            for slot in state.touched {
                state.slots[slot].isTouched = false
                guard !state.slots[slot].counts.isEmpty else { continue }
                rows.append(row(state.slots[slot]))
                state.slots[slot].counts = UsageCounts()
            }
            state.closed.removeAll()
            state.touched.removeAll(keepingCapacity: true)
            state.isListed = false
            return rows
        }
    }
}
