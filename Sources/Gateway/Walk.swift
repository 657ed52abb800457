// The walk: what happens to a call between its door and its answer, read from top to bottom.
//
//     door -> Call -> Admission -> Pass -> Catalogue -> Prepared -> Shards -> Outcome -> the same way back
//
// It runs on the connection's event loop. When the caller is known and the model awake it makes no task and
// takes no lock twice; where it has to wait, the rooms call back on the same event loop.

package import Admission
package import Catalogue
package import Contract
package import NIOCore
package import Shards

/// The rooms in their order. One per gateway; each connection walks with a ``Visit`` of its own.
package final class Walk: FrontDesk {
    let gatekeeper: Gatekeeper
    let registry: Registry
    let fleet: Fleet
    let readiness: Readiness

    package init(gatekeeper: Gatekeeper, registry: Registry, fleet: Fleet, readiness: Readiness) {
        self.gatekeeper = gatekeeper
        self.registry = registry
        self.fleet = fleet
        self.readiness = readiness
    }

    package func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        Visit(walk: self, peer: peer, eventLoop: eventLoop)
    }
}

/// One connection's way through the house. Used on its event loop only.
final class Visit: CallerSession {
    let walk: Walk
    let peer: Peer
    let eventLoop: any EventLoop
    let desk: LoopDesk
    var recent = RecentSelection()
    /// The connection's token; nil until HELLO or AUTH brought one.
    private var token: Secret?
    private var credential: Credential?

    init(walk: Walk, peer: Peer, eventLoop: any EventLoop) {
        self.walk = walk
        self.peer = peer
        self.eventLoop = eventLoop
        desk = walk.fleet.desk(for: eventLoop)
    }

    func authenticate(
        _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
    ) {
        self.token = token
        credential = nil
        identify(token, now: .now()) { result in
            done(result.map { $0.validFor(now: .now()) })
        }
    }

    func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
        let journey = Journey(call: call, exchange: exchange, visit: self)
        if call.token == nil, let credential, walk.gatekeeper.isFresh(credential, now: call.arrived)
        {
            journey.enter(as: credential)
        } else {
            identify(call.token ?? token, isOwn: call.token == nil, now: call.arrived) {
                switch $0 {
                case .success(let credential): journey.enter(as: credential)
                case .failure(let failure): journey.end(.failure(failure))
                }
            }
        }
        return journey.isOver ? nil : journey
    }

    /// Who the token belongs to: at once from the cache, or later on this event loop.
    private func identify(
        _ token: Secret?, isOwn: Bool = true, now: Instant,
        done: @escaping (Result<Credential, CallFailure>) -> Void
    ) {
        walk.gatekeeper.identify(token, now: now, on: eventLoop) { [weak self] result in
            if isOwn, case .success(let credential) = result { self?.credential = credential }
            done(result)
        }
    }

    func turnEnded() { desk.turnEnded() }

    func close() {
        token = nil
        credential = nil
    }
}

/// One call on its way. Holds what the call has been given and gives it back when the work has stopped.
final class Journey: CallHandle, RunDelegate {
    private let call: Call
    private let exchange: any Exchange
    private let visit: Visit
    private var pass: Pass?
    private var ticket: RunTicket?
    private var prepared: Prepared?
    private var timing = Timing()
    private var watch: HealthWatch?
    /// True once the caller has been answered.
    private(set) var isOver = false

    init(call: Call, exchange: any Exchange, visit: Visit) {
        self.call = call
        self.exchange = exchange
        self.visit = visit
    }

    private var walk: Walk { visit.walk }

    /// The walk itself, once the caller is known.
    func enter(as credential: Credential) {
        guard !isOver else { return }
        do throws(CallFailure) {
            let now = call.arrived
            pass = try walk.gatekeeper.admit(
                credential, method: call.method, model: call.model, peer: visit.peer, now: now)
            switch call.method {
            case .infer, .inferStream:
                let entry = try visit.recent.select(
                    in: walk.registry, name: call.model, version: call.version)
                let request = try call.body.inferenceRequest()
                let prepared = try walk.registry.prepare(request, for: entry)
                self.prepared = prepared
                ticket = visit.desk.submit(
                    prepared, deadline: call.deadline, now: now, wantsProgress: call.wantsProgress,
                    delegate: self)
            case .healthWatch:
                watch = HealthWatch(journey: self, exchange: exchange, walk: walk, visit: visit, deadline: call.deadline)
            default:
                try ask(as: credential)
            }
        } catch {
            end(.failure(error))
        }
    }

    func runProgress(_ progress: Progress) { exchange.progress(progress) }

    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing run: RunTiming, workContinues: Bool
    ) {
        timing.queue = run.queue
        timing.load = run.load
        timing.run = run.run
        timing.cold = run.cold
        guard let prepared else { return }
        let answer = result.map { outputs in
            Answer.inference(
                InferenceReply(
                    model: prepared.entry.name, version: prepared.entry.version,
                    id: prepared.requestID, outputs: outputs))
        }
        if call.method == .inferStream, case .success(let message) = answer {
            exchange.send(message)
            end(.success(.done), workContinues: workContinues)
        } else {
            end(answer, workContinues: workContinues)
        }
    }
}
