// What a manifest allows its model: how long a call may take, and how many runs there are at the same time.

import Catalogue
import Contract
import NIOEmbedded
import Shards
import Testing

@Suite struct ModelLimitsTests {
    private final class Counter {
        let clock = ManualClock()
        let engine = ScriptedEngine()
        let loop = EmbeddedEventLoop()
        let fleet: Fleet
        let desk: LoopDesk

        init(shards: Int = 4, queue: Int = 1_024) {
            var settings = ShardSettings(cores: shards)
            settings.queueMax = queue
            let clock = clock
            fleet = Fleet(settings: settings, engine: engine, clock: .manual { clock.now })
            desk = fleet.desk(on: loop)
        }

        func wake(_ entry: ModelEntry) {
            fleet.load(entry) { _ in }
            fleet.drainLoaders()
        }

        func call(_ entry: ModelEntry, within time: Nanoseconds = .seconds(60)) -> Listener.Ear {
            let listener = Listener()
            let ticket = desk.submit(
                Samples.prepared(entry), deadline: clock.now + time, now: clock.now,
                delegate: listener)
            tickets.append(ticket)
            desk.turnEnded()
            return listener.ear
        }

        var tickets: [RunTicket?] = []

        func drain() {
            fleet.drainShards()
            loop.run()
        }
    }

    private func entry(_ limits: ModelLimits) -> ModelEntry { Samples.entry(limits: limits) }

    @Test func noMoreRunsAtATimeThanTheModelAllows() {
        let counter = Counter()
        let model = entry(ModelLimits(concurrency: 2))
        counter.wake(model)
        let ears = (0..<5).map { _ in counter.call(model) }
        #expect(counter.fleet.statistics.queued == 2, "the others wait in front of the queues")
        #expect(counter.fleet.runNext(on: 0))
        #expect(counter.fleet.statistics.queued == 2, "the next has passed")
        counter.drain()
        #expect(ears.allSucceeded && counter.engine.count.runs == 5)
        // All have left: the next two pass again.
        let more = (0..<3).map { _ in counter.call(model) }
        #expect(counter.fleet.statistics.queued == 2)
        counter.drain()
        #expect(more.allSucceeded)
    }

    @Test func whoGivesUpMakesRoom() {
        let counter = Counter()
        let model = entry(ModelLimits(concurrency: 1))
        counter.wake(model)
        let ears = (0..<4).map { _ in counter.call(model) }
        // One that waits, and the one that passed.
        counter.tickets[1]?.cancel()
        counter.tickets[0]?.cancel()
        counter.drain()
        #expect(ears[0].failure?.code == .cancelled && ears[1].failure?.code == .cancelled)
        #expect(ears[2].succeeded && ears[3].succeeded)
        #expect(counter.engine.count.runs == 2)
        #expect(counter.fleet.resident(for: model).leases == 0)
    }

    @Test func theWaitIsBoundedAndOthersAreNotHeldUp() throws {
        let counter = Counter(queue: 2)
        let model = entry(ModelLimits(concurrency: 1))
        counter.wake(model)
        let ears = (0..<4).map { _ in counter.call(model) }
        counter.loop.run()
        let failure = try #require(ears[3].failure)
        #expect(failure.code == .resourceExhausted && failure.reason == .queueFull)
        #expect(failure.message.contains("limits.concurrency"))
        #expect(failure.message.contains("shards.queue"))
        let other = Samples.entry(1)
        counter.wake(other)
        let free = counter.call(other)
        counter.drain()
        #expect(free.succeeded && ears.prefix(3).allSucceeded)
    }

    @Test func aStopAnswersThoseWhoWait() {
        let counter = Counter()
        let model = entry(ModelLimits(concurrency: 1))
        counter.wake(model)
        let ears = (0..<3).map { _ in counter.call(model) }
        counter.fleet.stop(by: counter.clock.now) { _ in }
        counter.loop.run()
        #expect(ears.allSatisfy { $0.failure?.reason == .stopping })
    }

    @Test func aTimeoutNarrowsTheDeadline() throws {
        let counter = Counter()
        let model = entry(ModelLimits(timeout: .seconds(1)))
        counter.wake(model)
        let (late, short) = (counter.call(model), counter.call(model, within: .milliseconds(10)))
        counter.clock.advance(.milliseconds(20))
        _ = counter.fleet.look(counter.clock.now)
        counter.loop.run()
        #expect(short.failure?.code == .deadlineExceeded && !late.isAnswered)
        counter.clock.advance(.seconds(1))
        _ = counter.fleet.look(counter.clock.now)
        counter.loop.run()
        let failure = try #require(late.failure)
        #expect(failure.code == .deadlineExceeded)
        #expect(failure.message.contains("limits.timeout_ms"), "\(failure.message)")
    }
}
