// The calls that run no model: metadata, readiness, the index, load and unload, control, accounts, statistics,
// health. None of them wakes a model, except load.

import Admission
import Catalogue
import Contract
import Foundation
import NIOCore
import Shards

extension Journey {
    /// Answers at once, or leaves a ticket for what is still going on.
    func runErrand(as credential: Credential) throws(CallFailure) {
        let question = try call.body.question()
        try check(question)
        let version = call.version.isEmpty ? question.version : call.version
        let registry = visit.walk.registry
        beginAct(question, version: version, by: credential.identity)
        switch call.method {
        case .infer, .inferStream:
            preconditionFailure("a run is no errand")
        case .serverMetadata:
            end(.success(.serverMetadata(Journey.serverMetadata)))
        case .serverReady:
            end(.success(.serverReady(visit.walk.readiness.isServing)))
        case .modelMetadata:
            end(.success(.modelMetadata(try registry.metadata(name: call.model, version: version))))
        case .modelReady:
            end(.success(.modelReady(registry.isReady(name: call.model, version: version))))
        case .repositoryIndex:
            end(.success(.index(index(readyOnly: question.readyOnly, for: credential))))
        case .modelStatistics:
            end(.success(.statistics(try statistics(version, for: credential))))
        case .repositoryLoad:
            // The load goes on when the caller leaves: others may wait for it.
            ticket = visit.desk.load(
                try registry.putInService(call.model, version: version), deadline: call.deadline,
                now: call.arrived, wantsProgress: call.wantsProgress, delegate: self)
            // What failed its trial may try again.
            visit.walk.versions.consider(call.model)
        case .repositoryUnload:
            for entry in try registry.takeOutOfService(call.model, version: version) {
                visit.walk.fleet.unload(entry)
            }
            end(.success(.done))
        case .modelControl:
            try control(question.control, version: version)
        case .modelAccount:
            end(.success(try account(version: version, for: credential)))
        case .modelAlias:
            try moveAlias(question.aliasMove)
        case .gatewayControl:
            try carryOut(question.order, as: credential)
        case .accessCheck:
            end(.success(.access(accessReport(for: question.checked ?? .infer, of: credential))))
        case .healthWatch:
            wait = HealthWatch(journey: self)
        }
    }

    /// What both doors have; the bridge adds what is HTTP's alone.
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
            case .modelMetadata, .modelReady, .repositoryLoad, .repositoryUnload, .modelAlias:
                true
            case .modelControl: question.control != .refresh
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
            reason: { Journey.word(for: fleet.state(of: $0)) })
    }

    private static func word(for state: ModelState) -> String {
        switch state {
        case .asleep: "asleep"
        case .loading: "loading"
        case .awake: "awake"
        case .leaving: "going to sleep"
        case .broken(let failure): failure.message
        }
    }

    /// One model's counts, or those of every model this caller may see.
    private func statistics(
        _ version: String, for credential: Credential
    ) throws(CallFailure) -> [ModelStatistics] {
        let registry = visit.walk.registry
        let entries =
            call.model.isEmpty
            ? registry.entries.filter { credential.maySee($0.name) }
            : [try registry.select(name: call.model, version: version)]
        return entries.map(counts)
    }

    private func counts(of entry: ModelEntry) -> ModelStatistics {
        let tally = visit.walk.fleet.tally(of: entry)
        var statistics = ModelStatistics(name: entry.name, version: entry.version)
        statistics.success = tally.success
        statistics.failure = tally.failure
        statistics.queue = tally.queue
        statistics.run = tally.run
        statistics.inferences = tally.success.count
        statistics.executions = tally.run.count
        if let last = tally.last {
            let ago = Double(Instant.now().since(last).milliseconds)
            statistics.lastInference = UInt64(Date().timeIntervalSince1970 * 1_000 - ago)
        }
        return statistics
    }
}

/// What an errand that is not answered at once waits for. On the connection's event loop only.
protocol ErrandWait: AnyObject {
    /// Nobody waits any more.
    func cancel()
}

/// HEALTH_WATCH: one message now and one at each change, until the deadline or a cancel.
final class HealthWatch: ErrandWait {
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
