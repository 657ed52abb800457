// What happens to models, as log lines for the operator.

import Catalogue
import Contract
import Logging
import Shards

/// Turns the shards' reports into logs, and lets who keeps the versions know what has loaded. Called on their threads; swift-log's handlers do not block for long.
struct FleetLog: FleetObserver {
    let logger: Logger
    let versions: Versions

    private func named(_ entry: ModelEntry) -> Logger.Metadata {
        ["model": "\(entry.name)", "version": "\(entry.version)"]
    }

    func modelLoaded(_ entry: ModelEntry, time: Nanoseconds) {
        logger.info(
            "model awake", metadata: named(entry).merging(["load": "\(time)"]) { $1 })
        versions.loaded(entry)
    }

    func modelFailedToLoad(_ entry: ModelEntry, failure: CallFailure, retryAfter: Nanoseconds) {
        logger.warning(
            "model does not load",
            metadata: named(entry).merging([
                "error": "\(failure.message)", "retry": "\(retryAfter)",
            ]) { $1 })
    }

    func modelReleased(_ entry: ModelEntry) {
        logger.info("model asleep", metadata: named(entry))
    }

    func modelEvicted(_ entry: ModelEntry, for other: ModelEntry, holding: MemoryUse) {
        logger.info(
            "model evicted",
            metadata: named(entry).merging([
                "evicted.for": "\(other.name)", "memory.anonymous": "\(holding.anonymous)",
                "memory.mapped": "\(holding.mapped)",
            ]) { $1 })
    }

    func memoryUnreturned(_ entry: ModelEntry, bytes: UInt64) {
        logger.notice(
            "memory did not come back from a model that was released",
            metadata: named(entry).merging(["memory.unreturned": "\(bytes)"]) { $1 })
    }

    func modelPromoted(_ entry: ModelEntry, time: Nanoseconds, bytes: UInt64) {
        logger.info(
            "model promoted",
            metadata: named(entry).merging([
                "load": "\(time)", "memory.anonymous": "\(bytes)",
            ]) { $1 })
    }

    func modelNotPromoted(_ entry: ModelEntry, failure: CallFailure) {
        logger.notice(
            "model cannot be promoted; it goes on as it was",
            metadata: named(entry).merging(["error": "\(failure.message)"]) { $1 })
    }

    func modelDemoted(_ entry: ModelEntry, _ why: Demotion) {
        var metadata = named(entry)
        switch why {
        case .memoryWanted: metadata["reason"] = "memory was wanted"
        case .noGain(let saving):
            metadata["reason"] = "it gained too little"
            metadata["run.saved"] = "\(saving)"
        }
        logger.info("model sent back to its mapped session", metadata: metadata)
    }

    func loadsAreMany(_ account: FleetAccount, limit: UInt64) {
        var metadata: Logger.Metadata = [
            "loads.hour": "\(account.loadsLastHour)", "memory.loads_warn": "\(limit)",
            "calls.cold": "\(account.coldCalls)", "calls": "\(account.calls)",
        ]
        if let best = account.missCurve.min(by: { $0.coldShare < $1.coldShare }),
            best.extraBytes > 0
        {
            let share = Int((best.coldShare * 100).rounded())
            metadata["advice"] =
                "with \(best.extraBytes >> 20) MiB more, \(share) % of calls would be cold"
        }
        logger.warning("models are loaded often: memory is short", metadata: metadata)
    }

    func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds) {
        logger.notice(
            "a run held up its event loop; the model runs on shards from now on",
            metadata: named(entry).merging(["run": "\(time)"]) { $1 })
    }
}
