// Brings the files of a bucket's versions into the disk cache when a model wakes. A few versions at a time, each once
// however many wait for it, given up when nobody does; what came stays for the next time.

package import Catalogue
import Contract
import Files
package import Logging
import NIOPosix
import Synchronization

/// The house runs ``run()`` for as long as the gateway serves.
package final class BucketFetcher: ModelFetcher {
    private struct Flight: Sendable {
        var entry: ModelEntry
        var waiting: [any FetchWaiting]
    }

    private struct State: Sendable {
        var flights: [String: Flight] = [:]
        var isClosed = false
    }

    private let store: ObjectStore
    private let cache: CacheFolder
    private let listing: KnownListing
    private let inspector: FolderInspector?
    private let limits: FetchLimits
    private let logger: Logger
    /// Writes and hashes: neither an event loop nor a loader thread waits for them.
    private let threads: NIOThreadPool
    private let state = Mutex(State())
    /// Holds at most `limits.waitingMax` elements: each has a flight.
    private let asked: AsyncStream<String>
    private let ask: AsyncStream<String>.Continuation

    /// - Parameter inspector: is told the hashes of what came.
    package init(
        store: ObjectStore, cache: CacheFolder, listing: KnownListing,
        inspector: FolderInspector? = nil, limits: FetchLimits = FetchLimits(), logger: Logger
    ) {
        self.store = store
        self.cache = cache
        self.listing = listing
        self.inspector = inspector
        self.limits = limits
        self.logger = logger
        // One hashes while the other writes, for each fetch.
        threads = NIOThreadPool(numberOfThreads: 2 * limits.fetches)
        threads.start()
        (asked, ask) = AsyncStream.makeStream(of: String.self)
    }

    // MARK: - Asking

    package func files(of entry: ModelEntry) -> FilesPresence {
        guard let key = cache.key(of: entry.directory) else { return .present(nil) }
        guard let hold = cache.hold(key) else { return .absent }
        threads.submit { [cache] _ in cache.noteUse(key) }
        return .present(hold)
    }

    package func fetch(_ entry: ModelEntry, for waiting: any FetchWaiting) {
        guard let key = cache.key(of: entry.directory) else {
            preconditionFailure("a model is fetched that is not of the bucket")
        }
        enum Place { case new, joined, full, closed }
        let place = state.withLock { state -> Place in
            if state.isClosed { return .closed }
            guard state.flights[key] == nil else {
                state.flights[key]?.waiting.append(waiting)
                return .joined
            }
            guard state.flights.count < limits.waitingMax else { return .full }
            state.flights[key] = Flight(entry: entry, waiting: [waiting])
            return .new
        }
        switch place {
        case .new: ask.yield(key)
        case .joined: break
        case .closed: waiting.ended(.failure(FetchFailure(.fetcherStopped)))
        case .full: waiting.ended(.failure(FetchFailure(.fetchesFull(limits))))
        }
    }

    /// For metrics. Any thread.
    package var statistics: StoreStatistics {
        var statistics = store.tally.statistics
        statistics.underWay = state.withLock { $0.flights.count }
        statistics.cacheBytes = cache.usedBytes
        statistics.cacheBudget = cache.budget
        return statistics
    }

    // MARK: - Doing

    /// Fetches until it is cancelled; then those who wait are answered.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await key in asked {
                if running == limits.fetches {
                    await group.next()
                    running -= 1
                }
                group.addTask { await self.perform(key) }
                running += 1
            }
            group.cancelAll()
        }
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.flights = [:] }
            return state.flights.values.flatMap(\.waiting)
        }
        for waiting in left { waiting.ended(.failure(FetchFailure(.fetcherStopped))) }
    }

    /// Ends the threads; after ``run()``.
    package func close() async throws { try await threads.shutdownGracefully() }

    private func isWanted(_ key: String) -> Bool {
        let waiting = state.withLock { $0.flights[key]?.waiting ?? [] }
        return waiting.contains { $0.isWanted }
    }

    private func perform(_ key: String) async {
        guard let entry = state.withLock({ $0.flights[key]?.entry }) else { return }
        let result: Result<any FilesHold, FetchFailure>
        do {
            result = .success(try await bring(entry, key))
            store.tally.fetchEnded(well: true)
        } catch {
            result = .failure(failure(error, entry))
            if StoreTrouble(error) != .cancelled { store.tally.fetchEnded(well: false) }
        }
        let waiting = state.withLock { $0.flights.removeValue(forKey: key)?.waiting ?? [] }
        for one in waiting { one.ended(result) }
    }

    private func bring(_ entry: ModelEntry, _ key: String) async throws -> any FilesHold {
        // A fetch of the same files may have ended since it was asked for.
        if let hold = cache.hold(key) { return hold }
        guard isWanted(key) else { throw StoreTrouble.cancelled }
        try await threads.runIfActive { [cache] in try cache.reserve(entry, key) }
        let meter = FetchMeter(total: entry.fileBytes)
        let began = ContinuousClock.now
        do {
            let verified = try await withThrowingTaskGroup(of: [String: String]?.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await self.download(entry, key, meter) }
                group.addTask {
                    try await self.accompany(key, meter)
                    return nil
                }
                return try await group.next().flatMap { $0 } ?? [:]
            }
            let hold = try await threads.runIfActive { [cache] in try cache.complete(key) }
            vouch(for: verified, key)
            let took = ContinuousClock.now - began
            logger.info(
                "model fetched",
                metadata: [
                    "model": "\(entry.name)", "version": "\(entry.version)",
                    "fetch.bytes": "\(entry.fileBytes)", "fetch.time": "\(took)",
                ])
            return hold
        } catch {
            cache.abandon(key, bytes: meter.done)
            throw error
        }
    }

    /// Tells those who wait how far it is. Throws when there is nobody left.
    private func accompany(_ key: String, _ meter: FetchMeter) async throws {
        let began = ContinuousClock.now
        let before = meter.done
        while true {
            try await Task.sleep(for: .nanoseconds(Int64(clamping: limits.tick.count)))
            let waiting = state.withLock { $0.flights[key]?.waiting ?? [] }
            guard waiting.contains(where: { $0.isWanted }) else { throw StoreTrouble.cancelled }
            let remaining = BucketFetcher.remaining(
                done: meter.done, since: before, total: meter.total,
                seconds: (ContinuousClock.now - began) / .seconds(1))
            for one in waiting { one.isFetching(fraction: meter.fraction, remaining: remaining) }
        }
    }

    /// At the speed so far.
    static func remaining(
        done: UInt64, since before: UInt64, total: UInt64, seconds: Double
    ) -> Nanoseconds? {
        guard done > before, total >= done, seconds > 0 else { return nil }
        let left = Double(total - done) * seconds / Double(done - before)
        return left < 1e6 ? Nanoseconds(UInt64(left * 1e9)) : nil
    }

    /// Every file, one after the other: the large one is most of it. Returns the hashes of what came.
    private func download(
        _ entry: ModelEntry, _ key: String, _ meter: FetchMeter
    ) async throws -> [String: String] {
        var verified: [String: String] = [:]
        let location = store.settings.location
        for (number, file) in entry.files.enumerated() {
            let place = FetchedFile(cache: cache, key: key, number: number, name: file.name)
            let isThere = try await threads.runIfActive { try place.isThere(file.byteCount) }
            if isThere {
                meter.add(file.byteCount)
                continue
            }
            let (part, journal) = try await threads.runIfActive { try place.opened() }
            let download = FileDownload(
                file, objectKey: location.key("\(entry.name)/\(entry.version)/\(file.name)"),
                part: part, journal: journal, store: store, threads: threads, limits: limits,
                meter: meter)
            try await download.run()
            try await threads.runIfActive { try place.takeName() }
            verified[file.name] = file.sha256
        }
        let manifest = FetchedFile(
            cache: cache, key: key, number: entry.files.count, name: Manifest.fileName)
        let json = try await threads.runIfActive { [listing] in
            try listing.manifest(entry.name, entry.version)
        }
        if let json { try await threads.runIfActive { try manifest.write(json) } }
        return verified
    }

    private func vouch(for verified: [String: String], _ key: String) {
        guard let inspector else { return }
        for (name, sha256) in verified {
            do throws(FileFault) {
                let file = try Folder(linkFree: cache.directory(of: key)).file(beneath: name)
                inspector.vouch(for: file.facts, sha256: sha256)
            } catch {
                // It is read before it is loaded, and refused there.
                logger.debug("a fetched file cannot be looked at", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Translated once, here: for callers, and for the log.
    private func failure(_ error: any Error, _ entry: ModelEntry) -> FetchFailure {
        let (failure, why): (FetchFailure, String)
        switch error {
        case let error as CallFailure: (failure, why) = (FetchFailure(error), error.message)
        case let fault as ModelFault:
            failure = FetchFailure(entry.brokenFailure(fault.message), isLasting: true)
            why = fault.message
        case let fault as FileFault:
            failure = FetchFailure(.cacheTrouble(entry, fault))
            why = "the cache folder '\(cache.path)': \(fault)"
        default:
            let trouble = StoreTrouble(error)
            if trouble == .cancelled { return FetchFailure(.fetchGivenUp(entry)) }
            failure = FetchFailure(.storeTrouble(entry, trouble))
            why = "the store: \(trouble.why)"
        }
        logger.warning(
            "model cannot be fetched",
            metadata: [
                "model": "\(entry.name)", "version": "\(entry.version)", "error": "\(why)",
            ])
        return failure
    }
}

/// Where one file of a fetch lies. Blocks.
private struct FetchedFile: Sendable {
    let cache: CacheFolder
    let key: String
    let number: Int
    /// With slashes, as in the manifest.
    let name: String

    private func files() throws(FileFault) -> Folder {
        try Folder(linkFree: cache.filesPath(key))
    }
    private func parts() throws(FileFault) -> Folder {
        try Folder(linkFree: cache.partsPath(key))
    }

    /// An earlier fetch has brought and verified it.
    func isThere(_ byteCount: UInt64) throws(FileFault) -> Bool {
        do throws(FileFault) {
            return try files().file(beneath: name).facts.byteCount == byteCount
        } catch {
            if error.isMissing { return false }
            throw error
        }
    }

    func opened() throws(FileFault) -> (part: WritableFile, journal: WritableFile) {
        let parts = try parts()
        return (
            try parts.writableFile("\(number)"), try parts.writableFile("\(number).done")
        )
    }

    /// What has come is whole: it gets its name, for good.
    func takeName() throws(FileFault) {
        let parts = try parts()
        try inPlace { folder, last throws(FileFault) in
            try parts.rename("\(number)", to: last, in: folder)
            try folder.synchronize()
        }
        try parts.removeFile("\(number).done")
    }

    func write(_ bytes: [UInt8]) throws(FileFault) {
        try inPlace { folder, last throws(FileFault) in
            try folder.replaceFile(last, with: bytes)
        }
    }

    private func inPlace(
        _ body: (borrowing Folder, String) throws(FileFault) -> Void
    ) throws(FileFault) {
        var folder = try files()
        let names = name.split(separator: "/").map { String($0) }
        for part in names.dropLast() { folder = try folder.madeFolder(part) }
        try body(folder, names.last ?? name)
    }
}

extension CallFailure {
    static var fetcherStopped: CallFailure {
        CallFailure(
            .unavailable, .stopping, "the gateway is stopping", notStarted: true)
    }

    static func fetchesFull(_ limits: FetchLimits) -> CallFailure {
        CallFailure(
            .resourceExhausted, .queueFull,
            "\(limits.waitingMax) models are waiting to be fetched", notStarted: true,
            retryAfter: .seconds(1))
    }

    static func fetchGivenUp(_ entry: ModelEntry) -> CallFailure {
        CallFailure(
            .unavailable, .modelLoading,
            "nobody waited for model '\(entry.name)' any more while it was fetched; what came is kept",
            notStarted: true, retryAfter: .milliseconds(10))
    }

    static func storeTrouble(_ entry: ModelEntry, _ trouble: StoreTrouble) -> CallFailure {
        CallFailure(
            .unavailable, .storeUnavailable,
            "model '\(entry.name)' version \(entry.version) is not here and cannot be fetched: "
                + trouble.forCallers,
            notStarted: true, retryAfter: .seconds(1))
    }
}
