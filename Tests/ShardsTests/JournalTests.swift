// Whoever is in native code has been noted before, and nobody who is not: loads, runs on shards, runs on event loops.

import Catalogue
import Contract
import NIOEmbedded
import Shards
import Synchronization
import Testing

/// Writes down who is inside.
private final class Witness: RunJournal {
    struct Inside: Sendable, Hashable {
        var model: String
        var activity: Suspect.Activity
    }

    let inside = Mutex<[Inside]>([])
    let seen = Mutex<[Inside]>([])

    func pen() -> any JournalPen { Pen(self) }

    private final class Pen: JournalPen {
        let witness: Witness
        let current = Mutex<Inside?>(nil)
        init(_ witness: Witness) { self.witness = witness }

        func enter(_ entry: ModelEntry, _ activity: Suspect.Activity) {
            let new = Inside(model: entry.name, activity: activity)
            current.withLock { $0 = new }
            witness.inside.withLock { $0.append(new) }
        }

        func leave() {
            let old = current.withLock { $0.take() }
            witness.inside.withLock { inside in
                inside.firstIndex { $0 == old }.map { _ = inside.remove(at: $0) }
            }
        }
    }

    /// Called from inside native code.
    func look() { seen.withLock { $0 = inside.withLock { $0 } } }
    var all: [Inside] { seen.withLock { $0 } }
}

@Suite struct JournalTests {
    @Test func nativeCodeIsEnteredOnlyWithANote() throws {
        let clock = ManualClock()
        let engine = ScriptedEngine()
        let witness = Witness()
        engine.script.withLock {
            $0.load = { _ in witness.look() }
            $0.run = { prepared, _ in
                witness.look()
                return prepared.inputs
            }
        }
        let fleet = Fleet(
            settings: ShardSettings(cores: 2), engine: engine, clock: .manual { clock.now },
            journal: witness)
        let loop = EmbeddedEventLoop()
        let desk = fleet.desk(on: loop)
        let entry = Samples.entry(0, "noted")
        func call() -> Listener.Ear {
            let listener = Listener()
            _ = desk.submit(
                Samples.prepared(entry), deadline: clock.now + .seconds(9), now: clock.now,
                delegate: listener)
            return listener.ear
        }
        func settle() {
            desk.turnEnded()
            loop.run()
        }

        let first = call()
        desk.turnEnded()
        fleet.drainLoaders()
        #expect(witness.all == [Witness.Inside(model: "noted", activity: .load)])
        #expect(witness.inside.withLock { $0 }.isEmpty)
        fleet.drainShards()
        #expect(witness.all == [Witness.Inside(model: "noted", activity: .run)])
        settle()
        #expect(first.succeeded)

        // Known to be short, it runs on the event loop.
        fleet.resident(for: entry).estimates.record(.microseconds(2), forBytes: 16)
        witness.seen.withLock { $0 = [] }
        let second = call()
        #expect(second.succeeded, "on the spot")
        #expect(witness.all == [Witness.Inside(model: "noted", activity: .run)])
        settle()

        // A run that fails has left all the same, and so has a load.
        engine.script.withLock {
            $0.run = { _, _ throws(CallFailure) in throw Script.stopped }
            $0.load = { _ throws(CallFailure) in throw Script.stopped }
        }
        #expect(call().failure != nil)
        settle()
        let other = Listener()
        _ = desk.load(
            Samples.entry(1, "broken"), deadline: clock.now + .seconds(9), now: clock.now,
            delegate: other)
        desk.turnEnded()
        fleet.drainLoaders()
        loop.run()
        #expect(other.ear.failure != nil)
        #expect(witness.inside.withLock { $0 }.isEmpty)
    }
}
