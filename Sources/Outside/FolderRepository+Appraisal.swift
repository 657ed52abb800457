// Judges one version's folder: which files it has, whether they are safe to hand to the engine, and what the
// model's signature is. The engine refuses absolute names, `..` and links in a model's external data by itself
// but follows hard links (RUNTIME.md); so a folder with any link in it is refused as a whole. What the files hold
// is looked at when the model is loaded (FolderInspector).

import Catalogue
import Contract
import Files

extension OpenFile: RandomAccess {
    package var byteCount: UInt64 { facts.byteCount }
}

/// The judgement of one version's folder.
struct FolderAppraisal {
    /// The most files and folders in a version.
    static let itemsMax = 1_024
    /// How deep its folders may lie in each other.
    static let depthMax = 8

    let name: ModelName
    let version: ModelVersion
    let directory: String
    let requiresManifest: Bool

    /// The version, with its fault when it cannot be served; nil when it does not exist for want of a manifest.
    /// Answers `before` when the files are those it was made from. Throws when the folder cannot be read.
    func appraise(
        _ folder: borrowing Folder, before: ScannedModel?
    ) throws(FileFault) -> ScannedModel? {
        var inventory = Inventory()
        try inventory.collect(folder, prefix: "", depth: 0)
        let token = inventory.token
        if let before, before.token == token, before.directory == directory { return before }
        let hasManifest = inventory.files[Manifest.fileName] != nil
        if requiresManifest, !hasManifest { return nil }
        var model = ScannedModel(
            name: name, version: version, directory: directory,
            signature: Signature(inputs: [], outputs: []), token: token)
        do throws(ModelFault) {
            if let fault = inventory.fault { throw ModelFault(fault) }
            guard inventory.files[ModelEntry.modelFileName] != nil else {
                throw ModelFault("there is no \(ModelEntry.modelFileName)")
            }
            let file = try open(ModelEntry.modelFileName, in: folder)
            if hasManifest {
                try fill(&model, from: try manifest(in: folder), inventory)
            } else {
                try fill(&model, from: OnnxHeader(file), inventory)
            }
        } catch {
            model.fault = error.message
        }
        return model
    }

    private func open(_ name: String, in folder: borrowing Folder) throws(ModelFault) -> OpenFile {
        do {
            return try folder.file(name)
        } catch {
            throw ModelFault("\(name) cannot be read: \(error.reason)")
        }
    }

    private func manifest(in folder: borrowing Folder) throws(ModelFault) -> Manifest {
        let file = try open(Manifest.fileName, in: folder)
        let json: [UInt8]?
        do {
            json = try file.readAll(byteCountMax: Manifest.byteCountMax)
        } catch {
            throw ModelFault("manifest.json cannot be read: \(error.reason)")
        }
        guard let json else {
            throw ModelFault(
                "manifest.json has \(file.facts.byteCount) bytes, \(Manifest.byteCountMax) are "
                    + "allowed")
        }
        return try Manifest(json: json)
    }

    private func fill(
        _ model: inout ScannedModel, from manifest: Manifest, _ inventory: Inventory
    ) throws(ModelFault) {
        guard manifest.name == name, manifest.version == version else {
            throw ModelFault(
                "manifest.json is for '\(manifest.name)' version \(manifest.version), the folder "
                    + "is '\(name)/\(version)'")
        }
        for file in manifest.files {
            guard let facts = inventory.files[file.name] else { throw .missing(file) }
            guard facts.byteCount == file.byteCount else {
                throw .wrongSize(file, byteCount: facts.byteCount)
            }
        }
        model.adopt(manifest)
    }

    private func fill(
        _ model: inout ScannedModel, from header: OnnxHeader, _ inventory: Inventory
    ) throws(ModelFault) {
        for location in header.externalFiles {
            try ExternalData.check(location, manifest: nil)
            guard inventory.files[location] != nil else {
                throw ExternalData.fault(location, "is missing")
            }
        }
        model.files = inventory.files.sorted { $0.key < $1.key }.map { name, facts in
            ModelFile(name: name, byteCount: facts.byteCount)
        }
        model.signature = header.signature
    }
}

/// Everything in a version's folder.
private struct Inventory {
    /// By path from the version's folder.
    var files: [String: FileFacts] = [:]
    var fault: String?
    /// Facts of everything seen, in the order of names, so that any change shows.
    private var stamps: [UInt64] = []

    var token: ChangeToken { ChangeToken(stamps) }

    mutating func collect(
        _ folder: borrowing Folder, prefix: String, depth: Int
    ) throws(FileFault) {
        for item in try folder.items(countMax: FolderAppraisal.itemsMax) {
            let path = prefix + item.name
            let facts = try folder.facts(of: item.name)
            stamp(path, facts)
            guard stamps.count <= FolderAppraisal.itemsMax * Inventory.stampsPerItem else {
                fault = "it holds more than \(FolderAppraisal.itemsMax) files"
                return
            }
            switch facts.kind {
            case .file where facts.hardLinks == 1: files[path] = facts
            case .file:
                fault = ModelFault.hardLinks(path, count: facts.hardLinks).message
            case .link: fault = ModelFault.symbolicLink(path).message
            case .other: fault = "'\(path)' is neither a file nor a folder"
            case .folder:
                guard depth < FolderAppraisal.depthMax else {
                    fault = "its folders lie more than \(FolderAppraisal.depthMax) deep"
                    return
                }
                try collect(try folder.folder(item.name), prefix: path + "/", depth: depth + 1)
            }
        }
    }

    private static let stampsPerItem = 5

    private mutating func stamp(_ path: String, _ facts: FileFacts) {
        // FNV-1a: only tells names apart that one folder has held, no defence against an attacker.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // A folder's own times change with what is in it, and that is seen by itself.
        let isFolder = facts.kind == .folder
        stamps += [
            hash, facts.inode, isFolder ? 0 : facts.byteCount,
            isFolder ? 0 : UInt64(bitPattern: facts.modified),
            isFolder ? 0 : UInt64(bitPattern: facts.changed),
        ]
    }
}
