// How much of its limits a client has used: one value for all its models and one for each. Owned by an account, under its
// lock; it is told the time on both clocks.

package import Contract

/// The time on both clocks: rates go by the monotonic one, quotas by the calendar of UTC.
package struct PlanTime: Sendable, Equatable {
    package let now: Instant
    /// Seconds since 1970.
    package let wall: Int64
    /// Since 1970, UTC.
    let hour: Int64
    let day: Int64
    let month: Int64

    package init(now: Instant, wall: Int64) {
        self.now = now
        self.wall = wall
        hour = WallCalendar.hour(wall)
        day = WallCalendar.day(wall)
        month = WallCalendar.month(wall)
    }
}

/// What was spent in the day, or month, that goes on.
struct PeriodGauge: Sendable, Equatable {
    /// Days or months since 1970.
    private(set) var number: Int64 = .min
    var spent = Spent()

    /// A new period begins at nothing. A clock that was set back into the one before changes nothing, so that nobody gets
    /// a quota twice; one that goes back further was wrong before.
    mutating func turn(to number: Int64) {
        guard number != self.number else { return }
        if self.number != .min, number == self.number - 1 { return }
        self.number = number
        spent = Spent()
    }

    /// Takes over what was read back; what has been counted meanwhile stays.
    mutating func restore(_ before: Spent) { add(before.calls, before.run, before.byteTime) }

    mutating func add(_ calls: UInt64, _ run: UInt64, _ byteTime: UInt128) {
        spent.calls &+= calls
        spent.run = Gauge.sum(spent.run, run)
        spent.byteTime = Gauge.sum(spent.byteTime, byteTime)
    }
}

/// Which limit is in the way.
struct PlanRefusal: Equatable {
    enum Limit: Equatable {
        case rate(Rate)
        case concurrency(Int)
        case bytes(most: Int, held: Int)
        case dayCalls(UInt64), dayRun(UInt64), dayByteTime(UInt128)
        case monthCalls(UInt64), monthRun(UInt64), monthByteTime(UInt128)
    }
    var limit: Limit
    /// Nil: no time helps.
    var retryAfter: Nanoseconds?
}

/// The counts of one client, or of one client and one model.
struct Gauge: Sendable {
    private(set) var calls = 0
    private(set) var bytes = 0
    private(set) var day = PeriodGauge()
    private(set) var month = PeriodGauge()
    private var bucket = TokenBucket()
    /// What the bucket's level is counted in.
    private var rate: Rate?

    static func sum<Number: FixedWidthInteger>(_ left: Number, _ right: Number) -> Number {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    mutating func turn(_ time: PlanTime) {
        day.turn(to: time.day)
        month.turn(to: time.month)
    }

    mutating func restore(day before: Spent, month earlier: Spent) {
        day.restore(before)
        month.restore(earlier)
    }

    /// Everything but the rate; takes nothing. After `turn`.
    func refusal(_ limits: PlanLimits, bytes more: Int, _ time: PlanTime) -> PlanRefusal? {
        if let most = limits.concurrency, calls >= most {
            return PlanRefusal(limit: .concurrency(most), retryAfter: .milliseconds(100))
        }
        if let most = limits.bytesInFlight, more > most - bytes {
            return PlanRefusal(
                limit: .bytes(most: most, held: bytes),
                retryAfter: more > most ? nil : .milliseconds(100))
        }
        if let limit = Gauge.exceeded(
            limits.day, day.spent, { .dayCalls($0) }, { .dayRun($0) }, { .dayByteTime($0) })
        {
            return PlanRefusal(limit: limit, retryAfter: Gauge.untilNextDay(time.wall))
        }
        if let limit = Gauge.exceeded(
            limits.month, month.spent, { .monthCalls($0) }, { .monthRun($0) },
            { .monthByteTime($0) })
        {
            return PlanRefusal(limit: limit, retryAfter: Gauge.untilNextMonth(time.wall))
        }
        return nil
    }

    private static func exceeded(
        _ quota: Quota, _ spent: Spent, _ calls: (UInt64) -> PlanRefusal.Limit,
        _ run: (UInt64) -> PlanRefusal.Limit, _ byteTime: (UInt128) -> PlanRefusal.Limit
    ) -> PlanRefusal.Limit? {
        if let most = quota.calls, spent.calls >= most { return calls(most) }
        if let most = quota.run, spent.run >= most { return run(most) }
        if let most = quota.byteTime, spent.byteTime >= most { return byteTime(most) }
        return nil
    }

    static func untilNextDay(_ wall: Int64) -> Nanoseconds {
        .seconds(
            UInt64(max(1, WallCalendar.startOfDay(WallCalendar.day(wall) + 1) - wall)))
    }

    static func untilNextMonth(_ wall: Int64) -> Nanoseconds {
        .seconds(
            UInt64(max(1, WallCalendar.startOfMonth(WallCalendar.month(wall) + 1) - wall)))
    }

    /// One call out of the bucket, or how long to wait for it.
    mutating func takeRate(_ limits: PlanLimits, _ now: Instant) -> PlanRefusal? {
        guard let rate = limits.rate else { return nil }
        follow(rate, now)
        guard let wait = bucket.take(at: now, rate: rate) else { return nil }
        return PlanRefusal(limit: .rate(rate), retryAfter: wait)
    }

    /// The other limits' refusal came after it.
    mutating func giveBackRate(_ limits: PlanLimits) {
        if let rate = limits.rate { bucket.giveBack(rate: rate) }
    }

    /// The bucket of a plan that was changed keeps what was taken out of it.
    private mutating func follow(_ rate: Rate, _ now: Instant) {
        guard rate != self.rate else { return }
        if let old = self.rate {
            let taken = min(
                old.burst - min(old.burst, bucket.remaining(at: now, rate: old)), rate.burst)
            bucket = TokenBucket()
            if taken > 0 { _ = bucket.take(taken, at: now, rate: rate) }
        }
        self.rate = rate
    }

    /// What is in the bucket, and how long until it is full.
    func bucketRemaining(_ time: PlanTime, _ rate: Rate) -> UInt64 {
        bucket.remaining(at: time.now, rate: rate)
    }

    func bucketFull(_ time: PlanTime, _ rate: Rate) -> Nanoseconds {
        bucket.untilFull(at: time.now, rate: rate)
    }

    mutating func begin(bytes more: Int) {
        calls += 1
        bytes += more
        day.add(1, 0, 0)
        month.add(1, 0, 0)
    }

    mutating func end(bytes less: Int, run: UInt64, byteTime: UInt128) {
        calls -= 1
        bytes -= less
        day.add(0, run, byteTime)
        month.add(0, run, byteTime)
    }

    /// True when forgetting it changes nothing for anybody.
    func isIdle(_ time: PlanTime, quotas: Bool) -> Bool {
        guard calls == 0 else { return false }
        if let rate, bucket.untilFull(at: time.now, rate: rate) > .zero { return false }
        return !quotas || month.number != time.month
    }

    /// The limits that can be told to callers, with what is left of them.
    func allowances(
        _ limits: PlanLimits, prefix: String, _ time: PlanTime, _ tightest: inout Allowance?
    ) {
        if let rate = limits.rate {
            let left = bucket.remaining(at: time.now, rate: rate)
            if Gauge.isTighter(left, of: rate.burst, tightest) {
                tightest = Allowance(
                    name: prefix + "calls", limit: rate.count,
                    windowSeconds: Gauge.seconds(rate.period), remaining: left,
                    resetSeconds: Gauge.seconds(bucket.untilFull(at: time.now, rate: rate)))
            }
        }
        if let most = limits.day.calls {
            let left = most - min(most, day.spent.calls)
            if Gauge.isTighter(left, of: most, tightest) {
                tightest = Allowance(
                    name: prefix + "day", limit: most, windowSeconds: 86_400, remaining: left,
                    resetSeconds: Gauge.seconds(Gauge.untilNextDay(time.wall)))
            }
        }
        if let most = limits.month.calls {
            let left = most - min(most, month.spent.calls)
            if Gauge.isTighter(left, of: most, tightest) {
                let month = WallCalendar.month(time.wall)
                let length =
                    WallCalendar.startOfMonth(month + 1) - WallCalendar.startOfMonth(month)
                tightest = Allowance(
                    name: prefix + "month", limit: most, windowSeconds: UInt64(length),
                    remaining: left,
                    resetSeconds: Gauge.seconds(Gauge.untilNextMonth(time.wall)))
            }
        }
    }

    private static func isTighter(
        _ left: UInt64, of most: UInt64, _ tightest: Allowance?
    ) -> Bool {
        guard let tightest else { return true }
        return Double(left) * Double(max(1, tightest.limit))
            < Double(tightest.remaining) * Double(max(1, most))
    }

    /// Rounded up, so that a wait is never too short.
    static func seconds(_ time: Nanoseconds) -> UInt64 {
        time.count / 1_000_000_000 + (time.count % 1_000_000_000 == 0 ? 0 : 1)
    }
}
