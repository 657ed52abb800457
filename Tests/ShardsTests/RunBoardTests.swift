// Who runs what next: homes, idle neighbours, full queues, and that nobody sleeps while somebody waits.

import Contract
import Shards
import Testing

@Suite struct RunBoardTests {
    private func board(shards: Int, queueMax: Int = 4) -> RunBoard<Int> {
        RunBoard(shards: shards, queueMax: queueMax, isGivenUp: { $0 < 0 })
    }

    private func next(_ board: inout RunBoard<Int>, _ shard: Int) -> String {
        switch board.next(for: shard) {
        case .run(let item): "run \(item)"
        case .park: "park"
        case .stop: "stop"
        }
    }

    @Test func `home first, then an idle neighbour, then home's queue`() {
        var board = board(shards: 3)
        for shard in 0..<3 { #expect(next(&board, shard) == "park") }
        #expect(board.place(1, home: 1, cost: 10) == .taken(wake: 1))
        #expect(board.place(2, home: 1, cost: 10) == .taken(wake: 2))
        #expect(board.place(3, home: 1, cost: 10) == .taken(wake: 0))
        #expect(board.place(4, home: 1, cost: 10) == .taken(wake: nil))
        #expect(next(&board, 1) == "run 1")
        #expect(next(&board, 2) == "run 2")
        #expect(next(&board, 0) == "run 3")
        #expect(next(&board, 1) == "run 4")
        #expect(next(&board, 1) == "park")
        #expect(board.counts.stolen == 0)
        #expect(board.counts.wakeUps == 3)
    }

    @Test func `a shard without work takes from the longest queue, oldest first`() {
        var board = board(shards: 2)
        for item in 1...3 { _ = board.place(item, home: 0, cost: 1) }
        #expect(next(&board, 1) == "run 1")
        #expect(next(&board, 0) == "run 2")
        #expect(next(&board, 1) == "run 3")
        #expect(next(&board, 1) == "park")
        #expect(board.counts.stolen == 2)
        #expect(board.running == [2])
    }

    @Test func `full queues refuse with the time until there is room`() {
        var board = board(shards: 2, queueMax: 2)
        for item in 1...4 {
            #expect(board.place(item, home: 0, cost: 5_000_000) == .taken(wake: nil))
        }
        #expect(board.place(5, home: 0, cost: 1) == .full(retryAfter: .milliseconds(10)))
        #expect(board.counts.refused == 1)
        #expect(next(&board, 0) == "run 1")
        #expect(board.place(6, home: 0, cost: 1) == .taken(wake: nil))
        #expect(board.waiting == 4)
    }

    @Test func `what has been given up makes room`() {
        var board = board(shards: 1, queueMax: 3)
        for item in [-1, 2, -3] { _ = board.place(item, home: 0, cost: 1_000) }
        if case .full = board.place(4, home: 0, cost: 1) {} else { Issue.record("not full") }
        board.gaveUp()
        #expect(board.place(4, home: 0, cost: 1) == .taken(wake: nil))
        #expect(next(&board, 0) == "run 2")
        #expect(next(&board, 0) == "run 4")
    }

    @Test func `the time to try again is bounded both ways`() {
        var board = board(shards: 1, queueMax: 2)
        #expect(board.retryAfter == .milliseconds(1))
        _ = board.place(1, home: 0, cost: .max / 4)
        #expect(board.retryAfter == .seconds(60))
    }

    @Test func `a closed board hands back what waits and ends its shards`() {
        var board = board(shards: 2)
        #expect(next(&board, 1) == "park")
        _ = board.place(1, home: 0, cost: 1)
        #expect(next(&board, 1) == "run 1")
        for item in 2...3 { _ = board.place(item, home: 0, cost: 1) }
        let (waiting, wake) = board.close()
        #expect(waiting == [2, 3] && wake.isEmpty)
        #expect(board.place(4, home: 0, cost: 1) == .closed)
        #expect(next(&board, 0) == "stop")
        #expect(next(&board, 1) == "stop")
        #expect(board.running.isEmpty)
    }

    @Test func `closing wakes who sleeps`() {
        var board = board(shards: 2)
        #expect(next(&board, 0) == "park")
        let first = board.close().wake
        let second = board.close().wake
        #expect(first == [0] && second.isEmpty)
    }

    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func `nobody sleeps while somebody waits`(seed: UInt64) {
        var dice = Dice(seed: seed)
        let shards = Int.random(in: 1...5, using: &dice)
        var board = board(shards: shards, queueMax: 8)
        var asleep = Set<Int>()
        var placed = 0
        var accepted = 0
        var ran = Set<Int>()
        for step in 0..<20_000 {
            if Bool.random(using: &dice) {
                placed += 1
                let home = Int.random(in: 0..<shards, using: &dice)
                switch board.place(placed, home: home, cost: UInt64(step)) {
                case .taken(let wake):
                    accepted += 1
                    if let wake { #expect(asleep.remove(wake) != nil, "woken twice, seed \(seed)") }
                case .full: #expect(board.waiting == shards * 8, "refused early, seed \(seed)")
                case .closed: Issue.record("closed")
                }
            } else {
                let shard = Int.random(in: 0..<shards, using: &dice)
                guard !asleep.contains(shard) else { continue }
                switch board.next(for: shard) {
                case .run(let item): #expect(ran.insert(item).inserted, "ran twice, seed \(seed)")
                case .park:
                    #expect(board.waiting == 0, "sleeps beside work, seed \(seed)")
                    asleep.insert(shard)
                case .stop: Issue.record("stopped")
                }
            }
            #expect(asleep.count < shards || board.waiting == 0, "all asleep, seed \(seed)")
        }
        for shard in 0..<shards where !asleep.contains(shard) {
            while case .run(let item) = board.next(for: shard) { ran.insert(item) }
        }
        #expect(ran.count == accepted, "seed \(seed)")
    }
}
