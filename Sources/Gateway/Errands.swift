// The calls that run no model: metadata, readiness, the index, load and unload, statistics, health. None of
// them wakes a model, except load.

import Admission
import Catalogue
import Contract
import NIOCore
import Shards

/// What a call does that is neither finished at once nor a run.
protocol Errand: AnyObject {
    func cancel()
}

extension Journey {
    /// Answers at once, or returns what is still going on.
    func begin(as credential: Credential) throws(CallFailure) -> (any Errand)? {
        let question = try call.body.question()
        let model = call.model
        let version = call.version.isEmpty ? question.version : call.version
        try check(question)
        let registry = visit.walk.registry
        switch call.method {
        case .infer, .inferStream:
            preconditionFailure("a run is no errand")
        case .serverMetadata:
            end(.success(.serverMetadata(Journey.serverMetadata)))
        case .serverReady:
            end(.success(.serverReady(visit.walk.readiness.isServing)))
        case .modelMetadata:
            end(.success(.modelMetadata(try registry.metadata(name: model, version: version))))
        case .modelReady:
            end(.success(.modelReady(registry.isReady(name: model, version: version))))
        case .repositoryIndex:
            end(.success(.index(index(readyOnly: question.readyOnly, for: credential))))
        case .modelStatistics:
            end(.success(.statistics(try statistics(model, version, for: credential))))
        case .repositoryLoad:
            let entry = try registry.putInService(model)
            return Loading(entry, journey: self)
        case .repositoryUnload:
            for entry in try registry.takeOutOfService(model) { visit.walk.fleet.unload(entry) }
            end(.success(.done))
        case .healthWatch:
            return HealthWatch(journey: self)
        }
        return nil
    }

    static let serverMetadata = ServerMetadata(
        name: "sluice", version: Version.text, extensions: ["model_repository", "statistics"])

    /// Access was decided by the header's name: the message may not name another model.
    private func check(_ question: Question) throws(CallFailure) {
        guard question.model.isEmpty || question.model == call.model else {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "the message names another model than the call's header", notStarted: true)
        }
        let needsModel: Bool =
            switch call.method {
            case .modelMetadata, .modelReady, .repositoryLoad, .repositoryUnload: true
            default: false
            }
        guard !needsModel || !call.model.isEmpty else {
            throw CallFailure(
                .invalidArgument, .badMessage, "the call's header names no model",
                notStarted: true)
        }
    }

    private func index(readyOnly: Bool, for credential: Credential) -> [IndexEntry] {
        let fleet = visit.walk.fleet
        return visit.walk.registry.index(
            readyOnly: readyOnly, visible: { credential.maySee($0) },
            reason: { fleet.state(of: $0).description })
    }

    private func statistics(
        _ model: String, _ version: String, for credential: Credential
    ) throws(CallFailure) -> [ModelStatistics] {
        let walk = visit.walk
        if model.isEmpty {
            return walk.registry.entries.filter { credential.maySee($0.name) }
                .map { walk.fleet.statistics(of: $0) }
        }
        return [walk.fleet.statistics(of: try walk.registry.select(name: model, version: version))]
    }
}

/// REPOSITORY_LOAD: answered when the model is awake, or cannot be.
private final class Loading: Errand {
    private let ticket: LoadTicket?

    init(_ entry: ModelEntry, journey: Journey) {
        ticket = journey.visit.desk.load(
            entry, deadline: journey.call.deadline, now: journey.call.arrived
        ) { journey.end($0.map { .done }) }
    }

    /// The load goes on: others may wait for it.
    func cancel() { ticket?.cancel() }
}

/// HEALTH_WATCH: one message now and one at each change, until the deadline or a cancel.
final class HealthWatch: Errand {
    private static let interval = TimeAmount.milliseconds(500)
    private var look: RepeatedTask?
    private var isServing: Bool

    init(journey: Journey) {
        let readiness = journey.visit.walk.readiness
        let loop = journey.visit.eventLoop
        isServing = readiness.isServing
        journey.exchange.send(.health(isServing))
        let bound = NIOLoopBound((self, journey), eventLoop: loop)
        look = loop.scheduleRepeatedTask(
            initialDelay: HealthWatch.interval, delay: HealthWatch.interval
        ) { task in
            let (watch, journey) = bound.value
            guard !journey.isOver else { return task.cancel() }
            if Instant.now() >= journey.call.deadline {
                task.cancel()
                journey.end(.success(.done))
            } else if readiness.isServing != watch.isServing {
                watch.isServing.toggle()
                journey.exchange.send(.health(watch.isServing))
            }
        }
    }

    func cancel() { look?.cancel() }
}
