// One shard: a thread that takes the next run, runs it and answers, for ever.

import Catalogue
import Contract
import OnnxRuntime

/// A shard's work; `serve` is its thread's body.
struct Shard: Sendable {
    let index: Int
    let dispatcher: Dispatcher
    let engine: any ModelEngine
    let clock: Clock
    let pen: any JournalPen

    func serve() {
        while step() {}
    }

    /// Does one thing, possibly waiting for it. False when the shard has ended.
    private func step() -> Bool {
        switch dispatcher.next(for: index) {
        case .run(let run): perform(run)
        case .park: dispatcher.park(index)
        case .stop: return false
        }
        return true
    }

    /// Runs one call, unless its time is up.
    func perform(_ run: Run) {
        let stopper = engine.stopper()
        let began = clock.now()
        guard began < run.deadline else { return run.abandon(.deadline) }
        guard let work = run.begin(stopper: stopper, now: began) else { return }
        let result: Result<[Tensor], CallFailure>
        // Asking costs 0.4 us, a call into the kernel: nothing beside the hop here, too much for runs on the spot.
        let worked = ThreadTime.now()
        pen.enter(run.resident.entry, .run)
        do throws(CallFailure) {
            result = .success(try work.awake.model.run(work.prepared, stopper: stopper))
        } catch {
            result = .failure(error)
        }
        pen.leave()
        let cpu = Nanoseconds(ThreadTime.now().count &- worked.count)
        let ended = clock.now()
        let time = ended.since(began)
        run.resident.learn(
            time, forBytes: run.byteCount, succeeded: result.isSuccess, on: work.awake)
        run.end(result, took: time, cpu: cpu, now: ended)
    }
}

extension Resident {
    /// A failure teaches only that runs can be long, never that they are short.
    func learn(
        _ time: Nanoseconds, forBytes byteCount: Int, succeeded: Bool, on awake: AwakeModel
    ) {
        if succeeded, let upgrade {
            upgrade.comparison.record(time, forBytes: byteCount, isPromoted: awake.isPromoted)
        }
        if succeeded || time.count > estimates.nanoseconds(forBytes: byteCount) {
            estimates.record(time, forBytes: byteCount)
        }
    }
}
