// What stands between a model that is known and one whose files are on this machine: somebody who brings them. Declared
// here, filled by the house (Outside, for buckets); Shards asks before it loads. Without one every model is local.

package import Contract

/// Keeps a version's files where they are, as long as the value lives.
package protocol FilesHold: AnyObject, Sendable {}

/// Whether a version's files are on this machine.
package enum FilesPresence: Sendable {
    /// They are, and stay as long as the hold lives; nil when nobody takes them away.
    case present((any FilesHold)?)
    case absent
}

/// Why files did not come.
package struct FetchFailure: Error, Sendable {
    /// What the callers are told.
    package var failure: CallFailure
    /// The same will happen again until the files change.
    package var isLasting: Bool

    package init(_ failure: CallFailure, isLasting: Bool = false) {
        self.failure = failure
        self.isLasting = isLasting
    }
}

/// Who waits for files. Any thread may call it.
package protocol FetchWaiting: Sendable {
    /// False when nobody waits any more: the fetch may be given up.
    var isWanted: Bool { get }
    /// - Parameters:
    ///   - fraction: 0...1.
    ///   - remaining: nil when nothing is known.
    func isFetching(fraction: Double, remaining: Nanoseconds?)
    /// Once, and the last that is called.
    func ended(_ result: Result<any FilesHold, FetchFailure>)
}

/// Brings the files of versions. Any thread may ask.
package protocol ModelFetcher: Sendable {
    /// Answers from memory: for event loops too.
    func files(of entry: ModelEntry) -> FilesPresence
    /// Begins to bring them, or waits with those who asked before. Returns at once.
    func fetch(_ entry: ModelEntry, for waiting: any FetchWaiting)
}
