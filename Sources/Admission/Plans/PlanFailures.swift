// What a caller is told when its plan is used up: limit, value and setting, one sentence each.

import Contract

extension CallFailure {
    /// - Parameter match: of the part of the plan that refused; nil: the plan itself.
    static func refused(
        by refusal: PlanRefusal, plan: String, match: String?, allowance: Allowance?
    ) -> CallFailure {
        let (reason, limit, what) = words(refusal.limit)
        let whose = match.map { "a model of '\($0)'" } ?? "a client"
        let path = (match.map { "plan \(plan), models \($0)" } ?? "plan \(plan)") + ": \(limit)"
        return CallFailure(
            .resourceExhausted, reason, "plan '\(plan)' allows \(whose) \(what) (\(limit))",
            notStarted: true, retryAfter: refusal.retryAfter, rule: path, allowance: allowance)
    }

    private static func words(
        _ limit: PlanRefusal.Limit
    ) -> (reason: Reason, limit: String, what: String) {
        switch limit {
        case .rate(let rate):
            (
                .rateLimit, "plans.rate",
                "\(rate.count) calls in \(rate.period) and \(rate.burst) at once"
            )
        case .concurrency(let most):
            (.concurrencyLimit, "plans.concurrency", "\(most) calls at the same time")
        case .bytes(let most, let held):
            (
                .bytesLimit, "plans.bytes_in_flight",
                "\(most) bytes of messages in progress, \(held) are"
            )
        case .dayCalls(let most): (.quotaDay, "plans.day.calls", "\(most) calls in a day")
        case .dayRun(let most):
            (.quotaDay, "plans.day.compute", "\(Nanoseconds(most)) of run time in a day")
        case .dayByteTime(let most):
            (
                .quotaDay, "plans.day.gigabyte_seconds",
                "\(most / gigabyteSecond) gigabyte-seconds in a day"
            )
        case .monthCalls(let most):
            (.quotaMonth, "plans.month.calls", "\(most) calls in a month")
        case .monthRun(let most):
            (.quotaMonth, "plans.month.compute", "\(Nanoseconds(most)) of run time in a month")
        case .monthByteTime(let most):
            (
                .quotaMonth, "plans.month.gigabyte_seconds",
                "\(most / gigabyteSecond) gigabyte-seconds in a month"
            )
        }
    }

    /// In byte-nanoseconds.
    private static var gigabyteSecond: UInt128 { 1_000_000_000_000_000_000 }
}
