// A gate with fake issuers, a fake clock and a testing event loop.

import Admission
import Contract
import NIOCore
import NIOEmbedded
import Testing

struct House: Sendable {
    let clock = FakeClock()
    let loop = NIOAsyncTestingEventLoop()
    let told = Told()
    let keeper: Gatekeeper

    static func unknown(_ model: String) -> CallFailure {
        CallFailure(.notFound, .modelNotFound, "there is no model '\(model)'", notStarted: true)
    }

    init(
        _ verifier: any TokenVerifier, limits: AdmissionLimits = AdmissionLimits(),
        overdueAtOnce: Bool = false
    ) throws {
        try self.init(
            [TrustedIssuer(name: "main", verifier: verifier, vocabulary: .foreign)],
            limits: limits, overdueAtOnce: overdueAtOnce)
    }

    init(
        _ issuers: [TrustedIssuer], policy: AccessPolicy = AccessPolicy(),
        limits: AdmissionLimits = AdmissionLimits(), observer: (any GateObserver)? = nil,
        overdueAtOnce: Bool = false
    ) throws {
        let clock = clock
        keeper = try Gatekeeper(
            issuers: issuers, policy: policy, limits: limits, observer: observer,
            unknownModel: House.unknown, clock: { clock.now },
            pause: { _ in if !overdueAtOnce { try await Task.sleep(for: .seconds(3_600)) } })
    }

    /// Shows a token on the event loop; later answers go to `told`.
    @discardableResult
    func show(
        _ token: String?, peer: Peer = Peer(address: "::1"), need: CallNeed? = nil,
        patience: Nanoseconds = .seconds(5), on other: NIOAsyncTestingEventLoop? = nil
    ) async throws -> Recognition {
        let loop = other ?? loop
        let (keeper, told, now) = (keeper, told, clock.now)
        return try await loop.executeInContext {
            keeper.identify(
                token.map { Secret($0) }, peer: peer, need: need, now: now,
                deadline: now + patience, on: loop
            ) { result in
                loop.preconditionInEventLoop()
                told.add(result)
            }
        }
    }

    /// Shows a token and waits for what it is told.
    func answer(
        _ token: String?, peer: Peer = Peer(address: "::1"), need: CallNeed? = nil
    ) async throws -> Result<Credential, CallFailure> {
        let before = told.count
        switch try await show(token, peer: peer, need: need) {
        case .known(let credential): return .success(credential)
        case .refused(let failure): return .failure(failure)
        case .asked:
            #expect(await eventually { told.count > before })
            return try #require(told.all.last)
        }
    }

    /// Runs the gate around the body.
    func open(_ body: @Sendable @escaping () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [keeper] in await keeper.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// The credential of a token that is active.
    func credential(_ token: String = "token") async throws -> Credential {
        try await answer(token).get()
    }
}

extension Recognition {
    var failure: CallFailure? {
        if case .refused(let failure) = self { failure } else { nil }
    }
    var credential: Credential? {
        if case .known(let credential) = self { credential } else { nil }
    }
}

extension Result<Credential, CallFailure> {
    var reason: Reason? {
        if case .failure(let failure) = self { failure.reason } else { nil }
    }
    var credential: Credential? { try? get() }
}
