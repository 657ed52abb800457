// The ticket that keeps a model awake: as long as one is out the model is not released.

import Contract

/// A model in memory. Its last reference frees it, so references are held under a lease only.
final class AwakeModel: Sendable {
    let model: any LoadedModel
    /// The second, faster session of a mapped model.
    let isPromoted: Bool

    init(_ model: any LoadedModel, isPromoted: Bool = false) {
        self.model = model
        self.isPromoted = isPromoted
    }
}

/// One use of an awake model; ends by going out of scope, on any thread.
struct Lease: ~Copyable, Sendable {
    private let resident: Resident
    let awake: AwakeModel
    /// What happened under this lease; added to the model's own when it ends.
    var sums = RunSums()

    /// Takes over a lease that the model's residency has counted.
    init(granted awake: AwakeModel, by resident: Resident) {
        self.awake = awake
        self.resident = resident
    }

    /// Says where a lease ends that is not used any more.
    consuming func end() {}

    deinit { resident.leaseEnded(sums) }
}
