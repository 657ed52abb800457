// How long calls took: the buckets' bounds as the protocol's text has them, intervals, quantiles against sorted lists.

import SluiceClient
import Testing

@Suite struct LatencyDigestTests {
    /// The same rows as in ContractTests, where times become buckets.
    @Test(arguments: [
        (0, 0.0, 1_024.0), (1, 1_024, 1_280), (2, 1_280, 1_536), (4, 1_792, 2_048),
        (5, 2_048, 2_560), (41, 1_048_576, 1_310_720), (104, 60_129_542_144, 68_719_476_736),
        (105, 68_719_476_736, 68_719_476_736),
    ])
    func bucketsAreWhereTheTextSays(bucket: Int, low: Double, high: Double) {
        #expect(LatencyDigest.bounds(of: bucket) == (low, high))
    }

    @Test func anIntervalIsADifference() {
        let before = LatencyDigest(first: 10, counts: [5, 1])
        let after = LatencyDigest(first: 10, counts: [5, 3, 0, 7])
        #expect(after.since(before).total == 9)
        #expect(after.since(after).total == 0 && after.since(after).quantile(0.5) == nil)
        #expect(after.since(LatencyDigest()) == after)
        #expect(before.since(after) == before, "the gateway began anew")
        #expect(before.adding(after).total == 21 && after.adding(before).total == 21)
    }

    @Test func quantilesAreWithinAnEighth() {
        var dice = SystemRandomNumberGenerator()
        let seed = dice.next()
        var state = seed
        var counts = Array(repeating: UInt64(0), count: 106)
        var times: [Double] = []
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // From 30 us to 2 s, each doubling as likely.
            let doublings = Double(UInt64(1) << (state >> 60))
            let within = 1 + Double((state >> 20) & 0xFFFF) / 65_536
            let time = 30_000 * doublings * within
            times.append(time)
            let bucket = (0..<106).last { LatencyDigest.bounds(of: $0).low <= time } ?? 0
            counts[bucket] += 1
        }
        let digest = LatencyDigest(first: 0, counts: counts)
        times.sort()
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1] {
            let exact = times[max(0, Int((share * 20_000).rounded(.up)) - 1)]
            let told = (digest.quantile(share) ?? .zero) / .nanoseconds(1)
            #expect(abs(told / exact - 1) < 0.125, "seed \(seed): \(share): \(told) for \(exact)")
        }
    }

    @Test func whatCannotBeIsNothing() {
        #expect(LatencyDigest(first: 106, counts: [1]).total == 0)
        #expect(LatencyDigest(first: 105, counts: [1, 9, 9]).total == 1)
        #expect(LatencyDigest(first: -1, counts: [1]).total == 0)
        let one = LatencyDigest(first: 0, counts: [1])
        #expect(one.quantile(2) == nil && one.quantile(.nan) == nil && one.quantile(0) == .zero)
        #expect(LatencyDigest(first: 105, counts: [1]).quantile(0.5) == .nanoseconds(1 << 36))
    }
}
