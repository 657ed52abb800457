// Accounts of models and of the fleet as a ModelAccountResponse, both ways. The way out is the door's last step, the
// way in is for tests and tools.

import CMessages
import CProtobufC
import Contract
import NIOCore

extension AnswerEncoder {
    static func encode(
        _ fleet: FleetAccount, _ models: [ModelAccount], into buffer: inout ByteBuffer
    ) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__ModelAccountResponse.self) { message in
            unsafe message.n_models = models.count
            unsafe message.models = arena.list(models) { unsafe arena.account($0) }
            unsafe message.fleet = arena.account(fleet)
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

extension Arena {
    fileprivate borrowing func account(
        _ model: ModelAccount
    ) -> UnsafeMutablePointer<Sluice__V1__ModelAccount> {
        unsafe make(Sluice__V1__ModelAccount.self) { message in
            unsafe message.name = text(model.name)
            unsafe message.version = text(model.version)
            unsafe message.state = Sluice__V1__ModelState(rawValue: model.state.rawValue)
            unsafe message.pinned = model.isPinned ? 1 : 0
            unsafe message.anonymous_bytes = model.anonymousBytes
            unsafe message.mapped_bytes = model.mappedBytes
            unsafe message.load_peak_bytes = model.loadPeakBytes
            unsafe message.unreturned_bytes = model.unreturnedBytes
            unsafe message.load_us = model.loadTime.microseconds
            unsafe message.awake_ms = AccountTime.milliseconds(model.awakeFor)
            unsafe message.last_call_ms_ago = AccountTime.milliseconds(model.sinceLastCall)
            unsafe message.calls_since_wake = model.callsSinceWake
            unsafe message.loads = model.loads
            unsafe message.evictions = model.evictions
            unsafe message.demand = model.demand
            unsafe message.score = model.score
            unsafe message.evicted_ms_ago = AccountTime.milliseconds(model.sinceEviction)
            unsafe message.evicted_for = text(model.evictedFor)
            unsafe message.failure = text(model.failure)
            unsafe message.n_aliases = model.aliases.count
            unsafe message.aliases = list(model.aliases) { unsafe text($0) }
            unsafe message.trial = text(model.trial)
            unsafe message.quarantined = model.isQuarantined ? 1 : 0
            unsafe message.strikes = model.strikes
            unsafe message.mapped = model.isMapped ? 1 : 0
            unsafe message.promoted_ms = AccountTime.milliseconds(model.promotedFor)
            unsafe message.promoted_bytes = model.promotedBytes
            unsafe message.promotion_saving = model.promotionSaving
            unsafe message.kept_warm = model.isKeptWarm ? 1 : 0
            unsafe message.idle_ms = model.idleMax.milliseconds
            unsafe message.promotion_note = text(model.promotionNote)
            unsafe message.calls = model.calls
            unsafe message.failed_calls = model.failedCalls
            unsafe message.cold_calls = model.coldCalls
            unsafe message.waiting = model.waiting
            unsafe message.waking = model.waking
            unsafe message.latency_first = UInt32(clamping: model.latency.first)
            unsafe message.n_latency_counts = model.latency.counts.count
            unsafe message.latency_counts = list(model.latency.counts) { $0 }
        }
    }

    fileprivate borrowing func account(
        _ fleet: FleetAccount
    ) -> UnsafeMutablePointer<Sluice__V1__FleetAccount> {
        unsafe make(Sluice__V1__FleetAccount.self) { message in
            unsafe message.anonymous_budget = fleet.anonymousBudget
            unsafe message.anonymous_used = fleet.anonymousUsed
            unsafe message.mapped_budget = fleet.mappedBudget
            unsafe message.mapped_used = fleet.mappedUsed
            unsafe message.calls = fleet.calls
            unsafe message.cold_calls = fleet.coldCalls
            unsafe message.loads_last_hour = fleet.loadsLastHour
            unsafe message.loads_warn = fleet.loadsWarn
            unsafe message.uptime_ms = AccountTime.milliseconds(fleet.uptime)
            unsafe message.queued = fleet.queued
            unsafe message.running = fleet.running
            unsafe message.n_miss_curve = fleet.missCurve.count
            unsafe message.miss_curve = list(fleet.missCurve) { point in
                unsafe make(Sluice__V1__MissPoint.self) { message in
                    unsafe message.extra_bytes = point.extraBytes
                    unsafe message.cold_share = point.coldShare
                }
            }
        }
    }
}

/// A time that may be unknown, in whole milliseconds: 0 is "never", so what happened just now is 1.
private enum AccountTime {
    static func milliseconds(_ time: Nanoseconds?) -> UInt64 {
        guard let time else { return 0 }
        let (whole, rest) = time.count.quotientAndRemainder(dividingBy: 1_000_000)
        return max(1, rest == 0 ? whole : whole + 1)
    }

    static func time(_ milliseconds: UInt64) -> Nanoseconds? {
        milliseconds == 0 ? nil : .milliseconds(min(milliseconds, .max / 1_000_000))
    }
}

extension AnswerDecoder {
    static func account(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Answer {
        try unsafe withMessage(
            Sluice__V1__ModelAccountResponse.self, message, bounds, rules: []
        ) { message throws(MessageFault) in
            var models: [ModelAccount] = []
            for index in unsafe 0..<message.n_models {
                guard let model = unsafe message.models[index]?.pointee else { continue }
                try unsafe models.append(ModelAccount(model))
            }
            guard let fleet = unsafe message.fleet?.pointee else {
                return .account(FleetAccount(), models)
            }
            return try unsafe .account(FleetAccount(fleet), models)
        }
    }
}

extension ModelAccount {
    fileprivate init(_ message: Sluice__V1__ModelAccount) throws(MessageFault) {
        guard let state = unsafe State(rawValue: message.state.rawValue) else {
            throw MessageFault(
                .unsupported, unsafe "a model's state \(message.state.rawValue) is unknown")
        }
        unsafe self.init(name: text(message.name), version: text(message.version), state: state)
        unsafe isPinned = message.pinned != 0
        unsafe anonymousBytes = message.anonymous_bytes
        unsafe mappedBytes = message.mapped_bytes
        unsafe loadPeakBytes = message.load_peak_bytes
        unsafe unreturnedBytes = message.unreturned_bytes
        unsafe loadTime = .microseconds(min(message.load_us, .max / 1_000))
        unsafe awakeFor = AccountTime.time(message.awake_ms)
        unsafe sinceLastCall = AccountTime.time(message.last_call_ms_ago)
        unsafe callsSinceWake = message.calls_since_wake
        unsafe loads = message.loads
        unsafe evictions = message.evictions
        try unsafe demand = measure(message.demand, "demand")
        try unsafe score = measure(message.score, "score")
        unsafe sinceEviction = AccountTime.time(message.evicted_ms_ago)
        unsafe evictedFor = text(message.evicted_for)
        unsafe failure = text(message.failure)
        for index in unsafe 0..<message.n_aliases {
            unsafe aliases.append(text(message.aliases[index]))
        }
        unsafe trial = text(message.trial)
        unsafe isQuarantined = message.quarantined != 0
        unsafe strikes = message.strikes
        unsafe isMapped = message.mapped != 0
        unsafe promotedFor = AccountTime.time(message.promoted_ms)
        unsafe promotedBytes = message.promoted_bytes
        try unsafe promotionSaving = measure(
            message.promotion_saving, "promotion_saving", max: 1)
        unsafe isKeptWarm = message.kept_warm != 0
        unsafe idleMax = AccountTime.time(message.idle_ms) ?? .zero
        unsafe promotionNote = text(message.promotion_note)
        unsafe calls = message.calls
        unsafe failedCalls = message.failed_calls
        unsafe coldCalls = message.cold_calls
        unsafe waiting = message.waiting
        try unsafe waking = measure(message.waking, "waking", max: 1)
        unsafe latency.first = Int(message.latency_first)
        for index in unsafe 0..<message.n_latency_counts {
            unsafe latency.counts.append(message.latency_counts[index])
        }
    }
}

extension FleetAccount {
    fileprivate init(_ message: Sluice__V1__FleetAccount) throws(MessageFault) {
        self.init()
        unsafe anonymousBudget = message.anonymous_budget
        unsafe anonymousUsed = message.anonymous_used
        unsafe mappedBudget = message.mapped_budget
        unsafe mappedUsed = message.mapped_used
        unsafe calls = message.calls
        unsafe coldCalls = message.cold_calls
        unsafe loadsLastHour = message.loads_last_hour
        unsafe loadsWarn = message.loads_warn
        unsafe uptime = AccountTime.time(message.uptime_ms)
        unsafe queued = message.queued
        unsafe running = message.running
        for index in unsafe 0..<message.n_miss_curve {
            guard let point = unsafe message.miss_curve[index]?.pointee else { continue }
            let share = try unsafe measure(point.cold_share, "cold_share", max: 1)
            unsafe missCurve.append(MissPoint(extraBytes: point.extra_bytes, coldShare: share))
        }
    }
}

/// A number that is one: not negative, finite.
private func measure(
    _ value: Double, _ what: String, max: Double = .greatestFiniteMagnitude
) throws(MessageFault) -> Double {
    guard value >= 0, value <= max else {
        throw MessageFault(.malformed, "\(what) is \(value)")
    }
    return value
}
