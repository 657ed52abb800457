// Looks at the models' repository again and again, and when it is asked to, and tells the catalogue what changed.

import Catalogue
import Contract
import Logging
import NIOPosix
import Outside
import ServiceLifecycle
import Shards
import Synchronization

/// What is known goes on being served while the repository cannot be looked at.
final class RepositoryWatch: Service {
    typealias Done = @Sendable (Result<Void, CallFailure>) -> Void

    private struct State: Sendable {
        var plan: PollPlan
        /// When the next look is to be; nil: none by itself, or it is under way.
        var due: Instant?
        /// Who waits for the next look.
        var waiting: [Done] = []
        var isClosed = false
    }

    /// The most who may wait for one look.
    static let waitingMax = 256

    private let repository: any ModelRepository
    private let registry: Registry
    private let versions: Versions
    private let fleet: Fleet
    private let logger: Logger
    private let state: Mutex<State>
    /// Rung when it is time for a look; several times before a look are once.
    private let rung: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    init(
        repository: any ModelRepository, registry: Registry, versions: Versions, fleet: Fleet,
        interval: Nanoseconds, logger: Logger
    ) {
        self.repository = repository
        self.registry = registry
        self.versions = versions
        self.fleet = fleet
        self.logger = logger
        state = Mutex(State(plan: PollPlan(interval: interval)))
        (rung, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// What is known at start. Throws when nothing is and the operator has to mend it; a store that is down is no reason not
    /// to start.
    func start() async throws {
        if let known = await repository.remembered() {
            try await takeIn(known, isFirst: true)
            // And what is new, when the doors are open.
            bell.yield()
            return
        }
        do {
            try await look(isFirst: true)
        } catch let trouble as StoreTrouble where trouble.passes {
            logger.error(
                "the models' store does not answer; it is asked again and again",
                metadata: ["error": "\(trouble.why)"])
            registry.mayMiss("the models' store has not answered yet")
        } catch let trouble as StoreTrouble {
            throw GatewayError(
                .configuration, "the models' store cannot be used: \(trouble.why)",
                mend: "See models.repository and models.s3")
        }
    }

    /// From the next look on another interval holds; zero: no more looks by itself.
    func look(every interval: Nanoseconds) {
        let isNew = state.withLock { state in
            guard state.plan.interval != interval else { return false }
            state.plan = PollPlan(interval: interval)
            return true
        }
        if isNew { bell.yield() }
    }

    /// Looks now; `done` is called once, on some thread.
    func refresh(done: @escaping Done) {
        enum Place { case waits, full, closed }
        let place = state.withLock { state -> Place in
            if state.isClosed { return .closed }
            guard state.waiting.count < RepositoryWatch.waitingMax else { return .full }
            state.waiting.append(done)
            return .waits
        }
        switch place {
        case .waits: bell.yield()
        case .closed: done(.failure(RepositoryWatch.stopping))
        case .full:
            done(
                .failure(
                    CallFailure(
                        .resourceExhausted, .queueFull,
                        "\(RepositoryWatch.waitingMax) calls wait for the repository",
                        notStarted: true, retryAfter: .seconds(1))))
        }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.ringAgain() }
                for await _ in rung {
                    let waiting = state.withLock { state in
                        defer { state.waiting = [] }
                        return state.waiting
                    }
                    let result = await lookAgain()
                    for done in waiting { done(result) }
                }
                group.cancelAll()
            }
        }
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for done in left { done(.failure(RepositoryWatch.stopping)) }
    }

    /// Rings when a look is due, until it is cancelled. When that is changes with every look, so it sleeps in short turns.
    private func ringAgain() async {
        while !Task.isCancelled {
            let now = Instant.now()
            let due = state.withLock { state -> Instant? in
                guard let due = state.due, due <= now else { return state.due }
                state.due = nil
                return now
            }
            if let due, due <= now { bell.yield() }
            // A second at most: a look that ends meanwhile may be due again sooner. Ends with the service.
            let pause = min(due?.since(now) ?? .seconds(1), .seconds(1))
            do {
                try await Task.sleep(
                    for: .nanoseconds(Int64(max(pause, .milliseconds(10)).count)))
            } catch {
                return
            }
        }
    }

    private func lookAgain() async -> Result<Void, CallFailure> {
        do {
            try await look()
            return .success(())
        } catch {
            let why = (error as? StoreTrouble)?.why ?? "\(error)"
            logger.warning(
                "the models' repository cannot be looked at", metadata: ["error": "\(why)"])
            return .failure(
                CallFailure(
                    .unavailable, .storeUnavailable,
                    "the models' repository cannot be looked at: the gateway's log says why",
                    retryAfter: .seconds(1)))
        }
    }

    private func look(isFirst: Bool = false) async throws {
        do {
            let scan = try await repository.look()
            registry.mayMiss(nil)
            try await takeIn(scan, isFirst: isFirst)
            looked(succeeded: true)
        } catch {
            looked(succeeded: false)
            throw error
        }
    }

    private func looked(succeeded: Bool) {
        let now = Instant.now()
        state.withLock { state in
            state.plan.looked(succeeded: succeeded)
            state.due = state.plan.wait(chance: .random(in: 0..<1)).map { now + $0 }
        }
    }

    private func takeIn(_ scan: RepositoryScan, isFirst: Bool) async throws {
        let (registry, versions) = (registry, versions)
        // What is remembered of versions is written on a thread that may block.
        let change = try await NIOThreadPool.singleton.runIfActive {
            let change = registry.replace(with: scan.models)
            try versions.scanned(change)
            return change
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

    private static let stopping = CallFailure(
        .unavailable, .stopping, "the gateway is stopping", notStarted: true)
}
