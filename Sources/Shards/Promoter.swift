// The thread that promotes: a load of seconds must not stand in the way of models that wake in milliseconds, so it is not
// one of the loaders'. What it does is in Loaders+Promotion.swift.

import Contract
import Dispatch
import NIOCore
import Synchronization

/// The queue of promotions and demotions. Any thread may ask.
final class Promoter: Sendable {
    enum Job: Sendable {
        case promote(Resident)
        case demote(Resident, Demotion)
        /// Frees sessions that were sent back.
        case reap
    }

    /// The fleet asks when this is empty: never more than one look's worth.
    private static let jobsMax = 64

    private struct Queue: Sendable {
        var jobs = CircularBuffer<Job>()
        var isAtWork = false
        var isClosed = false
    }

    private let loaders: Loaders
    private let queue = Mutex(Queue())
    private let bell = DispatchSemaphore(value: 0)

    init(_ loaders: Loaders) { self.loaders = loaders }

    /// Dropped when there is too much: the next look asks again.
    func ask(_ job: Job) {
        let isTaken = queue.withLock { queue in
            guard !queue.isClosed, queue.jobs.count < Promoter.jobsMax else { return false }
            queue.jobs.append(job)
            return true
        }
        if isTaken { bell.signal() }
    }

    var isIdle: Bool { queue.withLock { $0.jobs.isEmpty && !$0.isAtWork } }

    func close() {
        queue.withLock { queue in
            queue.isClosed = true
            queue.jobs.removeAll()
        }
        bell.signal()
    }

    func serve() {
        while true {
            bell.wait()
            let (job, isClosed) = take()
            if let job { perform(job) }
            if isClosed { return }
        }
    }

    /// Does what is waiting and returns; for tests without threads.
    func drain() {
        while let job = take().0 { perform(job) }
    }

    private func take() -> (Job?, isClosed: Bool) {
        queue.withLock { queue in
            let job = queue.jobs.popFirst()
            queue.isAtWork = job != nil
            return (job, queue.isClosed)
        }
    }

    private func perform(_ job: Job) {
        switch job {
        case .promote(let resident): loaders.promote(resident)
        case .demote(let resident, let why):
            loaders.demote(resident, why)
            loaders.reap()
        case .reap:
            loaders.reap()
            loaders.retryParked()
        }
        queue.withLock { $0.isAtWork = false }
    }
}

extension Fleet {
    private func isTimeToPromote(_ now: Instant) -> Bool {
        promotionLooked.withLock { looked in
            if let before = looked, now.since(before) < Promotion.interval { return false }
            looked = now
            return true
        }
    }

    /// Somebody to promote or to send back, now and then. Called by ``look(_:)``.
    func considerPromotions(_ now: Instant) {
        if loaders.treasury.awaitsRetired { promoter.ask(.reap) }
        guard loaders.wishes.now.promotes, isTimeToPromote(now), promoter.isIdle else { return }
        for resident in loaders.treasury.everyPromoted {
            if let saving = resident.hasDisappointed {
                promoter.ask(.demote(resident, .noGain(saving)))
            }
        }
        var best: (resident: Resident, gain: Double)?
        for resident in loaders.treasury.everyAwake {
            guard let gain = resident.promotionGain(now), gain > best?.gain ?? 0 else { continue }
            best = (resident, gain)
        }
        if let best { promoter.ask(.promote(best.resident)) }
    }
}
