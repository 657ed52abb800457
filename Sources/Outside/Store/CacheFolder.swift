// The disk cache of a bucket's models:
//
//     versions/KEY/...          whole versions, read-only; KEY is their content's (ContentKey)
//     fetching/KEY/files/...    files of a version that have come, verified
//     fetching/KEY/parts/N      the file that is coming, and N.done: how much of it is verified
//     removed/...               what is about to be deleted
//     known/...                 what the bucket held when it last answered (KnownListing)
//
// A version is moved from fetching/ to versions/ in one rename, so what is in versions/ is whole whenever the process ends.
// Everything here blocks: it is called at start, and on the fetcher's threads.

import Catalogue
package import Contract
import Files
package import Logging
import Synchronization

package final class CacheFolder: Sendable {
    static let versions = "versions"
    static let fetching = "fetching"
    static let removed = "removed"
    static let known = "known"
    /// Versions that may lie in one cache.
    static let versionsMax = 1_000_000

    /// Absolute, without links.
    package let path: String
    let budget: UInt64
    private let ledger: Mutex<CacheLedger>
    /// One change on disk at a time, so that nobody is moved in while it is moved out. Never on an event loop.
    private let turn = Mutex(())
    private let wallClock: @Sendable () -> Int64
    private let logger: Logger
    /// No other gateway works on the folder; nil when it cannot be written to.
    private let lock: Lock?

    private final class Lock: Sendable {
        let lock: FileLock
        init(_ lock: consuming FileLock) { self.lock = lock }
    }

    /// Looks at what is there and removes what was not finished. A folder that cannot be made or written to is not the end:
    /// what is in it is served. Throws CONFIGURATION when another gateway uses it.
    /// - Parameters:
    ///   - budget: bytes.
    ///   - wallClock: nanoseconds since 1970.
    package init(
        path: String, budget: UInt64, logger: Logger, wallClock: @escaping @Sendable () -> Int64
    ) throws(GatewayError) {
        self.budget = budget
        self.wallClock = wallClock
        self.logger = logger
        switch CacheFolder.opening(path) {
        case .opened(let resolved, let lock):
            self.path = resolved
            self.lock = lock
        case .taken:
            throw GatewayError(
                .configuration, "another gateway uses the cache folder '\(path)'",
                mend: "Give this one a folder of its own by the setting models.cache.path")
        case .unwritable(let resolved, let fault):
            logger.warning(
                "the cache folder cannot be written to: what is not in it cannot be fetched",
                metadata: ["cache.path": "\(path)", "error": "\(fault.reason)"])
            self.path = resolved
            lock = nil
        }
        var ledger = CacheLedger(budget: budget)
        CacheFolder.look(at: self.path, into: &ledger, logger)
        let overdrawn = ledger.overdrawn()
        self.ledger = Mutex(ledger)
        for key in overdrawn { removeVersion(key) }
    }

    private enum Opening {
        case opened(String, Lock)
        case taken
        case unwritable(String, FileFault)
    }

    private static func opening(_ path: String) -> Opening {
        do throws(FileFault) {
            try Folder.make(path: path)
            let resolved = try Folder.resolved(path: path)
            guard let lock = try FileLock.take("cache.lock", in: try Folder(path: resolved)) else {
                return .taken
            }
            try clean(resolved)
            return .opened(resolved, Lock(lock))
        } catch let fault {
            do throws(FileFault) {
                return .unwritable(try Folder.resolved(path: path), fault)
            } catch {
                return .unwritable(path, fault)
            }
        }
    }

    /// Removes what a process left that ended in the middle; parts of files stay to be gone on with.
    private static func clean(_ path: String) throws(FileFault) {
        let root = try Folder(path: path)
        try root.removeAll(removed)
        for name in [versions, fetching, removed, known] { _ = try root.madeFolder(name) }
        for name in [fetching, known] {
            let folder = try root.folder(name)
            for item in try folder.items()
            where item.name.hasSuffix(Folder.draftSuffix)
                || (name == fetching && !ContentKey.isKey(item.name))
            {
                try folder.removeAll(item.name)
            }
        }
        let whole = try root.folder(versions)
        for item in try whole.items() where !ContentKey.isKey(item.name) {
            try whole.removeAll(item.name)
        }
    }

    private static func look(at path: String, into ledger: inout CacheLedger, _ logger: Logger) {
        do throws(FileFault) {
            let root = try Folder(path: path)
            for (name, isComplete) in [(fetching, false), (versions, true)] {
                let folder = try root.folder(name)
                for item in try folder.items(countMax: versionsMax)
                where ContentKey.isKey(item.name) {
                    let version = try folder.folder(item.name)
                    ledger.found(
                        item.name, bytes: try bytes(in: version), isComplete: isComplete,
                        lastUse: try version.facts().modified)
                }
            }
        } catch {
            logger.warning(
                "the cache folder cannot be read",
                metadata: ["cache.path": "\(path)", "error": "\(error)"])
        }
    }

    private static func bytes(
        in folder: borrowing Folder, depth: Int = 0
    ) throws(FileFault) -> UInt64 {
        var sum: UInt64 = 0
        guard depth < Folder.removeDepthMax else { return sum }
        for item in try folder.items() {
            let facts = try folder.facts(of: item.name)
            if facts.kind == .folder {
                sum += try bytes(in: try folder.folder(item.name), depth: depth + 1)
            } else {
                sum += facts.byteCount
            }
        }
        return sum
    }

    // MARK: - Questions, from any thread

    /// Where a version is, or will be.
    func directory(of key: String) -> String { "\(path)/\(CacheFolder.versions)/\(key)" }

    /// The key of a version's folder; nil when it is no folder of this cache.
    func key(of directory: String) -> String? {
        let start = "\(path)/\(CacheFolder.versions)/"
        guard directory.hasPrefix(start) else { return nil }
        let key = String(directory.dropFirst(start.count))
        return ContentKey.isKey(key) ? key : nil
    }

    /// Keeps a version that is there as a whole; nil when it is not.
    func hold(_ key: String) -> (any FilesHold)? {
        let now = wallClock()
        guard ledger.withLock({ $0.hold(key, now: now) }) else { return nil }
        return Hold(self, key)
    }

    package var usedBytes: UInt64 { ledger.withLock { $0.used } }

    private final class Hold: FilesHold {
        private let cache: CacheFolder
        private let key: String

        init(_ cache: CacheFolder, _ key: String) {
            self.cache = cache
            self.key = key
        }

        deinit { cache.ledger.withLock { $0.release(key) } }
    }

    // MARK: - A fetch, on threads that may block

    /// Makes room, and the folders of a fetch. Throws why there is none.
    func reserve(_ entry: ModelEntry, _ key: String) throws {
        let bytes = entry.fileBytes
        try turn.withLock { _ in
            let now = wallClock()
            switch ledger.withLock({ $0.reserve(key, bytes: bytes, now: now) }) {
            case .granted(let evicted):
                for gone in evicted {
                    logger.info(
                        "version evicted from the cache", metadata: ["cache.version": "\(gone)"])
                    remove(gone)
                }
            case .tooLarge:
                throw CallFailure.cacheTooSmall(entry, bytes: bytes, budget: budget)
            case .full(let inUse):
                throw CallFailure.cacheInUse(entry, bytes: bytes, inUse: inUse, budget: budget)
            }
        }
        do throws(FileFault) {
            // Whoever cleaned the folder meanwhile cleaned all of it.
            try Folder.make(path: "\(path)/\(CacheFolder.versions)")
            try Folder.make(path: "\(path)/\(CacheFolder.fetching)/\(key)/files")
            try Folder.make(path: "\(path)/\(CacheFolder.fetching)/\(key)/parts")
        } catch {
            abandon(key, bytes: 0)
            throw error
        }
    }

    func filesPath(_ key: String) -> String { "\(path)/\(CacheFolder.fetching)/\(key)/files" }
    func partsPath(_ key: String) -> String { "\(path)/\(CacheFolder.fetching)/\(key)/parts" }

    /// All files have come: the version appears, in one step. One hold is out.
    func complete(_ key: String) throws -> any FilesHold {
        try turn.withLock { _ throws(FileFault) in
            let root = try Folder(path: path)
            let fetching = try root.folder(CacheFolder.fetching)
            let versions = try root.folder(CacheFolder.versions)
            try removeIfThere(key)
            let fetched = try fetching.folder(key)
            try fetched.rename("files", to: key, in: versions)
            try versions.synchronize()
            try fetching.removeAll(key)
        }
        let now = wallClock()
        ledger.withLock { $0.completed(key, now: now) }
        return Hold(self, key)
    }

    /// The fetch ended early; so many bytes of it stay for the next one.
    func abandon(_ key: String, bytes: UInt64) {
        ledger.withLock { $0.abandoned(key, bytes: bytes) }
    }

    /// Notes on disk that a version is used, for the order after a restart. What cannot be noted does not matter.
    func noteUse(_ key: String) {
        do throws(FileFault) {
            let folder = try Folder(linkFree: directory(of: key))
            try folder.touch()
        } catch {
            logger.debug("a use of the cache cannot be noted", metadata: ["error": "\(error)"])
        }
    }

    /// The manifest beside a version's files follows the bucket's; nothing happens when the version is not here.
    func replaceManifest(_ key: String, with json: [UInt8]) throws(FileFault) {
        guard ledger.withLock({ $0.items[key]?.standing == .complete }) else { return }
        try Folder(linkFree: directory(of: key)).replaceFile(Manifest.fileName, with: json)
    }

    /// Forgets versions that somebody removed from the disk.
    func audit() {
        let keys = ledger.withLock { ledger in
            ledger.items.filter { $0.value.standing == .complete }.map(\.key)
        }
        for key in keys {
            do throws(FileFault) {
                _ = try Folder(linkFree: directory(of: key))
            } catch {
                guard error.isMissing else { continue }
                ledger.withLock { $0.forget(key) }
            }
        }
    }

    private func removeVersion(_ key: String) { turn.withLock { _ in remove(key) } }

    /// Out of sight in one step, then deleted. Trouble is told and not handed on: the disk will say when it is full.
    private func remove(_ key: String) {
        do throws(FileFault) {
            try removeIfThere(key)
            try Folder(path: path).folder(CacheFolder.fetching).removeAll(key)
        } catch {
            logger.warning(
                "a version cannot be removed from the cache",
                metadata: ["cache.version": "\(key)", "error": "\(error)"])
        }
    }

    private func removeIfThere(_ key: String) throws(FileFault) {
        let root = try Folder(path: path)
        let versions = try root.folder(CacheFolder.versions)
        let removed = try root.madeFolder(CacheFolder.removed)
        do throws(FileFault) {
            try versions.rename(key, to: key, in: removed)
        } catch {
            guard error.isMissing else { throw error }
        }
        try removed.removeAll(key)
    }
}

extension CallFailure {
    private static func mebibytes(_ bytes: UInt64) -> String { "\((bytes + 0xF_FFFF) >> 20) MiB" }

    static func cacheTooSmall(_ entry: ModelEntry, bytes: UInt64, budget: UInt64) -> CallFailure {
        CallFailure(
            .resourceExhausted, .cacheLimit,
            "model '\(entry.name)' version \(entry.version) has \(mebibytes(bytes)) of files; the "
                + "disk cache may hold \(mebibytes(budget)) (models.cache.bytes)",
            notStarted: true)
    }

    static func cacheInUse(
        _ entry: ModelEntry, bytes: UInt64, inUse: UInt64, budget: UInt64
    ) -> CallFailure {
        CallFailure(
            .resourceExhausted, .cacheLimit,
            "model '\(entry.name)' version \(entry.version) has \(mebibytes(bytes)) of files; of "
                + "the disk cache's \(mebibytes(budget)) (models.cache.bytes) models that are awake "
                + "or being fetched use \(mebibytes(inUse))",
            notStarted: true, retryAfter: .seconds(1))
    }

    /// The disk does not take what is fetched. Names the setting and not the path, which is not the callers' business.
    static func cacheTrouble(_ entry: ModelEntry, _ fault: FileFault) -> CallFailure {
        CallFailure(
            fault.isFull ? .resourceExhausted : .unavailable,
            fault.isFull ? .cacheLimit : .cacheUnwritable,
            "model '\(entry.name)' version \(entry.version) is not here and cannot be fetched: the "
                + "cache folder (models.cache.path) "
                + (fault.isFull ? "is full" : "cannot be written to") + ": \(fault.reason)",
            notStarted: true, retryAfter: .seconds(5))
    }
}
