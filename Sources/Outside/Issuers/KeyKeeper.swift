// Keeps one issuer's keys: decides by KeyCare, fetches by KeyFetch, and lets those wait whose key is on its way.
// The fetch belongs to nobody who waits: it goes on when they have gone.

import Contract
import Foundation
import Logging
import NIOCore
import Synchronization

/// Where an issuer's keys are.
package enum KeySource: Sendable, Equatable {
    /// A JWKS at this address.
    case address(String)
    /// Named by `ISSUER/.well-known/openid-configuration` (OpenID Connect Discovery, section 4).
    case discovery(issuer: String)
    /// Given by hand; they change with the settings only.
    case fixed(KeySet)
}

/// Usable from every thread. ``close()`` must be called before it is dropped.
final class KeyKeeper: Sendable {
    private struct State {
        var care: KeyCare
        /// As many as the gate has look-ups in progress.
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var skipped: [String] = []
    }

    private let issuer: String
    private let fixed: KeySet?
    private let fetch: KeyFetch?
    private let logger: Logger
    private let clock: @Sendable () -> Instant
    private let numbers = Atomic<UInt64>(0)
    private let state: Mutex<State>

    init(
        issuer: String, source: KeySource, fetch: KeyFetch?,
        limits: KeyCareLimits = KeyCareLimits(),
        logger: Logger, clock: @escaping @Sendable () -> Instant
    ) {
        self.issuer = issuer
        self.fetch = fetch
        self.logger = logger
        self.clock = clock
        if case .fixed(let keys) = source { fixed = keys } else { fixed = nil }
        state = Mutex(State(care: KeyCare(limits: limits)))
    }

    func close() async throws { try await fetch?.close() }

    /// The key a token names, or nil when the issuer has none such. Throws UNAVAILABLE when nobody can say.
    func key(
        id: String?, algorithm: SignatureAlgorithm
    ) async throws(CallFailure) -> KeySet.Key? {
        if let fixed { return fixed.key(id: id, for: algorithm) }
        // One fetch that was under way for others, and one of its own.
        for _ in 0..<3 {
            if Task.isCancelled { break }
            let now = clock()
            switch state.withLock({ $0.care.ask(id: id, algorithm: algorithm, now: now) }) {
            case .use(let key, let begins):
                if begins { begin() }
                return key
            case .wait(let begins):
                if begins { begin() }
                await wait()
            case .unknown: return nil
            case .unavailable: throw unavailable
            }
        }
        throw unavailable
    }

    private var unavailable: CallFailure {
        CallFailure(
            .unavailable, .issuerUnavailable, "the keys of the issuer '\(issuer)' are not there",
            notStarted: true, retryAfter: .seconds(1))
    }

    private func wait() async {
        let number = numbers.add(1, ordering: .relaxed).newValue
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state -> Bool in
                    guard state.care.isFetching, !Task.isCancelled else { return false }
                    state.waiters[number] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
    }

    private func begin() {
        guard let fetch else { return settle(.failure(.unreachable("nowhere to fetch from"))) }
        fetch.start { self.settle($0) }
    }

    private func settle(_ outcome: Result<FetchedKeys, KeyTrouble>) {
        let now = clock()
        var changed: KeySet?
        var skipped: [String] = []
        let waiters = state.withLock { state in
            switch outcome {
            case .success(let fetched):
                if state.care.keys != fetched.keys { changed = fetched.keys }
                if state.skipped != fetched.keys.skipped { skipped = fetched.keys.skipped }
                state.skipped = fetched.keys.skipped
                state.care.fetched(fetched.keys, maxAge: fetched.maxAge, now: now)
            case .failure: state.care.failed(now: now)
            }
            let waiters = state.waiters
            state.waiters = [:]
            return waiters
        }
        tell(outcome, changed: changed, skipped: skipped)
        for waiter in waiters.values { waiter.resume() }
    }

    /// Fetches are rare by their pauses, so each may be told.
    private func tell(
        _ outcome: Result<FetchedKeys, KeyTrouble>, changed: KeySet?, skipped: [String]
    ) {
        if case .failure(let trouble) = outcome {
            logger.warning(
                "The keys of an issuer could not be fetched",
                metadata: ["auth.issuer": "\(issuer)", "auth.trouble": "\(trouble.why)"])
        }
        if let changed {
            let names = changed.keys.map { $0.id ?? "without a kid" }.joined(separator: ", ")
            logger.info(
                "The keys of an issuer are new",
                metadata: ["auth.issuer": "\(issuer)", "auth.keys": "\(names)"])
        }
        if !skipped.isEmpty {
            logger.notice(
                "Some keys of an issuer are not used",
                metadata: [
                    "auth.issuer": "\(issuer)",
                    "auth.why": "\(skipped.prefix(8).joined(separator: "; "))",
                ])
        }
    }
}
