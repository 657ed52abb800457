// A fleet and one event loop without threads: time and the order of steps are the test's.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

/// A fleet driven by hand, and one event loop.
final class DeskBench {
    let clock = ManualClock()
    let engine = ScriptedEngine()
    let loop = EmbeddedEventLoop()
    let fleet: Fleet
    let desk: LoopDesk
    let order = Order()
    private var calls = 0

    init(_ change: (inout ShardSettings) -> Void = { _ in }) {
        var settings = ShardSettings(cores: 2)
        change(&settings)
        let clock = clock
        fleet = Fleet(settings: settings, engine: engine, clock: .manual { clock.now })
        desk = fleet.desk(on: loop)
    }

    /// Submits a call with this much time; what it hears.
    @discardableResult
    func call(
        _ entry: ModelEntry, rows: Int = 1, within time: Nanoseconds = .seconds(60),
        wantsProgress: Bool = false, share: Share = .house
    ) -> (ear: Listener.Ear, ticket: RunTicket?) {
        calls += 1
        let listener = Listener(order, number: calls)
        let ticket = desk.submit(
            Samples.prepared(entry, rows: rows), deadline: clock.now + time, now: clock.now,
            wantsProgress: wantsProgress, share: share, delegate: listener)
        return (listener.ear, ticket)
    }

    func load(_ entry: ModelEntry, within time: Nanoseconds = .seconds(60)) -> Listener.Ear {
        let listener = Listener(order)
        _ = desk.load(
            entry, deadline: clock.now + time, now: clock.now, delegate: listener)
        return listener.ear
    }

    /// Ends the turn and lets everything happen that can.
    func settle() {
        desk.turnEnded()
        for _ in 0..<4 {
            fleet.drainLoaders()
            fleet.drainShards()
            _ = fleet.look(clock.now)
            loop.run()
        }
    }

    /// An awake model whose run takes this long by the clock.
    func awake(_ index: Int = 0, run time: Nanoseconds = .microseconds(4)) -> ModelEntry {
        let entry = Samples.entry(index)
        takesTime(time)
        call(entry)
        settle()
        #expect(fleet.state(of: entry) == .awake)
        return entry
    }

    func takesTime(_ time: Nanoseconds) {
        let clock = clock
        engine.script.withLock { script in
            script.run = { prepared, _ in
                clock.advance(time)
                return prepared.inputs
            }
        }
    }
}
