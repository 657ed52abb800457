// The models in a bucket, PREFIX/NAME/VERSION/ (DESIGN.md section 6): read into values for the catalogue. Only manifests
// are read, and each once for every state of its version's objects; the rest is fetched when it is called (BucketFetcher).

package import Catalogue
package import Contract
import Files
package import Logging
import NIOPosix
import Synchronization
import TLS

package final class BucketRepository: ModelRepository {
    private struct Place: Hashable {
        var name: ModelName
        var version: ModelVersion
    }

    private struct Item: Sendable {
        var known: KnownVersion
        var scanned: ScannedModel
    }

    private let store: ObjectStore
    private let cache: CacheFolder
    private let listing: KnownListing
    private let limits: FetchLimits
    private let logger: Logger
    private let items = Mutex<[Place: Item]>([:])

    package init(
        store: ObjectStore, cache: CacheFolder, listing: KnownListing,
        limits: FetchLimits = FetchLimits(), logger: Logger
    ) {
        self.store = store
        self.cache = cache
        self.listing = listing
        self.limits = limits
        self.logger = logger
    }

    // MARK: - From the cache folder

    package func remembered() async -> RepositoryScan? {
        do {
            return try await NIOThreadPool.singleton.runIfActive { self.recalled() }
        } catch {
            // The gateway stops.
            return nil
        }
    }

    private func recalled() -> RepositoryScan? {
        guard let versions = listing.versions() else { return nil }
        var scan = RepositoryScan()
        var found: [Place: Item] = [:]
        for version in versions {
            guard let json = listing.manifest(version) else { continue }
            let scanned = scanned(
                version.name, version.version, json, version.token, objects: nil)
            scan.models.append(scanned)
            found[Place(name: version.name, version: version.version)] = Item(
                known: version, scanned: scanned)
        }
        items.withLock { $0 = found }
        return scan
    }

    package func goldenCases(of entry: ModelEntry) throws(ModelFault) -> [GoldenCase] {
        let json: [UInt8]?
        do throws(FileFault) {
            json = try listing.manifest(entry.name, entry.version)
        } catch {
            throw ModelFault("\(Manifest.fileName) cannot be read: \(error.reason)")
        }
        guard let json else {
            throw ModelFault("\(Manifest.fileName) was not kept in the cache folder")
        }
        return try GoldenCase.all(inManifest: json)
    }

    // MARK: - From the store

    /// Throws ``StoreTrouble``, or ``GatewayError`` when there are no keys.
    package func look() async throws -> RepositoryScan {
        try await NIOThreadPool.singleton.runIfActive { [store, cache] in
            try store.refreshKeys()
            cache.audit()
        }
        let location = store.settings.location
        let start = location.prefix.isEmpty ? "" : location.prefix + "/"
        var survey = BucketSurvey(prefix: start)
        for object in try await store.list(prefix: start) { survey.visit(object) }
        let before = items.withLock { $0 }
        var found: [Place: Item] = [:]
        var unread: [BucketSurvey.Version] = []
        for version in survey.versions {
            let place = Place(name: version.name, version: version.version)
            guard version.hasManifest else {
                survey.note(
                    "'\(version.name)/\(version.version)' is passed over: it has no manifest.json")
                continue
            }
            if let known = before[place], known.known.token == version.token {
                found[place] = known
            } else {
                unread.append(version)
            }
        }
        for (version, outcome) in try await read(unread) {
            let place = Place(name: version.name, version: version.version)
            switch outcome {
            case .success(let item): found[place] = item
            case .failure(let trouble):
                survey.note(
                    "'\(version.name)/\(version.version)': its manifest.json: \(trouble.why)")
                // Better the state before than none, until it can be read.
                if let known = before[place] { found[place] = known }
            }
        }
        await keep(found, before)
        var scan = RepositoryScan()
        scan.models = found.values.map(\.scanned).sorted {
            ($0.name, $0.version) < ($1.name, $1.version)
        }
        scan.notes = survey.notes
        return scan
    }

    /// A few at a time. Throws only when the store is gone.
    private func read(
        _ versions: [BucketSurvey.Version]
    ) async throws -> [(BucketSurvey.Version, Result<Item, StoreTrouble>)] {
        var outcomes: [(BucketSurvey.Version, Result<Item, StoreTrouble>)] = []
        var waiting = versions[...]
        try await withThrowingTaskGroup(
            of: (BucketSurvey.Version, Result<Item, StoreTrouble>).self
        ) { group in
            for _ in 0..<limits.manifests {
                guard let version = waiting.popFirst() else { break }
                group.addTask { (version, await self.read(version)) }
            }
            while let (version, outcome) = try await group.next() {
                if case .failure(let trouble) = outcome, trouble.passes { throw trouble }
                outcomes.append((version, outcome))
                if let next = waiting.popFirst() {
                    group.addTask { (next, await self.read(next)) }
                }
            }
        }
        return outcomes
    }

    private func read(_ version: BucketSurvey.Version) async -> Result<Item, StoreTrouble> {
        let key = store.settings.location.key(
            "\(version.name)/\(version.version)/\(Manifest.fileName)")
        do {
            let json = try await store.get(key, bytesMax: Manifest.byteCountMax)
            let known = KnownVersion(
                name: version.name, version: version.version, token: version.token,
                sha256: Cryptography.hex(Cryptography.sha256(json)))
            let scanned = scanned(
                version.name, version.version, json, version.token, objects: version.files)
            await keep(json, known, scanned)
            return .success(Item(known: known, scanned: scanned))
        } catch {
            return .failure(StoreTrouble(error))
        }
    }

    /// A manifest as the catalogue takes it in.
    /// - Parameter objects: sizes by name, when the bucket has just been listed.
    private func scanned(
        _ name: ModelName, _ version: ModelVersion, _ json: [UInt8], _ token: ChangeToken,
        objects: [String: UInt64]?
    ) -> ScannedModel {
        var model = ScannedModel(
            name: name, version: version, directory: cache.directory(of: ""),
            signature: Signature(inputs: [], outputs: []), token: token)
        do throws(ModelFault) {
            let manifest = try Manifest(json: json)
            guard manifest.name == name, manifest.version == version else {
                throw ModelFault(
                    "manifest.json is for '\(manifest.name)' version \(manifest.version), it lies "
                        + "in '\(name)/\(version)'")
            }
            model.directory = cache.directory(of: ContentKey.key(manifest))
            model.adopt(manifest)
            guard let objects else { return model }
            for file in manifest.files {
                guard let size = objects[file.name] else { throw ModelFault.missing(file) }
                guard size == file.byteCount else { throw .wrongSize(file, byteCount: size) }
            }
        } catch {
            model.fault = error.message
        }
        return model
    }

    // MARK: - Keeping it

    /// A disk that does not take it is told of; the store has answered all the same.
    private func keep(_ json: [UInt8], _ known: KnownVersion, _ scanned: ScannedModel) async {
        do {
            try await NIOThreadPool.singleton.runIfActive { [listing, cache] in
                try listing.keep(json, of: known.name, known.version)
                if let key = cache.key(of: scanned.directory) {
                    try cache.replaceManifest(key, with: json)
                }
            }
        } catch {
            logger.warning(
                "a manifest cannot be kept in the cache folder", metadata: ["error": "\(error)"])
        }
    }

    private func keep(_ found: [Place: Item], _ before: [Place: Item]) async {
        items.withLock { $0 = found }
        let (now, old) = (Set(found.values.map(\.known)), Set(before.values.map(\.known)))
        guard now != old else { return }
        let versions = now.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
        let gone = before.filter { found[$0.key] == nil }.map(\.value.known)
        do {
            try await NIOThreadPool.singleton.runIfActive { [listing] in
                try listing.keep(versions, gone: gone)
            }
        } catch {
            logger.warning(
                "the bucket's listing cannot be kept in the cache folder",
                metadata: ["error": "\(error)"])
        }
    }
}

/// Makes versions of a bucket's objects. A value.
package struct BucketSurvey {
    package struct Version: Sendable {
        package var name: ModelName
        package var version: ModelVersion
        /// Sizes by the name within the version.
        package var files: [String: UInt64] = [:]
        package var hasManifest = false
        /// FNV-1a over names, sizes and ETags: only tells states apart that one version has had.
        fileprivate var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        fileprivate var count: UInt64 = 0

        package var token: ChangeToken { ChangeToken([hash, count]) }

        fileprivate mutating func add(_ name: String, _ object: ListedObject) {
            files[name] = object.byteCount
            if name == Manifest.fileName { hasManifest = true }
            for byte in "\(name)\n\(object.byteCount)\n\(object.tag)\n".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
            count += 1
        }
    }

    package let prefix: String
    package private(set) var notes: [String] = []
    private var found: [String: Version] = [:]

    package init(prefix: String) { self.prefix = prefix }

    /// In the order of names and versions.
    package var versions: [Version] {
        found.values.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
    }

    package mutating func visit(_ object: ListedObject) {
        guard object.key.hasPrefix(prefix) else { return }
        let parts = object.key.dropFirst(prefix.count)
            .split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
            .map { String($0) }
        // Scripts and notes may lie beside the models; some tools make objects for folders.
        guard parts.count == 3, !parts[2].isEmpty, !object.key.hasSuffix("/") else { return }
        guard let name = ModelName(parts[0]), let version = ModelVersion(parts[1]) else {
            if parts[2] == Manifest.fileName {
                note("an object is passed over whose key is not NAME/VERSION/manifest.json")
            }
            return
        }
        let place = "\(name)/\(version)"
        if found[place] == nil {
            guard found.count < FolderRepository.versionsMax else {
                return note(
                    "the bucket has more than \(FolderRepository.versionsMax) versions; the rest "
                        + "is passed over")
            }
            found[place] = Version(name: name, version: version)
        }
        // More than a manifest may list can only be a mistake, and is not kept in memory.
        guard (found[place]?.files.count ?? 0) <= Manifest.filesMax else { return }
        found[place]?.add(parts[2], object)
    }

    mutating func note(_ text: String) {
        guard notes.last != text, notes.count < FolderRepository.notesMax else { return }
        notes.append(text)
    }
}
