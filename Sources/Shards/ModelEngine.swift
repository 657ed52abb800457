// What this room needs of an engine, so that its decisions can be tested without one. OnnxEngine.swift is the real one.

package import Catalogue
package import Contract

/// Loads models. Called on loader threads, and for stoppers on any thread.
package protocol ModelEngine: Sendable {
    /// Blocks until the model can run. `form`: the entry's own, or `plain` for one that is promoted. Throws why it
    /// cannot.
    func load(_ entry: ModelEntry, as form: LoadForm) throws(CallFailure) -> any LoadedModel
    /// A fresh stopper, good for any number of runs after each other until it is used.
    func stopper() -> any RunStopper
    /// Gives memory that released models left behind back to the system.
    func trimMemory()
    /// What the process holds now; nil where that cannot be read.
    func memory() -> ProcessMemory?
    /// From now on the peak counts anew.
    func resetMemoryPeak()
}

extension ModelEngine {
    /// In the form that the model's manifest asks for.
    package func load(_ entry: ModelEntry) throws(CallFailure) -> any LoadedModel {
        try load(entry, as: entry.load)
    }
}

/// A model that is awake. Several threads may run it at the same time. The last reference frees its memory.
package protocol LoadedModel: AnyObject, Sendable {
    /// As the engine read it from the model.
    var signature: Signature { get }
    /// Blocks until the outputs asked for are there. After `stopper.stop()` it ends soon, with a failure.
    func run(_ prepared: Prepared, stopper: any RunStopper) throws(CallFailure) -> [Tensor]
}

/// Tells a run to stop.
package protocol RunStopper: AnyObject, Sendable {
    /// From any thread, at any time, any number of times. A run that begins afterwards ends at once.
    func stop()
}

/// Hears what happens to models. Called on the shards' own threads; must not block.
package protocol FleetObserver: Sendable {
    func modelLoaded(_ entry: ModelEntry, time: Nanoseconds)
    func modelFailedToLoad(_ entry: ModelEntry, failure: CallFailure, retryAfter: Nanoseconds)
    func modelReleased(_ entry: ModelEntry)
    /// It made room for another; `modelReleased` follows.
    func modelEvicted(_ entry: ModelEntry, for other: ModelEntry, holding: MemoryUse)
    /// A model was released that held so many bytes of its own, of which so many did not come back. Not told when that could
    /// not be measured.
    func memoryMeasured(_ entry: ModelEntry, held: UInt64, lost: UInt64)
    /// The same, when it is much.
    func memoryUnreturned(_ entry: ModelEntry, bytes: UInt64)
    /// A second, faster session serves; it took so long to load and holds so much.
    func modelPromoted(_ entry: ModelEntry, time: Nanoseconds, bytes: UInt64)
    func modelNotPromoted(_ entry: ModelEntry, failure: CallFailure)
    func modelDemoted(_ entry: ModelEntry, _ why: Demotion)
    /// More loads in the last hour than the setting; told once an hour at most.
    func loadsAreMany(_ account: FleetAccount, limit: UInt64)
    /// An inline run held up its event loop; the model runs on shards for a while.
    func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds)
}

extension FleetObserver {
    package func memoryMeasured(_ entry: ModelEntry, held: UInt64, lost: UInt64) {}
}

/// Hears nothing.
package struct SilentObserver: FleetObserver {
    package init() {}
    package func modelLoaded(_ entry: ModelEntry, time: Nanoseconds) {}
    package func modelFailedToLoad(
        _ entry: ModelEntry, failure: CallFailure, retryAfter: Nanoseconds
    ) {}
    package func modelReleased(_ entry: ModelEntry) {}
    package func modelEvicted(_ entry: ModelEntry, for other: ModelEntry, holding: MemoryUse) {}
    package func memoryUnreturned(_ entry: ModelEntry, bytes: UInt64) {}
    package func inlineRunStalled(_ entry: ModelEntry, time: Nanoseconds) {}
    package func modelPromoted(_ entry: ModelEntry, time: Nanoseconds, bytes: UInt64) {}
    package func modelNotPromoted(_ entry: ModelEntry, failure: CallFailure) {}
    package func modelDemoted(_ entry: ModelEntry, _ why: Demotion) {}
    package func loadsAreMany(_ account: FleetAccount, limit: UInt64) {}
}
