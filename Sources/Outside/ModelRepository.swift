// Where models come from, as the house sees it: a folder or a bucket.

package import Catalogue

/// What a look at a repository found.
package struct RepositoryScan: Sendable {
    /// By name and version, those that cannot be served included.
    package var models: [ScannedModel] = []
    /// What was passed over and why, for the operator's log.
    package var notes: [String] = []

    package init() {}
}

/// Something that holds NAME/VERSION/.
package protocol ModelRepository: Sendable {
    /// What it held when it was last looked at, by this process or one before; nil when nothing is remembered.
    func remembered() async -> RepositoryScan?
    /// Looks now. Versions that did not change are not read again.
    func look() async throws -> RepositoryScan
    /// The golden cases of a version's manifest, whether its files are here or not; empty when there are none. Blocks.
    func goldenCases(of entry: ModelEntry) throws(ModelFault) -> [GoldenCase]
}

extension ModelRepository {
    package func remembered() async -> RepositoryScan? { nil }
}
