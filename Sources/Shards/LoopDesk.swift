// Where an event loop leaves its calls. Short runs of awake models are done on the spot; the others go to the shards when
// the turn ends, all together, and come back the same way. Used on its event loop only, by plain calls.

package import Catalogue
package import Contract
import NIOCore
import Synchronization

/// The caller's side of one call on the shards. Every method is called on the event loop.
package protocol RunDelegate: AnyObject {
    func runProgress(_ progress: Progress)
    /// Once; possibly before `submit` has returned. When `workContinues`, the run is still being stopped and
    /// `runWorkEnded` follows.
    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing: Timing, workContinues: Bool)
    /// - Parameter timing: what the run took that was being stopped.
    func runWorkEnded(timing: Timing)
}

/// A call that is under way.
package struct RunTicket {
    fileprivate let desk: LoopDesk
    fileprivate let place: DeskPlace

    /// Gives the call up; nothing happens when it has finished. `runFinished` still comes, later, with CANCELLED
    /// unless the answer was faster. On the event loop.
    package func cancel() { desk.cancel(place) }

    /// Where the call is, and since when; nil when it has finished. On the event loop.
    package var standing: (place: Whereabouts, since: Instant)? { desk.standing(of: place) }
}

/// The shards as one event loop sees them.
package final class LoopDesk {
    /// A model as this loop knows it.
    private final class Seat {
        let resident: Resident
        /// While the desk holds a lease: from the first inline run of a turn to its end.
        var lease: Lease?
        var awake: AwakeModel?
        var sums = RunSums()

        init(_ resident: Resident) { self.resident = resident }
    }

    private static let seatsMax = 16_384

    private let fleet: Fleet
    private let eventLoop: any EventLoop
    private let mailbox: Mailbox
    private let watch: InlineWatch
    private let clock: Clock
    private let pen: any JournalPen
    private let inlineRunMax: Nanoseconds
    private let turnBudget: UInt64

    private var seats: [Int: Seat] = [:]
    private var latest: Seat?
    private var stopper: any RunStopper
    private var calls = CallTable()
    private var notes: [Note] = []

    // This turn
    private var isTurn = false
    private var spent: UInt64 = 0
    private var held: [Seat] = []
    private var shares: InlineShares
    private var batch: [Run] = []

    /// On the event loop.
    init(_ fleet: Fleet, on eventLoop: any EventLoop) {
        self.fleet = fleet
        self.eventLoop = eventLoop
        clock = fleet.clock
        pen = fleet.journal.pen()
        inlineRunMax = fleet.settings.inlineRunMax
        turnBudget = fleet.settings.inlineTurnBudget.count
        shares = InlineShares(window: fleet.settings.inlineTurnBudget)
        stopper = fleet.engine.stopper()
        mailbox = Mailbox(eventLoop)
        watch = InlineWatch(stopper, mailbox: mailbox)
        mailbox.address(to: self)
        fleet.add(watch)
    }

    deinit { fleet.remove(watch) }

    // MARK: - Calls in

    /// Runs a call's tensors. Returns nil when the call has already been finished. `turnEnded` must follow, when all
    /// that arrived together has been submitted.
    /// - Parameter share: whose turn the call takes, here and on the shards.
    package func submit(
        _ prepared: Prepared, deadline: Instant, now: Instant, wantsProgress: Bool = false,
        share: Share = .house, delegate: any RunDelegate
    ) -> RunTicket? {
        guard isAccepted(prepared.entry, deadline, now, delegate) else { return nil }
        let deadline = prepared.entry.limits.timeout.map { min(deadline, now + $0) } ?? deadline
        let seat = seat(for: prepared.entry)
        if let cost = seat.resident.inlineCost(
            forBytes: prepared.byteCount, max: inlineRunMax, now: now),
            spent + cost <= turnBudget, shares.allows(share, cost: cost, at: now),
            let awake = hold(seat, now),
            runInline(prepared, seat, awake, share, arrived: now, delegate)
        {
            return nil
        }
        return hop(
            prepared, seat.resident, deadline: deadline, now: now, wantsProgress: wantsProgress,
            share: share, delegate: delegate)
    }

    /// Wakes a model without running it, a broken one too. Otherwise as ``submit``; the result has no tensors.
    package func load(
        _ entry: ModelEntry, deadline: Instant, now: Instant, wantsProgress: Bool = false,
        delegate: any RunDelegate
    ) -> RunTicket? {
        guard isAccepted(entry, deadline, now, delegate) else { return nil }
        return hop(
            nil, seat(for: entry).resident, deadline: deadline, now: now,
            wantsProgress: wantsProgress, share: .house, delegate: delegate)
    }

    /// Everything that arrived together has been submitted: hands the batch to the shards and lets go of models.
    package func turnEnded() {
        guard isTurn else { return }
        isTurn = false
        watch.endTurn()
        spent = 0
        if !batch.isEmpty {
            fleet.accept(batch, now: clock.now())
            batch.removeAll(keepingCapacity: true)
        }
        for seat in held {
            seat.awake = nil
            seat.lease?.sums = seat.sums
            seat.lease = nil
            seat.sums = RunSums()
        }
        held.removeAll(keepingCapacity: true)
    }

    private func isAccepted(
        _ entry: ModelEntry, _ deadline: Instant, _ now: Instant, _ delegate: any RunDelegate
    ) -> Bool {
        let failure: CallFailure
        if fleet.isStopping {
            failure = .stopping(.arriving)
        } else if now >= deadline {
            failure = .deadlinePast(.arriving, entry)
        } else {
            return true
        }
        delegate.runFinished(.failure(failure), timing: Timing(), workContinues: false)
        return false
    }

    private func seat(for entry: ModelEntry) -> Seat {
        if let latest, latest.resident.entry === entry { return latest }
        if let known = seats[entry.index], known.resident.entry === entry {
            latest = known
            return known
        }
        // Bounded; a seat that is held now stays alive in `held`.
        if seats.count >= LoopDesk.seatsMax { seats.removeAll(keepingCapacity: true) }
        let new = Seat(fleet.resident(for: entry))
        seats[entry.index] = new
        latest = new
        return new
    }

    private func beginTurn(_ now: Instant) {
        guard !isTurn else { return }
        isTurn = true
        watch.beginTurn(now)
    }
}

// MARK: - On the spot

extension LoopDesk {
    /// A lease for the rest of the turn, or nil when the model is not awake.
    private func hold(_ seat: Seat, _ now: Instant) -> AwakeModel? {
        if let awake = seat.awake { return awake }
        guard let awake = seat.resident.grantNow() else { return nil }
        beginTurn(now)
        seat.lease = Lease(granted: awake, by: seat.resident)
        seat.awake = awake
        held.append(seat)
        return awake
    }

    /// False when the run held up the loop and was stopped: a shard shall try, where deadlines are kept.
    private func runInline(
        _ prepared: Prepared, _ seat: Seat, _ awake: AwakeModel, _ share: Share,
        arrived: Instant, _ delegate: any RunDelegate
    ) -> Bool {
        if watch.wasStruck { renewStopper() }
        let began = clock.now()
        let result: Result<[Tensor], CallFailure>
        pen.enter(seat.resident.entry, .run)
        do throws(CallFailure) {
            result = .success(try awake.model.run(prepared, stopper: stopper))
        } catch {
            result = .failure(error)
        }
        pen.leave()
        let ended = clock.now()
        let time = ended.since(began)
        spent += time.count
        shares.spend(share, time)
        seat.resident.learn(
            time, forBytes: prepared.byteCount, succeeded: result.isSuccess, on: awake)
        if watch.wasStruck {
            renewStopper()
            if !result.isSuccess {
                seat.resident.barInline(until: ended + fleet.settings.inlineBarTime)
                fleet.observer.inlineRunStalled(seat.resident.entry, time: time)
                return false
            }
        }
        seat.sums.add(succeeded: result.isSuccess, run: time.count, at: ended)
        seat.resident.latency.count(ended.since(arrived))
        var timing = Timing()
        timing.run = time
        timing.batch = 1
        // It waits for nobody, and asking the kernel would cost a tenth of a short run.
        timing.cpu = time
        timing.residentBytes = seat.resident.residentBytes.load(ordering: .relaxed)
        delegate.runFinished(result, timing: timing, workContinues: false)
        return true
    }

    private func renewStopper() {
        stopper = fleet.engine.stopper()
        watch.renew(stopper)
    }
}

// MARK: - By the shards

extension LoopDesk {
    private func hop(
        _ prepared: Prepared?, _ resident: Resident, deadline: Instant, now: Instant,
        wantsProgress: Bool, share: Share, delegate: any RunDelegate
    ) -> RunTicket? {
        guard calls.count < fleet.settings.callsPerLoopMax else {
            let retryAfter = fleet.dispatcher.retryAfter
            delegate.runFinished(
                .failure(.loopFull(fleet.settings, retryAfter)), timing: Timing(),
                workContinues: false)
            return nil
        }
        let place = calls.open(delegate)
        let run = Run(
            prepared, on: resident, arrived: now, deadline: deadline,
            wantsProgress: wantsProgress, share: share, mailbox: mailbox, address: place)
        calls.attach(run, to: place)
        beginTurn(now)
        batch.append(run)
        if batch.count == 1 {
            // A caller who forgets to end the turn delays its calls, but does not lose them.
            let desk = NIOLoopBound(self, eventLoop: eventLoop)
            eventLoop.execute { desk.value.turnEnded() }
        }
        return RunTicket(desk: self, place: place)
    }

    fileprivate func cancel(_ place: DeskPlace) { calls.run(at: place)?.abandon(.cancel) }

    fileprivate func standing(of place: DeskPlace) -> (place: Whereabouts, since: Instant)? {
        calls.run(at: place)?.standing
    }

    /// Delivers what the shards have posted: a turn of its own, as an answer may let the next call begin.
    func collect() {
        mailbox.take(into: &notes)
        for note in notes { deliver(note) }
        notes.removeAll(keepingCapacity: true)
        turnEnded()
    }

    private func deliver(_ note: Note) {
        switch note {
        case .progress(let place, let progress):
            calls.waiting(at: place)?.runProgress(progress)
        case .finished(let place, let result, let timing, let workContinues):
            guard let (delegate, ended) = calls.answer(at: place, workContinues: workContinues)
            else { return }
            delegate.runFinished(result, timing: timing, workContinues: workContinues)
            if let ended { delegate.runWorkEnded(timing: ended) }
        case .workEnded(let place, let timing):
            calls.end(at: place, timing: timing)?.runWorkEnded(timing: timing)
        }
    }

    /// Calls that are waiting or running on the shards.
    package var underWay: Int { calls.count }
}
