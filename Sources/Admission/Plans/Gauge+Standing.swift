// What a gauge has counted, beside its limits, for an operator's eyes.

import Contract

extension Gauge {
    /// After `turn`. Limits of rates, calls in progress and bytes are left out when there are none; days and months are always told.
    func measures(_ limits: PlanLimits, _ time: PlanTime) -> [Measure] {
        var measures: [Measure] = []
        if let rate = limits.rate {
            measures.append(
                Measure(
                    .rate, used: Double(rate.burst - min(rate.burst, bucketRemaining(time, rate))),
                    limit: Double(rate.burst),
                    resetSeconds: Gauge.seconds(bucketFull(time, rate))))
        }
        measures.append(
            Measure(.concurrency, used: Double(calls), limit: limits.concurrency.map(Double.init)))
        if let most = limits.bytesInFlight {
            measures.append(Measure(.bytesInFlight, used: Double(bytes), limit: Double(most)))
        }
        measures += Gauge.measures(
            (.dayCalls, .dayCompute, .dayGigabyteSeconds), day.spent, limits.day,
            resetSeconds: Gauge.seconds(Gauge.untilNextDay(time.wall)))
        measures += Gauge.measures(
            (.monthCalls, .monthCompute, .monthGigabyteSeconds), month.spent, limits.month,
            resetSeconds: Gauge.seconds(Gauge.untilNextMonth(time.wall)))
        return measures
    }

    private static func measures(
        _ kinds: (calls: Measure.Kind, run: Measure.Kind, byteTime: Measure.Kind), _ spent: Spent,
        _ quota: Quota, resetSeconds: UInt64
    ) -> [Measure] {
        [
            Measure(
                kinds.calls, used: Double(spent.calls), limit: quota.calls.map { Double($0) },
                resetSeconds: resetSeconds),
            Measure(
                kinds.run, used: Double(spent.run) / 1e9, limit: quota.run.map { Double($0) / 1e9 },
                resetSeconds: resetSeconds),
            Measure(
                kinds.byteTime, used: Double(spent.byteTime) / 1e18,
                limit: quota.byteTime.map { Double($0) / 1e18 }, resetSeconds: resetSeconds),
        ]
    }
}
