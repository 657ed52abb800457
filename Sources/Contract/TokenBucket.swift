// How much is allowed in how much time, exactly. Values: the instant is a parameter.

/// So many in a period, and so many at once. `count` and `burst` are at least 1 and at most 2^40, `period` at least 1 ns:
/// what lies outside is brought inside.
package struct Rate: Sendable, Hashable {
    package var count: UInt64
    package var period: Nanoseconds
    /// How many may come at once after a rest.
    package var burst: UInt64

    /// So that no product of a bucket's arithmetic overflows.
    private static let most: UInt64 = 1 << 40

    package init(_ count: UInt64, per period: Nanoseconds, burst: UInt64? = nil) {
        self.count = min(max(1, count), Rate.most)
        self.period = Nanoseconds(max(1, period.count))
        self.burst = min(max(1, burst ?? count), Rate.most)
    }
}

/// One bucket. It keeps a single instant (when it is full again), in units of 1 / `count` ns so that nothing is lost
/// to rounding: over any time `t` it gives at most `burst + count * t / period`. The same rate must be given each time;
/// a bucket that meets a new rate keeps at most that rate's burst.
package struct TokenBucket: Sendable, Hashable {
    private var fullAt: UInt128 = 0

    package init() {}

    /// Takes `amount` and returns nil, or takes nothing and returns how long to wait until it can be taken. More than the
    /// burst can never be taken: then the answer is the time until the bucket is full.
    package mutating func take(
        _ amount: UInt64 = 1, at now: Instant, rate: Rate
    ) -> Nanoseconds? {
        let debt = debt(at: now, rate)
        let room = UInt128(rate.burst) * UInt128(rate.period.count)
        let wanted = UInt128(amount) * UInt128(rate.period.count)
        guard debt + wanted <= room else {
            let missing = wanted > room ? debt : debt + wanted - room
            let wait = (missing + UInt128(rate.count) - 1) / UInt128(rate.count)
            return Nanoseconds(max(1, UInt64(clamping: wait)))
        }
        fullAt = UInt128(now.nanoseconds) * UInt128(rate.count) + debt + wanted
        return nil
    }

    /// Gives back what was taken for nothing.
    package mutating func giveBack(_ amount: UInt64 = 1, rate: Rate) {
        let given = UInt128(amount) * UInt128(rate.period.count)
        fullAt = fullAt > given ? fullAt - given : 0
    }

    /// How many can be taken now.
    package func remaining(at now: Instant, rate: Rate) -> UInt64 {
        let room = UInt128(rate.burst) * UInt128(rate.period.count)
        return UInt64((room - debt(at: now, rate)) / UInt128(rate.period.count))
    }

    /// The time until it is full.
    package func untilFull(at now: Instant, rate: Rate) -> Nanoseconds {
        let count = UInt128(rate.count)
        return Nanoseconds(UInt64(clamping: (debt(at: now, rate) + count - 1) / count))
    }

    private func debt(at now: Instant, _ rate: Rate) -> UInt128 {
        let scaled = UInt128(now.nanoseconds) * UInt128(rate.count)
        let room = UInt128(rate.burst) * UInt128(rate.period.count)
        return fullAt > scaled ? min(fullAt - scaled, room) : 0
    }
}

/// A bucket for each key, for example an address. At most `keysMax` keys are told apart: full buckets are dropped when room
/// is needed, and when none is full, keys that are new share one bucket until some are.
package struct BucketTable<Key: Hashable & Sendable>: Sendable {
    package let rate: Rate
    package let keysMax: Int
    private var buckets: [Key: TokenBucket] = [:]
    private var shared = TokenBucket()
    /// Before this a sweep would find nothing new.
    private var nextSweep = Instant(nanoseconds: 0)

    package init(rate: Rate, keysMax: Int) {
        self.rate = rate
        self.keysMax = keysMax
    }

    package var count: Int { buckets.count }

    /// As ``TokenBucket/take(_:at:rate:)``, from the key's bucket.
    package mutating func take(_ amount: UInt64 = 1, for key: Key, at now: Instant) -> Nanoseconds?
    {
        if buckets[key] == nil, buckets.count >= keysMax, !makeRoom(now) {
            return shared.take(amount, at: now, rate: rate)
        }
        return buckets[key, default: TokenBucket()].take(amount, at: now, rate: rate)
    }

    /// How long until `amount` could be taken from the key's bucket, of which nothing is taken now; nil: at once.
    package func wait(_ amount: UInt64 = 1, for key: Key, at now: Instant) -> Nanoseconds? {
        var copy = buckets[key] ?? (buckets.count < keysMax ? TokenBucket() : shared)
        return copy.take(amount, at: now, rate: rate)
    }

    /// Gives back to the key's bucket what was taken for nothing.
    package mutating func giveBack(_ amount: UInt64 = 1, for key: Key) {
        if buckets[key] == nil {
            shared.giveBack(amount, rate: rate)
        } else {
            buckets[key]?.giveBack(amount, rate: rate)
        }
    }

    /// O(keys), at most ten times in the time a bucket takes to fill.
    private mutating func makeRoom(_ now: Instant) -> Bool {
        guard now >= nextSweep else { return false }
        buckets = buckets.filter { $0.value.untilFull(at: now, rate: rate) > .zero }
        let fill = rate.period.count / rate.count * rate.burst
        nextSweep = now + Nanoseconds(fill / 10)
        return buckets.count < keysMax
    }
}
