// Desks and fleet without threads: time and the order of steps are the test's.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

@Suite struct LoopDeskTests {
    @Test func `the first call wakes the model and says so`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        let clock = bench.clock
        bench.engine.script.withLock { $0.load = { _ in clock.advance(.milliseconds(30)) } }
        #expect(bench.fleet.state(of: entry) == .asleep && bench.fleet.holdings.isEmpty)
        let (ear, ticket) = bench.call(entry, wantsProgress: true)
        #expect(ticket != nil)
        #expect(bench.engine.count.loads == 0)
        bench.desk.turnEnded()
        #expect(bench.fleet.state(of: entry) == .loading)
        bench.settle()
        #expect(ear.succeeded)
        #expect(ear.all.timing.cold)
        #expect(ear.all.timing.load == .milliseconds(30))
        #expect(ear.all.timing.batch == 1)
        #expect(ear.all.progress == [.queued, .loading, .warming])
        #expect(ear.all.disorder == 0)
        let second = bench.call(entry).ear
        bench.settle()
        #expect(second.succeeded && !second.all.timing.cold)
        #expect(second.all.timing.load == .zero)
        #expect(bench.engine.count.loads == 1)
        #expect(bench.desk.underWay == 0)
    }

    @Test func `an awake short model runs on the spot`() {
        let bench = DeskBench()
        let entry = bench.awake()
        let (ear, ticket) = bench.call(entry)
        #expect(ticket == nil)
        #expect(ear.succeeded)
        #expect(ear.all.timing.run == .microseconds(4))
        // It waits for nobody: its time is the CPU's.
        #expect(ear.all.timing.cpu == .microseconds(4))
        #expect(ear.all.timing.batch == 1)
        #expect(bench.fleet.holdings.map(\.model) == [entry.name])
        #expect(bench.fleet.resident(for: entry).leases == 1)
        bench.desk.turnEnded()
        #expect(bench.fleet.resident(for: entry).leases == 0)
        #expect(bench.fleet.tally(of: entry).success.count == 2)
        #expect(bench.fleet.tally(of: entry).run.nanoseconds == 8_000)
    }

    @Test func `a long model, an unknown size or a setting of zero hops`() {
        let bench = DeskBench()
        let short = bench.awake(0)
        #expect(bench.call(short, rows: 1_000).ticket != nil)
        bench.settle()
        let long = bench.awake(1, run: .milliseconds(5))
        #expect(bench.call(long).ticket != nil)
        bench.settle()
        let never = DeskBench { $0.inlineRunMax = .zero }
        let entry = never.awake()
        #expect(never.call(entry).ticket != nil)
        never.settle()
    }

    @Test func `a turn runs for its budget, the rest hops, the next turn begins anew`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .microseconds(50))
        var inline = 0
        var ears: [Listener.Ear] = []
        for _ in 0..<50 {
            let (ear, ticket) = bench.call(entry)
            ears.append(ear)
            if ticket == nil { inline += 1 }
        }
        #expect(inline == 20)
        bench.settle()
        #expect(ears.allSucceeded)
        #expect(bench.call(entry).ticket == nil)
        bench.settle()
    }

    @Test func `answers of one loop come in the order the runs ended`() {
        let bench = DeskBench { $0.count = 1 }
        let entry = bench.awake(run: .milliseconds(1))
        for _ in 0..<20 { bench.call(entry) }
        bench.settle()
        #expect(bench.order.all == Array(1...21))
    }

    @Test func `a turn that nobody ends is ended by the loop`() {
        let bench = DeskBench()
        let ear = bench.call(Samples.entry()).ear
        bench.loop.run()
        bench.fleet.drainLoaders()
        bench.fleet.drainShards()
        bench.loop.run()
        #expect(ear.succeeded)
    }

    @Test func `a forgotten turn of inline runs is ended by the watchdog`() {
        let bench = DeskBench()
        let entry = bench.awake()
        #expect(bench.call(entry).ticket == nil)
        bench.clock.advance(.milliseconds(300))
        _ = bench.fleet.look(bench.clock.now)
        bench.loop.run()
        #expect(bench.fleet.resident(for: entry).leases == 0)
        let next = bench.call(entry)
        #expect(next.ticket == nil && next.ear.succeeded)
        bench.desk.turnEnded()
    }

    // MARK: - Deadlines and cancels

    @Test func `a deadline that has passed is answered at once`() {
        let bench = DeskBench()
        let (ear, ticket) = bench.call(Samples.entry(), within: .zero)
        #expect(ticket == nil)
        #expect(ear.failure?.code == .deadlineExceeded)
        #expect(ear.failure?.notStarted == true)
        bench.settle()
        #expect(bench.engine.count.loads == 0)
    }

    @Test func `a deadline passes while the model loads, and the load goes on`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        let early = bench.call(entry, within: .milliseconds(10)).ear
        let late = bench.call(entry).ear
        bench.desk.turnEnded()
        bench.clock.advance(.milliseconds(10))
        _ = bench.fleet.look(bench.clock.now)
        bench.loop.run()
        #expect(early.failure?.code == .deadlineExceeded)
        #expect(early.failure?.notStarted == true)
        #expect(!late.isAnswered)
        bench.settle()
        #expect(late.succeeded)
        #expect(bench.engine.count.runs == 1)
        #expect(early.all.answers == 1)
        #expect(bench.fleet.resident(for: entry).leases == 0)
    }

    @Test func `a deadline passes in the queue: the watchdog answers, the run never starts`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .milliseconds(1))
        let early = bench.call(entry, within: .milliseconds(10)).ear
        bench.desk.turnEnded()
        bench.clock.advance(.milliseconds(10))
        _ = bench.fleet.look(bench.clock.now)
        bench.loop.run()
        #expect(early.failure?.reason == .deadlinePast)
        bench.settle()
        #expect(bench.engine.count.runs == 1)
    }

    @Test func `a deadline is looked at when a call leaves the queue`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .milliseconds(1))
        let ear = bench.call(entry, within: .milliseconds(10)).ear
        bench.desk.turnEnded()
        bench.clock.advance(.milliseconds(10))
        bench.fleet.drainShards()
        bench.loop.run()
        #expect(ear.failure?.code == .deadlineExceeded)
        #expect(ear.failure?.notStarted == true)
        #expect(bench.engine.count.runs == 1)
    }

    @Test func `cancel before the turn ends, while loading, in the queue and after`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        let first = bench.call(entry)
        first.ticket?.cancel()
        #expect(!first.ear.isAnswered, "never from inside cancel")
        let second = bench.call(entry)
        let third = bench.call(entry)
        bench.desk.turnEnded()
        second.ticket?.cancel()
        bench.loop.run()
        #expect(first.ear.failure?.code == .cancelled)
        #expect(second.ear.failure?.code == .cancelled)
        bench.fleet.drainLoaders()
        #expect(bench.fleet.state(of: entry) == .awake)
        third.ticket?.cancel()
        third.ticket?.cancel()
        bench.settle()
        #expect(third.ear.failure?.reason == .cancelledByCaller)
        #expect(third.ear.failure?.notStarted == true)
        #expect(bench.engine.count.runs == 0)
        let fourth = bench.call(entry)
        bench.settle()
        #expect(fourth.ear.succeeded)
        fourth.ticket?.cancel()
        bench.settle()
        #expect(fourth.ear.all.answers == 1)
        #expect(bench.fleet.resident(for: entry).leases == 0)
        #expect(bench.desk.underWay == 0)
    }

    @Test func `an old ticket does not cancel another call in the same place`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .milliseconds(1))
        let old = bench.call(entry)
        bench.settle()
        let new = bench.call(entry)
        old.ticket?.cancel()
        bench.settle()
        #expect(new.ear.succeeded)
    }

    // MARK: - Maxima

    @Test func `full queues refuse and say when to come back`() {
        let bench = DeskBench {
            $0.count = 2
            $0.queueMax = 10
        }
        let entry = bench.awake(run: .milliseconds(4))
        let ears = (0..<25).map { _ in bench.call(entry).ear }
        bench.desk.turnEnded()
        bench.loop.run()
        let refused = ears.filter { $0.failure?.reason == .queueFull }
        #expect(refused.count == 5)
        for ear in refused {
            #expect(ear.failure?.code == .resourceExhausted)
            #expect(ear.failure?.notStarted == true)
            #expect(ear.failure?.retryAfter == .milliseconds(40))
            #expect(ear.failure?.message.contains("10 runs") == true)
        }
        bench.settle()
        #expect(ears.filter(\.succeeded).count == 20)
        #expect(bench.fleet.resident(for: entry).leases == 0)
    }

    @Test func `cancelled calls do not fill the queues`() {
        let bench = DeskBench {
            $0.count = 1
            $0.queueMax = 10
        }
        let entry = bench.awake(run: .milliseconds(4))
        let first = (0..<10).map { _ in bench.call(entry) }
        bench.desk.turnEnded()
        for call in first { call.ticket?.cancel() }
        let second = (0..<10).map { _ in bench.call(entry).ear }
        bench.settle()
        #expect(second.allSucceeded)
    }

    @Test func `calls waiting for a load, and calls of one loop, have a maximum`() {
        let bench = DeskBench {
            $0.loadWaitersMax = 5
            $0.callsPerLoopMax = 8
        }
        let entry = Samples.entry()
        let ears = (0..<9).map { _ in bench.call(entry).ear }
        #expect(ears[8].failure?.reason == .queueFull)
        #expect(ears[8].failure?.message.contains("8 calls") == true)
        bench.desk.turnEnded()
        bench.loop.run()
        for ear in ears[5..<8] { #expect(ear.failure?.reason == .queueFull) }
        bench.settle()
        #expect(ears[..<5].allSucceeded)
    }

    @Test func `models waiting for a loader have a maximum`() {
        let bench = DeskBench { $0.loadsMax = 3 }
        let entries = (0..<5).map { Samples.entry($0) }
        let ears = entries.map { bench.call($0).ear }
        bench.settle()
        #expect(ears.filter(\.succeeded).count == 3)
        #expect(ears[4].failure?.code == .resourceExhausted)
        #expect(ears[4].failure?.retryAfter != nil)
        #expect(bench.fleet.state(of: entries[4]) == .asleep)
        let again = bench.call(entries[4]).ear
        bench.settle()
        #expect(again.succeeded)
    }

    // MARK: - Loads that fail

    @Test func `a corrupt model answers all who wait, and is left alone for a while`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        let neighbour = Samples.entry(1)
        bench.engine.script.withLock {
            $0.load = { (entry: ModelEntry) throws(CallFailure) in
                if entry.index == 0 {
                    throw CallFailure(.internal, .runFailed, "protobuf parsing failed")
                }
            }
        }
        let ears = (0..<10).map { _ in bench.call(entry).ear }
        let bystander = bench.call(neighbour).ear
        bench.settle()
        for ear in ears {
            #expect(ear.failure?.code == .failedPrecondition)
            #expect(ear.failure?.reason == .modelBroken)
            #expect(ear.failure?.message.contains("protobuf parsing failed") == true)
            #expect(ear.failure?.retryAfter == .seconds(1))
        }
        #expect(bystander.succeeded)
        if case .broken = bench.fleet.state(of: entry) {} else { Issue.record("not broken") }
        for _ in 0..<100 { bench.call(entry) }
        bench.settle()
        #expect(bench.engine.count.loads == 2)
        bench.clock.advance(.seconds(1))
        let later = bench.call(entry).ear
        bench.settle()
        #expect(later.failure?.reason == .modelBroken)
        #expect(bench.engine.count.loads == 3)
        bench.engine.script.withLock { $0.load = { _ in } }
        let insisting = bench.load(entry)
        bench.settle()
        #expect(insisting.succeeded)
        #expect(bench.fleet.state(of: entry) == .awake)
    }

    @Test func `a session with another signature than the catalogue's is not used`() {
        let bench = DeskBench()
        bench.engine.script.withLock {
            $0.signature = Signature(
                inputs: [TensorSpecification(name: "Z", datatype: .fp32, shape: [-1, 4])],
                outputs: Samples.signature.outputs)
        }
        let ear = bench.call(Samples.entry()).ear
        bench.settle()
        #expect(ear.failure?.reason == .modelBroken)
        #expect(ear.failure?.message.contains("Z") == true)
        #expect(bench.engine.count.living == 0)
    }

    @Test func `a run that fails answers its caller only`() {
        let bench = DeskBench()
        let entry = bench.awake()
        let failure = CallFailure(.internal, .runFailed, "index out of range")
        bench.engine.script.withLock {
            $0.run = { (_, _) throws(CallFailure) in throw failure }
        }
        let inline = bench.call(entry)
        #expect(inline.ticket == nil && inline.ear.failure == failure)
        bench.settle()
        #expect(bench.fleet.tally(of: entry).failure.count == 1)
        bench.takesTime(.microseconds(4))
        let next = bench.call(entry).ear
        bench.settle()
        #expect(next.succeeded)
    }

    // MARK: - Waking, leaving, stopping

    @Test func `load wakes without a run`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        let first = bench.load(entry)
        bench.settle()
        #expect(first.succeeded)
        let second = bench.load(entry)
        bench.settle()
        #expect(second.succeeded)
        #expect(bench.engine.count.loads == 1 && bench.engine.count.runs == 0)
        let told = Told()
        bench.fleet.load(entry, done: told.hear)
        #expect(told.count == 1 && told.failure == nil)
        #expect(bench.fleet.resident(for: entry).leases == 0)
    }

    @Test func `unload waits for the turn that uses the model, then frees it`() {
        let bench = DeskBench()
        let entry = bench.awake()
        #expect(bench.call(entry).ticket == nil)
        let told = Told()
        bench.fleet.unload(entry, done: told.hear)
        #expect(bench.fleet.state(of: entry) == .leaving)
        bench.fleet.drainLoaders()
        #expect(told.count == 0)
        // In the same turn the lease still holds for what runs on the spot; what hops waits for the next load.
        #expect(bench.call(entry).ticket == nil)
        let waiting = bench.call(entry, rows: 1_000).ear
        bench.desk.turnEnded()
        bench.fleet.drainLoaders()
        #expect(told.count == 1)
        bench.settle()
        #expect(waiting.succeeded && waiting.all.timing.cold)
        #expect(bench.engine.count.loads == 2)
        #expect(bench.engine.count.living == 1)
        #expect(bench.engine.count.trims == 1)
    }

    @Test func `unload of a sleeping or unknown model is done at once`() {
        let bench = DeskBench()
        let told = Told()
        bench.fleet.unload(Samples.entry(7), done: told.hear)
        let entry = bench.awake()
        bench.fleet.unload(entry, done: told.hear)
        bench.settle()
        bench.fleet.unload(entry, done: told.hear)
        #expect(told.count == 3)
        #expect(bench.engine.count.living == 0)
        #expect(bench.fleet.state(of: entry) == .asleep)
    }

    @Test func `a retired entry is freed, refuses late calls and is forgotten`() {
        let bench = DeskBench()
        let entry = bench.awake()
        let told = Told()
        bench.fleet.retire(entry, done: told.hear)
        let late = bench.call(entry).ear
        bench.settle()
        #expect(told.count == 1)
        #expect(bench.engine.count.living == 0)
        #expect(late.failure?.code == .unavailable)
        #expect(late.failure?.reason == .modelUnloaded)
        #expect(late.failure?.notStarted == true)
        let resident = bench.fleet.resident(for: entry)
        bench.clock.advance(.seconds(60))
        _ = bench.fleet.look(bench.clock.now)
        #expect(bench.fleet.resident(for: entry) !== resident)
    }

    @Test func `asking does not wake`() {
        let bench = DeskBench()
        let entry = Samples.entry()
        _ = bench.fleet.state(of: entry)
        _ = bench.fleet.statistics
        _ = bench.fleet.tally(of: entry)
        bench.settle()
        #expect(bench.engine.count.loads == 0)
    }

    @Test func `a stop answers everyone who waits, and whoever comes`() {
        let bench = DeskBench()
        let awake = bench.awake(run: .milliseconds(1))
        let queued = bench.call(awake).ear
        let loading = bench.call(Samples.entry(1)).ear
        let told = Told()
        bench.fleet.load(Samples.entry(2), done: told.hear)
        bench.desk.turnEnded()
        let inDesk = bench.call(awake).ear
        let ended = Gate()
        bench.fleet.stop(by: bench.clock.now) { _ in ended.open() }
        #expect(ended.hasOpened)
        let late = bench.call(awake).ear
        bench.settle()
        for ear in [queued, loading, inDesk, late] {
            #expect(ear.failure?.code == .unavailable)
            #expect(ear.failure?.reason == .stopping)
            #expect(ear.failure?.notStarted == true)
            #expect(ear.all.answers == 1)
        }
        #expect(told.failure?.reason == .stopping)
    }

    @Test func `statistics count what there is`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .milliseconds(1))
        bench.call(entry)
        bench.call(Samples.entry(1))
        bench.desk.turnEnded()
        let now = bench.fleet.statistics
        #expect(now.shards == 2 && now.queued == 1 && now.running == 0)
        #expect(now.modelsAwake == 1 && now.modelsLoading == 1)
        #expect(now.callsWaitingForModels == 1)
        bench.settle()
        #expect(bench.fleet.statistics.placed == 3)
    }
}
