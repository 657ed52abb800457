// The small values of this room: phases, estimates, homes, deadlines, tallies.

import Contract
import Shards
import Testing

@Suite struct RunPhaseTests {
    @Test func `a call that is not given up is answered by its run`() {
        var phase = RunPhase.waiting
        #expect(phase.isOpen)
        #expect(phase.begin() == true)
        #expect(phase.begin() == false)
        #expect(phase.end() == .answer)
        #expect(phase.abandon() == .tooLate)
        #expect(!phase.isOpen)
    }

    @Test func `given up before it began, it never begins`() {
        var phase = RunPhase.waiting
        #expect(phase.abandon() == .drop)
        #expect(phase.abandon() == .tooLate)
        #expect(phase.begin() == false)
    }

    @Test func `given up while it ran, its work ends later`() {
        var phase = RunPhase.waiting
        #expect(phase.begin() == true)
        #expect(phase.abandon() == .stop)
        #expect(phase.abandon() == .tooLate)
        #expect(!phase.isOpen)
        #expect(phase.end() == .workEnded)
    }
}

@Suite struct RunEstimatesTests {
    @Test func `sizes are told apart`() {
        #expect(RunEstimates.sizeClass(-1) == 0)
        #expect(RunEstimates.sizeClass(0) == 0)
        #expect(RunEstimates.sizeClass(3) == 0)
        #expect(RunEstimates.sizeClass(4) == 1)
        #expect(RunEstimates.sizeClass(15) == 1)
        #expect(RunEstimates.sizeClass(16) == 2)
        #expect(RunEstimates.sizeClass(.max) == 15)
        let estimates = RunEstimates()
        #expect(estimates.nanoseconds(forBytes: 16) == 0)
        estimates.record(.microseconds(4), forBytes: 16)
        estimates.record(.milliseconds(10), forBytes: 160_000)
        #expect(estimates.nanoseconds(forBytes: 20) == 4_000)
        #expect(estimates.nanoseconds(forBytes: 160_001) == 10_000_000)
        estimates.forget()
        #expect(estimates.nanoseconds(forBytes: 16) == 0)
    }

    @Test func `a slow first run is soon forgotten`() {
        var estimate: UInt64 = 0
        estimate = RunEstimates.updated(estimate, with: 400_000)
        var runs = 0
        while estimate > 100_000 {
            estimate = RunEstimates.updated(estimate, with: 4_000)
            runs += 1
        }
        #expect(runs <= 6)
    }

    @Test func `one lost time slice does not make a short model a long one`() {
        let estimate = RunEstimates.updated(4_000, with: 8_000_000)
        #expect(estimate < 20_000)
    }

    @Test func `a model that has become long is noticed within few runs`() {
        var estimate: UInt64 = 4_000
        var runs = 0
        while estimate <= 100_000 {
            estimate = RunEstimates.updated(estimate, with: 2_000_000)
            runs += 1
        }
        #expect(runs <= 6)
        #expect(RunEstimates.updated(4_000, with: 250_000_000) > 100_000)
    }

    @Test func `an estimate is never zero and never overflows`() {
        #expect(RunEstimates.updated(1, with: 1) == 1)
        #expect(RunEstimates.updated(5, with: 1) > 0)
        #expect(RunEstimates.updated(.max / 16, with: 1) > 0)
        #expect(RunEstimates.updated(1_000, with: .max / 2) > 0)
    }
}

@Suite struct RendezvousTests {
    @Test func `a home is always the same and one of the shards`() {
        for shards in 1...9 {
            for number in 0..<100 {
                let home = Rendezvous.home(name: "m\(number)", version: 1, shards: shards)
                #expect((0..<shards).contains(home))
                #expect(home == Rendezvous.home(name: "m\(number)", version: 1, shards: shards))
            }
        }
    }

    @Test func `homes are spread evenly`() {
        var counts = [Int](repeating: 0, count: 4)
        for number in 0..<4_000 {
            counts[Rendezvous.home(name: "model-\(number)", version: 1, shards: 4)] += 1
        }
        for count in counts { #expect((850...1_150).contains(count)) }
    }

    @Test func `one shard more moves only the models that move to it`() {
        for number in 0..<1_000 {
            let before = Rendezvous.home(name: "model-\(number)", version: 2, shards: 4)
            let after = Rendezvous.home(name: "model-\(number)", version: 2, shards: 5)
            #expect(after == before || after == 4)
        }
    }
}

@Suite struct DeadlineHeapTests {
    @Test(arguments: [21, 22, 23] as [UInt64])
    func `due items come in order and nothing is lost`(seed: UInt64) {
        var dice = Dice(seed: seed)
        var heap = DeadlineHeap<Int>(isDone: { $0 % 7 == 0 })
        var expected: [Int] = []
        var now = Instant(nanoseconds: 0)
        for _ in 0..<5_000 {
            if Int.random(in: 0..<3, using: &dice) > 0 {
                let item = Int(now.nanoseconds) + Int.random(in: 1...1_000, using: &dice)
                heap.insert(item, deadline: Instant(nanoseconds: UInt64(item)))
                if item % 7 != 0 { expected.append(item) }
            } else {
                now = now + Nanoseconds(UInt64.random(in: 0...50, using: &dice))
                let due = heap.popDue(now)
                let wanted = expected.filter { $0 <= Int(now.nanoseconds) }.sorted()
                #expect(due == wanted, "seed \(seed)")
                expected.removeAll { $0 <= Int(now.nanoseconds) }
                if let earliest = heap.earliest { #expect(earliest > now) }
            }
        }
    }

    @Test func `what is done is thrown out when the heap has doubled`() {
        final class Box: Sendable {
            let value: Int
            init(_ value: Int) { self.value = value }
        }
        let limit = Gate()
        var heap = DeadlineHeap<Box>(isDone: { _ in limit.hasOpened })
        for number in 0..<1_024 { heap.insert(Box(number), deadline: Instant(nanoseconds: .max)) }
        #expect(heap.count == 1_024)
        limit.open()
        heap.insert(Box(0), deadline: Instant(nanoseconds: 5))
        #expect(heap.count == 1)
        for number in 0..<100_000 { heap.insert(Box(number), deadline: Instant(nanoseconds: .max)) }
        #expect(heap.count <= 1_025)
        #expect(heap.earliest != nil)
    }
}

@Suite struct RunTallyTests {
    @Test func `tallies add up`() {
        #expect(RunSums().tally == RunTally())
        var sums = RunSums()
        sums.add(succeeded: true, queue: 2_000, run: 3_000, at: Instant(nanoseconds: 10))
        var others = RunSums()
        others.add(succeeded: false, run: 7_000, at: Instant(nanoseconds: 5))
        sums.add(others)
        sums.add(RunSums())
        let first = sums.tally
        #expect(first.success == CountedTime(count: 1, nanoseconds: 5_000))
        #expect(first.failure == CountedTime(count: 1, nanoseconds: 7_000))
        #expect(first.queue.nanoseconds == 2_000)
        #expect(first.run == CountedTime(count: 2, nanoseconds: 10_000))
        #expect(first.last == Instant(nanoseconds: 10))
    }
}
