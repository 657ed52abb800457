// When the steps of a call began and ended. The walk marks the first ones; of what the shards did there are durations, which are
// laid one after the other.

import Contract

/// A step, or a part of one.
struct Phase: Sendable {
    var name: String
    var start: Instant
    var end: Instant
    var attributes: [(key: String, value: TraceSpan.Value)] = []
    var parts: [Phase] = []

    init(_ name: String, from start: Instant, to end: Instant) {
        self.name = name
        self.start = start
        self.end = max(start, end)
    }
}

/// None of them begins before the call or ends after it, whatever the record says.
struct CallPhases {
    private(set) var all: [Phase] = []
    private let first: Instant
    private let last: Instant
    /// Where the next step begins.
    private var position: Instant

    init(_ call: CallRecord) {
        first = call.received
        last = call.arrived + call.total
        position = call.received
        addMarked(call.marks)
        addWake(call)
        add("queue", call.timing.queue)
        // Nothing is run to warm a model: the first run after a load is a call's own.
        let name = call.timing.cold && call.timing.load > .zero ? "first_run" : "run"
        let cpu = Int64(clamping: call.timing.cpu.count)
        add(name, call.timing.run, cpu > 0 ? [("sluice.cpu_ns", .number(cpu))] : [])
    }

    private func bounded(_ instant: Instant) -> Instant { min(max(instant, first), last) }

    private mutating func addMarked(_ marks: CallMarks?) {
        guard let marks else { return }
        var introspection: Phase?
        if let asked = marks.asked, let told = marks.told {
            introspection = Phase("introspection", from: bounded(asked), to: bounded(told))
        }
        // Over HTTP the token is judged by the request's head, before its body is there: a part of the acceptance then.
        let begun = bounded(marks.begun)
        var accept = Phase("accept", from: first, to: begun)
        if let early = introspection, early.end <= begun {
            accept.parts = [early]
            introspection = nil
        }
        all.append(accept)
        position = begun
        guard let admitted = marks.admitted.map(bounded) ?? introspection?.end else { return }
        var admission = Phase("admission", from: begun, to: admitted)
        if let introspection { admission.parts = [introspection] }
        all.append(admission)
        position = admission.end
        guard let prepared = marks.prepared.map(bounded) else { return }
        all.append(Phase("catalogue", from: position, to: prepared))
        position = max(position, prepared)
    }

    /// The call waited for its model: until it was there, or until the call's end when it never was.
    private mutating func addWake(_ call: CallRecord) {
        let timing = call.timing
        guard timing.cold else { return }
        let end = timing.load > .zero ? bounded(call.arrived + timing.load) : last
        var wake = Phase("wake", from: position, to: end)
        if timing.fetch > .zero {
            wake.parts.append(
                Phase("fetch", from: wake.start, to: min(wake.start + timing.fetch, wake.end)))
        }
        if timing.create > .zero {
            let spent = Nanoseconds(min(timing.create.count, wake.end.since(wake.start).count))
            let start = Instant(nanoseconds: wake.end.nanoseconds - spent.count)
            wake.parts.append(Phase("create", from: start, to: wake.end))
        }
        all.append(wake)
        position = wake.end
    }

    private mutating func add(
        _ name: String, _ time: Nanoseconds,
        _ attributes: [(key: String, value: TraceSpan.Value)] = []
    ) {
        guard time > .zero else { return }
        var phase = Phase(name, from: position, to: bounded(position + time))
        phase.attributes = attributes
        position = phase.end
        all.append(phase)
    }
}
