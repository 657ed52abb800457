// What models and the fleet cost, as JSON for the console. Sizes are bytes, times milliseconds; what is unknown or never
// happened is left out.

import Contract

extension AnswerJSON {
    static func write(
        _ fleet: FleetAccount, _ models: [ModelAccount], _ json: inout JSONWriter
    ) {
        json.object { json in
            json.object("fleet") { write(fleet, &$0) }
            json.array("models") { json in
                for model in models { json.object { write(model, &$0) } }
            }
        }
    }

    private static func write(_ fleet: FleetAccount, _ json: inout JSONWriter) {
        json.member("anonymous_budget", fleet.anonymousBudget)
        json.member("anonymous_used", fleet.anonymousUsed)
        json.member("mapped_budget", fleet.mappedBudget)
        json.member("mapped_used", fleet.mappedUsed)
        json.member("calls", fleet.calls)
        json.member("cold_calls", fleet.coldCalls)
        json.member("loads_last_hour", fleet.loadsLastHour)
        json.member("loads_warn", fleet.loadsWarn)
        if let uptime = fleet.uptime { json.member("uptime_ms", milliseconds(uptime)) }
        json.member("queued", UInt64(fleet.queued))
        json.member("running", UInt64(fleet.running))
        json.array("miss_curve") { json in
            for point in fleet.missCurve {
                json.object { json in
                    json.member("extra_bytes", point.extraBytes)
                    json.member("cold_share", point.coldShare)
                }
            }
        }
    }

    private static func write(_ model: ModelAccount, _ json: inout JSONWriter) {
        json.member("name", model.name)
        json.member("version", model.version)
        json.member("state", word(model.state))
        json.member("aliases", model.aliases)
        json.member("pinned", model.isPinned)
        json.member("kept_warm", model.isKeptWarm)
        json.member("mapped", model.isMapped)
        json.member("quarantined", model.isQuarantined)
        json.member("strikes", model.strikes)
        json.member("anonymous_bytes", model.anonymousBytes)
        json.member("mapped_bytes", model.mappedBytes)
        json.member("load_peak_bytes", model.loadPeakBytes)
        json.member("unreturned_bytes", model.unreturnedBytes)
        json.member("load_ms", milliseconds(model.loadTime))
        json.member("calls_since_wake", model.callsSinceWake)
        json.member("loads", model.loads)
        json.member("evictions", model.evictions)
        json.member("demand", model.demand)
        json.member("score", model.score)
        json.member("promoted_bytes", model.promotedBytes)
        json.member("promotion_saving", model.promotionSaving)
        json.member("calls", model.calls)
        json.member("failed_calls", model.failedCalls)
        json.member("cold_calls", model.coldCalls)
        json.member("waiting", UInt64(model.waiting))
        let times: [(String, Nanoseconds?)] = [
            ("awake_ms", model.awakeFor), ("last_call_ms_ago", model.sinceLastCall),
            ("evicted_ms_ago", model.sinceEviction), ("promoted_ms", model.promotedFor),
            ("idle_max_ms", model.idleMax == .zero ? nil : model.idleMax),
        ]
        for (name, time) in times {
            if let time { json.member(name, milliseconds(time)) }
        }
        let texts = [
            ("evicted_for", model.evictedFor), ("failure", model.failure), ("trial", model.trial),
            ("promotion_note", model.promotionNote),
        ]
        for (name, text) in texts where !text.isEmpty { json.member(name, text) }
    }

    private static func milliseconds(_ time: Nanoseconds) -> Double {
        Double(time.microseconds) / 1_000
    }

    private static func word(_ state: ModelAccount.State) -> String {
        switch state {
        case .asleep: "asleep"
        case .queued: "queued"
        case .loading: "loading"
        case .awake: "awake"
        case .leaving: "leaving"
        case .broken: "broken"
        }
    }
}
