// What one event loop says of its connections and of the calls that wait there, at this moment.

import Admission
import Contract
import Shards

/// One loop's share of the state document. Only those that waited longest are named.
struct LoopState: Sendable {
    struct OpenCall: Sendable {
        var connection: String
        var address: String
        var client: String
        var door: Door
        var method: Method
        /// As the caller wrote them: untrusted.
        var model: String
        var version: String
        /// What it waits for, and for how long.
        var stage: String
        var stageFor: Nanoseconds?
        var age: Nanoseconds
        /// How much longer it may take.
        var deadline: Nanoseconds
    }

    struct Connection: Sendable {
        var connection: String
        var address: String
        var client: String
        var calls: Int
        var oldest: Nanoseconds
    }

    /// Connections whose caller has been asked for a token.
    var connections = 0
    var withCalls = 0
    var calls = 0
    /// Of the calls, those that run no model.
    var errands = 0
    var oldestCalls: [OpenCall] = []
    var oldestConnections: [Connection] = []
}

extension LoopPlace {
    /// On its loop.
    func look(now: Instant, most: Int) -> LoopState {
        var state = LoopState()
        for row in visits.all {
            guard let visit = row.visit else { continue }
            state.connections += 1
            guard visit.underWay.count > 0 else { continue }
            state.withCalls += 1
            state.calls += visit.underWay.count
            let client = visit.credential?.account.client ?? ""
            var oldest = Instant.max
            for journey in visit.underWay.all {
                if journey.call.method != .infer, journey.call.method != .inferStream {
                    state.errands += 1
                }
                oldest = min(oldest, journey.call.arrived)
                state.oldestCalls.append(journey.look(now: now, client: client))
                // Sorted now and then: a loop may have very many.
                if state.oldestCalls.count >= 4 * most { state.trim(to: most) }
            }
            state.oldestConnections.append(
                LoopState.Connection(
                    connection: visit.peer.connection, address: visit.peer.address, client: client,
                    calls: visit.underWay.count, oldest: now.since(oldest)))
            if state.oldestConnections.count >= 4 * most { state.trim(to: most) }
        }
        state.trim(to: most)
        return state
    }
}

extension LoopState {
    mutating func trim(to most: Int) {
        oldestCalls.sort { $0.age > $1.age }
        oldestCalls.removeLast(max(0, oldestCalls.count - most))
        oldestConnections.sort { $0.oldest > $1.oldest }
        oldestConnections.removeLast(max(0, oldestConnections.count - most))
    }

    /// Two loops' together.
    mutating func add(_ other: LoopState, most: Int) {
        connections += other.connections
        withCalls += other.withCalls
        calls += other.calls
        errands += other.errands
        oldestCalls += other.oldestCalls
        oldestConnections += other.oldestConnections
        trim(to: most)
    }
}

extension Journey {
    fileprivate func look(now: Instant, client: String) -> LoopState.OpenCall {
        var stage = "being begun"
        var since: Instant?
        if inquiry != nil {
            (stage, since) = ("asking the issuer", call.arrived)
        } else if wait != nil {
            stage = "an errand"
        } else if let standing = ticket?.standing {
            (stage, since) = (standing.place.rawValue, standing.since)
        }
        return LoopState.OpenCall(
            connection: visit.peer.connection, address: visit.peer.address, client: client,
            door: call.door, method: call.method, model: AccessLines.cut(call.model),
            version: AccessLines.cut(call.version), stage: stage,
            stageFor: since.map { now.since($0) }, age: now.since(call.arrived),
            deadline: call.deadline.since(now))
    }
}
