// A bucket as the place of an import: the files first, the manifest last, because in a bucket what has no manifest does
// not exist. How objects are listed and stored is the house's business; it hands that in.

package import Catalogue
package import Contract
import Files

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// A bucket, or a part of one, that takes versions of models.
package struct BucketTarget: ImportTarget {
    /// Every key that begins with a prefix, relative to the place.
    package typealias List = @Sendable (_ prefix: String) throws(GatewayError) -> [String]
    /// Stores the file at `path` under a key, relative to the place. `sha256` in lower-case hexadecimal.
    package typealias Put =
        @Sendable (_ path: String, _ key: String, _ sha256: String)
        throws(GatewayError) -> Void

    /// For people: `s3://BUCKET/PREFIX`.
    private let place: String
    private let list: List
    private let put: Put

    package init(place: String, list: @escaping List, put: @escaping Put) {
        self.place = place
        self.list = list
        self.put = put
    }

    package var scratchPrefix: String { ".sluice-import-" }

    package func scratchPath() -> String { FileManager.default.temporaryDirectory.path }

    package func version(
        of name: ModelName, wanted: ModelVersion?
    ) throws(GatewayError) -> ModelVersion {
        // Files without a manifest take a number too: another import may be at work there.
        let taken = try list("\(name)/").compactMap { key in
            key.split(separator: "/").dropFirst().first.flatMap { ModelVersion(String($0)) }
        }
        guard let wanted else {
            guard let next = ModelVersion(number: (taken.max()?.number ?? 0) + 1) else {
                throw GatewayError(.data, "model '\(name)' has no version left")
            }
            return next
        }
        guard !taken.contains(wanted) else { throw exists(name, wanted) }
        return wanted
    }

    private func exists(_ name: ModelName, _ version: ModelVersion) -> GatewayError {
        GatewayError(
            .data,
            "model '\(name)' version \(version) is there already; a version is never written to again",
            mend: "Leave --version out to get the next one")
    }

    package func publish(
        _ name: ModelName, _ version: ModelVersion, files: [ModelFile], in scratch: String,
        progress: (Double) -> Void
    ) throws(GatewayError) -> String {
        let base = "\(name)/\(version)"
        // The bucket has no rename that refuses: somebody who was faster is noticed here, and only here.
        guard try list(base + "/").isEmpty else { throw exists(name, version) }
        let folder = scratch + "/version/"
        let all = max(1, files.reduce(0) { $0 + $1.byteCount })
        var done: UInt64 = 0
        for file in files {
            try put(folder + file.name, "\(base)/\(file.name)", file.sha256)
            done += file.byteCount
            progress(Double(done) / Double(all) * 0.99)
        }
        let hash = try FileTrouble.translating("the manifest cannot be read") {
            () throws(FileFault) in
            try SourceFiles.hash(try OpenFile(path: folder + Manifest.fileName))
        }
        try put(folder + Manifest.fileName, "\(base)/\(Manifest.fileName)", hash)
        progress(1)
        return "\(place)/\(base)"
    }
}
