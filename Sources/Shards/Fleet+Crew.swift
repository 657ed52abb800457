// The fleet's threads: how they start, and how they stop without leaving a caller waiting.

package import Contract
import Synchronization

/// Which threads there are and who waits for their end.
struct Crew: Sendable {
    /// How a stop goes on.
    struct Plan: Sendable {
        var deadline: Instant
        var haveRunsBeenStopped = false
        var done: @Sendable (Bool) -> Void
    }

    var isStarted = false
    /// Shards, loaders and the promoter, whose thread has not ended.
    var atWork = 0
    var plan: Plan?
}

extension Fleet {
    /// Starts the threads: shards, loaders, the watchdog. Once.
    package func start() {
        crew.withLock { crew in
            precondition(!crew.isStarted, "a fleet starts once")
            crew.isStarted = true
            crew.atWork = settings.count + settings.loaders + 1
        }
        for index in 0..<settings.count {
            let shard = Shard(
                index: index, dispatcher: dispatcher, engine: engine, clock: clock,
                pen: journal.pen())
            NamedThread.start("shard-\(index)") {
                shard.serve()
                self.leaveWork()
            }
        }
        for index in 0..<settings.loaders {
            // Loads must not hold up calls.
            NamedThread.start("loader-\(index)", yields: true) {
                self.loaders.serve()
                self.leaveWork()
            }
        }
        // It loads as well.
        NamedThread.start("promoter", yields: true) {
            self.promoter.serve()
            self.leaveWork()
        }
        NamedThread.start("watchdog") { self.keepWatch() }
    }

    private func leaveWork() {
        crew.withLock { $0.atWork -= 1 }
        watchdog.wake()
    }

    /// Ends the fleet. From now on calls are answered UNAVAILABLE STOPPING, those that wait too. What runs may finish
    /// until `deadline`; then it is told to stop and its callers are answered. `done` is called once, when all threads
    /// have ended (true) or some run or load could not be stopped (false). Once.
    package func stop(by deadline: Instant, done: @escaping @Sendable (Bool) -> Void) {
        precondition(beginStopping(), "a fleet stops once")
        dispatcher.close()
        loaders.close()
        promoter.close()
        stopResidents()
        let isStarted = crew.withLock { crew in
            crew.plan = Crew.Plan(deadline: deadline, done: done)
            return crew.isStarted
        }
        if isStarted { watchdog.wake() } else { done(true) }
    }

    /// As ``stop(by:done:)``, for those who can wait.
    package func stop(by deadline: Instant) async -> Bool {
        await withCheckedContinuation { continuation in
            stop(by: deadline) { continuation.resume(returning: $0) }
        }
    }

    /// The watchdog's thread.
    private func keepWatch() {
        while true {
            let now = clock.now()
            let next = look(now)
            switch stopStep(now) {
            case .none: watchdog.sleep(next.since(now))
            case .stopRuns: for run in dispatcher.running { run.abandon(.stop) }
            case .wait(let until): watchdog.sleep(min(next, until).since(now))
            case .end(let done, let allEnded): return done(allEnded)
            }
        }
    }

    private enum StopStep {
        case none
        case stopRuns
        case wait(until: Instant)
        case end(@Sendable (Bool) -> Void, allEnded: Bool)
    }

    private func stopStep(_ now: Instant) -> StopStep {
        crew.withLock { crew in
            guard let plan = crew.plan else { return .none }
            if crew.atWork == 0 { return .end(plan.done, allEnded: true) }
            guard now >= plan.deadline else { return .wait(until: plan.deadline) }
            if !plan.haveRunsBeenStopped {
                crew.plan?.haveRunsBeenStopped = true
                return .stopRuns
            }
            let last = plan.deadline + settings.stopGrace
            return now >= last ? .end(plan.done, allEnded: false) : .wait(until: last)
        }
    }
}
