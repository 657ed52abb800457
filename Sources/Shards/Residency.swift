// Whether one model is in memory, decided in a value: calls, loaders and operators say what happened, it says what to do.
// One load at a time for all who wait, no release while a lease is out. Owned by Resident, under its lock.

package import Contract

/// One model's way between asleep and awake.
package struct Residency<Model: Sendable, Waiter: Sendable>: Sendable {
    package enum Phase: Sendable, Equatable {
        /// Not in memory and nobody waits. Leaves by `arrive`.
        case asleep
        /// A loader has been asked for. Leaves by `loadBegan`, `loadRefused`.
        case queued
        /// A loader is at it. Leaves by `loadEnded`, `loadFailed`.
        case loading
        /// In memory. Leaves by `leave`.
        case awake
        /// Leaves memory when the last lease ends; who comes now waits for the next load. Leaves by `leaseEnded`.
        case leaving
        /// A loader frees its memory. Leaves by `released`.
        case releasing
        /// The last load failed and is not tried again for a while. Leaves by `arrive` after that.
        case broken
    }

    package enum Arrival: Sendable {
        /// One lease is out for the caller.
        case granted(Model)
        /// Waits; when `startLoad` a loader must be asked.
        case waits(startLoad: Bool)
        case refused(Refusal)
    }

    package enum Refusal: Sendable, Equatable {
        case waitersFull
        case broken(CallFailure, retryAfter: Nanoseconds)
        case retired
        case stopped
    }

    package enum Departure: Sendable, Equatable {
        /// It is not in memory.
        case gone
        /// A loader must free it; then `released`.
        case release
        /// It goes when its leases have ended.
        case waits
        case full
    }

    private struct Fault: Sendable {
        var failure: CallFailure
        var until: Instant
    }

    package private(set) var phase = Phase.asleep
    /// Set while awake or leaving, and while releasing until a loader has taken it.
    private var model: Model?
    /// Set while a faster one serves beside it; only while awake, leaving or releasing.
    private var promoted: Model?
    /// Uses of the model that have not ended. Zero unless awake or leaving.
    package private(set) var leases = 0
    /// Calls that wait for the load, in the order they came. Empty while asleep, awake or broken.
    package private(set) var waiters: [Waiter] = []
    /// Who wants to know when the model has left.
    private var leavers: [Waiter] = []
    private var mayHoldGivenUp = false
    private var leavesAfterLoad = false
    private var fault: Fault?
    private var failures = 0
    /// Replaced by another entry or removed: nobody is let in any more.
    package private(set) var isRetired = false
    private var isStopped = false

    private let waitersMax: Int
    private let retryMin: Nanoseconds
    private let retryMax: Nanoseconds

    package init(waitersMax: Int, retryMin: Nanoseconds, retryMax: Nanoseconds) {
        self.waitersMax = waitersMax
        self.retryMin = retryMin
        self.retryMax = retryMax
    }

    // MARK: - Calls

    /// Lets a call in that need not wait: nil when it must.
    package mutating func grantNow() -> Model? {
        guard phase == .awake, let model, !isStopped else { return nil }
        leases += 1
        return promoted ?? model
    }

    /// A call wants the model. `insists` tries a broken one again before its time.
    package mutating func arrive(
        _ waiter: Waiter, now: Instant, insists: Bool = false, isGivenUp: (Waiter) -> Bool
    ) -> Arrival {
        if isStopped { return .refused(.stopped) }
        if isRetired { return .refused(.retired) }
        if let model = grantNow() { return .granted(model) }
        if phase == .broken, let fault, !insists, now < fault.until {
            return .refused(.broken(fault.failure, retryAfter: fault.until.since(now)))
        }
        makeRoom(isGivenUp)
        guard waiters.count < waitersMax else { return .refused(.waitersFull) }
        waiters.append(waiter)
        guard phase == .asleep || phase == .broken else { return .waits(startLoad: false) }
        phase = .queued
        return .waits(startLoad: true)
    }

    /// Somebody still waits for it to come, or it has not been asked for.
    package func isWanted(_ isGivenUp: (Waiter) -> Bool) -> Bool {
        waiters.isEmpty || !waiters.allSatisfy(isGivenUp)
    }

    /// Somebody who waits has been given up; the place is reused when it is needed.
    package mutating func gaveUp() { mayHoldGivenUp = true }

    private mutating func makeRoom(_ isGivenUp: (Waiter) -> Bool) {
        guard waiters.count >= waitersMax, mayHoldGivenUp else { return }
        mayHoldGivenUp = false
        waiters.removeAll(where: isGivenUp)
    }

    /// A use has ended. True when it was the last of a leaving model: a loader must free it.
    package mutating func leaseEnded() -> Bool {
        precondition(leases > 0, "a lease ended that was not out")
        leases -= 1
        guard leases == 0, phase == .leaving else { return false }
        phase = .releasing
        return true
    }

    // MARK: - Loads

    /// A loader has begun.
    package mutating func loadBegan() {
        precondition(phase == .queued, "a load began that nobody asked for")
        phase = .loading
    }

    /// No loader could be asked. Returns who waited, and who wanted it gone.
    package mutating func loadRefused() -> (waiters: [Waiter], leavers: [Waiter]) {
        precondition(phase == .queued, "a load was refused that nobody asked for")
        phase = fault == nil ? .asleep : .broken
        return takeAll()
    }

    /// The model is in memory and each of the returned waiters has a lease. When `release`, nobody needs it and a
    /// loader must free it at once.
    package mutating func loadEnded(_ loaded: Model) -> (waiters: [Waiter], release: Bool) {
        precondition(phase == .loading, "a load ended that had not begun")
        fault = nil
        failures = 0
        model = loaded
        let granted = takeWaiters()
        leases = granted.count
        guard leavesAfterLoad || isRetired || isStopped else {
            phase = .awake
            return (granted, false)
        }
        leavesAfterLoad = false
        phase = leases == 0 ? .releasing : .leaving
        return (granted, leases == 0)
    }

    /// The load has failed; it is not tried again before the returned time has passed.
    package mutating func loadFailed(
        _ failure: CallFailure, now: Instant
    ) -> (waiters: [Waiter], leavers: [Waiter], retryAfter: Nanoseconds) {
        precondition(phase == .loading, "a load failed that had not begun")
        failures += 1
        let wait =
            switch failures {
            case 1: retryMin
            case 2: Nanoseconds(retryMin.count &* 4)
            default: retryMax
            }
        fault = Fault(failure: failure, until: now + wait)
        phase = .broken
        let (waiters, leavers) = takeAll()
        return (waiters, leavers, wait)
    }

    private mutating func takeWaiters() -> [Waiter] {
        let taken = waiters
        waiters = []
        mayHoldGivenUp = false
        return taken
    }

    private mutating func takeAll() -> (waiters: [Waiter], leavers: [Waiter]) {
        let gone = leavers
        leavers = []
        leavesAfterLoad = false
        return (takeWaiters(), gone)
    }

    // MARK: - Leaving

    /// An operator or an eviction wants the memory back. `leaver` is kept when the answer is `release` or `waits`.
    /// Calls that wait already are served first. When `forever`, nobody is let in any more.
    package mutating func leave(_ leaver: Waiter, forever: Bool = false) -> Departure {
        if forever { isRetired = true }
        switch phase {
        case .asleep, .broken:
            return .gone
        case .queued, .loading:
            guard leavers.count < waitersMax else { return .full }
            leavesAfterLoad = true
            leavers.append(leaver)
            return .waits
        case .awake:
            leavers.append(leaver)
            phase = leases == 0 ? .releasing : .leaving
            return leases == 0 ? .release : .waits
        case .leaving, .releasing:
            guard leavers.count < waitersMax else { return .full }
            leavers.append(leaver)
            return .waits
        }
    }

    /// Somebody else needs its memory. True when it is not in use: a loader must free it now.
    package mutating func evict() -> Bool {
        guard phase == .awake, leases == 0 else { return false }
        phase = .releasing
        return true
    }

    // MARK: - Two sessions

    /// From now on uses get this one. False when the model is not in memory any more, or has one.
    package mutating func promote(_ better: Model) -> Bool {
        guard phase == .awake, promoted == nil, !isStopped else { return false }
        promoted = better
        return true
    }

    /// From now on uses get the first one again. Returns the other, which may still be in use.
    package mutating func demote() -> Model? { promoted.take() }

    // MARK: - Gone

    /// The loader that frees the model takes the last reference.
    package mutating func surrender() -> Model? {
        precondition(phase == .releasing, "a model was taken that is not leaving")
        return model.take()
    }

    /// The memory is free. Returns who wanted that, and whether a loader must be asked for those who came since.
    package mutating func released() -> (leavers: [Waiter], startLoad: Bool) {
        precondition(phase == .releasing, "a model was released that was not leaving")
        phase = waiters.isEmpty ? .asleep : .queued
        let gone = leavers
        leavers = []
        return (gone, phase == .queued)
    }

    /// The gateway stops: nobody is let in any more. Returns who waited.
    package mutating func stop() -> [Waiter] {
        isStopped = true
        return takeWaiters()
    }

    /// The last load's failure while it is remembered.
    package var failure: CallFailure? { phase == .broken ? fault?.failure : nil }
}
