// MODEL_CONTROL: an operator gives a model's memory back, or keeps it, and the model stays in service either way; or has
// the repository looked at now.

import Catalogue
import Contract
import NIOCore
import Shards

extension Journey {
    /// - Parameter version: empty for every version.
    func control(_ control: ModelControl?, version: String) throws(CallFailure) {
        guard let control else {
            throw CallFailure(
                .invalidArgument, .badMessage, "the message names no action", notStarted: true)
        }
        if control == .refresh { return try refresh() }
        let entries = try visit.walk.registry.versions(of: call.model, version: version)
        switch control {
        case .sleep:
            wait = SleepWait(self, for: entries)
        case .pin, .unpin:
            for entry in entries { visit.walk.fleet.pin(entry, control == .pin) }
            end(.success(.done))
        case .refresh: preconditionFailure("a refresh means no model")
        }
    }

    private func refresh() throws(CallFailure) {
        guard call.model.isEmpty else {
            throw CallFailure(
                .invalidArgument, .badMessage, "REFRESH means every model: the header names none",
                notStarted: true)
        }
        wait = RefreshWait(self)
    }

    /// One model's versions, or every model: who may ask for accounts may see them all.
    func account(version: String) throws(CallFailure) -> Answer {
        let (registry, fleet) = (visit.walk.registry, visit.walk.fleet)
        let entries =
            call.model.isEmpty
            ? registry.entries : try registry.versions(of: call.model, version: version)
        let now = Instant.now()
        return .account(fleet.account(now: now), fleet.accounts(of: entries, now: now))
    }
}

/// A call that is answered when models have left memory: at once when they are not in it, else when the calls that
/// use them have ended, or at its deadline. They go whether or not somebody waits for it. On the connection's event
/// loop only.
final class SleepWait: ErrandWait {
    private var leaving: Int
    private var alarm: Scheduled<Void>?

    init(_ journey: Journey, for entries: [ModelEntry]) {
        leaving = entries.count
        let loop = journey.visit.eventLoop
        let bound = NIOLoopBound((self, journey), eventLoop: loop)
        let deadline = NIODeadline.uptimeNanoseconds(journey.call.deadline.nanoseconds)
        alarm = loop.scheduleTask(deadline: deadline) {
            let journey = bound.value.1
            journey.end(.failure(SleepWait.stillLeaving(journey.call.model)))
        }
        for entry in entries {
            journey.visit.walk.fleet.unload(entry) { result in
                loop.execute { bound.value.0.left(result, of: bound.value.1) }
            }
        }
    }

    private func left(_ result: Result<Void, CallFailure>, of journey: Journey) {
        leaving -= 1
        if case .failure(let failure) = result {
            alarm?.cancel()
            journey.end(.failure(failure))
        } else if leaving == 0 {
            alarm?.cancel()
            journey.end(.success(.done))
        }
    }

    func cancel() { alarm?.cancel() }

    private static func stillLeaving(_ model: String) -> CallFailure {
        CallFailure(
            .deadlineExceeded, .deadlinePast,
            "calls of model '\(model)' have not ended within the deadline; it goes when they have")
    }
}

/// A call that is answered when the repository has been looked at, or at its deadline. On the connection's event loop only.
final class RefreshWait: ErrandWait {
    private var alarm: Scheduled<Void>?

    init(_ journey: Journey) {
        let loop = journey.visit.eventLoop
        let bound = NIOLoopBound((self, journey), eventLoop: loop)
        let deadline = NIODeadline.uptimeNanoseconds(journey.call.deadline.nanoseconds)
        alarm = loop.scheduleTask(deadline: deadline) {
            bound.value.1.end(.failure(RefreshWait.stillLooking))
        }
        journey.visit.walk.repository.refresh { result in
            loop.execute {
                let (wait, journey) = bound.value
                wait.alarm?.cancel()
                journey.end(result.map { .done })
            }
        }
    }

    func cancel() { alarm?.cancel() }

    private static let stillLooking = CallFailure(
        .deadlineExceeded, .deadlinePast,
        "the repository has not been looked at within the deadline; that goes on")
}
