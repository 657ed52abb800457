// Which time is counted in which bucket: the bounds of proto/README.md, section 9.

import Contract
import Testing

@Suite struct LatencyCountsTests {
    @Test(arguments: [
        (0, 0 as UInt64), (0, 1_023), (1, 1_024), (1, 1_279), (2, 1_280), (4, 2_047), (5, 2_048),
        (41, 1_048_576), (41, 1_310_719), (42, 1_310_720), (104, 60_129_542_144),
        (104, 68_719_476_735), (105, 68_719_476_736), (105, .max),
    ])
    func timesHaveTheirBuckets(bucket: Int, nanoseconds: UInt64) {
        #expect(LatencyCounts.bucket(of: nanoseconds) == bucket)
    }

    @Test func emptyEndsAreLeftOut() {
        var every = Array(repeating: UInt64(0), count: LatencyCounts.bucketCount)
        #expect(LatencyCounts(every) == LatencyCounts())
        every[7] = 1
        every[9] = 2
        let counts = LatencyCounts(every)
        #expect(counts.first == 7 && counts.counts == [1, 0, 2])
    }
}
