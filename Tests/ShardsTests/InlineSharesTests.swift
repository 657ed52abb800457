// Who has how much of a loop's own time.

import Catalogue
import Contract
import NIOCore
import NIOEmbedded
import Shards
import Synchronization
import Testing

/// Runs on the spot, by several tenants.
@Suite struct InlineSharesTests {
    private func inline(
        _ bench: DeskBench, _ entry: ModelEntry, _ share: Share, _ count: Int
    ) -> Int {
        (0..<count).reduce(0) { sum, _ in
            sum + (bench.call(entry, share: share).ticket == nil ? 1 : 0)
        }
    }

    @Test func `a tenant that is alone has its loop's whole budget`() {
        let bench = DeskBench { $0.inlineTurnBudget = .milliseconds(1) }
        let entry = bench.awake(run: .microseconds(50))
        bench.clock.advance(.seconds(1))
        let share = Share(tenant: 1)
        #expect(inline(bench, entry, share, 40) == 20)
        bench.settle()
    }

    @Test func `who floods a loop has its part of it while another calls`() {
        let bench = DeskBench { $0.inlineTurnBudget = .milliseconds(1) }
        let entry = bench.awake(run: .microseconds(50))
        bench.clock.advance(.seconds(1))
        let (greedy, quiet) = (Share(tenant: 1), Share(tenant: 2))
        #expect(inline(bench, entry, quiet, 1) == 1)
        bench.desk.turnEnded()
        // Many connections: many turns, one after the other, in 20 ms.
        let began = bench.clock.now
        var spot = 0
        while bench.clock.now.since(began) < .milliseconds(20) {
            let done = inline(bench, entry, greedy, 30)
            spot += done
            bench.desk.turnEnded()
            // What hopped does not hold up the loop; reading it does a little.
            bench.clock.advance(.microseconds(100))
        }
        let part = Double(spot) * 50_000 / Double(bench.clock.now.since(began).count)
        #expect(part > 0.3 && part <= 0.55, "\(part) of the loop's time")
        #expect(inline(bench, entry, quiet, 1) == 1, "the quiet one runs on the spot as before")
        bench.settle()
    }

    @Test func `weights divide a loop, and batch calls leave it to others`() {
        let bench = DeskBench { $0.inlineTurnBudget = .milliseconds(1) }
        let entry = bench.awake(run: .microseconds(50))
        bench.clock.advance(.seconds(1))
        let (heavy, light) = (Share(tenant: 1, weight: 3), Share(tenant: 2))
        #expect(inline(bench, entry, light, 1) == 1)
        bench.clock.advance(.milliseconds(2))
        bench.desk.turnEnded()
        // To the beginning of a window.
        bench.clock.advance(Nanoseconds(1_000_000 - bench.clock.now.nanoseconds % 1_000_000))
        #expect((13...16).contains(inline(bench, entry, heavy, 40)))
        bench.desk.turnEnded()
        #expect(
            inline(bench, entry, Share(tenant: 3, priority: .batch), 3) == 0)
        bench.settle()
        // Alone again after a while.
        bench.clock.advance(.seconds(1))
        #expect(inline(bench, entry, Share(tenant: 3, priority: .batch), 3) == 3)
        bench.settle()
    }
}
