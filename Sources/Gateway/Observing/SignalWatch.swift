// Signals: the first SIGTERM or SIGINT drains, the second stops at once.

import Logging
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns signals into the end of the service group.
struct SignalWatch: Service {
    let logger: Logger
    let shutDown: @Sendable () async -> Void

    func run() async throws {
        var received = 0
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        // First of the group's services, so told to stop last: a second signal is heard while the others drain.
        for await signal in signals.cancelOnGracefulShutdown() {
            received += 1
            if received == 1 {
                logger.notice("stopping: finishing calls in flight", metadata: ["signal": "\(signal)"])
                await shutDown()
            } else {
                logger.warning("second signal: stopping at once", metadata: ["signal": "\(signal)"])
                exit(75)
            }
        }
    }
}
