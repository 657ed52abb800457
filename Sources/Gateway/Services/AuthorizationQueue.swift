// The bounded queue between event loops and the issuer's file: a loop puts a question in and goes on; a few tasks at a time ask
// the authorization server, whose file work happens on threads of its own.

package import Contract
package import NIOCore
import ServiceLifecycle
import Synchronization

/// The embedded issuer's desk for doors.
package final class AuthorizationQueue: AuthorizationDesk, Service {
    /// Questions that are with the file at a time; SQLite writes one after the other anyway.
    package static let atOnceMax = 4
    /// Nobody waits longer than this for his turn.
    static let waitMax = Nanoseconds.seconds(5)

    private let server: any AuthorizationServer
    private let audit: any AuditLog
    private let whenRevoked: @Sendable (Secret) -> Void
    private let jobs: AsyncStream<AuthorizationJob>
    private let entrance: AsyncStream<AuthorizationJob>.Continuation

    /// - Parameters:
    ///   - audit: hears of tokens that were made or revoked, and of every refusal.
    ///   - whenRevoked: hears of a token that is not to be believed any more, before its client is answered.
    package init(
        server: any AuthorizationServer, queueMax: Int, audit: any AuditLog,
        whenRevoked: @escaping @Sendable (Secret) -> Void
    ) {
        self.whenRevoked = whenRevoked
        self.server = server
        self.audit = audit
        (jobs, entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(queueMax))
    }

    package func ask(
        _ request: AuthorizationRequest, credential: ClientCredential, address: String,
        on loop: any EventLoop,
        done: @escaping (Result<AuthorizationAnswer, AuthorizationRefusal>) -> Void
    ) throws(AuthorizationRefusal) -> any CallHandle {
        let job = AuthorizationJob(
            request: request, credential: credential, address: address, arrived: .now(),
            loop: loop, done: NIOLoopBound(done, eventLoop: loop))
        guard case .enqueued = entrance.yield(job) else { throw Self.busy }
        return job
    }

    /// Works until the gateway stops. The doors are closed by then: nobody waits for what is left.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                var working = 0
                for await job in jobs {
                    if working == Self.atOnceMax {
                        await group.next()
                        working -= 1
                    }
                    group.addTask { await self.work(job) }
                    working += 1
                }
            }
            entrance.finish()
        }
    }

    private func work(_ job: AuthorizationJob) async {
        guard !job.isAbandoned else { return }
        let now = Instant.now()
        let result: Result<AuthorizationAnswer, AuthorizationRefusal>
        if now.since(job.arrived) > Self.waitMax {
            result = .failure(Self.busy)
        } else {
            do throws(AuthorizationRefusal) {
                result = .success(
                    try await server.answer(job.request, from: job.credential, now: now))
            } catch {
                result = .failure(error)
            }
        }
        if case .success(.revoked) = result, case .revoke(let token) = job.request {
            whenRevoked(token)
        }
        note(job, result)
        job.finish(result)
    }

    private static let busy = AuthorizationRefusal(
        .temporarilyUnavailable, "too many requests wait for the issuer", retryAfter: .seconds(1))

    private func note(
        _ job: AuthorizationJob, _ result: Result<AuthorizationAnswer, AuthorizationRefusal>
    ) {
        // Who mixes up two words shows a secret as an id: it is not written down.
        let id = job.credential.id
        let isSecret = id.hasPrefix("scs_") || id.hasPrefix("slc_")
        var event = AuditEvent(
            act: job.request.act, outcome: .done, issuer: "embedded",
            client: isSecret ? "(a secret)" : id, address: job.address)
        switch result {
        case .success(.granted(let grant)): event.object = grant.id
        case .success(.revoked): break
        case .success: return
        case .failure(let refusal):
            event.outcome = refusal.code == .temporarilyUnavailable ? .failed : .refused
            event.detail = refusal.code.rawValue
        }
        audit.note(event)
    }
}

/// One question on its way. Whoever asked may leave before it is answered.
private final class AuthorizationJob: CallHandle, Sendable {
    let request: AuthorizationRequest
    let credential: ClientCredential
    let address: String
    let arrived: Instant
    private let loop: any EventLoop
    private let done: NIOLoopBound<(Result<AuthorizationAnswer, AuthorizationRefusal>) -> Void>
    private let abandoned = Atomic<Bool>(false)

    init(
        request: AuthorizationRequest, credential: ClientCredential, address: String,
        arrived: Instant, loop: any EventLoop,
        done: NIOLoopBound<(Result<AuthorizationAnswer, AuthorizationRefusal>) -> Void>
    ) {
        self.request = request
        self.credential = credential
        self.address = address
        self.arrived = arrived
        self.loop = loop
        self.done = done
    }

    var isAbandoned: Bool { abandoned.load(ordering: .relaxed) }

    func cancel() { abandoned.store(true, ordering: .relaxed) }

    func finish(_ result: Result<AuthorizationAnswer, AuthorizationRefusal>) {
        loop.execute { [self] in
            if !isAbandoned { done.value(result) }
        }
    }
}
