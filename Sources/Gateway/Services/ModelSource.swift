// Where the models come from, opened: a folder, or a bucket with its disk cache.

import Catalogue
import Contract
import Foundation
import Logging
import NIOCore
import Outside
import ServiceLifecycle

/// The repository of the settings and what belongs to it.
struct ModelSource: Sendable {
    let repository: any ModelRepository
    /// Nil for a folder: its models are here.
    let fetcher: BucketFetcher?
    private let store: ObjectStore?

    /// Reads keys and looks through the cache folder; blocks. Throws CONFIGURATION.
    static func open(
        _ settings: Settings, inspector: FolderInspector, group: any EventLoopGroup,
        logger: Logger
    ) throws(GatewayError) -> ModelSource {
        let models = settings.models
        guard models.repository.hasPrefix(BucketLocation.scheme) else {
            let folder = FolderRepository(
                path: models.repository, requiresManifest: models.requiresManifest)
            return ModelSource(repository: folder, fetcher: nil, store: nil)
        }
        let store = try models.openStore(group: group, logger: logger)
        let cache = try CacheFolder(
            path: models.cache.path ?? settings.state + "/cache",
            budget: UInt64(models.cache.bytes), logger: logger,
            wallClock: { Int64(Date().timeIntervalSince1970 * 1e9) })
        let listing = KnownListing(
            cache, source: "\(store.settings.endpoint) \(store.settings.location)", logger: logger)
        return ModelSource(
            repository: BucketRepository(
                store: store, cache: cache, listing: listing, logger: logger),
            fetcher: BucketFetcher(
                store: store, cache: cache, listing: listing, inspector: inspector, logger: logger),
            store: store)
    }

    func close() async throws {
        try await fetcher?.close()
        try await store?.close()
    }
}

extension ModelSettings {
    /// The bucket that `repository` names. The caller closes it. Throws CONFIGURATION.
    func openStore(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        group: any EventLoopGroup, logger: Logger
    ) throws(GatewayError) -> ObjectStore {
        guard let location = BucketLocation(repository) else {
            throw GatewayError(.configuration, "models.repository is no s3://BUCKET/PREFIX")
        }
        guard
            let endpoint = bucket.endpoint.map({ StoreEndpoint($0) })
                ?? StoreEndpoint.amazon(region: bucket.region)
        else {
            throw GatewayError(
                .configuration, "models.s3.endpoint is no address like https://store.example:9000")
        }
        var settings = StoreSettings(location: location, endpoint: endpoint, region: bucket.region)
        settings.usesPathStyle = bucket.usesPathStyle
        settings.authority = bucket.authority
        settings.credentials.accessKeyFile = bucket.accessKeyFile
        settings.credentials.secretKeyFile = bucket.secretKeyFile
        settings.credentials.sessionTokenFile = bucket.sessionTokenFile
        settings.credentials.profile = bucket.profile
        if !endpoint.isEncrypted {
            logger.warning(
                "models come from their store in plaintext: whoever is on the way can change them",
                metadata: ["models.s3.endpoint": "\(endpoint)"])
        }
        return try ObjectStore(settings, environment: environment, group: group, logger: logger)
    }
}

/// Fetches, for as long as the gateway serves.
struct FetchService: Service {
    let fetcher: BucketFetcher?

    func run() async throws {
        guard let fetcher else { return try await gracefulShutdown() }
        await cancelWhenGracefulShutdown { await fetcher.run() }
    }
}
