// What the loader threads are at, for those who ask why a model does not come.

package import Catalogue
package import Contract

/// One job under way on a loader thread.
package struct LoaderJob: Sendable {
    package enum Kind: String, Sendable { case load, release }

    package var kind: Kind
    package var entry: ModelEntry
    package var since: Instant
}

/// As many as there are loader threads. A value; the loaders keep it under a lock.
struct LoaderWork: Sendable {
    private var jobs: [Int: LoaderJob] = [:]
    private var next = 0

    mutating func begin(_ job: LoaderJob) -> Int {
        next += 1
        jobs[next] = job
        return next
    }

    mutating func end(_ number: Int) { jobs[number] = nil }

    /// The one that began first comes first.
    var all: [LoaderJob] { jobs.sorted { $0.key < $1.key }.map(\.value) }
}
