// Turns: equal parts for equal weights, newcomers first, batch calls an eighth, and nothing lost or kept.

import Contract
import Shards
import Testing

private func share(
    _ tenant: UInt32, weight: UInt32 = 1, _ priority: Priority = .interactive
) -> Share {
    Share(tenant: tenant, weight: weight, priority: priority)
}

@Suite struct FairQueueTests {
    private func served(_ queue: inout PriorityQueue<Int>, _ count: Int) -> [Int] {
        (0..<count).compactMap { _ in queue.popFirst()?.item }
    }

    @Test func `one tenant is first in, first out`() {
        var queue = PriorityQueue<Int>()
        for item in 0..<100 { queue.append(.init(item, share: share(1), cost: 1_000_000)) }
        #expect(served(&queue, 200) == Array(0..<100))
        #expect(queue.count == 0 && queue.cost == 0)
    }

    @Test func `a newcomer is next, however much others have waiting`() {
        var queue = PriorityQueue<Int>()
        for item in 0..<1_000 { queue.append(.init(item, share: share(1), cost: 5_000_000)) }
        _ = served(&queue, 10)
        queue.append(.init(7_777, share: share(2), cost: 5_000_000))
        #expect(served(&queue, 1) == [7_777])
        // Again at once: it had its turn and owes, as the other does.
        queue.append(.init(8_888, share: share(2), cost: 5_000_000))
        #expect(served(&queue, 2).contains(8_888))
    }

    @Test(arguments: [1, 3] as [UInt32])
    func `time is shared by weight, whatever the calls cost`(weight: UInt32) {
        var queue = PriorityQueue<Int>()
        // One calls with 1 ms, the other with 10 us.
        for _ in 0..<20_000 {
            queue.append(.init(1, share: share(1, weight: weight), cost: 1_000_000))
        }
        for _ in 0..<200_000 { queue.append(.init(2, share: share(2), cost: 10_000)) }
        var time: [Int: Double] = [:]
        while (time[1] ?? 0) + (time[2] ?? 0) < 1e9 {
            guard let entry = queue.popFirst() else { break }
            time[entry.item, default: 0] += Double(entry.cost)
        }
        let ratio = (time[1] ?? 0) / (time[2] ?? 1)
        #expect(abs(ratio / Double(weight) - 1) < 0.05, "\(ratio)")
    }

    @Test func `batch calls get an eighth while interactive ones wait, and all of it else`() {
        var queue = PriorityQueue<Int>()
        for _ in 0..<8_000 {
            queue.append(.init(1, share: share(1), cost: 100_000))
            queue.append(.init(2, share: share(2, .batch), cost: 100_000))
        }
        let first = served(&queue, 8_000)
        #expect(first.prefix(7).allSatisfy { $0 == 1 })
        #expect(abs(first.count { $0 == 2 } - 1_000) <= 2)
        let rest = served(&queue, 16_000)
        #expect(rest.count == 8_000)
    }

    @Test func `a long batch call is not starved`() {
        var queue = PriorityQueue<Int>()
        queue.append(.init(-1, share: share(2, .batch), cost: 60_000_000_000))
        var waited: UInt64 = 0
        while true {
            queue.append(.init(1, share: share(1), cost: 10_000_000))
            guard let entry = queue.popFirst(), entry.item != -1 else { break }
            waited += entry.cost
        }
        #expect(waited <= 7_100_000_000)
    }

    @Test func `debts are remembered while others wait, and forgotten with those that are gone`() {
        var queue = FairQueue<Int>()
        for tenant in 0..<50_000 as Range<UInt32> {
            queue.append(.init(Int(tenant), share: share(tenant), cost: 1_000))
            _ = queue.popFirst()
        }
        #expect(queue.isEmpty)
        // A call that costs more than any round is still served, and then others are.
        queue.append(.init(1, share: share(1), cost: .max))
        queue.append(.init(2, share: share(1), cost: 1))
        queue.append(.init(3, share: share(2), cost: 1))
        #expect(Set((0..<3).compactMap { _ in queue.popFirst()?.item }) == [1, 2, 3])
    }

    @Test(arguments: [21, 22, 23] as [UInt64])
    func `anything in any order is served once`(seed: UInt64) {
        var dice = Dice(seed: seed)
        var queue = PriorityQueue<Int>()
        var placed = Set<Int>()
        var number = 0
        for _ in 0..<30_000 {
            switch Int.random(in: 0..<20, using: &dice) {
            case 0..<9:
                number += 1
                let tenant = UInt32.random(in: 0..<40, using: &dice)
                placed.insert(number)
                queue.append(
                    .init(
                        number,
                        share: share(
                            tenant, weight: UInt32.random(in: 1...9, using: &dice),
                            Bool.random(using: &dice) ? .batch : .interactive),
                        cost: UInt64.random(in: 0...3_000_000, using: &dice)))
            case 9..<18:
                if let item = queue.popFirst()?.item {
                    #expect(placed.remove(item) != nil, "seed \(seed)")
                } else {
                    #expect(placed.isEmpty, "seed \(seed)")
                }
            case 18:
                if let item = queue.displace(for: UInt32.random(in: 0..<40, using: &dice)) {
                    #expect(placed.remove(item) != nil, "seed \(seed)")
                }
            default:
                queue.removeAll { $0 % 7 == 0 }
                placed = placed.filter { $0 % 7 != 0 }
            }
            #expect(queue.count == placed.count, "seed \(seed)")
        }
        #expect(Set(queue.removeAll()) == placed, "seed \(seed)")
        #expect(queue.count == 0 && queue.cost == 0)
    }

    @Test func `placing and taking is quick with a thousand tenants`() {
        var queue = PriorityQueue<Int>()
        let count = 100_000
        for item in 0..<1_000 { queue.append(.init(item, share: share(UInt32(item)), cost: 1_000)) }
        let began = ContinuousClock.now
        for item in 0..<count {
            queue.append(
                .init(item, share: share(UInt32(item % 1_000)), cost: UInt64(item % 2_000_000)))
            _ = queue.popFirst()
        }
        let each = (ContinuousClock.now - began) / count
        print("a place and a turn among 1,000 tenants: \(each)")
        #expect(each < .microseconds(100), "\(each)")
    }
}

@Suite struct FairBoardTests {
    private func board(_ shards: Int = 1, queueMax: Int = 8) -> RunBoard<Int> {
        RunBoard(shards: shards, queueMax: queueMax, isGivenUp: { $0 < 0 })
    }

    @Test func `half of a queue is the most while others wait`() {
        var board = board()
        #expect(board.place(100, share: share(2), home: 0, cost: 1) == .taken(wake: nil))
        for item in 0..<4 {
            #expect(board.place(item, share: share(1), home: 0, cost: 1) == .taken(wake: nil))
        }
        if case .full = board.place(4, share: share(1), home: 0, cost: 1) {
        } else {
            Issue.record("the fifth of eight was taken")
        }
        for item in 0..<3 {
            #expect(
                board.place(item, share: share(2), home: 0, cost: 1) == .taken(wake: nil))
        }
        #expect(board.takeDisplaced().isEmpty)
    }

    @Test func `who came alone and filled the queue makes room`() {
        var board = board()
        for item in 0..<8 {
            #expect(board.place(item, share: share(1), home: 0, cost: 1) == .taken(wake: nil))
        }
        #expect(board.place(100, share: share(2), home: 0, cost: 1) == .taken(wake: nil))
        #expect(board.takeDisplaced() == [7])
        #expect(board.waiting == 8 && board.counts.displaced == 1)
        if case .full = board.place(8, share: share(1), home: 0, cost: 1) {
        } else {
            Issue.record("a full queue took another")
        }
        #expect(board.takeDisplaced().isEmpty)
    }
}

/// Shards with virtual time: one tenant that always has calls waiting, and one that calls now and then.
private struct Crowd {
    enum Event { case quiet, greedy, done(Int) }

    var board: RunBoard<Int>
    let shards: Int
    let greedyWaiting: Int
    let runTime: UInt64

    /// The 99th percentile of the quiet tenant's time from call to answer, in nanoseconds.
    mutating func quietP99(seed: UInt64) -> UInt64 {
        var dice = Dice(seed: seed)
        var now: UInt64 = 0
        var busyUntil = [UInt64?](repeating: nil, count: shards)
        var at: [Int: UInt64] = [:]
        var running = [Int](repeating: 0, count: shards)
        var times: [UInt64] = []
        var next = 1
        var waitingGreedy = 0
        var nextQuiet: UInt64 = 0
        for shard in 0..<shards { _ = board.next(for: shard) }
        while times.count < 2_000 {
            while waitingGreedy < greedyWaiting {
                _ = board.place(
                    -next, share: share(1), home: Int.random(in: 0..<shards, using: &dice),
                    cost: runTime)
                next += 1
                waitingGreedy += 1
            }
            if now >= nextQuiet {
                at[next] = now
                _ = board.place(
                    next, share: share(2), home: Int.random(in: 0..<shards, using: &dice),
                    cost: runTime)
                next += 1
                nextQuiet = now + UInt64.random(in: runTime * 4...runTime * 12, using: &dice)
            }
            for shard in 0..<shards where (busyUntil[shard] ?? 0) <= now {
                if running[shard] > 0, busyUntil[shard] != nil, let began = at[running[shard]] {
                    times.append(now - began)
                }
                busyUntil[shard] = nil
                running[shard] = 0
                if case .run(let item) = board.next(for: shard) {
                    if item < 0 { waitingGreedy -= 1 }
                    running[shard] = item
                    let luck = UInt64.random(in: runTime * 9 / 10...runTime, using: &dice)
                    busyUntil[shard] = now + luck
                }
            }
            let ends = busyUntil.compactMap { $0 }.min() ?? .max
            now = max(now + 1, min(ends, nextQuiet))
        }
        times.sort()
        return times[times.count * 99 / 100]
    }
}

@Suite struct GreedyTenantTests {
    @Test(arguments: [31, 32, 33] as [UInt64])
    func `a greedy tenant at most doubles a quiet one's 99th percentile`(seed: UInt64) {
        func p99(_ greedy: Int) -> UInt64 {
            var crowd = Crowd(
                board: RunBoard(shards: 2, queueMax: 1_024, isGivenUp: { _ in false }), shards: 2,
                greedyWaiting: greedy, runTime: 10_000_000)
            return crowd.quietP99(seed: seed)
        }
        let alone = p99(0)
        let beside = p99(900)
        #expect(beside <= alone * 2 + 100_000, "\(alone) ns alone, \(beside) ns, seed \(seed)")
    }
}
