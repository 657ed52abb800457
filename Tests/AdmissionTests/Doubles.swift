// What stands in for the issuer, the clock and the event loops of a connection.

import Admission
import Contract
import NIOEmbedded
import Synchronization

/// An issuer that answers what it is told to, and holds its answers back when asked to. It ignores
/// cancellation, as a bad verifier might.
final class FakeVerifier: TokenVerifier, Sendable {
    typealias Answer = @Sendable (String) -> Result<Verdict, CallFailure>

    private struct State {
        var asked: [String] = []
        var holding = false
        var held: [CheckedContinuation<Void, Never>] = []
        var answer: Answer
    }
    private let state: Mutex<State>

    init(holding: Bool = false, answer: @escaping Answer) {
        state = Mutex(State(holding: holding, answer: answer))
    }

    static func active(_ scopes: String = "infer:*", digest: [UInt8] = []) -> Answer {
        { _ in
            .success(
                .active(
                    Identity(
                        issuer: "?", client: "app", subject: "s",
                        scopes: scopes.split(separator: " ").map(String.init),
                        validFor: .seconds(3_600), certificateDigest: digest)))
        }
    }

    var asked: [String] { state.withLock { $0.asked } }

    func answer(_ answer: @escaping Answer) { state.withLock { $0.answer = answer } }

    /// Holds back the answers from now on.
    func hold() { state.withLock { $0.holding = true } }

    func release() {
        let held = state.withLock { state in
            state.holding = false
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func verify(_ token: Secret) async throws(CallFailure) -> Verdict {
        let text = token.reveal { String(decoding: $0, as: UTF8.self) }
        await withCheckedContinuation { continuation in
            let free = state.withLock { state in
                state.asked.append(text)
                if state.holding { state.held.append(continuation) }
                return !state.holding
            }
            if free { continuation.resume() }
        }
        return try state.withLock { $0.answer }(text).get()
    }
}

/// A clock that stands still until it is moved.
final class FakeClock: Sendable {
    private let instant = Mutex(Instant(nanoseconds: 1_000_000_000_000))
    var now: Instant { instant.withLock { $0 } }
    func advance(_ time: Nanoseconds) { instant.withLock { $0 = $0 + time } }
}

/// Collects what waiters are told.
final class Told: Sendable {
    private let results = Mutex<[Result<Credential, CallFailure>]>([])
    func add(_ result: Result<Credential, CallFailure>) { results.withLock { $0.append(result) } }
    var all: [Result<Credential, CallFailure>] { results.withLock { $0 } }
    var count: Int { results.withLock { $0.count } }
    var failures: [CallFailure] {
        all.compactMap { if case .failure(let failure) = $0 { failure } else { nil } }
    }
    var credentials: [Credential] {
        all.compactMap { if case .success(let credential) = $0 { credential } else { nil } }
    }
}

/// Waits until the condition holds; false when it did not within ten seconds.
func eventually(_ condition: @Sendable () -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
        if condition() { return true }
        await Task.yield()
    }
    return condition()
}

/// A value that a closure leaves behind.
final class Box<Value: Sendable>: Sendable {
    private let held = Mutex<Value?>(nil)
    var value: Value? { held.withLock { $0 } }
    func put(_ value: Value) { held.withLock { $0 = value } }
}

extension CacheKey {
    /// - Parameter digest: 32 bytes.
    init(digest: [UInt8]) { self.init(InlineArray { digest[$0] }) }
}
