// What the account of a model says of calls that came by a desk.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

extension LoopDeskTests {
    @Test func `calls, cold ones and how long they took are in the account`() {
        let bench = DeskBench()
        let entry = bench.awake(run: .microseconds(4))
        bench.call(entry)
        bench.settle()
        let account = bench.fleet.accounts(of: [entry], now: bench.clock.now)[0]
        #expect(account.calls == 2 && account.coldCalls == 1 && account.failedCalls == 0)
        #expect(account.waiting == 0 && account.waking == 0)
        #expect(account.latency.counts.reduce(0, +) == 2)
        // The call that ran on the spot took 4 us from its arrival.
        #expect(account.latency.first == LatencyCounts.bucket(of: 4_000))
        bench.clock.advance(.seconds(2))
        #expect((bench.fleet.account(now: bench.clock.now).uptime ?? .zero) >= .seconds(2))
    }

    @Test func `who waits for the model or for a turn is counted`() {
        let bench = DeskBench { $0.count = 1 }
        let entry = bench.awake(run: .milliseconds(1))
        for _ in 0..<3 { bench.call(entry) }
        bench.desk.turnEnded()
        func waiting(_ entry: ModelEntry) -> UInt32 {
            bench.fleet.accounts(of: [entry], now: bench.clock.now)[0].waiting
        }
        #expect(waiting(entry) == 3)
        #expect(bench.fleet.account(now: bench.clock.now).queued == 3)
        let sleeping = Samples.entry(7)
        bench.call(sleeping)
        bench.desk.turnEnded()
        #expect(waiting(sleeping) == 1)
        bench.settle()
        #expect(waiting(entry) == 0 && waiting(sleeping) == 0)
    }
}
