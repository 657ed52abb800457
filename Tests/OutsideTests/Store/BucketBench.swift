// What the tests of buckets share: a store in process, a cache folder that goes, and calls that wait for files.

import Catalogue
import Contract
import Foundation
import Logging
import NIOPosix
import Outside
import Synchronization
import TLS
import Testing

/// Who waits for a fetch, and what it was told.
final class FetchEar: FetchWaiting {
    private struct State: Sendable {
        var isWanted = true
        var fractions: [Double] = []
        var result: Result<any FilesHold, FetchFailure>?
    }

    private let state = Mutex(State())

    var isWanted: Bool { state.withLock { $0.isWanted } }
    func leave() { state.withLock { $0.isWanted = false } }
    func isFetching(fraction: Double, remaining: Nanoseconds?) {
        state.withLock { $0.fractions.append(fraction) }
    }
    func ended(_ result: Result<any FilesHold, FetchFailure>) {
        state.withLock { $0.result = result }
    }
    /// Lets go of what was fetched.
    func drop() { state.withLock { if case .success? = $0.result { $0.result = nil } } }

    var fractions: [Double] { state.withLock { $0.fractions } }
    var hasEnded: Bool { state.withLock { $0.result != nil } }
    var hold: (any FilesHold)? { state.withLock { try? $0.result?.get() } }
    var failure: FetchFailure? {
        state.withLock { if case .failure(let failure)? = $0.result { failure } else { nil } }
    }
}

/// A gateway's side of a bucket.
final class BucketBench: Sendable {
    let fake: FakeStore
    let folder: URL
    let store: ObjectStore
    let cache: CacheFolder
    let repository: BucketRepository
    let inspector = FolderInspector()
    let fetcher: BucketFetcher

    var versions: String { cache.path + "/versions" }

    private init(_ fake: FakeStore, _ folder: URL, _ options: Options) throws {
        self.fake = fake
        self.folder = folder
        let logger = Logger(label: "bucket") { _ in SwiftLogNoOpLogHandler() }
        let location = try #require(BucketLocation("s3://\(FakeStore.bucket)/p"))
        let endpoint = try #require(StoreEndpoint(fake.endpoint))
        var settings = StoreSettings(location: location, endpoint: endpoint, region: "us-east-1")
        settings.stallTimeout = .milliseconds(200)
        settings.answerTimeout = .seconds(2)
        settings.retryWait = .milliseconds(1)
        store = try ObjectStore(
            settings,
            environment: ["AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush"],
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        cache = try CacheFolder(
            path: options.cachePath ?? folder.path + "/cache", budget: options.budget,
            logger: logger, wallClock: { Int64(Date().timeIntervalSince1970 * 1e9) })
        let listing = KnownListing(cache, source: "test", logger: logger)
        repository = BucketRepository(
            store: store, cache: cache, listing: listing, logger: logger)
        fetcher = BucketFetcher(
            store: store, cache: cache, listing: listing, inspector: inspector,
            limits: options.limits, logger: logger)
    }

    struct Options: Sendable {
        var budget: UInt64 = 1 << 30
        var cachePath: String?
        var limits = FetchLimits()

        init() {
            limits.windowBytes = 64 << 10
            limits.pieceBytes = 16 << 10
            limits.tick = .milliseconds(10)
        }
    }

    /// A gateway on this folder and this store, for as long as `body` takes.
    static func running(
        _ fake: FakeStore, in folder: URL, _ options: Options = Options(),
        _ body: @Sendable (BucketBench) async throws -> Void
    ) async throws {
        let bench = try BucketBench(fake, folder, options)
        let outcome: Result<Void, any Error> = await withTaskGroup { group in
            group.addTask { await bench.fetcher.run() }
            defer { group.cancelAll() }
            do {
                return .success(try await body(bench))
            } catch {
                return .failure(error)
            }
        }
        try await bench.fetcher.close()
        try await bench.store.close()
        try outcome.get()
    }

    /// The same with a store and a folder of its own.
    static func with(
        _ options: Options = Options(), _ body: @Sendable (BucketBench) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let fake = try await FakeStore.start()
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await running(fake, in: folder, options, body))
            } catch {
                outcome = .failure(error)
            }
            try await fake.stop()
            try outcome.get()
        }
    }

    static func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-bucket-\(UUID().uuidString)").resolvingSymlinksInPath()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body(folder))
        } catch {
            outcome = .failure(error)
        }
        try FileManager.default.removeItem(at: folder)
        try outcome.get()
    }

    // MARK: Steps of a test

    /// Puts a version into the bucket. Returns the bytes of its model.
    @discardableResult
    func publish(
        _ name: String, _ version: Int = 1, bytes: Int = 1_000, seed: UInt64 = 1
    ) -> [UInt8] {
        var dice = Dice(seed: seed &+ UInt64(version) &* 31)
        let model = (0..<bytes).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        fake.put("p/\(name)/\(version)/model.onnx", model)
        fake.put("p/\(name)/\(version)/manifest.json", Self.manifest(name, version, model))
        return model
    }

    static func manifest(_ name: String, _ version: Int, _ model: [UInt8]) -> [UInt8] {
        let hash = Cryptography.hex(Cryptography.sha256(model))
        return Array(
            """
            {"format":1,"name":"\(name)","version":\(version),"files":[{"name":"model.onnx",
            "sha256":"\(hash)","bytes":\(model.count)}],"signature":{"inputs":[],
            "outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}}
            """.utf8)
    }

    /// The version as the repository sees it now.
    func entry(_ name: String, _ version: Int = 1) async throws -> ModelEntry {
        let models = try await repository.look().models
        let found = models.first { $0.name.text == name && $0.version.number == Int64(version) }
        return ModelEntry(index: 0, try #require(found, "\(name)/\(version)"))
    }

    func fetch(_ entry: ModelEntry, within seconds: Double = 20) async throws -> FetchEar {
        let ear = FetchEar()
        fetcher.fetch(entry, for: ear)
        try await Self.eventually(within: seconds) { ear.hasEnded }
        return ear
    }

    func fetched(_ entry: ModelEntry) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: entry.modelPath)))
    }

    func isAbsent(_ entry: ModelEntry) -> Bool {
        if case .absent = fetcher.files(of: entry) { true } else { false }
    }

    static func eventually(
        within seconds: Double = 20, _ condition: () throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while !(try condition()) {
            try #require(ContinuousClock.now < end, "not within \(seconds) s")
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
