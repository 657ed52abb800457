// Looks at a model's files when it is about to be loaded, on the loader's thread: each is opened once, without
// following a link, and is what the manifest says, byte for byte; what the model itself refers to is a file of the
// version. The scan (FolderRepository) looks at names and sizes only: reading 2 GB of a model that nobody calls
// would be waste.

package import Catalogue
import Contract
import Files
private import Synchronization
import TLS

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Compares files with their manifests, and remembers what it has compared.
///
/// What remains: between the look and ``InspectedModel/confirm()`` somebody who may write into the folder could
/// change weights in place; it is noticed after the load, before a call runs. What is written into a file that is
/// mapped while it serves is not noticed: a version's folder is not written to again (docs/manifest.md).
package final class FolderInspector: ModelInspector {
    /// The most files whose findings are remembered, some 300 bytes each.
    package static let rememberedMax = 16_384
    /// Bytes read at a time.
    private static let windowBytes = 256 << 10

    /// What was done since the start.
    package struct Counts: Sendable, Equatable {
        /// Files read from end to end.
        package var filesRead = 0
        package var bytesRead: UInt64 = 0
        /// Files whose findings were remembered and still hold.
        package var filesRemembered = 0
    }

    private struct State {
        var book: SealBook
        var counts = Counts()
        /// What is in the book is not what was taken or given out last.
        var hasNews = false
    }

    private let state: Mutex<State>
    private let clock: @Sendable () -> Int64
    private let isStopped = Atomic<Bool>(false)

    /// - Parameters:
    ///   - rememberedMax: the most files whose findings are remembered.
    ///   - clock: nanoseconds since 1970, by the clock that files are stamped with.
    package init(
        rememberedMax: Int = FolderInspector.rememberedMax,
        clock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1e9) }
    ) {
        state = Mutex(State(book: SealBook(countMax: rememberedMax)))
        self.clock = clock
    }

    package var counts: Counts { state.withLock { $0.counts } }

    /// Whoever made this file has hashed it on the way: it need not be read for that again until it changes.
    /// - Parameter sha256: lower-case hexadecimal.
    func vouch(for facts: FileFacts, sha256: String) {
        state.withLock { state in
            state.book.note(FileFindings(sha256: sha256), for: FileSeal(facts))
            state.hasNews = true
        }
    }

    // MARK: Between two lives of the gateway

    /// Believes what an earlier inspector found (``news()``). Throws and believes nothing when that is not whole.
    package func recall(_ bytes: [UInt8]) throws(SealBookFault) {
        let result = state.withLock { state -> Result<Void, SealBookFault> in
            do throws(SealBookFault) {
                try state.book.take(bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Everything found, to be kept; nil when nothing was found since it was asked for last. At most
    /// ``recalledBytesMax`` bytes.
    package func news() -> [UInt8]? {
        let book = state.withLock { state -> SealBook? in
            guard state.hasNews else { return nil }
            state.hasNews = false
            return state.book
        }
        return book?.encoded()
    }

    /// What ``news()`` returned was lost: it is asked for again.
    package func newsWereLost() { state.withLock { $0.hasNews = true } }

    package static let recalledBytesMax = SealBook.fileBytesMax

    /// The gateway stops: files are not read on, and their models do not load.
    package func stop() { isStopped.store(true, ordering: .relaxed) }

    // MARK: Looking

    package func inspect(_ entry: ModelEntry) throws(ModelFault) -> any InspectedModel {
        let folder = try FolderInspector.folder(of: entry)
        let listed = entry.files.filter { !$0.sha256.isEmpty }
        let sight =
            listed.isEmpty ? try sightOfModel(in: folder) : try sight(of: listed, in: folder)
        var external: [SealedFile] = []
        for location in sight.locations {
            try ExternalData.check(location, manifest: listed.isEmpty ? nil : listed)
            if let sealed = sight.sealed[location] {
                external.append(sealed)
            } else {
                external.append(try FolderInspector.external(location, in: folder))
            }
        }
        return FolderModel(entry, folder: folder, model: sight.model, external: external)
    }

    /// What opening and reading a version's files showed.
    private struct Sight {
        var model: OpenFile
        /// Where the model says that its weights are, unchecked.
        var locations: [String]
        /// The files of the manifest, by name.
        var sealed: [String: SealedFile] = [:]
    }

    /// Every file of the manifest is there and has its size and its content.
    private func sight(
        of listed: [ModelFile], in folder: borrowing Folder
    ) throws(ModelFault) -> Sight {
        var sealed: [String: SealedFile] = [:]
        var model: (file: OpenFile, locations: [String])?
        for file in listed {
            let isModel = file.name == ModelEntry.modelFileName
            let opened = try FolderInspector.open(file, in: folder)
            guard opened.facts.byteCount == file.byteCount else {
                throw .wrongSize(file, byteCount: opened.facts.byteCount)
            }
            let found = try findings(in: opened, hash: true, locations: isModel)
            guard found.sha256 == file.sha256 else {
                throw .wrongContent(file, sha256: found.sha256 ?? "")
            }
            sealed[file.name] = SealedFile(name: file.name, seal: FileSeal(opened.facts))
            if isModel { model = (opened, found.externalFiles ?? []) }
        }
        // A manifest without it is refused where it is read.
        guard let model else {
            throw ModelFault("manifest.json does not list \(ModelEntry.modelFileName)")
        }
        return Sight(model: model.file, locations: model.locations, sealed: sealed)
    }

    /// Without a manifest there is nothing to compare.
    private func sightOfModel(in folder: borrowing Folder) throws(ModelFault) -> Sight {
        let model = try FolderInspector.open(
            ModelFile(name: ModelEntry.modelFileName, byteCount: 0), in: folder)
        let found = try findings(in: model, hash: false, locations: true)
        return Sight(model: model, locations: found.externalFiles ?? [])
    }

    // MARK: Opening

    private static func folder(of entry: ModelEntry) throws(ModelFault) -> Folder {
        do throws(FileFault) {
            return try Folder(linkFree: entry.directory)
        } catch {
            // Not the path: callers see this too.
            throw ModelFault(
                error.isMissing
                    ? "its folder is gone" : "its folder cannot be opened: \(error.reason)")
        }
    }

    /// A plain file with one name.
    private static func open(
        _ file: ModelFile, in folder: borrowing Folder
    ) throws(ModelFault) -> OpenFile {
        let opened: OpenFile
        do throws(FileFault) {
            opened = try folder.file(beneath: file.name)
        } catch {
            if error.isLink { throw .symbolicLink(file.name) }
            if error.isMissing {
                throw file.sha256.isEmpty ? ModelFault("there is no \(file.name)") : .missing(file)
            }
            throw ModelFault("'\(file.name)' cannot be read: \(error.reason)")
        }
        guard opened.facts.hardLinks == 1 else {
            throw .hardLinks(file.name, count: opened.facts.hardLinks)
        }
        return opened
    }

    /// External data of a model without a manifest.
    private static func external(
        _ location: String, in folder: borrowing Folder
    ) throws(ModelFault) -> SealedFile {
        let facts: FileFacts
        do throws(FileFault) {
            facts = try folder.file(beneath: location).facts
        } catch {
            let rule =
                error.isLink
                ? "is a symbolic link or lies behind one"
                : error.isMissing ? "is missing" : "cannot be read: \(error.reason)"
            throw ExternalData.fault(location, rule)
        }
        guard facts.hardLinks == 1 else {
            throw ExternalData.fault(location, "has \(facts.hardLinks) hard links")
        }
        return SealedFile(name: location, seal: FileSeal(facts))
    }

    // MARK: Reading

    /// Reads the file from end to end, unless that was done before and it did not change.
    private func findings(
        in file: OpenFile, hash: Bool, locations: Bool
    ) throws(ModelFault) -> FileFindings {
        let seal = FileSeal(file.facts)
        let known = state.withLock { state -> FileFindings? in
            guard let known = state.book[seal] else { return nil }
            if known.answers(hash: hash, locations: locations) {
                state.counts.filesRemembered += 1
            }
            return known
        }
        if let known, known.answers(hash: hash, locations: locations) { return known }
        let began = clock()
        var found = try read(
            file, hash: hash && known?.sha256 == nil, locations: locations)
        found.sha256 = found.sha256 ?? known?.sha256
        let now = try FolderInspector.reading(file.name) { () throws(FileFault) in
            FileSeal(try file.currentFacts())
        }
        guard now == seal else { throw .changed(file.name) }
        state.withLock { state in
            state.counts.filesRead += 1
            state.counts.bytesRead += seal.byteCount
            // What was vouched for stays so.
            if seal.isSettled(now: began) || known != nil {
                state.book.note(found, for: seal)
                state.hasNews = true
            }
        }
        return found
    }

    private func read(
        _ file: OpenFile, hash: Bool, locations: Bool
    ) throws(ModelFault) -> FileFindings {
        var stream = SHA256Stream()
        var search = ByteSearch(for: ExternalData.mark)
        var window = [UInt8](repeating: 0, count: FolderInspector.windowBytes)
        var offset: UInt64 = 0
        while offset < file.facts.byteCount {
            guard !isStopped.load(ordering: .relaxed) else {
                throw ModelFault("the gateway stops and did not read '\(file.name)' to its end")
            }
            let count = try FolderInspector.reading(file.name) { () throws(FileFault) in
                try file.read(at: offset, into: &window)
            }
            guard count > 0 else { throw .changed(file.name) }
            if hash { stream.update(window[..<count]) }
            if locations { search.look(at: window[..<count]) }
            offset += UInt64(count)
        }
        var found = FileFindings()
        if hash { found.sha256 = Cryptography.hex(stream.finish()) }
        if locations {
            // Few models have external data, and going through all parts of a forest takes its time.
            found.externalFiles = search.isFound ? try ExternalData.locations(in: file) : []
        }
        return found
    }

    private static func reading<Value>(
        _ name: String, _ body: () throws(FileFault) -> Value
    ) throws(ModelFault) -> Value {
        do throws(FileFault) {
            return try body()
        } catch {
            throw ModelFault("'\(name)' cannot be read: \(error.reason)")
        }
    }
}

/// A file that was looked at.
struct SealedFile: Sendable {
    var name: String
    var seal: FileSeal
}

/// A version whose files are in order. Keeps the folder and the model's file open.
private final class FolderModel: InspectedModel {
    let path: String
    private let folder: Folder
    private let model: OpenFile
    private let modelSeal: FileSeal
    private let external: [SealedFile]
    /// The engine opens the model by its name in the folder, not by the descriptor.
    private let isOpenedByName: Bool

    init(
        _ entry: ModelEntry, folder: consuming Folder, model: OpenFile, external: [SealedFile]
    ) {
        // With external data the engine must find the folder too; then the folder is pinned, not the file.
        let inFolder = folder.descriptorPath.map { "\($0)/\(ModelEntry.modelFileName)" }
        let pinned = external.isEmpty ? model.descriptorPath : nil
        path = pinned ?? inFolder ?? entry.modelPath
        isOpenedByName = pinned == nil
        self.folder = folder
        self.model = model
        modelSeal = FileSeal(model.facts)
        self.external = external
    }

    func confirm() throws(ModelFault) {
        try confirm(SealedFile(name: model.name, seal: modelSeal)) { () throws(FileFault) in
            isOpenedByName ? try folder.file(beneath: model.name).facts : try model.currentFacts()
        }
        for file in external {
            try confirm(file) { () throws(FileFault) in
                try folder.file(beneath: file.name).facts
            }
        }
    }

    private func confirm(
        _ file: SealedFile, facts: () throws(FileFault) -> FileFacts
    ) throws(ModelFault) {
        let now: FileFacts
        do throws(FileFault) {
            now = try facts()
        } catch {
            throw .changed(file.name)
        }
        guard FileSeal(now) == file.seal else { throw .changed(file.name) }
    }
}
