// The fleet with its real threads and event loops: what only shows when things happen at the same time.

import Catalogue
import Contract
import Dispatch
import Foundation
import NIOCore
import NIOPosix
import Shards
import Synchronization
import Testing

/// A started fleet and its event loops.
private final class Works: Sendable {
    /// What lives on one loop.
    private struct Corner {
        var desk: LoopDesk?
        var tickets: [Int: RunTicket] = [:]
    }

    let engine = ScriptedEngine()
    let fleet: Fleet
    let order = Order()
    private let group: MultiThreadedEventLoopGroup
    private let loops: [any EventLoop]
    private let corners: [NIOLoopBoundBox<Corner>]
    private let numbers = Atomic<Int>(0)

    init(loops count: Int = 1, _ change: (inout ShardSettings) -> Void = { _ in }) throws {
        var settings = ShardSettings(cores: 2)
        change(&settings)
        let fleet = Fleet(settings: settings, engine: engine)
        self.fleet = fleet
        group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        loops = group.makeIterator().map { $0 }
        corners = try loops.map { loop in
            try loop.submit {
                NIOLoopBoundBox(Corner(desk: fleet.desk(on: loop)), eventLoop: loop)
            }.wait()
        }
        fleet.start()
    }

    /// Submits calls in one turn of a loop.
    @discardableResult
    func call(
        _ entry: ModelEntry, count: Int = 1, loop: Int = 0, within time: Nanoseconds = .seconds(30)
    ) -> [Listener.Ear] {
        let corner = corners[loop]
        let first = numbers.add(count, ordering: .relaxed).oldValue
        let ears = Mutex<[Listener.Ear]>([])
        let order = order
        let done = Gate()
        loops[loop].execute {
            for number in first..<(first + count) {
                let listener = Listener(order, number: number)
                ears.withLock { $0.append(listener.ear) }
                let now = Instant.now()
                corner.value.tickets[number] = corner.value.desk?.submit(
                    Samples.prepared(entry), deadline: now + time, now: now, delegate: listener)
            }
            corner.value.desk?.turnEnded()
            done.open()
        }
        done.pass()
        return ears.withLock { $0 }
    }

    func cancel(_ ear: Listener.Ear, loop: Int = 0) {
        let corner = corners[loop]
        loops[loop].execute { corner.value.tickets[ear.number]?.cancel() }
    }

    func underWay() throws -> Int {
        var count = 0
        for (loop, corner) in zip(loops, corners) {
            count += try loop.submit { corner.value.desk?.underWay ?? 0 }.wait()
        }
        return count
    }

    func run(
        _ body:
            @escaping @Sendable (Prepared, ScriptedStopper) throws(CallFailure) -> [Tensor]
    ) {
        engine.script.withLock { $0.run = body }
    }

    /// Stops the fleet, then its loops.
    func close(_ grace: Nanoseconds = .seconds(10)) async throws {
        if !stopped.hasOpened {
            let allEnded = await stop(by: Instant.now() + grace)
            #expect(allEnded)
        }
        for (loop, corner) in zip(loops, corners) {
            try await loop.submit { corner.value = Corner() }.get()
        }
        try await group.shutdownGracefully()
    }

    private let stopped = Gate()

    func stop(by deadline: Instant) async -> Bool {
        stopped.open()
        return await fleet.stop(by: deadline)
    }
}

/// The policy and the nice value of this process's threads of a name, as proc_pid_stat(5) has them.
private func ranks(_ name: String) -> [Rank] {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return tasks.compactMap { task in
        guard
            let line = try? String(contentsOfFile: "/proc/self/task/\(task)/stat", encoding: .utf8),
            line.contains("(\(name))"), let end = line.lastIndex(of: ")")
        else { return nil }
        let fields = line[line.index(after: end)...].split(separator: " ")
        return Rank(policy: Int(fields[38]), nice: Int(fields[16]))
    }
}

private struct Rank: Equatable {
    var policy, nice: Int?
}

@Suite(.serialized) struct FleetThreadsTests {
    /// A load that wakes on a call's core shall not take it from the call (sched(7), SCHED_BATCH).
    @Test func loadsGiveWayToCalls() async throws {
        let works = try Works()
        for name in ["loader-0", "promoter"] {
            #expect(
                eventually {
                    let found = ranks(name)
                    return !found.isEmpty && found.allSatisfy { $0 == Rank(policy: 3, nice: 10) }
                }, "\(name): \(ranks(name))")
        }
        let shards = ranks("shard-0")
        #expect(!shards.isEmpty && shards.allSatisfy { $0.policy == 0 })
        try await works.close()
    }

    @Test func `one load for a thousand callers, one of whom leaves`() async throws {
        let works = try Works(loops: 2)
        let gate = Gate()
        works.engine.script.withLock { $0.load = { _ in gate.pass() } }
        let entry = Samples.entry()
        let ears = works.call(entry, count: 500) + works.call(entry, count: 500, loop: 1)
        works.cancel(ears[0])
        #expect(eventually { ears[0].isAnswered })
        #expect(ears[0].failure?.code == .cancelled)
        gate.open()
        #expect(eventually { ears.allSatisfy(\.isAnswered) })
        #expect(ears.dropFirst().allSucceeded)
        #expect(works.engine.count.loads == 1)
        // A lease ends just after its answer.
        #expect(eventually { works.fleet.resident(for: entry).leases == 0 })
        try await works.close()
    }

    @Test func `a deadline is kept when long runs are ahead`() async throws {
        let works = try Works()
        let gate = Gate()
        works.run { prepared, _ in
            gate.pass()
            return prepared.inputs
        }
        let entry = Samples.entry()
        let long = works.call(entry, count: 10)
        #expect(eventually { works.engine.count.runs == 2 })
        let began = Instant.now()
        let short = works.call(entry, within: .milliseconds(20))
        #expect(eventually { short[0].isAnswered })
        #expect(Instant.now().since(began) < .seconds(5))
        #expect(short[0].failure?.code == .deadlineExceeded)
        #expect(short[0].failure?.notStarted == true)
        #expect(!short[0].all.workContinued)
        gate.open()
        #expect(eventually { long.allSatisfy(\.succeeded) })
        #expect(works.engine.count.runs == 10)
        try await works.close()
    }

    @Test func `a run is stopped at its deadline and its place is free afterwards`() async throws {
        let works = try Works()
        works.run(Script.endless())
        let ear = works.call(Samples.entry(), within: .milliseconds(30))[0]
        #expect(eventually { ear.isSettled })
        #expect(ear.failure?.code == .deadlineExceeded)
        #expect(ear.failure?.notStarted == false)
        #expect(ear.all.workContinued && ear.all.workEnds == 1 && ear.all.disorder == 0)
        // Whoever pays for run time pays for this too.
        #expect(ear.all.timing.run == .zero && ear.all.workTime > .zero)
        works.run { prepared, _ in prepared.inputs }
        let next = works.call(Samples.entry())[0]
        #expect(eventually { next.succeeded })
        #expect(try works.underWay() == 0)
        try await works.close()
    }

    @Test func `a deaf run keeps its place until it has stopped`() async throws {
        let works = try Works()
        let began = Gate()
        let gate = Gate()
        works.run { prepared, _ in
            began.open()
            gate.pass()
            return prepared.inputs
        }
        let entry = Samples.entry()
        let ear = works.call(entry)[0]
        began.pass()
        works.cancel(ear)
        #expect(eventually { ear.isAnswered })
        #expect(ear.failure?.code == .cancelled)
        #expect(ear.all.workContinued && ear.all.workEnds == 0)
        #expect(try works.underWay() == 1)
        #expect(works.fleet.resident(for: entry).leases == 1)
        gate.open()
        #expect(eventually { ear.isSettled })
        #expect(eventually { works.fleet.resident(for: entry).leases == 0 })
        #expect(try works.underWay() == 0)
        try await works.close()
    }

    @Test func `when home is busy another shard runs the model`() async throws {
        let works = try Works()
        let running = Atomic<Int>(0)
        let both = Gate()
        works.run { prepared, _ in
            if running.add(1, ordering: .sequentiallyConsistent).newValue == 2 { both.open() }
            both.pass()
            return prepared.inputs
        }
        let ears = works.call(Samples.entry(), count: 2)
        #expect(eventually { ears.allSatisfy(\.succeeded) })
        #expect(both.hasOpened)
        try await works.close()
    }

    @Test func `a load does not hold up a running model`() async throws {
        let works = try Works()
        let awake = Samples.entry(0)
        let first = works.call(awake)[0]
        #expect(eventually { first.succeeded })
        let gate = Gate()
        works.engine.script.withLock { $0.load = { _ in gate.pass() } }
        let slow = works.call(Samples.entry(1))[0]
        let others = works.call(awake, count: 200)
        #expect(eventually { others.allSatisfy(\.succeeded) })
        #expect(!slow.isAnswered)
        gate.open()
        #expect(eventually { slow.succeeded })
        try await works.close()
    }

    @Test func `unload during a run waits for it`() async throws {
        let works = try Works()
        let began = Gate()
        let gate = Gate()
        works.run { prepared, _ in
            began.open()
            gate.pass()
            return prepared.inputs
        }
        let entry = Samples.entry()
        let ear = works.call(entry)[0]
        began.pass()
        let told = Told()
        works.fleet.unload(entry, done: told.hear)
        #expect(works.fleet.state(of: entry) == .leaving)
        #expect(works.engine.count.living == 1 && told.count == 0)
        gate.open()
        #expect(eventually { told.count == 1 })
        #expect(eventually { ear.succeeded })
        #expect(works.engine.count.living == 0)
        #expect(works.fleet.state(of: entry) == .asleep)
        try await works.close()
    }

    @Test func `a thousand calls of one turn wake each shard at most once`() async throws {
        let works = try Works()
        let gate = Gate()
        works.run { prepared, _ in
            gate.pass()
            return prepared.inputs
        }
        let entry = Samples.entry()
        works.fleet.load(entry) { _ in gate.open() }
        gate.pass()
        let ready = works.call(entry)
        #expect(eventually { ready.allSatisfy(\.succeeded) })
        // Both shards are asleep again when nothing runs; a short model would run on the spot.
        works.fleet.resident(for: entry).estimates.forget()
        let before = works.fleet.statistics
        let ears = works.call(entry, count: 1_000)
        #expect(eventually { ears.allSatisfy(\.succeeded) })
        let after = works.fleet.statistics
        #expect(after.placed - before.placed == 1_000)
        #expect(after.wakeUps - before.wakeUps <= 2)
        try await works.close()
    }

    @Test func `an inline run that never ends is taken off its loop`() async throws {
        let works = try Works { $0.inlineStallMax = .milliseconds(20) }
        let entry = Samples.entry()
        for _ in 0..<20 {
            let warm = works.call(entry)[0]
            #expect(eventually { warm.succeeded })
        }
        works.run(Script.endless())
        let ear = works.call(entry, within: .seconds(2))[0]
        let bystander = works.call(Samples.entry(1), within: .seconds(1))[0]
        #expect(eventually { bystander.isAnswered })
        #expect(eventually { ear.isSettled })
        #expect(ear.failure?.code == .deadlineExceeded)
        works.run { prepared, _ in prepared.inputs }
        let placed = works.fleet.statistics.placed
        let next = works.call(entry)[0]
        #expect(eventually { next.succeeded })
        #expect(works.fleet.statistics.placed == placed + 1, "it hops from now on")
        try await works.close()
    }

    @Test func `a stop while busy answers all, and ends`() async throws {
        let works = try Works()
        works.run(Script.endless())
        let entry = Samples.entry()
        let ears = works.call(entry, count: 20)
        #expect(eventually { works.engine.count.runs == 2 })
        let loading = Gate()
        works.engine.script.withLock { $0.load = { _ in loading.pass() } }
        let waiting = works.call(Samples.entry(1), count: 5)
        let ending = Instant.now() + .milliseconds(30)
        async let ended = works.stop(by: ending)
        #expect(eventually { waiting.allSatisfy(\.isAnswered) })
        #expect(eventually { ears.allSatisfy(\.isSettled) })
        loading.open()
        #expect(await ended)
        for ear in ears + waiting {
            #expect(ear.failure?.code == .unavailable)
            #expect(ear.failure?.reason == .stopping)
        }
        #expect(ears.filter { $0.all.workContinued }.count == 2)
        try await works.close()
    }

    @Test func `a stop lets runs finish that can`() async throws {
        let works = try Works()
        let began = Gate()
        let gate = Gate()
        works.run { prepared, _ in
            began.open()
            gate.pass()
            return prepared.inputs
        }
        let ear = works.call(Samples.entry())[0]
        began.pass()
        async let ended = works.stop(by: Instant.now() + .seconds(20))
        gate.open()
        #expect(await ended)
        #expect(eventually { ear.succeeded })
        try await works.close()
    }

    @Test func `a run that cannot be stopped does not stop the stop`() async throws {
        let works = try Works { $0.stopGrace = .milliseconds(20) }
        let began = Gate()
        let gate = Gate()
        works.run { prepared, _ in
            began.open()
            gate.pass()
            return prepared.inputs
        }
        let ear = works.call(Samples.entry())[0]
        began.pass()
        #expect(await works.stop(by: Instant.now()) == false)
        #expect(eventually { ear.isAnswered })
        #expect(ear.failure?.reason == .stopping)
        gate.open()
        #expect(eventually { ear.isSettled })
        try await works.close()
    }

    @Test(arguments: [31, 32, 33] as [UInt64])
    func `a storm of everything loses nobody`(seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        let works = try Works(loops: 2) {
            $0.loaders = 2
            $0.queueMax = 64
            $0.loadWaitersMax = 64
            $0.loadRetryMin = .microseconds(500)
            $0.loadRetryMax = .milliseconds(2)
        }
        let loads = Atomic<Int>(0)
        works.engine.script.withLock {
            $0.load = { (_) throws(CallFailure) in
                let number = loads.add(1, ordering: .relaxed).newValue
                if number % 5 == 0 { throw CallFailure(.internal, .runFailed, "bad luck") }
            }
        }
        let runs = Atomic<Int>(0)
        works.run { (prepared, stopper) throws(CallFailure) in
            let number = runs.add(1, ordering: .relaxed).newValue
            if number % 100 == 0 {
                while !stopper.isStopped { letOthersRun() }
                throw Script.stopped
            }
            if number % 7 == 0 { letOthersRun() }
            return prepared.inputs
        }
        let entries = (0..<6).map { Samples.entry($0) }
        var ears: [(Listener.Ear, loop: Int)] = []
        let told = Told()
        var unloads = 0
        for _ in 0..<300 {
            let entry = entries[Int.random(in: 0..<6, using: &dice)]
            let loop = Int.random(in: 0..<2, using: &dice)
            switch Int.random(in: 0..<10, using: &dice) {
            case 0:
                unloads += 1
                works.fleet.unload(entry, done: told.hear)
            case 1, 2:
                if let (ear, loop) = ears.randomElement(using: &dice) {
                    works.cancel(ear, loop: loop)
                }
            default:
                let count = Int.random(in: 1...20, using: &dice)
                let time = Nanoseconds.milliseconds(.random(in: 1...15, using: &dice))
                for ear in works.call(entry, count: count, loop: loop, within: time) {
                    ears.append((ear, loop))
                }
            }
        }
        #expect(eventually { ears.allSatisfy { $0.0.isSettled } }, "seed \(seed)")
        #expect(eventually { told.count == unloads }, "seed \(seed)")
        #expect(ears.allSatisfy { $0.0.all.disorder == 0 }, "seed \(seed)")
        #expect(try works.underWay() == 0, "seed \(seed)")
        for entry in entries {
            let resident = works.fleet.resident(for: entry)
            #expect(eventually { resident.leases == 0 }, "seed \(seed)")
            #expect(resident.waiting == 0, "seed \(seed)")
        }
        let statistics = works.fleet.statistics
        #expect(statistics.queued == 0 && statistics.callsWaitingForModels == 0, "seed \(seed)")
        try await works.close()
    }
}
