// Looks at the models' folder again and again and tells the catalogue what changed.

import Catalogue
import Contract
import Logging
import NIOPosix
import Outside
import ServiceLifecycle
import Shards

/// Scans on a thread of its own: reading a folder blocks.
final class RepositoryWatch: Service {
    private let repository: FolderRepository
    private let registry: Registry
    private let versions: Versions
    private let fleet: Fleet
    private let interval: Nanoseconds
    private let logger: Logger

    init(
        repository: FolderRepository, registry: Registry, versions: Versions, fleet: Fleet,
        interval: Nanoseconds, logger: Logger
    ) {
        self.repository = repository
        self.registry = registry
        self.versions = versions
        self.fleet = fleet
        self.interval = interval
        self.logger = logger
    }

    /// One scan. Throws when the folder cannot be read; a broken model is a note.
    func refresh(isFirst: Bool = false) async throws {
        let (repository, registry, versions) = (repository, registry, versions)
        let (scan, change) = try await NIOThreadPool.singleton.runIfActive {
            let scan = try repository.scan()
            let change = registry.replace(with: scan.models)
            try versions.scanned(change)
            return (scan, change)
        }
        for entry in change.removed { fleet.retire(entry) }
        for entry in change.added where registry.isPinned(entry) { fleet.pin(entry, true) }
        guard isFirst || !change.isEmpty else { return }
        for note in scan.notes {
            logger.notice("passed over", metadata: ["models.note": "\(note)"])
        }
        for entry in change.added {
            guard let fault = entry.fault else { continue }
            logger.warning(
                "a model cannot be served",
                metadata: [
                    "model": "\(entry.name)", "version": "\(entry.version)", "reason": "\(fault)",
                ])
        }
        logger.info(
            "models",
            metadata: [
                "models.versions": "\(registry.count)", "models.added": "\(change.added.count)",
                "models.removed": "\(change.removed.count)",
            ])
    }

    func run() async throws {
        // `models.poll: 0` means at start only.
        guard interval > .zero else { return try await gracefulShutdown() }
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                do {
                    try await Task.sleep(for: .nanoseconds(Int64(interval.count)))
                    try await refresh()
                } catch is CancellationError {
                    return
                } catch {
                    // What is known goes on being served.
                    logger.warning(
                        "the models folder cannot be read", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}
