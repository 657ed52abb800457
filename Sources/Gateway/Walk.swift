// The walk: what happens to a call between its door and its answer, read from top to bottom.
//
//     door -> Call -> Admission -> Pass -> Catalogue -> Prepared -> Shards -> outcome, and the same way back
//
// It runs on the connection's event loop. When the caller is known and the model awake it makes no task and
// takes no lock twice; where it has to wait, the rooms call back on the same event loop.

import Admission
import Catalogue
package import Contract
package import NIOCore
import Shards
import Traces

/// The rooms in their order, shared by all connections.
package final class Walk: FrontDesk {
    let gatekeeper: Gatekeeper
    let registry: Registry
    let versions: Versions
    let fleet: Fleet
    let readiness: Readiness
    let repository: RepositoryWatch
    let reloader: Reloader
    let audit: any AuditLog
    /// Nil when there are no traces.
    let tracer: Tracer?
    /// What each event loop has of its own, by the loop's identity.
    private let places: [ObjectIdentifier: NIOLoopBound<LoopPlace>]
    private let loops: [any EventLoop]

    /// - Parameter group: the loops connections live on.
    init(
        gatekeeper: Gatekeeper, registry: Registry, versions: Versions, fleet: Fleet,
        readiness: Readiness, repository: RepositoryWatch, reloader: Reloader, audit: any AuditLog,
        logs: CallLogs, metrics: CallMetrics? = nil, traces: TraceExporter? = nil,
        group: any EventLoopGroup
    ) async throws {
        tracer = traces?.tracer
        self.reloader = reloader
        self.audit = audit
        self.gatekeeper = gatekeeper
        self.registry = registry
        self.versions = versions
        self.fleet = fleet
        self.readiness = readiness
        self.repository = repository
        var places: [ObjectIdentifier: NIOLoopBound<LoopPlace>] = [:]
        for (number, loop) in group.makeIterator().enumerated() {
            let observers = CallObservers(logs: logs, traces: traces, loop: number)
            places[ObjectIdentifier(loop)] = try await loop.submit {
                NIOLoopBound(
                    LoopPlace(
                        desk: fleet.desk(on: loop), tally: metrics.map { CallTally($0) },
                        observers: observers),
                    eventLoop: loop)
            }.get()
        }
        self.places = places
        loops = Array(group.makeIterator())
    }

    /// What `body` says of each event loop, in their order; nil of one that is too busy to say anything within `patience`.
    func ask<Answer: Sendable>(
        on eventLoop: any EventLoop, patience: TimeAmount,
        _ body: @escaping @Sendable (LoopPlace) -> Answer
    ) -> EventLoopFuture<[Answer?]> {
        let answers = loops.compactMap { loop in
            places[ObjectIdentifier(loop)].map { place in
                let promise = eventLoop.makePromise(of: Answer?.self)
                // Whichever comes first.
                loop.execute { promise.succeed(body(place.value)) }
                let timer = eventLoop.scheduleTask(in: patience) { promise.succeed(nil) }
                promise.futureResult.whenComplete { _ in timer.cancel() }
                return promise.futureResult
            }
        }
        return EventLoopFuture.whenAllSucceed(answers, on: eventLoop)
    }

    package func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        guard let place = places[ObjectIdentifier(eventLoop)] else {
            preconditionFailure("a connection lives on one of the gateway's own event loops")
        }
        return Visit(walk: self, peer: peer, eventLoop: eventLoop, place: place.value)
    }
}

/// One connection's way through the house: who calls, and what it called last. Used on its event loop only.
final class Visit: CallerSession {
    let walk: Walk
    let eventLoop: any EventLoop
    let place: LoopPlace
    var desk: LoopDesk { place.desk }
    var recent = RecentSelection()
    var recentKind = RecentKind()
    let peer: Peer
    /// The connection's token; nil until HELLO or AUTH brought one.
    private var token: Secret?
    private(set) var credential: Credential?
    /// Calls that were not answered at once.
    var underWay = SlotTable<Journey>()
    /// Where the loop keeps it.
    private var slot: Int?
    /// When the issuer was asked last for the connection itself, and when it had answered; with traces only.
    private(set) var lastInquiry: (asked: Instant, told: Instant)?

    init(walk: Walk, peer: Peer, eventLoop: any EventLoop, place: LoopPlace) {
        self.walk = walk
        self.peer = peer
        self.eventLoop = eventLoop
        self.place = place
        slot = place.visits.add(WeakVisit(visit: self))
    }

    func authenticate(
        _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
    ) {
        let now = Instant.now()
        // HTTP shows the token with every request: the one that is known already is not looked up again.
        if let token, let known = self.token, let credential, known.matches(token),
            walk.gatekeeper.isFresh(credential, now: now), now < credential.validUntil ?? .max
        {
            return done(.success(credential.validFor(now: now)))
        }
        self.token = token
        credential = nil
        lastInquiry = nil
        var waited = false
        _ = identify(token, isOwn: true, now: now, deadline: now + .seconds(60)) { result in
            if case .failure(let failure) = result { self.noteRefusal(failure, of: "hello") }
            if waited { self.noteInquiry(since: now) }
            done(result.map { $0.validFor(now: .now()) })
        }
        waited = true
    }

    /// For the call that this is done for, when it is done for one: over HTTP the token comes first.
    private func noteInquiry(since asked: Instant) {
        if walk.tracer != nil { lastInquiry = (asked, .now()) }
    }

    func objection(to method: Method, model: String, version: String) -> CallFailure? {
        guard let credential else { return nil }
        do throws(CallFailure) {
            try walk.gatekeeper.judge(credential, method: method, model: model, now: .now())
        } catch {
            noteRefusal(
                error, of: method.auditName, object: model, identity: credential.identity)
            return error
        }
        guard method == .infer || method == .inferStream else { return nil }
        do throws(CallFailure) {
            _ = try recent.select(name: model, version: version, from: walk.registry)
            return nil
        } catch {
            return error
        }
    }

    func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
        let journey = Journey(call: call, exchange: exchange, visit: self)
        if let tracer = walk.tracer { journey.trace(by: tracer, after: lastInquiry) }
        if call.token == nil, let credential,
            walk.gatekeeper.isFresh(
                credential, need: CallNeed(method: call.method, model: call.model),
                now: call.arrived)
        {
            journey.enter(as: credential)
        } else {
            journey.inquiry = identify(
                call.token ?? token, isOwn: call.token == nil,
                need: CallNeed(method: call.method, model: call.model), now: call.arrived,
                deadline: call.deadline
            ) { journey.identified(as: $0) }
        }
        guard !journey.isOver else { return nil }
        journey.slot = underWay.add(journey)
        return journey
    }

    /// Finds out who shows the token: `done` is called at once from the cache, or later on this event loop.
    private func identify(
        _ token: Secret?, isOwn: Bool, need: CallNeed? = nil, now: Instant, deadline: Instant,
        done: @escaping (Result<Credential, CallFailure>) -> Void
    ) -> Inquiry? {
        let later = NIOLoopBound((self, done), eventLoop: eventLoop)
        let recognition = walk.gatekeeper.identify(
            token, peer: peer, need: need, now: now, deadline: deadline, on: eventLoop
        ) { result in
            let (visit, done) = later.value
            // Another token may have been shown meanwhile.
            if isOwn, case .success(let credential) = result, let token, let own = visit.token,
                own.matches(token)
            {
                visit.credential = credential
            }
            done(result)
        }
        switch recognition {
        case .known(let credential):
            if isOwn { self.credential = credential }
            done(.success(credential))
        case .refused(let failure): done(.failure(failure))
        case .asked(let inquiry): return inquiry
        }
        return nil
    }

    func turnEnded() { desk.turnEnded() }

    func close() {
        token = nil
        credential = nil
        if let slot { place.visits.remove(slot) }
        slot = nil
    }
}

/// One call on its way. It holds what the call was given, and gives it back when the work has stopped.
final class Journey: CallHandle, RunDelegate {
    let call: Call
    let exchange: any Exchange
    let visit: Visit
    /// Where the visit keeps it while it is under way.
    var slot: Int?
    /// True once the caller has been answered.
    private(set) var isOver = false
    /// Set while the issuer is being asked.
    var inquiry: Inquiry?
    private var pass: Pass?
    private var prepared: Prepared?
    // For the record of the call: who was admitted, under which plan, to what.
    private var caller: Credential?
    private var plan = ""
    private var entry: ModelEntry?
    var ticket: RunTicket?
    /// Set while an errand waits.
    var wait: (any ErrandWait)?
    /// What an administrator does by this call, for the audit log.
    var act: AuditEvent?
    private var timing = Timing()
    private var use = PlanUse()
    /// Nil when there are no traces.
    private var traced: TracedCall?

    init(call: Call, exchange: any Exchange, visit: Visit) {
        self.call = call
        self.exchange = exchange
        self.visit = visit
    }

    private var walk: Walk { visit.walk }

    /// The call has a span. Its door is told at once when it is known to be exported: its answer may begin before it ends.
    func trace(by tracer: Tracer, after inquiry: (asked: Instant, told: Instant)?) {
        let traced = TracedCall(
            span: tracer.begin(call.trace), received: call.received, begun: .now())
        if let inquiry, inquiry.asked >= call.received {
            traced.marks.asked = inquiry.asked
            traced.marks.told = inquiry.told
        }
        self.traced = traced
        if traced.span.isSampled, call.door == .http {
            exchange.trace(as: tracer.context(of: traced.span))
        }
    }

    /// The issuer's answer, from the cache within `begin` or later in a turn of its own.
    func identified(as result: Result<Credential, CallFailure>) {
        let waited = inquiry != nil
        inquiry = nil
        guard !isOver else { return }
        if waited {
            let now = Instant.now()
            timing.admission = now.since(call.arrived)
            traced?.wasTold(at: now)
        }
        switch result {
        case .success(let credential): enter(as: credential)
        case .failure(let failure):
            visit.noteRefusal(failure, of: call.method.auditName, object: call.model)
            end(.failure(failure))
        }
        if waited { visit.turnEnded() }
    }

    /// The walk itself, once the caller is known.
    func enter(as credential: Credential) {
        caller = credential
        do throws(CallFailure) {
            pass = try walk.gatekeeper.admit(
                credential, method: call.method, model: call.model,
                counted: visit.recent.counted(call.model, version: call.version, by: walk.registry),
                bytes: call.body.byteCount, wish: call.priority, now: call.arrived)
            plan = pass?.plan ?? ""
            if let allowance = pass?.allowance { exchange.allow(allowance) }
            traced?.marks.admitted = .now()
        } catch {
            traced?.marks.admitted = .now()
            visit.noteRefusal(
                error, of: call.method.auditName, object: call.model, identity: credential.identity)
            if let allowance = error.allowance { exchange.allow(allowance) }
            // A model nobody knows is not ready, and one that is not this caller's answers alike.
            let isHidden = call.method == .modelReady && error.reason == .modelNotFound
            end(isHidden ? .success(.modelReady(false)) : .failure(error))
            return
        }
        do throws(CallFailure) {
            guard call.method == .infer || call.method == .inferStream else {
                try runErrand(as: credential)
                return
            }
            let entry = try visit.recent.select(
                name: call.model, version: call.version, from: walk.registry)
            self.entry = entry
            let request = try call.body.inferenceRequest()
            let prepared = try entry.prepare(request, asked: call.version)
            self.prepared = prepared
            traced?.marks.prepared = .now()
            ticket = visit.desk.submit(
                prepared, deadline: deadline(request), now: call.arrived,
                wantsProgress: call.wantsProgress, share: share(request), delegate: self)
        } catch {
            traced?.marks.prepared = .now()
            end(.failure(error))
        }
    }

    /// The message may be in more of a hurry than the call, never in less.
    private func deadline(_ request: InferenceRequest) -> Instant {
        request.timeout.map { min(call.deadline, call.arrived + $0) } ?? call.deadline
    }

    private func share(_ request: InferenceRequest) -> Share {
        var share = pass?.share ?? .house
        if request.priority == .batch { share.priority = .batch }
        return share
    }

    func runProgress(_ progress: Progress) { exchange.progress(progress) }

    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing run: Timing, workContinues: Bool
    ) {
        let admission = timing.admission
        timing = run
        timing.admission = admission
        switch result {
        case .failure(let failure):
            end(.failure(failure), workContinues: workContinues)
        case .success(let outputs):
            for output in outputs { use.bytesOut += output.bytes.readableBytes }
            end(.success(answer(outputs)), workContinues: workContinues)
        }
    }

    private func answer(_ outputs: [Tensor]) -> Answer {
        guard let prepared else { return .done }
        let reply = Answer.inference(
            InferenceReply(
                model: prepared.entry.name, version: prepared.entry.version,
                id: prepared.requestID, outputs: outputs))
        guard call.method == .inferStream else { return reply }
        exchange.send(reply)
        return .done
    }

    func runWorkEnded(timing run: Timing) {
        timing = run
        leave()
        exchange.workEnded()
    }

    /// The work has stopped: its plan is charged and its slots are free.
    private func leave() {
        use.cold = timing.cold
        use.run = timing.run
        use.queue = timing.queue
        use.cpu = timing.cpu
        use.load = timing.load
        use.residentBytes = timing.residentBytes
        pass?.note(use)
        pass = nil
    }

    func cancel() {
        guard !isOver else { return }
        if let inquiry {
            walk.gatekeeper.cancel(inquiry)
            self.inquiry = nil
            end(.failure(Journey.cancelled))
        } else if let wait {
            wait.cancel()
            end(.failure(Journey.cancelled))
        } else {
            ticket?.cancel()
        }
    }

    static let cancelled = CallFailure(
        .cancelled, .cancelledByCaller, "the caller cancelled the call")

    /// The one exit: every call is answered here, once.
    func end(_ result: Result<Answer, CallFailure>, workContinues: Bool = false) {
        guard !isOver else { return }
        isOver = true
        if let slot { visit.underWay.remove(slot) }
        slot = nil
        ticket = nil
        wait = nil
        prepared = nil
        noteAct(result)
        tellObservers(result)
        if case .failure = result { use.failed = true }
        if !workContinues { leave() }
        exchange.finish(result, timing: timing, workContinues: workContinues)
    }

    private func tellObservers(_ result: Result<Answer, CallFailure>) {
        let (tally, observers) = (visit.place.tally, visit.place.observers)
        guard tally != nil || observers.wantsCalls else { return }
        var failure: CallFailure?
        if case .failure(let why) = result { failure = why }
        // A copy of the call for each would cost more than all the rest.
        let kind =
            visit.recentKind.known(
                call.method, call.model, call.version, entry, caller, plan: plan, failure)
            ?? visit.recentKind.learn(call, entry, caller, plan: plan, failure, from: visit.peer)
        var record = CallRecord(
            kind, trace: call.trace, bytesIn: call.body.byteCount, bytesOut: use.bytesOut,
            arrived: call.arrived, timing: timing, answered: .now())
        if let traced, let tracer = walk.tracer {
            record.span = tracer.end(traced.span, record)
            record.marks = traced.marks
            if let exported = record.span, call.door == .http { exchange.trace(as: exported) }
        }
        tally?.answered(record)
        observers.answered(record)
    }
}

/// What is noted of a call while there are traces.
private final class TracedCall {
    let span: OpenSpan
    var marks: CallMarks

    init(span: OpenSpan, received: Instant, begun: Instant) {
        self.span = span
        marks = CallMarks(received: received, begun: begun)
    }

    /// The issuer was asked for this call, as soon as it was here.
    func wasTold(at now: Instant) {
        marks.asked = marks.begun
        marks.told = now
    }
}
