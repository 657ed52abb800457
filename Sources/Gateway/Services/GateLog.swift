// What happens at the gate, as log lines for the operator.

import Admission
import Contract
import Logging
import Synchronization

/// Turns the gate's reports into logs, stale answers at most once in ten seconds.
final class GateLog: GateObserver {
    private struct Quiet {
        var until: Instant?
        var suppressed: UInt64 = 0
    }

    private let logger: Logger
    private let stale = Mutex<[String: Quiet]>([:])

    init(logger: Logger) { self.logger = logger }

    func breaker(of issuer: String, became phase: Breaker.Phase) {
        let metadata: Logger.Metadata = ["auth.issuer": "\(issuer)"]
        switch phase {
        case .open:
            logger.warning(
                "an issuer fails; it is asked seldom until it answers again", metadata: metadata)
        case .halfOpen: break
        case .closed: logger.notice("an issuer answers again", metadata: metadata)
        }
    }

    func staleAnswer(from issuer: String) {
        let now = Instant.now()
        let suppressed = stale.withLock { all -> UInt64? in
            var quiet = all[issuer] ?? Quiet()
            defer { all[issuer] = quiet }
            if let until = quiet.until, now < until {
                quiet.suppressed += 1
                return nil
            }
            defer { quiet = Quiet(until: now + .seconds(10)) }
            return quiet.suppressed
        }
        guard let suppressed else { return }
        logger.warning(
            "an issuer cannot be reached: an answer past its time is believed",
            metadata: [
                "auth.issuer": "\(issuer)", "log.suppressed": "\(suppressed)",
                "setting": "auth.issuers.stale",
            ])
    }
}
