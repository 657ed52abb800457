// Keeps what was found in models' files over restarts: 2 GB of weights take seconds to hash, and have not changed.

import Contract
import Files
import Logging
import NIOPosix
import Outside
import ServiceLifecycle

/// Writes an inspector's findings to `STATE/seals` soon after there are new ones. What cannot be read or written is a
/// line in the log: then files are only read again.
struct SealKeeper: Service {
    static let fileName = "seals"
    private static let interval = Duration.seconds(2)

    let inspector: FolderInspector
    /// The state folder.
    let state: String
    let logger: Logger

    /// Gives the inspector what was kept. Blocks; at start only.
    func recall() {
        do {
            let folder = try Folder(path: state)
            guard
                let bytes = try folder.content(
                    of: SealKeeper.fileName, byteCountMax: FolderInspector.recalledBytesMax)
            else { return }
            try inspector.recall(bytes)
        } catch let error as SealBookFault {
            passOver(error.reason)
        } catch let error as FileFault {
            passOver(error.reason)
        } catch {
            passOver("\(error)")
        }
    }

    private func passOver(_ reason: String) {
        logger.notice(
            "the checksums of earlier are passed over; models' files are read again",
            metadata: ["file": "\(state)/\(SealKeeper.fileName)", "reason": "\(reason)"])
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                do {
                    // The timer of a service, cancelled when it stops.
                    try await Task.sleep(for: SealKeeper.interval)
                    await keep()
                } catch {
                    return
                }
            }
        }
    }

    /// Writes what is new. Also called once when all has ended.
    func keep() async {
        do {
            try await NIOThreadPool.singleton.runIfActive { try write() }
        } catch {
            inspector.newsWereLost()
            logger.warning(
                "the checksums of models' files cannot be kept",
                metadata: ["file": "\(state)/\(SealKeeper.fileName)", "error": "\(error)"])
        }
    }

    private func write() throws {
        guard let bytes = inspector.news() else { return }
        try Folder(path: state).replace(SealKeeper.fileName, with: bytes)
    }
}
