// The house: puts the rooms in order, opens the doors, and closes them again.

import Admission
import Catalogue
import Contract
import Files
import Foundation
import JSONDoor
package import Logging
import NIOCore
import NIOPosix
import OnnxRuntime
import Outside
import ServiceLifecycle
import Shards
import TLS
import UnixSignals
import Workshop

/// A gateway with its settings. What can fail at start fails in ``open(_:logger:)``; ``run()`` serves until a signal or
/// a graceful shutdown ends it.
package final class House: Sendable {
    /// Where callers connect and where probes are answered, with the ports that were bound.
    package let listen: Endpoint
    package let admin: Endpoint

    private let rooms: Rooms
    private let certificates: Certificates
    private let listener: Listener
    private let adminPort: AdminPort
    private let logger: Logger
    /// No other gateway works on the state folder while this one lives.
    private let lock: FileLock
    private let reloader: Reloader
    private let audit: AuditTrail
    private let logs: CallLogs
    private let state: StateDesk
    private let signals: UnixSignalsSequence

    private init(
        rooms: Rooms, certificates: Certificates, listener: Listener, adminPort: AdminPort,
        lock: consuming FileLock, reloader: Reloader, audit: AuditTrail, logs: CallLogs,
        state: StateDesk, signals: UnixSignalsSequence, logger: Logger
    ) {
        self.signals = signals
        self.state = state
        self.logs = logs
        self.reloader = reloader
        self.audit = audit
        self.lock = lock
        self.rooms = rooms
        self.certificates = certificates
        self.listener = listener
        self.adminPort = adminPort
        self.logger = logger
        listen = listener.address
        admin = adminPort.address
    }

    /// Opens the rooms, those behind the door first: when a caller can connect, everything is there.
    package static func open(_ reading: SettingsReading, logger: Logger) async throws -> House {
        let settings = reading.settings
        try StateFolder.prepare(settings.state)
        let lock = try StateFolder.lock(settings.state)
        let certificates = try Certificates(
            settings.tls, state: settings.state, count: System.coreCount, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let contexts = LoopContexts(box: certificates.box, group: group)
        let audit = AuditTrail(settings.audit, state: settings.state, logger: logger)
        let reloader = Reloader(reading, audit: audit, logger: logger)
        reloader.addLast { new in
            try await NIOThreadPool.singleton.runIfActive { try certificates.reload(new.tls) }
        }
        let logs = try CallLogs(
            settings, loops: System.coreCount, reloader: reloader, logger: logger)
        let limits = Latest(settings.limits)
        let handshakes = Handshakes(limits: settings.limits)
        reloader.add(
            ReloadPart { new, old in
                .init {
                    limits.replace(with: new.limits)
                    handshakes.apply(new.limits, insteadOf: old.limits)
                }
            })
        let metrics = MetricsDesk.open(settings.metrics)
        metrics?.add(AccessLogSource(log: logs.access))
        let rooms = try await Rooms.open(
            settings, reloader: reloader, audit: audit, logs: logs, metrics: metrics, group: group,
            logger: logger)
        let book = ConnectionBook(limits: limits)
        let state = StateDesk(
            rooms, book: book, reloader: reloader, accessLog: logs.access, state: settings.state,
            eventLoop: group.next(), logger: logger)
        do {
            let adminPort = try await AdminPort.open(
                settings.admin,
                front: .admin(
                    readiness: rooms.readiness, state: state, metrics: metrics,
                    limits: settings.http,
                    logger: logger))
            let front = rooms.front(
                settings, reloader: reloader, observer: logs.access, logger: logger)
            let listener = try await Listener.open(
                settings.listen, book: book, contexts: contexts,
                doors: HouseDoors(
                    walk: rooms.walk, front: front, limits: limits, logger: logger),
                limits: limits, handshakes: handshakes,
                proxies: settings.proxy.from.compactMap { AddressBlock($0) },
                readiness: rooms.readiness, group: group, logger: logger)
            metrics?.add(
                DoorSource(
                    listener: listener, handshakes: handshakes, certificates: certificates))
            rooms.readiness.set(true)
            return House(
                rooms: rooms, certificates: certificates, listener: listener, adminPort: adminPort,
                lock: lock, reloader: reloader, audit: audit, logs: logs, state: state,
                signals: await SignalWatch.listen(), logger: logger)
        } catch {
            await rooms.close(logger: logger)
            throw error
        }
    }

    /// Serves. Returns when everything has ended in good order.
    package func run() async throws {
        // Only where there is an embedded issuer.
        var serviceBefore: [ServiceGroupConfiguration.ServiceConfiguration] =
            rooms.authorization.map {
                [.init(service: $0, successTerminationBehavior: .ignore)]
            } ?? []
        if let traces = rooms.traces {
            serviceBefore.append(.init(service: traces, successTerminationBehavior: .ignore))
        }
        let group = ServiceGroup(
            configuration: .init(
                services: serviceBefore + [
                    // Stopped from the last to the first.
                    .init(service: audit, successTerminationBehavior: .ignore),
                    .init(service: logs.access, successTerminationBehavior: .ignore),
                    .init(service: logs.slow, successTerminationBehavior: .ignore),
                    .init(service: state, successTerminationBehavior: .ignore),
                    .init(service: certificates, successTerminationBehavior: .ignore),
                    .init(service: rooms.usage, successTerminationBehavior: .ignore),
                    .init(service: rooms.gate, successTerminationBehavior: .ignore),
                    .init(service: reloader, successTerminationBehavior: .ignore),
                    .init(service: rooms.seals, successTerminationBehavior: .ignore),
                    .init(service: rooms.repository, successTerminationBehavior: .ignore),
                    .init(service: rooms.fetches, successTerminationBehavior: .ignore),
                    .init(service: listener, successTerminationBehavior: .gracefullyShutdownGroup),
                ],
                logger: Logger(label: "sluice.services") { _ in SwiftLogNoOpLogHandler() }))
        let watch = SignalWatch(
            signals: signals, logger: logger, shutDown: { await group.triggerGracefulShutdown() },
            reload: { [reloader] in
                reloader.reload(asked: AuditEvent(act: "config.reload", outcome: .done))
            },
            tellState: { [state] in state.ring() },
            leave: { [rooms] in rooms.fence.end() })
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await watch.run() }
            tasks.addTask { try await group.run() }
            // The watch never ends by itself: whoever is first is the services, or a failure.
            try await tasks.next()
            tasks.cancelAll()
        }
        await rooms.close(logger: logger)
        await adminPort.close()
        await audit.write()
        await logs.access.close()
        logger.info("stopped")
    }
}

/// The rooms of a gateway that runs.
struct Rooms: Sendable {
    let readiness: Readiness
    let walk: Walk
    let gate: GateService
    let repository: RepositoryWatch
    let fetches: FetchService
    private let source: ModelSource
    let fence: Fence
    let seals: SealKeeper
    let usage: UsageKeeper
    /// Nil when there are no traces.
    let traces: TraceExporter?
    private let fleet: Fleet
    private let issuers: IssuerKeeper
    let authorization: AuthorizationQueue?
    let guide: ModelGuideBook
    private let group: MultiThreadedEventLoopGroup

    static func open(
        _ settings: Settings, reloader: Reloader, audit: any AuditLog, logs: CallLogs,
        metrics: MetricsDesk?, group: MultiThreadedEventLoopGroup, logger: Logger
    ) async throws -> Rooms {
        let registry = Registry()
        let seals = SealKeeper(inspector: FolderInspector(), state: settings.state, logger: logger)
        seals.recall()
        let source = try ModelSource.open(
            settings, inspector: seals.inspector, group: group, logger: logger)
        do {
            let traces = try TraceExporter.open(settings.traces, group: group, logger: logger)
            do {
                return try await open(
                    settings, source: source, seals: seals, registry: registry,
                    reloader: reloader, audit: audit, logs: logs, metrics: metrics,
                    traces: traces, group: group, logger: logger)
            } catch {
                await traces?.close()
                throw error
            }
        } catch {
            try await source.close()
            throw error
        }
    }

    private static func open(
        _ settings: Settings, source: ModelSource, seals: SealKeeper, registry: Registry,
        reloader: Reloader, audit: any AuditLog, logs: CallLogs, metrics: MetricsDesk?,
        traces: TraceExporter?,
        group: MultiThreadedEventLoopGroup, logger: Logger
    ) async throws -> Rooms {
        let shards = ShardSettings(settings.shards, settings.memory, settings.models.rules)
        let fence = try Fence.open(
            state: settings.state,
            // Shards, loaders, the promoter, the desks of the event loops and that of trials.
            threads: shards.count + shards.loaders + 1 + System.coreCount + 1,
            now: Int64(Date().timeIntervalSince1970), logger: logger)
        let versions = try Versions.open(
            state: settings.state, registry: registry, fence: fence, logger: logger)
        let inspector = inspector(settings, files: seals.inspector, logger: logger)
        let fleet = Fleet(
            settings: shards, engine: try engine(settings, inspector: inspector, logger: logger),
            observer: FleetLog(logger: logger, versions: versions).counted(by: metrics),
            journal: fence,
            fetcher: source.fetcher)
        let repository = RepositoryWatch(
            repository: source.repository, registry: registry, versions: versions, fleet: fleet,
            interval: settings.models.poll, logger: logger)
        try await repository.start()
        fleet.keepWarm { registry.defaults }
        let issuers = IssuerKeeper(
            try await Issuers.open(settings, group: group, logger: logger))
        var admission = AdmissionLimits()
        admission.tokenBytes = settings.limits.tokenBytes
        admission.calls = settings.callsMax
        admission.callsPerClient = settings.callsPerClientMax
        settings.auth.gate.apply(to: &admission)
        let plans = PlanDesk(
            Plans(settings.plans), limits: admission, wall: Int64(Date().timeIntervalSince1970))
        let usage = try UsageKeeper.open(
            settings.state, desk: plans, keep: settings.usage.keep,
            holdings: { fleet.holdings }, logger: logger)
        let gatekeeper = try Gatekeeper(
            issuers: issuers.current.trusted, policy: try settings.auth.policy(),
            limits: admission, key: Cryptography.randomBytes(32), plans: plans,
            observer: GateLog(logger: logger).counted(by: metrics), unknownModel: registry.unknown)
        let readiness = Readiness()
        let walk = try await Walk(
            gatekeeper: gatekeeper, registry: registry, versions: versions, fleet: fleet,
            readiness: readiness, repository: repository, reloader: reloader, audit: audit,
            logs: logs, metrics: metrics?.calls, traces: traces, group: group)
        metrics?.add(walk, fetcher: source.fetcher, traces: traces)
        reloader.add(issuers.reload(gatekeeper, group: group, logger: logger))
        reloader.add(
            ReloadPart { new, _ in
                let wishes = MemoryWishes(
                    ShardSettings(new.shards, new.memory, new.models.rules))
                let plans = Plans(new.plans)
                return ReloadPart.Ready {
                    gatekeeper.plans.reload(plans)
                    gatekeeper.apply(
                        calls: new.callsMax, callsPerClient: new.callsPerClientMax,
                        tokenBytes: new.limits.tokenBytes)
                    fleet.apply(wishes)
                    repository.look(every: new.models.poll)
                }
            })
        fleet.start()
        try await versions.start(fleet, on: group.next(), repository: source.repository)
        return Rooms(
            readiness: readiness, walk: walk, gate: GateService(gatekeeper: gatekeeper),
            repository: repository, fetches: FetchService(fetcher: source.fetcher),
            source: source, fence: fence, seals: seals, usage: usage, traces: traces, fleet: fleet,
            issuers: issuers,
            authorization: .open(
                settings, issuers: issuers.current, audit: audit, gatekeeper: gatekeeper),
            guide: ModelGuideBook(registry: registry, repository: source.repository), group: group)
    }

    private static func engine(
        _ settings: Settings, inspector: any ModelInspector, logger: Logger
    ) throws -> OnnxEngine {
        var environment = OnnxEnvironmentSettings()
        environment.library = settings.engine.library
        environment.intraThreads = settings.engine.threads
        environment.log = { logger.warning("\($0.message)", metadata: ["from": "onnxruntime"]) }
        do throws(EngineFailure) {
            return OnnxEngine(try OnnxEnvironment(environment), inspector: inspector)
        } catch {
            throw GatewayError(.configuration, error.description)
        }
    }

    /// Who looks at a model's files before the engine opens them.
    private static func inspector(
        _ settings: Settings, files: FolderInspector, logger: Logger
    ) -> any ModelInspector {
        guard settings.models.trial.time > .zero else { return files }
        var program = WorkshopProgram.current()
        program.library = settings.engine.library ?? program.library
        var limits = WorkshopLimits()
        limits.time = .milliseconds(settings.models.trial.time.milliseconds)
        limits.memoryBytes = UInt64(settings.models.trial.memory)
        return TrialInspector(
            before: files, limits: limits, program: program, state: settings.state,
            note: { logger.notice("\($0)") })
    }

    /// HTTP on the callers' port, as the settings in force have it.
    func front(
        _ settings: Settings, reloader: Reloader, observer: any HTTPObserver, logger: Logger
    ) -> Latest<HTTPFront> {
        let server = settings.auth.server
        let budget = RequestBudget(
            requests: .perSecond(server.requestsPerAddress),
            failures: Rate(UInt64(server.failuresPerAddress), per: .seconds(60)))
        let make = { @Sendable [walk, authorization, guide] (settings: Settings) in
            HTTPFront.callers(
                settings, desk: walk,
                conditions: FleetConditions(registry: walk.registry, fleet: walk.fleet),
                authorization: authorization, budget: budget,
                standings: StandingsKeeper(walk.gatekeeper.plans), guide: guide,
                observer: observer, logger: logger)
        }
        let front = Latest(make(settings))
        reloader.add(
            ReloadPart { new, _ in
                let next = make(new)
                return .init { front.replace(with: next) }
            })
        return front
    }

    /// Ends what has threads or files, after the doors are closed.
    func close(logger: Logger) async {
        // Gigabytes that a loader is reading are not waited for.
        seals.inspector.stop()
        if await !fleet.stop(by: .now() + .seconds(1)) {
            logger.warning("a run could not be stopped")
        }
        fence.end()
        await usage.close()
        await traces?.close()
        await seals.keep()
        do {
            try await source.close()
        } catch {
            logger.warning("the models' store did not close", metadata: ["error": "\(error)"])
        }
        do {
            try await issuers.close()
        } catch {
            logger.warning("an issuer did not close", metadata: ["error": "\(error)"])
        }
    }
}

/// Asks the issuers, for as long as the gateway runs.
struct GateService: Service {
    let gatekeeper: Gatekeeper

    func run() async throws {
        await cancelWhenGracefulShutdown { await gatekeeper.run() }
    }
}

extension ShardSettings {
    init(_ settings: ShardingSettings, _ memory: MemorySettings, _ rules: [ModelRule]) {
        self.init(cores: System.coreCount)
        count = settings.count ?? count
        loaders = settings.loaders ?? loaders
        inlineRunMax = settings.inlineRunMax
        inlineTurnBudget = settings.inlineTurnBudget
        queueMax = settings.queueMax
        // Where the system does not say how much there is, there is no budget that would mean anything.
        let allowed = MachineMemory.allowed() ?? .max
        self.memory.anonymous = memory.anonymous.map { UInt64($0) } ?? allowed / 2
        self.memory.mapped = memory.mapped.map { UInt64($0) } ?? allowed / 2
        awakeMin = memory.awakeMin
        idleMax = memory.idle
        promotes = memory.promote
        loadsWarn = UInt64(memory.loadsWarn)
        self.rules = rules
    }
}
