// Signals: the first SIGTERM or SIGINT drains, the second stops at once; SIGHUP has the settings read again,
// SIGUSR1 has the state written down.

import Logging
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns signals into the end of the service group. Not one of its services: it has to hear a second signal while they
/// shut down.
struct SignalWatch {
    let signals: UnixSignalsSequence
    let logger: Logger
    let shutDown: @Sendable () async -> Void
    let reload: @Sendable () -> Void
    let tellState: @Sendable () -> Void
    /// The last thing before the process ends at once.
    let leave: @Sendable () -> Void

    /// From here on signals wait to be heard: nobody who was told that the gateway is ready ends it by asking it for something.
    static func listen() async -> UnixSignalsSequence {
        await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup, .sigusr1)
    }

    func run() async throws {
        var received = 0
        for await signal in signals {
            if signal == .sighup {
                reload()
                continue
            }
            if signal == .sigusr1 {
                tellState()
                continue
            }
            received += 1
            if received == 1 {
                logger.notice(
                    "stopping: finishing calls in flight", metadata: ["signal": "\(signal)"])
                await shutDown()
            } else {
                logger.warning("second signal: stopping at once", metadata: ["signal": "\(signal)"])
                leave()
                exit(75)
            }
        }
    }
}
