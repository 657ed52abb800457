// What this room answers when it cannot run a call, each in one place. A limit error names limit, value and setting.

import Catalogue
import Contract

/// Where a call was when it was given up.
package enum Whereabouts: String, Sendable {
    case arriving = "arriving"
    case waitingForModel = "waiting for the model"
    case queued = "in a queue"
    case running = "running"
}

extension CallFailure {
    static func deadlinePast(_ place: Whereabouts, _ entry: ModelEntry) -> CallFailure {
        let what =
            switch place {
            case .arriving: "had passed when it arrived"
            case .waitingForModel: "passed while model '\(entry.name)' was loading"
            case .queued: "passed while it waited for a free shard"
            case .running: "passed while model '\(entry.name)' ran; the run is being stopped"
            }
        let limit =
            entry.limits.timeout.map {
                "; the model allows at most \($0) (its manifest, limits.timeout_ms)"
            } ?? ""
        return CallFailure(
            .deadlineExceeded, .deadlinePast, "the call's deadline \(what)\(limit)",
            notStarted: place != .running)
    }

    static func cancelled(_ place: Whereabouts) -> CallFailure {
        CallFailure(
            .cancelled, .cancelledByCaller, "the caller cancelled the call",
            notStarted: place != .running)
    }

    static func stopping(_ place: Whereabouts) -> CallFailure {
        CallFailure(
            .unavailable, .stopping, "the gateway is stopping", notStarted: place != .running)
    }

    static func shardQueuesFull(_ settings: ShardSettings, _ retry: Nanoseconds) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "all \(settings.count) shards have \(settings.queueMax) runs waiting (shards.queue)",
            notStarted: true, retryAfter: retry)
    }

    static func queueShareUsed(_ settings: ShardSettings, _ retry: Nanoseconds) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "the queue is full (shards.queue, \(settings.queueMax)) and more than half of it is this client's: "
                + "others go first", notStarted: true, retryAfter: retry)
    }

    static func turnstileFull(
        _ settings: ShardSettings, _ entry: ModelEntry, _ limit: Int
    ) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "\(settings.queueMax) calls (shards.queue) are waiting for model '\(entry.name)', which runs "
                + "\(limit) at the same time (its manifest, limits.concurrency)", notStarted: true,
            retryAfter: .seconds(1))
    }

    static func loopFull(_ settings: ShardSettings, _ retry: Nanoseconds) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "\(settings.callsPerLoopMax) calls of this event loop are waiting or running "
                + "(shards.calls_per_loop)", notStarted: true, retryAfter: retry)
    }

    static func waitersFull(
        _ settings: ShardSettings, _ entry: ModelEntry, _ retry: Nanoseconds?
    ) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "\(settings.loadWaitersMax) calls are waiting for model '\(entry.name)' to load "
                + "(shards.load_waiters)", notStarted: true, retryAfter: retry)
    }

    static func loadsFull(_ settings: ShardSettings, _ retry: Nanoseconds) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "\(settings.loadsMax) models are waiting to be loaded (shards.loads)",
            notStarted: true, retryAfter: retry)
    }

    static func noMemory(
        _ entry: ModelEntry, need: MemoryUse, most: MemoryUse, budget: MemoryUse
    ) -> CallFailure {
        let isAnonymous = need.anonymous > most.anonymous
        let (needed, left, allowed, setting) =
            isAnonymous
            ? (need.anonymous, most.anonymous, budget.anonymous, "memory.anonymous")
            : (need.mapped, most.mapped, budget.mapped, "memory.mapped")
        let pinned = left < allowed ? ", of which pinned models leave \(mebibytes(left))" : ""
        return CallFailure(
            .resourceExhausted, .memoryLimit,
            "model '\(entry.name)' version \(entry.version) needs \(mebibytes(needed)) to load; the budget is "
                + "\(mebibytes(allowed)) (\(setting))\(pinned)", notStarted: true)
    }

    private static func mebibytes(_ bytes: UInt64) -> String { "\((bytes + 0xF_FFFF) >> 20) MiB" }

    static func stillLoading(_ entry: ModelEntry, _ remaining: Nanoseconds) -> CallFailure {
        CallFailure(
            .unavailable, .modelLoading,
            "model '\(entry.name)' is being loaded, which takes longer than the call's deadline allows",
            notStarted: true, retryAfter: remaining)
    }

    static func retired(_ entry: ModelEntry) -> CallFailure {
        CallFailure(
            .unavailable, .modelUnloaded,
            "model '\(entry.name)' version \(entry.version) has just been replaced or removed",
            notStarted: true, retryAfter: .milliseconds(1))
    }
}
