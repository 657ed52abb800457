// The issuers in force, and those from before whose last questions may still be under way.

import Admission
import Contract
import Logging
import NIOCore
import Synchronization

/// Holds opened issuers for as long as somebody may ask them.
final class IssuerKeeper: Sendable {
    private struct State {
        var current: Issuers
        /// Closed at the next change or at the end: questions to them have had their time by then.
        var retired: [Issuers] = []
    }

    private let state: Mutex<State>

    init(_ issuers: Issuers) { state = Mutex(State(current: issuers)) }

    var current: Issuers { state.withLock { $0.current } }

    /// What a reload of the settings does: new issuers are opened beside the old ones, and the gate takes them and the new
    /// policy at once.
    func reload(
        _ gatekeeper: Gatekeeper, group: any EventLoopGroup, logger: Logger
    ) -> ReloadPart {
        ReloadPart { [self] new, old in
            let policy = try new.auth.policy()
            func embedded(_ settings: Settings) -> String? {
                settings.auth.issuers.first { $0.kind == .embedded }?.name
            }
            guard embedded(new) == embedded(old) else {
                throw GatewayError(
                    .configuration,
                    "auth.issuers: the embedded issuer cannot come, go or change its name while the gateway runs: "
                        + "restart it")
            }
            try await closeRetired()
            let before = current
            let opened = try await Issuers.open(
                new, group: group, logger: logger, keeping: before)
            do {
                _ = try IssuerChoice(opened.trusted)
            } catch {
                try await opened.close(except: before)
                throw error
            }
            let commit: @Sendable () -> Void = { [self] in
                gatekeeper.reload(policy: policy)
                do {
                    try gatekeeper.reload(issuers: opened.trusted)
                } catch {
                    preconditionFailure("the choice was checked before: \(error)")
                }
                state.withLock { state in
                    state.retired.append(before)
                    state.current = opened
                }
            }
            return ReloadPart.Ready(commit: commit) {
                do {
                    try await opened.close(except: before)
                } catch {
                    logger.warning("an issuer did not close", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func closeRetired() async throws {
        let (retired, current) = state.withLock { state in
            defer { state.retired = [] }
            return (state.retired, state.current)
        }
        for old in retired { try await old.close(except: current) }
    }

    func close() async throws {
        try await closeRetired()
        try await current.close()
    }
}
