// What a model's load took its time for: bringing its files, and making it of them. For the traces of the calls that waited.

import Contract

struct LoadSteps: Sendable {
    /// When its files were asked for and had come; nil when they were here.
    private var fetch: (began: Instant, ended: Instant)?
    private var create: (began: Instant, ended: Instant)?

    mutating func fetched(from began: Instant, to ended: Instant) { fetch = (began, ended) }
    mutating func created(from began: Instant, to ended: Instant) { create = (began, ended) }

    /// What a call that came at `arrived` waited for, which may have been in the middle of it.
    func note(in timing: inout Timing, arrived: Instant) {
        timing.fetch = LoadSteps.part(fetch, since: arrived)
        timing.create = LoadSteps.part(create, since: arrived)
    }

    private static func part(
        _ step: (began: Instant, ended: Instant)?, since arrived: Instant
    ) -> Nanoseconds {
        step.map { $0.ended.since(max($0.began, arrived)) } ?? .zero
    }
}
