// The series of calls, which every loop's tally is brought to (CallTally.swift).

package import Contract
import Foundation
import Synchronization
package import Telemetry

/// The counters of one version of a model, made once.
private final class ModelCalls: Sendable {
    let cold, cpu, bytesIn, bytesOut: CounterSeries
    let total: HistogramSeries
    /// Nil for calls of no model: nothing runs.
    let queue, load, run: HistogramSeries?

    /// What is counted by door, method and code.
    private struct Way: Hashable {
        var door: Door
        var method: Contract.Method
        var code: StatusCode
    }

    private let ways = Mutex<[Way: CounterSeries]>([:])
    private let make: @Sendable (Door, Contract.Method, StatusCode) -> CounterSeries

    init(_ families: CallFamilies, _ model: String, _ version: String) {
        let labels = SeriesLabels(["model", "version"], [model, version])
        cold = families.cold.series(labels)
        cpu = families.cpu.series(labels)
        bytesIn = families.bytesIn.series(labels)
        bytesOut = families.bytesOut.series(labels)
        total = families.total.series(labels)
        let runs = !model.isEmpty
        queue = runs ? families.queue.series(labels) : nil
        load = runs ? families.load.series(labels) : nil
        run = runs ? families.run.series(labels) : nil
        make = { door, method, code in
            families.calls.series(model, version, door.rawValue, method.name, code.name)
        }
    }

    func calls(
        _ door: Door, _ method: Contract.Method, _ code: StatusCode
    ) -> CounterSeries {
        let way = Way(door: door, method: method, code: code)
        return ways.withLock { ways in
            if let known = ways[way] { return known }
            let new = make(way.door, way.method, way.code)
            ways[way] = new
            return new
        }
    }
}

private struct CallFamilies: Sendable {
    let calls, cold, cpu, bytesIn, bytesOut: CounterFamily
    let total, queue, load, run: HistogramFamily

    /// - Parameter modelsMax: versions that have series of their own.
    init(_ book: MetricBook, modelsMax: Int) {
        // Bounded by who makes the handles; a door's methods and codes are few.
        let most = (modelsMax + 2) * 64
        let open: Set = ["model", "version"]
        calls = book.counter(MetricNames.calls, open: open, seriesMax: most)
        cold = book.counter(MetricNames.coldCalls, seriesMax: most)
        total = book.histogram(MetricNames.total, seriesMax: most)
        queue = book.histogram(MetricNames.queue, seriesMax: most)
        load = book.histogram(MetricNames.load, seriesMax: most)
        run = book.histogram(MetricNames.run, seriesMax: most)
        cpu = book.counter(MetricNames.cpu, .nanoseconds, seriesMax: most)
        bytesIn = book.counter(MetricNames.requestBytes, seriesMax: most)
        bytesOut = book.counter(MetricNames.responseBytes, seriesMax: most)
    }

    func keep(_ isWanted: ([String]) -> Bool) {
        for family in [calls, cold, cpu, bytesIn, bytesOut] { family.keep(isWanted) }
        for family in [total, queue, load, run] { family.keep(isWanted) }
    }
}

/// One for the gateway. Any thread.
package final class CallMetrics: Sendable {
    private struct Key: Hashable {
        var model: String
        var version: String
    }

    private struct Plan: Hashable {
        var name: String
        var code: StatusCode
    }

    private struct State {
        var models: [Key: ModelCalls] = [:]
        var plans: [Plan: CounterSeries] = [:]
    }

    /// Stands for the versions that are too many.
    package static let other = "other"

    private let modelsMax: Int
    private let families: CallFamilies
    private let plans: CounterFamily
    private let auth: HistogramSeries
    private let rest: ModelCalls
    private let state = Mutex(State())

    /// - Parameter modelsMax: versions that are told apart.
    package init(_ book: MetricBook, modelsMax: Int) {
        self.modelsMax = modelsMax
        families = CallFamilies(book, modelsMax: modelsMax)
        plans = book.counter(MetricNames.planCalls, open: ["plan"])
        auth = book.histogram(MetricNames.auth).series()
        rest = ModelCalls(families, CallMetrics.other, CallMetrics.other)
    }

    package func answered(_ call: CallRecord) {
        let model = handles(of: call.model, call.version)
        model.calls(call.door, call.method, call.code).add()
        let timing = call.timing
        let exemplar = call.span.map(CallMetrics.exemplar)
        CallMetrics.observe(call.total, in: model.total, exemplar)
        if timing.admission > .zero { CallMetrics.observe(timing.admission, in: auth, exemplar) }
        model.bytesIn.add(UInt64(call.bytesIn))
        if timing.cold {
            model.cold.add()
            if let load = model.load { CallMetrics.observe(timing.load, in: load, exemplar) }
        }
        if timing.run > .zero {
            if let queue = model.queue { CallMetrics.observe(timing.queue, in: queue, exemplar) }
            if let run = model.run { CallMetrics.observe(timing.run, in: run, exemplar) }
            model.cpu.add(timing.cpu.count)
            model.bytesOut.add(UInt64(call.bytesOut))
        }
        if !call.plan.isEmpty { add(PlanTally(plan: call.plan, code: call.code, count: 1)) }
    }

    // What a loop has counted.

    package func add(_ counts: LoopCounts) {
        for model in counts.models { add(model) }
        for plan in counts.plans { add(plan) }
        auth.add(counts.auth)
    }

    func add(_ tally: ModelTally) {
        let model = handles(of: tally.model, tally.version)
        for way in tally.ways { model.calls(way.door, way.method, way.code).add(way.count) }
        model.cold.add(tally.cold)
        model.cpu.add(tally.cpu)
        model.bytesIn.add(tally.bytesIn)
        model.bytesOut.add(tally.bytesOut)
        model.total.add(tally.total)
        model.queue?.add(tally.queue)
        model.load?.add(tally.load)
        model.run?.add(tally.run)
    }

    private static func observe(
        _ time: Nanoseconds, in series: HistogramSeries, _ exemplar: Exemplar?
    ) {
        if let exemplar {
            series.observe(time.count, exemplar)
        } else {
            series.observe(time.count)
        }
    }

    /// Of a call that is traced; few are.
    private static func exemplar(_ span: TraceContext) -> Exemplar {
        Exemplar(
            trace: Array(span.traceID), span: Array(span.spanID),
            time: Date().timeIntervalSince1970)
    }

    private func handles(of model: String, _ version: String) -> ModelCalls {
        let key = Key(model: model, version: version)
        return state.withLock { state in
            if let known = state.models[key] { return known }
            // The empty name is no model.
            guard state.models.count <= modelsMax else { return rest }
            let new = ModelCalls(families, model, version)
            state.models[key] = new
            return new
        }
    }

    /// Plans are those of the settings; the family's own bound holds for settings that change for ever.
    func add(_ tally: PlanTally) {
        let key = Plan(name: tally.plan, code: tally.code)
        let series = state.withLock { state in
            if let known = state.plans[key] { return known }
            let new = plans.series(tally.plan, tally.code.name)
            if state.plans.count < MetricBook.seriesMax { state.plans[key] = new }
            return new
        }
        series.add(tally.count)
    }

    /// So many versions are told apart that those which have gone should make room.
    var isCrowded: Bool { state.withLock { $0.models.count > modelsMax / 2 } }

    /// Forgets versions that are not in the catalogue any more.
    package func keep(_ isWanted: (_ model: String, _ version: String) -> Bool) {
        let gone = state.withLock { state -> Bool in
            let before = state.models.count
            state.models = state.models.filter {
                $0.key.model.isEmpty || isWanted($0.key.model, $0.key.version)
            }
            return state.models.count < before
        }
        guard gone else { return }
        families.keep { $0[0].isEmpty || isWanted($0[0], $0[1]) }
    }

    /// Inferences by model, version and code, for those who count by other names.
    var inferences: [(model: String, version: String, code: String, count: UInt64)] {
        families.calls.counts.compactMap { values, count in
            guard !values[0].isEmpty, values[3].hasPrefix("infer") else { return nil }
            return (values[0], values[1], values[4], count)
        }
    }
}
