// The models in a local folder, NAME/VERSION/ (DESIGN.md section 6): read into values for the catalogue.
// Blocking, so it runs on a thread of its own; it never loads a model and never follows a link.

package import Catalogue
package import Contract
import Files
import NIOPosix
private import Synchronization

/// A folder of models. ``scan()`` may be called again and again; versions whose files did not change are not
/// read again.
package final class FolderRepository: ModelRepository {
    /// The most versions one repository may hold.
    package static let versionsMax = 100_000
    /// The most notes one scan makes.
    package static let notesMax = 100

    package typealias Scan = RepositoryScan

    package func goldenCases(of entry: ModelEntry) throws(ModelFault) -> [GoldenCase] {
        try FolderRepository.goldenCases(of: entry)
    }

    package func look() async throws -> RepositoryScan {
        try await NIOThreadPool.singleton.runIfActive { try self.scan() }
    }

    private struct Place: Hashable {
        var name: ModelName
        var version: ModelVersion
    }

    private let path: String
    private let requiresManifest: Bool
    private let known = Mutex<[Place: ScannedModel]>([:])

    /// - Parameters:
    ///   - path: The folder, absolute or from the working directory; a link to it is followed.
    ///   - requiresManifest: Whether a version without a manifest does not exist.
    package init(path: String, requiresManifest: Bool = false) {
        self.path = path
        self.requiresManifest = requiresManifest
    }

    /// Reads the folder. A version that is broken comes back with its fault; what is no model is noted.
    /// Throws when the folder itself cannot be read.
    package func scan() throws(GatewayError) -> Scan {
        let scan: Scan
        do {
            scan = try walked()
        } catch {
            throw FolderRepository.unreadable(path, error)
        }
        known.withLock { known in
            known = [:]
            for model in scan.models {
                known[Place(name: model.name, version: model.version)] = model
            }
        }
        return scan
    }

    /// The golden cases of a version's manifest; empty when it has no manifest, or one without. Blocks.
    package static func goldenCases(of entry: ModelEntry) throws(ModelFault) -> [GoldenCase] {
        let json: [UInt8]?
        do throws(FileFault) {
            json = try Folder(path: entry.directory).content(
                of: Manifest.fileName, byteCountMax: Manifest.byteCountMax)
        } catch {
            throw ModelFault("\(Manifest.fileName) cannot be read: \(error.reason)")
        }
        guard let json else { return [] }
        return try GoldenCase.all(inManifest: json)
    }

    /// Throws only for the folder itself.
    private func walked() throws(FileFault) -> Scan {
        let absolute = try Folder.resolved(path: path)
        let root = try Folder(path: absolute)
        let before = known.withLock { $0 }
        var walk = ScanWalk(
            absolute: absolute, requiresManifest: requiresManifest,
            before: { before[Place(name: $0, version: $1)] })
        for item in try root.items() { walk.visitModel(item, in: root) }
        return walk.scan
    }

    private static func unreadable(_ path: String, _ fault: FileFault) -> GatewayError {
        GatewayError(
            .configuration, "the models folder '\(path)' cannot be read: \(fault.reason)",
            mend: fault.isMissing
                ? "Create it, or set models.repository (--models) to the folder that holds "
                    + "NAME/VERSION/model.onnx"
                : "Give this user the right to read it")
    }
}

/// One scan on its way through the folders.
private struct ScanWalk {
    let absolute: String
    let requiresManifest: Bool
    let before: (ModelName, ModelVersion) -> ScannedModel?
    var scan = FolderRepository.Scan()

    init(
        absolute: String, requiresManifest: Bool,
        before: @escaping (ModelName, ModelVersion) -> ScannedModel?
    ) {
        self.absolute = absolute
        self.requiresManifest = requiresManifest
        self.before = before
    }

    /// NAME: its versions, or a note.
    mutating func visitModel(_ item: FolderItem, in root: borrowing Folder) {
        guard isFolder(item, in: root, shown: item.name) else { return }
        guard let name = ModelName(item.name) else {
            return note(
                "'\(ScanWalk.shown(item.name))' is passed over: a model's name is letters, digits, "
                    + "'.', '_' and '-', at most \(ModelName.lengthMax)")
        }
        do {
            let folder = try root.folder(item.name)
            for version in try folder.items() { visitVersion(version, of: name, in: folder) }
        } catch {
            note("'\(name)' is passed over: \(error.reason)")
        }
    }

    /// VERSION: a model, or a note.
    private mutating func visitVersion(
        _ item: FolderItem, of name: ModelName, in folder: borrowing Folder
    ) {
        let shown = "\(name)/\(item.name)"
        guard isFolder(item, in: folder, shown: shown) else { return }
        guard let version = ModelVersion(item.name) else {
            return note(
                "'\(ScanWalk.shown(shown))' is passed over: a version is a positive whole number "
                    + "without leading zeros")
        }
        guard scan.models.count < FolderRepository.versionsMax else {
            return note(
                "'\(shown)' is passed over: the repository has more than "
                    + "\(FolderRepository.versionsMax) versions")
        }
        do {
            let opened = try folder.folder(item.name)
            let appraisal = FolderAppraisal(
                name: name, version: version, directory: "\(absolute)/\(name)/\(version)",
                requiresManifest: requiresManifest)
            switch try appraisal.appraise(opened, before: before(name, version)) {
            case .some(let model): scan.models.append(model)
            case .none: note("'\(shown)' is passed over: it has no manifest.json")
            }
        } catch {
            note("'\(shown)' is passed over: \(error.reason)")
        }
    }

    /// Whether the name is a folder; hidden names and plain files are passed over in silence, others with
    /// a note.
    private mutating func isFolder(
        _ item: FolderItem, in parent: borrowing Folder, shown: String
    ) -> Bool {
        // Scripts and notes may lie beside the models.
        if item.name.hasPrefix(".") || item.kind == .file { return false }
        var kind = item.kind
        if kind == nil {
            do {
                kind = try parent.facts(of: item.name).kind
            } catch {
                note("'\(ScanWalk.shown(shown))' is passed over: \(error.reason)")
                return false
            }
        }
        switch kind {
        case .folder: return true
        case .link: note("'\(ScanWalk.shown(shown))' is passed over: it is a symbolic link")
        default: note("'\(ScanWalk.shown(shown))' is passed over: it is not a folder")
        }
        return false
    }

    private mutating func note(_ text: String) {
        if scan.notes.count < FolderRepository.notesMax {
            scan.notes.append(text)
        } else if scan.notes.count == FolderRepository.notesMax {
            scan.notes.append("and more")
        }
    }

    /// A name from the disk as it may stand in a log.
    private static func shown(_ name: String) -> String {
        String(
            String.UnicodeScalarView(
                name.unicodeScalars.prefix(200).map {
                    $0.value >= 0x20 && $0.value < 0x7F ? $0 : "?"
                }))
    }
}
