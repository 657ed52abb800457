// GET /v2/models/{model}[/versions/{version}]/events: how a model's state changes, as server-sent events, for a page that shows
// it. Whoever may read the model's metadata may watch it.

package import Contract
import NIOCore
import NIOHTTP1
import OpenInference
import Synchronization

/// How a model is right now.
package struct ModelCondition: Sendable, Equatable {
    package enum State: String, Sendable {
        /// Servable; a call wakes it.
        case asleep
        case loading
        case awake
        /// Its memory is being given back.
        case leaving
        /// The last load failed, or its files cannot be used.
        case broken
        case quarantined
        /// Taken out of service until somebody loads it.
        case unloaded
        /// There is no such version any more.
        case gone
    }

    /// The version it stands for; empty when there is none.
    package var version: String
    package var state: State
    /// Of a load, when it can be estimated.
    package var progress: Progress?
    /// Why, for `broken`, `quarantined`, `unloaded` and `gone`.
    package var why: String

    package init(version: String, state: State, progress: Progress? = nil, why: String = "") {
        self.version = version
        self.state = state
        self.progress = progress
        self.why = why
    }
}

/// What the house knows of models without asking anybody to wait. Never wakes one.
package protocol ModelConditions: Sendable {
    func condition(of model: String, version: String, now: Instant) -> ModelCondition
}

/// The resource. One look at the model each 250 ms for each watcher.
package final class ModelEvents: HTTPResource {
    /// Streams open at a time, of all callers.
    package static let watchersMax = 1_024
    /// A watcher that wants more asks again.
    package static let watchTime = Nanoseconds.seconds(3_600)
    static let interval = TimeAmount.milliseconds(250)
    /// How often the walk is asked again whether this caller may know the model: its token may have been revoked.
    static let judgingInterval = Nanoseconds.seconds(10)

    private let conditions: any ModelConditions
    private let watchersMax: Int
    private let watchers = Atomic<Int>(0)

    package init(_ conditions: any ModelConditions, watchersMax: Int = ModelEvents.watchersMax) {
        self.conditions = conditions
        self.watchersMax = watchersMax
    }

    /// With and without a version.
    package static func routes(_ conditions: any ModelConditions) -> [Route] {
        let resource = ModelEvents(conditions)
        return ["/v2/models/{model}/events", "/v2/models/{model}/versions/{version}/events"].map {
            Route(
                .GET, $0, access: .token, resource: resource, produces: [EventStream.mediaType],
                description: .modelEvents)
        }
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session, let model = request.captures["model"] else {
            exchange.finish(
                .failure(CallFailure(.unauthenticated, .tokenMissing, "a token is needed")))
            return nil
        }
        let version = request.captures["version"] ?? ""
        let now = Instant(nanoseconds: exchange.eventLoop.now.uptimeNanoseconds)
        let watch = ModelWatch(
            model: model, version: version, conditions: conditions, exchange: exchange,
            session: session, until: now + ModelEvents.watchTime)
        watch.ask(at: now) { [self] failure in
            if let failure { return exchange.finish(.failure(failure)) }
            begin(watch, exchange)
        }
        return watch
    }

    private func begin(_ watch: ModelWatch, _ exchange: HTTPExchange) {
        let (taken, _) = watchers.add(1, ordering: .relaxed)
        guard taken < watchersMax else {
            watchers.subtract(1, ordering: .relaxed)
            return exchange.finish(
                .failure(
                    CallFailure(
                        .unavailable, .tooManyCalls,
                        "\(watchersMax) models are being watched, and more may not be",
                        notStarted: true, retryAfter: .seconds(10))))
        }
        watch.begin { [self] in watchers.subtract(1, ordering: .relaxed) }
    }
}

/// One caller that watches one model. On the connection's event loop only.
private final class ModelWatch: CallHandle {
    private let model: String
    private let version: String
    private let conditions: any ModelConditions
    private let exchange: HTTPExchange
    private let session: any CallerSession
    private let until: Instant
    private var question: WalkCall?
    /// When the walk is asked again.
    private var nextJudging = Instant.max
    private var events: EventStream?
    private var look: Scheduled<Void>?
    private var last: ModelCondition?
    private var whenOver: (() -> Void)?

    init(
        model: String, version: String, conditions: any ModelConditions, exchange: HTTPExchange,
        session: any CallerSession, until: Instant
    ) {
        self.model = model
        self.version = version
        self.conditions = conditions
        self.exchange = exchange
        self.session = session
        self.until = until
    }

    /// The walk says whether this caller may know the model: nil, or why not.
    func ask(at now: Instant, done: @escaping (CallFailure?) -> Void) {
        nextJudging = now + ModelEvents.judgingInterval
        let question = WalkCall { [weak self] outcome in
            self?.question = nil
            if case .failure(let failure) = outcome.result { done(failure) } else { done(nil) }
        }
        self.question = question
        question.begin(
            Call(
                method: .modelMetadata, model: model, version: version, arrived: now,
                deadline: now + .seconds(30),
                body: QuestionBody(Question(model: model, version: version))), by: session)
    }

    func begin(_ over: @escaping () -> Void) {
        whenOver = over
        let events = EventStream(exchange)
        // A HEAD request has all it asked for.
        guard events.isOpen else { return cancel() }
        self.events = events
        exchange.onFarewell = { [weak self] _ in self?.end(why: "stopping") }
        report()
    }

    /// The caller has gone.
    func cancel() {
        finish()
        events?.stop()
    }

    private func report() {
        guard let events, events.isOpen else { return cancel() }
        let now = Instant(nanoseconds: exchange.eventLoop.now.uptimeNanoseconds)
        if now >= nextJudging, question == nil { judgeAgain(at: now) }
        guard events.isOpen else { return }
        let condition = conditions.condition(of: model, version: version, now: now)
        if condition.isNews(after: last) {
            events.message(ByteBuffer(string: condition.json(of: model)))
        } else if condition != last, let progress = condition.progress {
            events.progress(ByteBuffer(string: "{" + ProgressStream.members(progress) + "}"))
        }
        last = condition
        if condition.state == .gone { return end(why: "gone") }
        if now >= until { return end(why: "time") }
        look = exchange.eventLoop.assumeIsolated().scheduleTask(in: ModelEvents.interval) {
            [weak self] in self?.report()
        }
    }

    private func judgeAgain(at now: Instant) {
        ask(at: now) { [weak self] failure in
            // A busy gate or an issuer that is down says nothing of this caller.
            guard let self, let failure,
                [.unauthenticated, .permissionDenied, .notFound].contains(failure.code)
            else { return }
            finish()
            events?.fail(failure)
        }
    }

    private func end(why: String) {
        finish()
        events?.end(ByteBuffer(string: "{\"reason\":\"\(why)\"}"))
    }

    private func finish() {
        look?.cancel()
        look = nil
        question?.cancel()
        question = nil
        let over = whenOver
        whenOver = nil
        over?()
    }
}

extension ModelCondition {
    /// More than a load that has come further.
    fileprivate func isNews(after last: ModelCondition?) -> Bool {
        guard let last else { return true }
        return state != last.state || version != last.version || why != last.why
    }

    /// `{"name":"iris","version":"1","state":"loading","fraction":0.5,"remaining_ms":120}`.
    fileprivate func json(of model: String) -> String {
        var text = "{\"name\":" + JSONText.quoted(model)
        if !version.isEmpty { text += ",\"version\":" + JSONText.quoted(version) }
        text += ",\"state\":\"\(state.rawValue)\""
        if let fraction = progress?.fraction, fraction.isFinite {
            text += ",\"fraction\":\(fraction)"
        }
        if let remaining = progress?.remaining {
            text += ",\"remaining_ms\":\(remaining.milliseconds)"
        }
        if !why.isEmpty { text += ",\"reason\":" + JSONText.quoted(why) }
        return text + "}"
    }
}

@available(*, unavailable) extension ModelWatch: Sendable {}
