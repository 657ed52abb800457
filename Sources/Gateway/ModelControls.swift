// MODEL_CONTROL: an operator gives a model's memory back, or keeps it, and the model stays in service either way; or has
// the repository looked at now.

import Admission
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
            pin(control == .pin, entries, isEvery: version.isEmpty)
        case .unquarantine:
            let moving = MoveWait(self, what: "the models' strikes")
            wait = moving
            visit.walk.versions.forgive(
                call.model, version: version.isEmpty ? nil : entries.first?.versionNumber,
                done: moving.told(self))
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

    /// One model's versions, or every model that this caller may read about.
    func account(
        version: String, for credential: Credential
    ) throws(CallFailure) -> Answer {
        let (registry, fleet) = (visit.walk.registry, visit.walk.fleet)
        let entries =
            call.model.isEmpty
            ? registry.entries.filter { credential.mayRead($0.name) }
            : try registry.versions(of: call.model, version: version)
        let now = Instant.now()
        var accounts = fleet.accounts(of: entries, now: now)
        for (index, entry) in entries.enumerated() {
            let standing = registry.standing(of: entry)
            accounts[index].aliases = standing.aliases
            accounts[index].trial = standing.trial
            accounts[index].strikes = UInt32(
                clamping: visit.walk.versions.fence.strikes(against: entry))
            guard let quarantine = standing.quarantine else { continue }
            accounts[index].isQuarantined = true
            accounts[index].state = .broken
            accounts[index].failure = quarantine
        }
        return .account(fleet.account(now: now), accounts)
    }
}

extension Journey {
    /// A pin is remembered before it is believed: it survives scans and restarts.
    private func pin(_ isPinned: Bool, _ entries: [ModelEntry], isEvery: Bool) {
        let moving = MoveWait(self, what: "the pin")
        wait = moving
        let fleet = visit.walk.fleet
        let told = moving.told(self)
        visit.walk.versions.pin(
            isPinned, entries, of: call.model, version: isEvery ? nil : entries.first?.versionNumber
        ) { result in
            if case .success = result { for entry in entries { fleet.pin(entry, isPinned) } }
            told(result)
        }
    }

    func moveAlias(_ move: AliasMove?) throws(CallFailure) {
        guard let move else {
            throw CallFailure(
                .invalidArgument, .badMessage, "the message names no action", notStarted: true)
        }
        let order = try Versions.Order(move)
        let moving = MoveWait(self, what: "the alias")
        wait = moving
        visit.walk.versions.carryOut(order, of: call.model, done: moving.told(self))
    }
}

/// A call that is answered when a change of versions is on disk, or at its deadline. The change is made whether or not
/// somebody waits for it. On the connection's event loop only.
final class MoveWait: ErrandWait {
    private var alarm: Scheduled<Void>?

    /// - Parameter what: what moves, for the failure at the deadline.
    init(_ journey: Journey, what: String) {
        let loop = journey.visit.eventLoop
        let bound = NIOLoopBound(journey, eventLoop: loop)
        let deadline = NIODeadline.uptimeNanoseconds(journey.call.deadline.nanoseconds)
        alarm = loop.scheduleTask(deadline: deadline) {
            bound.value.end(.failure(MoveWait.late(what)))
        }
    }

    /// What the house tells from some thread, brought to the journey.
    func told(_ journey: Journey) -> Versions.Moved {
        let loop = journey.visit.eventLoop
        let bound = NIOLoopBound((self, journey), eventLoop: loop)
        return { result in loop.execute { bound.value.0.end(bound.value.1, result) } }
    }

    private func end(_ journey: Journey, _ result: Result<AliasChange?, CallFailure>) {
        alarm?.cancel()
        journey.end(result.map { $0.map(Answer.alias) ?? .done })
    }

    func cancel() { alarm?.cancel() }

    private static func late(_ what: String) -> CallFailure {
        CallFailure(
            .deadlineExceeded, .deadlinePast,
            "\(what) has not moved within the deadline; it goes on moving, and moves if nothing is in "
                + "the way")
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
