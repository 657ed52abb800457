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

    func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds) {
        logger.notice(
            "a run held up its event loop; the model runs on shards from now on",
            metadata: named(entry).merging(["run": "\(time)"]) { $1 })
    }
}
