// Files that must come before a model is loaded: no loader waits for them, everybody who waits hears of it, and each waits
// only as long as they want.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

/// Brings files when the test says so.
private final class ScriptedFetcher: ModelFetcher {
    final class Hold: FilesHold {
        private let end: @Sendable () -> Void
        init(_ end: @escaping @Sendable () -> Void) { self.end = end }
        deinit { end() }
    }

    private struct State: Sendable {
        var here: Set<String> = []
        var waiting: [String: [any FetchWaiting]] = [:]
        var asked: [String] = []
        var holds: [String: Int] = [:]
    }

    private let state = Mutex(State())

    var asked: [String] { state.withLock { $0.asked } }
    func holds(_ entry: ModelEntry) -> Int { state.withLock { $0.holds[entry.name] ?? 0 } }
    func isWanted(_ entry: ModelEntry) -> Bool {
        state.withLock { $0.waiting[entry.name] ?? [] }.contains { $0.isWanted }
    }

    private func hold(_ name: String) -> any FilesHold {
        state.withLock { $0.holds[name, default: 0] += 1 }
        return Hold { [self] in state.withLock { $0.holds[name, default: 0] -= 1 } }
    }

    func files(of entry: ModelEntry) -> FilesPresence {
        state.withLock { $0.here.contains(entry.name) } ? .present(hold(entry.name)) : .absent
    }

    func fetch(_ entry: ModelEntry, for waiting: any FetchWaiting) {
        state.withLock { state in
            state.asked.append(entry.name)
            state.waiting[entry.name, default: []].append(waiting)
        }
    }

    func tell(_ entry: ModelEntry, _ fraction: Double) {
        for one in state.withLock({ $0.waiting[entry.name] ?? [] }) {
            one.isFetching(fraction: fraction, remaining: .seconds(1))
        }
    }

    func end(_ entry: ModelEntry, _ failure: FetchFailure? = nil) {
        let waiting = state.withLock { state in
            if failure == nil { state.here.insert(entry.name) }
            return state.waiting.removeValue(forKey: entry.name) ?? []
        }
        for one in waiting {
            one.ended(failure.map { .failure($0) } ?? .success(hold(entry.name)))
        }
    }
}

private final class Bench {
    let clock = ManualClock()
    let engine = ScriptedEngine()
    let fetcher = ScriptedFetcher()
    let loop = EmbeddedEventLoop()
    let fleet: Fleet
    let desk: LoopDesk

    init() {
        let clock = clock
        fleet = Fleet(
            settings: ShardSettings(cores: 2), engine: engine, clock: .manual { clock.now },
            fetcher: fetcher)
        desk = fleet.desk(on: loop)
    }

    func call(
        _ entry: ModelEntry, within time: Nanoseconds = .seconds(60)
    ) -> (ear: Listener.Ear, ticket: RunTicket?) {
        let listener = Listener()
        let ticket = desk.submit(
            Samples.prepared(entry), deadline: clock.now + time, now: clock.now,
            wantsProgress: true, delegate: listener)
        return (listener.ear, ticket)
    }

    func settle() {
        desk.turnEnded()
        for _ in 0..<4 {
            fleet.drainLoaders()
            fleet.drainShards()
            _ = fleet.look(clock.now)
            loop.run()
        }
    }
}

@Suite struct FetchTests {
    private static let down = CallFailure(
        .unavailable, .storeUnavailable, "the store is down", notStarted: true)

    @Test func `files come before the load, and those who wait hear of it`() {
        let bench = Bench()
        let (entry, other) = (Samples.entry(0), Samples.entry(1))
        let first = bench.call(entry).ear
        let second = bench.call(entry).ear
        bench.settle()
        #expect(bench.fetcher.asked == ["model-0"])
        #expect(bench.engine.count.loads == 0)
        #expect(bench.fleet.state(of: entry) == .loading)
        // Another model is not held up.
        bench.fetcher.end(other)
        let third = bench.call(other).ear
        bench.settle()
        #expect(third.succeeded)
        bench.fetcher.tell(entry, 0.5)
        bench.settle()
        bench.fetcher.end(entry)
        bench.settle()
        #expect(first.succeeded && second.succeeded)
        #expect(first.all.progress == [.queued, .fetching, .loading, .warming])
        #expect(first.all.timing.cold)
        #expect(bench.engine.count.loads == 2)
    }

    @Test func `a call knows how long it waited for files and for the load`() {
        let bench = Bench()
        let entry = Samples.entry()
        let clock = bench.clock
        bench.engine.script.withLock { script in
            script.load = { _ throws(CallFailure) in clock.advance(.milliseconds(7)) }
        }
        let first = bench.call(entry).ear
        bench.settle()
        bench.clock.advance(.milliseconds(30))
        let second = bench.call(entry).ear
        bench.settle()
        bench.clock.advance(.milliseconds(10))
        bench.fetcher.end(entry)
        bench.settle()
        #expect(first.all.timing.fetch == .milliseconds(40))
        #expect(first.all.timing.create == .milliseconds(7))
        #expect(first.all.timing.load == .milliseconds(47))
        // It came when the files were on their way.
        #expect(second.all.timing.fetch == .milliseconds(10))
        #expect(second.all.timing.create == .milliseconds(7))
        let warm = bench.call(entry).ear
        bench.settle()
        #expect(warm.succeeded && warm.all.timing.fetch == .zero)
        #expect(warm.all.timing.create == .zero && !warm.all.timing.cold)
        // Its files are here now.
        bench.fleet.unload(entry)
        bench.settle()
        let again = bench.call(entry).ear
        bench.settle()
        #expect(again.all.timing.cold && again.all.timing.fetch == .zero)
        #expect(again.all.timing.create == .milliseconds(7))
    }

    @Test func `files are held as long as the model is in memory`() {
        let bench = Bench()
        let entry = Samples.entry()
        let ear = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(entry)
        bench.settle()
        #expect(ear.succeeded && bench.fetcher.holds(entry) == 1)
        let told = Told()
        bench.fleet.unload(entry, done: told.hear)
        bench.settle()
        #expect(told.count == 1 && bench.fetcher.holds(entry) == 0)
        // Here now: nothing is fetched again.
        let again = bench.call(entry).ear
        bench.settle()
        #expect(again.succeeded && bench.fetcher.holds(entry) == 1)
        #expect(bench.fetcher.asked == ["model-0"])
    }

    @Test func `a store that is down is told and not remembered`() {
        let bench = Bench()
        let entry = Samples.entry()
        let first = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(entry, FetchFailure(Self.down))
        bench.settle()
        #expect(first.failure == Self.down)
        #expect(bench.fleet.state(of: entry) == .asleep)
        let second = bench.call(entry).ear
        bench.settle()
        #expect(bench.fetcher.asked == ["model-0", "model-0"])
        bench.fetcher.end(entry)
        bench.settle()
        #expect(second.succeeded)
    }

    @Test func `wrong content is remembered`() {
        let bench = Bench()
        let entry = Samples.entry()
        let first = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(
            entry, FetchFailure(entry.brokenFailure("wrong bytes"), isLasting: true))
        bench.settle()
        #expect(first.failure?.code == .failedPrecondition)
        #expect(first.failure?.retryAfter != nil)
        let second = bench.call(entry).ear
        bench.settle()
        #expect(second.failure?.code == .failedPrecondition)
        #expect(bench.fetcher.asked == ["model-0"])
        #expect(bench.fetcher.holds(entry) == 0)
        bench.clock.advance(.seconds(2))
        let third = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(entry)
        bench.settle()
        #expect(third.succeeded)
    }

    @Test func `each waits only as long as it wants`() {
        let bench = Bench()
        let entry = Samples.entry()
        let short = bench.call(entry, within: .seconds(1)).ear
        let (cancelled, ticket) = bench.call(entry)
        let long = bench.call(entry, within: .seconds(60)).ear
        bench.settle()
        ticket?.cancel()
        bench.clock.advance(.seconds(2))
        bench.settle()
        #expect(short.failure?.code == .deadlineExceeded)
        #expect(cancelled.failure?.code == .cancelled)
        #expect(bench.fetcher.isWanted(entry) && !long.isAnswered)
        bench.clock.advance(.seconds(60))
        bench.settle()
        #expect(long.failure?.code == .deadlineExceeded)
        #expect(!bench.fetcher.isWanted(entry))
        // Somebody comes while it is being given up.
        let late = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(
            entry,
            FetchFailure(
                CallFailure(.unavailable, .modelLoading, "given up", notStarted: true)))
        bench.settle()
        #expect(!late.isAnswered && bench.fetcher.asked.count == 2)
        bench.fetcher.end(entry)
        bench.settle()
        #expect(late.succeeded)
    }

    @Test func `a load that fails lets go of the files`() {
        let bench = Bench()
        let entry = Samples.entry()
        bench.engine.script.withLock {
            $0.load = { entry throws(CallFailure) in throw entry.brokenFailure("no model") }
        }
        let ear = bench.call(entry).ear
        bench.settle()
        bench.fetcher.end(entry)
        bench.settle()
        #expect(ear.failure?.code == .failedPrecondition)
        #expect(bench.fetcher.holds(entry) == 0)
    }

    @Test func `a stop while files come answers those who wait`() {
        let bench = Bench()
        let entry = Samples.entry()
        let ear = bench.call(entry).ear
        bench.settle()
        let ended = Told()
        bench.fleet.stop(by: bench.clock.now) { _ in ended.hear(.success(())) }
        bench.settle()
        #expect(ear.failure?.reason == .stopping && ended.count == 1)
        bench.fetcher.end(entry)
        bench.settle()
        #expect(bench.engine.count.loads == 0 && bench.fetcher.holds(entry) == 0)
    }

    @Test func `a model that is replaced while its files come`() {
        let bench = Bench()
        let entry = Samples.entry()
        let ear = bench.call(entry).ear
        bench.settle()
        let told = Told()
        bench.fleet.retire(entry, done: told.hear)
        bench.fetcher.end(entry)
        bench.settle()
        #expect(ear.succeeded && told.count == 1)
        #expect(bench.fetcher.holds(entry) == 0)
    }
}
