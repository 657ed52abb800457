// Watches over the runs on one event loop: they have no timer of their own, so a model that is short except for one
// input, for which it never ends, would hold up every connection of the loop. Shared by a desk and the watchdog.

import Contract
import Synchronization

/// When the turn of an event loop began that runs models inline, and how to stop the run it is at.
final class InlineWatch: Sendable {
    /// Nanoseconds of the turn's first inline run or batched call; 0 between turns.
    private let turnBegan = Atomic<UInt64>(0)
    private let isStruck = Atomic<Bool>(false)
    private let stopper: Mutex<any RunStopper>
    let mailbox: Mailbox

    init(_ stopper: any RunStopper, mailbox: Mailbox) {
        self.stopper = Mutex(stopper)
        self.mailbox = mailbox
    }

    // MARK: - On the event loop

    func beginTurn(_ now: Instant) { turnBegan.store(max(1, now.nanoseconds), ordering: .relaxed) }
    func endTurn() { turnBegan.store(0, ordering: .relaxed) }

    /// The watchdog has stopped the run.
    var wasStruck: Bool { isStruck.load(ordering: .acquiring) }

    /// From now on this stopper stops the loop's runs.
    func renew(_ fresh: any RunStopper) {
        stopper.withLock {
            $0 = fresh
            isStruck.store(false, ordering: .releasing)
        }
    }

    // MARK: - On the watchdog's thread

    /// Stops the run of a turn that has lasted too long, and sees to it that the turn ends.
    func check(_ now: Instant, stallMax: Nanoseconds) {
        let began = turnBegan.load(ordering: .relaxed)
        guard began != 0, now.since(Instant(nanoseconds: began)) > stallMax, !wasStruck else {
            return
        }
        // The flag first: who sees a run fail must find out why.
        let strucken = stopper.withLock { stopper in
            isStruck.store(true, ordering: .releasing)
            return stopper
        }
        strucken.stop()
        mailbox.nudge()
    }
}
