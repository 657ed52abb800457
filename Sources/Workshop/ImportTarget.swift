// Where an imported version goes. A folder here; a bucket is another target of the same shape.

package import Catalogue
package import Contract
import Files

/// A place that takes versions of models. Called on one thread, and may wait.
package protocol ImportTarget: Sendable {
    /// The folder in which a version is made before it is published, on the target's file system where it has one.
    func scratchPath() throws(GatewayError) -> String
    /// How the names of scratch folders begin.
    var scratchPrefix: String { get }
    /// The wanted version, which must be free, or the next free one.
    func version(of name: ModelName, wanted: ModelVersion?) throws(GatewayError) -> ModelVersion
    /// Makes a version visible, whole or not at all. `folder` holds `version`, whose files are on the disk, its manifest
    /// among them. Returns where it is, for people.
    func publish(
        _ name: ModelName, _ version: ModelVersion, files: [ModelFile], in scratch: String,
        progress: (Double) -> Void
    ) throws(GatewayError) -> String
}

/// A local folder of models.
package struct FolderTarget: ImportTarget {
    private let path: String

    package init(path: String) { self.path = path }

    package var scratchPrefix: String { ".import-" }

    package func scratchPath() throws(GatewayError) -> String {
        try FileTrouble.translating("the models folder '\(path)' cannot be made") {
            () throws(FileFault) in
            do throws(FileFault) {
                return try Folder.resolved(path: path)
            } catch {
                guard error.isMissing else { throw error }
                try Folder.make(path: path)
                return try Folder.resolved(path: path)
            }
        }
    }

    package func version(
        of name: ModelName, wanted: ModelVersion?
    ) throws(GatewayError) -> ModelVersion {
        let taken = try FolderTarget.versions(of: name, in: path)
        if let wanted {
            guard !taken.contains(wanted) else { throw exists(name, wanted) }
            return wanted
        }
        guard let next = ModelVersion(number: (taken.max()?.number ?? 0) + 1) else {
            throw GatewayError(.data, "model '\(name)' has no version left")
        }
        return next
    }

    private func exists(_ name: ModelName, _ version: ModelVersion) -> GatewayError {
        GatewayError(
            .data,
            "model '\(name)' version \(version) is there already; a version is never written to again",
            mend: "Leave --version out to get the next one, or remove it: "
                + "sluice models remove \(name) --version \(version) --models \(path)")
    }

    /// Every number that is taken, whatever is behind it.
    package static func versions(
        of name: ModelName, in path: String
    ) throws(GatewayError) -> [ModelVersion] {
        try FileTrouble.translating("the models folder '\(path)' cannot be read") {
            () throws(FileFault) in
            do throws(FileFault) {
                return try Folder(path: path).folder(name.text).items()
                    .compactMap { ModelVersion($0.name) }.sorted()
            } catch {
                if error.isMissing { return [] }
                throw error
            }
        }
    }

    package func publish(
        _ name: ModelName, _ version: ModelVersion, files: [ModelFile], in scratch: String,
        progress: (Double) -> Void
    ) throws(GatewayError) -> String {
        do throws(FileFault) {
            let root = try Folder(path: path)
            do throws(FileFault) {
                _ = try root.makeFolder(name.text)
                try root.synchronize()
            } catch {
                guard error.isTaken else { throw error }
            }
            let model = try root.folder(name.text)
            try Folder(path: scratch).move("version", to: model, as: version.description)
            try model.synchronize()
            progress(1)
            return "\(path)/\(name)/\(version)"
        } catch {
            if error.isTaken { throw exists(name, version) }
            throw GatewayError(
                error.isDenied ? .permission : .unavailable,
                "version \(version) of '\(name)' cannot be moved into '\(path)': \(error)")
        }
    }

    /// Takes a version out of sight, then removes it. Nil version: every one.
    package func remove(
        _ name: ModelName, version: ModelVersion?
    ) throws(GatewayError) -> [ModelVersion] {
        let there = try FolderTarget.versions(of: name, in: path)
        let leaving = version.map { [$0] } ?? there
        guard !leaving.isEmpty, Set(leaving).isSubset(of: there) else {
            throw GatewayError(
                .data,
                "there is no model '\(name)'" + (version.map { " version \($0)" } ?? "")
                    + " in '\(path)'")
        }
        try ScratchFolder.use(in: path, prefix: scratchPrefix) { scratch throws(GatewayError) in
            try FileTrouble.translating("model '\(name)' cannot be removed") {
                () throws(FileFault) in
                let root = try Folder(path: path)
                let model = try root.folder(name.text)
                for version in leaving {
                    try model.move(
                        version.description, to: scratch.folder, as: version.description)
                }
                try model.synchronize()
                if try model.items().isEmpty { try root.removeAll(name.text) }
                try root.synchronize()
            }
        }
        return leaving
    }
}
