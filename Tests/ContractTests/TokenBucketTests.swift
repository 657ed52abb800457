// A bucket gives what its rate says, to the last one, whatever the intervals at which it is asked.

import Contract
import Testing

@Suite struct TokenBucketTests {
    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test func givesItsBurstAndThenItsRate() {
        let rate = Rate(10, per: .seconds(1), burst: 3)
        var bucket = TokenBucket()
        for _ in 0..<3 { #expect(bucket.take(at: at(0), rate: rate) == nil) }
        #expect(bucket.take(at: at(0), rate: rate) == .milliseconds(100))
        #expect(bucket.take(at: at(99), rate: rate) == .milliseconds(1))
        #expect(bucket.take(at: at(100), rate: rate) == nil)
        #expect(bucket.remaining(at: at(100), rate: rate) == 0)
        #expect(bucket.remaining(at: at(350), rate: rate) == 2)
        #expect(bucket.untilFull(at: at(350), rate: rate) == .milliseconds(50))
        #expect(bucket.remaining(at: at(9_000), rate: rate) == 3)
    }

    /// 7 in a second do not divide a second: asked every microsecond for 100 s, not one is lost or won.
    @Test func losesNothingToRounding() {
        let rate = Rate(7, per: .seconds(1), burst: 1)
        var bucket = TokenBucket()
        var given = 0
        for step in 0..<10_000_000 {
            let now = Instant(nanoseconds: UInt64(step) * 10_000)
            if bucket.take(at: now, rate: rate) == nil { given += 1 }
        }
        #expect(given == 700)
    }

    @Test func givesBack() {
        let rate = Rate(1, per: .seconds(60), burst: 2)
        var bucket = TokenBucket()
        #expect(bucket.take(2, at: at(0), rate: rate) == nil)
        bucket.giveBack(rate: rate)
        #expect(bucket.take(at: at(0), rate: rate) == nil)
        #expect(bucket.take(at: at(0), rate: rate) == .seconds(60))
    }

    @Test func moreThanTheBurstIsNeverGiven() {
        let rate = Rate(5, per: .seconds(1))
        var bucket = TokenBucket()
        #expect(bucket.take(6, at: at(0), rate: rate) != nil)
        #expect(bucket.remaining(at: at(0), rate: rate) == 5, "a refusal takes nothing")
        #expect(bucket.take(5, at: at(0), rate: rate) == nil)
    }

    @Test func extremesDoNotTrap() {
        let rate = Rate(.max, per: Nanoseconds(.max), burst: .max)
        var bucket = TokenBucket()
        #expect(bucket.take(.max, at: Instant(nanoseconds: .max), rate: rate) != nil)
        #expect(bucket.take(1 << 40, at: Instant(nanoseconds: .max), rate: rate) == nil)
        #expect(bucket.take(at: Instant(nanoseconds: .max), rate: rate) != nil)
        #expect(bucket.untilFull(at: Instant(nanoseconds: 0), rate: rate) == Nanoseconds(.max))
    }

    @Test func aTableTellsKeysApartUpToItsLimit() {
        var table = BucketTable<String>(rate: Rate(1, per: .seconds(1)), keysMax: 2)
        #expect(table.take(for: "a", at: at(0)) == nil)
        #expect(table.take(for: "a", at: at(0)) != nil)
        #expect(table.take(for: "b", at: at(0)) == nil)
        // No room: two strangers share what one would have.
        #expect(table.take(for: "c", at: at(0)) == nil)
        #expect(table.take(for: "d", at: at(0)) != nil)
        #expect(table.count == 2)
        // The old ones are full again: there is room.
        #expect(table.take(for: "e", at: at(1_500)) == nil)
        #expect(table.take(for: "f", at: at(1_500)) == nil)
        #expect(table.count == 2)
    }

    @Test func askingATableTakesNothing() {
        var table = BucketTable<String>(rate: Rate(1, per: .seconds(1)), keysMax: 1)
        for _ in 0..<3 { #expect(table.wait(for: "a", at: at(0)) == nil) }
        #expect(table.count == 0)
        #expect(table.take(for: "a", at: at(0)) == nil)
        #expect(table.wait(for: "a", at: at(400)) == .milliseconds(600))
        // Without room a stranger is asked of the bucket that strangers share.
        #expect(table.wait(for: "b", at: at(0)) == nil)
        #expect(table.take(for: "b", at: at(0)) == nil)
        #expect(table.wait(for: "c", at: at(0)) == .seconds(1))
    }
}
