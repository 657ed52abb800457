// What an event loop counts of its own calls. Series that several loops count in cost each of them the others' cache lines, twenty
// times a call; a loop's own numbers cost nothing but additions, and are brought to the series when somebody looks.

package import Contract
import Telemetry

/// Of one event loop. Used on it only.
package final class CallTally {
    /// Versions that are kept apart before they are brought to the series, scraped or not.
    private static let modelsMax = 1_000

    private let metrics: CallMetrics
    private var models: [ModelTally] = []
    private var places: [Key: Int] = [:]
    private var latest = 0
    private var latestKind: CallKind?
    private var auth = HistogramCounts(.time)
    private var plans: [PlanTally] = []

    private struct Key: Hashable {
        var model: String
        var version: String
    }

    package init(_ metrics: CallMetrics) { self.metrics = metrics }

    package func answered(_ call: CallRecord) {
        // Its exemplars need the series.
        guard call.span == nil else { return metrics.answered(call) }
        let timing = call.timing
        if timing.admission > .zero { auth.observe(timing.admission.count) }
        models[place(of: call)].add(call)
        if !call.plan.isEmpty { count(call.plan, call.code) }
    }

    /// A loop's calls are mostly of the model of the one before.
    private func place(of call: CallRecord) -> Int {
        if call.kind === latestKind { return latest }
        latestKind = call.kind
        if latest < models.count, models[latest].version == call.version,
            models[latest].model == call.model
        {
            return latest
        }
        let key = Key(model: call.model, version: call.version)
        if let known = places[key] {
            latest = known
            return known
        }
        if models.count >= CallTally.modelsMax {
            settle()
            latestKind = call.kind
        }
        latest = models.count
        models.append(ModelTally(model: call.model, version: call.version))
        places[key] = latest
        return latest
    }

    private func count(_ plan: String, _ code: StatusCode) {
        if let place = plans.firstIndex(where: { $0.code == code && $0.plan == plan }) {
            plans[place].count += 1
            return
        }
        if plans.count >= 64 { settlePlans() }
        plans.append(PlanTally(plan: plan, code: code, count: 1))
    }

    private func settlePlans() {
        for tally in plans { metrics.add(tally) }
        plans.removeAll(keepingCapacity: true)
    }

    /// All of it, which somebody else brings to the series: of a thousand models that takes longer than a loop should.
    package func take() -> LoopCounts {
        let counts = LoopCounts(models: models, plans: plans, auth: auth)
        models.removeAll()
        places.removeAll(keepingCapacity: true)
        latest = 0
        latestKind = nil
        plans.removeAll()
        auth.clear()
        return counts
    }

    /// Brings all of it to the series.
    package func settle() { metrics.add(take()) }
}

/// What an event loop has counted since the last time.
package struct LoopCounts: Sendable {
    var models: [ModelTally]
    var plans: [PlanTally]
    var auth: HistogramCounts
}

@available(*, unavailable) extension CallTally: Sendable {}

struct PlanTally {
    var plan: String
    var code: StatusCode
    var count: UInt64
}

/// Of one version of a model.
struct ModelTally {
    /// Calls of one kind.
    struct Way {
        var door: Door
        var method: Contract.Method
        var code: StatusCode
        var count: UInt64
    }

    let model: String
    let version: String
    private(set) var ways: [Way] = []
    private(set) var cold: UInt64 = 0
    private(set) var cpu: UInt64 = 0
    private(set) var bytesIn: UInt64 = 0
    private(set) var bytesOut: UInt64 = 0
    private(set) var total = HistogramCounts(.time)
    private(set) var queue = HistogramCounts(.time)
    private(set) var load = HistogramCounts(.time)
    private(set) var run = HistogramCounts(.time)

    init(model: String, version: String) {
        self.model = model
        self.version = version
    }

    mutating func add(_ call: CallRecord) {
        let timing = call.timing
        count(call.door, call.method, call.code)
        total.observe(call.total.count)
        bytesIn &+= UInt64(call.bytesIn)
        if timing.cold {
            cold += 1
            load.observe(timing.load.count)
        }
        guard timing.run > .zero else { return }
        queue.observe(timing.queue.count)
        run.observe(timing.run.count)
        cpu &+= timing.cpu.count
        bytesOut &+= UInt64(call.bytesOut)
    }

    /// There are few: doors, methods and codes.
    private mutating func count(_ door: Door, _ method: Contract.Method, _ code: StatusCode) {
        for place in ways.indices
        where ways[place].code == code && ways[place].method == method
            && ways[place].door == door
        {
            ways[place].count += 1
            return
        }
        ways.append(Way(door: door, method: method, code: code, count: 1))
    }
}
