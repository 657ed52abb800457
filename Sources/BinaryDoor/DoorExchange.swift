// The door's side of one call at work: the walk holds it and answers through it.

import Contract

/// One call between `begin` and the end of its work. Used on the connection's event loop only.
final class DoorExchange: Exchange {
    enum State {
        /// The walk owes the answer. Exits: winding down, done.
        case open
        /// Answered; the work goes on. Exit: done.
        case windingDown
        /// Nothing more will come, or nobody listens any more.
        case done
    }

    let door: BinaryDoorHandler
    let call: UInt32
    let slot: Int
    let wantsProgress: Bool
    var state = State.open
    var handle: (any CallHandle)?
    /// In the door's list: not while `begin` runs, so that a call answered inside it costs less.
    var isListed = false
    /// The connection has gone: nothing the walk says matters any more.
    var isAbandoned = false
    private var isCancelled = false
    /// Said to the caller in place of whatever the walk says.
    var overruled: CallFailure?
    /// Told with the answer.
    private(set) var allowance: Allowance?
    /// A message of a stream is out or waits.
    var hasSent = false

    init(_ door: BinaryDoorHandler, call: UInt32, slot: Int, wantsProgress: Bool) {
        self.door = door
        self.call = call
        self.slot = slot
        self.wantsProgress = wantsProgress
    }

    /// Tells the walk, once, that nobody waits for the answer any more.
    func cancel() {
        guard state == .open, !isCancelled, let handle else { return }
        isCancelled = true
        handle.cancel()
    }

    func progress(_ progress: Progress) {
        guard state == .open, wantsProgress, overruled == nil else { return }
        door.progress(progress, of: self)
    }

    func allow(_ allowance: Allowance) { self.allowance = allowance }

    func send(_ message: Answer) {
        guard state == .open, overruled == nil else { return }
        door.send(message, of: self)
    }

    func finish(_ result: Result<Answer, CallFailure>, timing: Timing, workContinues: Bool) {
        guard state == .open else { return }
        state = workContinues ? .windingDown : .done
        door.finish(result, timing: timing, workContinues: workContinues, of: self)
    }

    func workEnded() {
        guard state == .windingDown else { return }
        state = .done
        door.workEnded(self)
    }
}
