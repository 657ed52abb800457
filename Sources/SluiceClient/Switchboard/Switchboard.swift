// Where calls meet connections. Tasks put calls into an inbox; the event loop takes all that came together,
// gives them to the connection, and flushes once. The decisions are in CallDesk and LinkMachine.

import Logging
import NIOCore
import Synchronization

/// `@unchecked Sendable`: `inbox` and `tickets` are locked or atomic; everything else is touched on `loop` only,
/// which each entry point from outside reaches through ``post(_:)``.
final class Switchboard: @unchecked Sendable {
    typealias Desk = CallDesk<CallSink>

    /// What tasks ask the loop to do.
    enum Errand: Sendable {
        case call(Submission)
        case cancel(Ticket, SluiceError)
        case caughtUp(Ticket)
        case stayConnected
        /// Wait for calls until the deadline, then close; resumed when all is closed.
        case shutDown(NIODeadline, CheckedContinuation<Void, Never>?)
    }

    struct Submission: Sendable {
        var ticket: Ticket
        var request: CallRequest?
        var sink: CallSink
        var deadline: NIODeadline
    }

    private struct Inbox {
        var errands: [Errand] = []
        var isScheduled = false
    }

    let loop: any EventLoop
    let configuration: SluiceClient.Configuration
    private let dialer: Dialer
    private let inbox = Mutex(Inbox())
    private let tickets = Atomic<UInt64>(1)

    // Loop only
    private var desk: Desk
    private var link: LinkMachine
    private var connections: [UInt64: ConnectionHandler] = [:]
    private var generator = SystemRandomNumberGenerator()
    private var spare: [Errand] = []
    private var timer: (due: NIODeadline, task: Scheduled<Void>)?
    private var dialTimer: Scheduled<Void>?
    private var staysConnected = false
    /// Counts the replacements of the token.
    private var replacements = 0
    private var stopDeadline: NIODeadline?
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []

    init(_ endpoint: Endpoint, _ configuration: SluiceClient.Configuration) throws(SluiceError) {
        self.configuration = configuration
        dialer = try Dialer(endpoint, configuration)
        loop = configuration.eventLoopGroup.next()
        desk = Desk(configuration)
        link = LinkMachine(configuration.reconnect)
    }

    // MARK: From any thread

    func nextTicket() -> Ticket {
        tickets.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    /// Hands an errand to the loop. All that come before the loop has time are done together.
    func post(_ errand: Errand) {
        let wakes = inbox.withLock { inbox in
            inbox.errands.append(errand)
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if wakes { loop.execute { self.runErrands() } }
    }

    // MARK: Errands

    private func runErrands() {
        loop.preconditionInEventLoop()
        var errands = spare
        spare = []
        inbox.withLock { inbox in
            swap(&errands, &inbox.errands)
            inbox.isScheduled = false
        }
        for errand in errands { run(errand) }
        errands.removeAll(keepingCapacity: errands.count < 1_024)
        spare = errands
        pump()
    }

    private func run(_ errand: Errand) {
        switch errand {
        case .call(let submission): submit(submission)
        case .cancel(let ticket, let error):
            guard let entry = desk.remove(ticket) else { return }
            abandon(entry)
            entry.sink.fail(error)
        case .caughtUp(let ticket):
            guard let entry = desk.entries[ticket] else { return }
            desk.stalled(ticket, until: nil)
            connection(of: entry)?.resume(ticket)
        case .stayConnected:
            staysConnected = true
        case .shutDown(let deadline, let waiter):
            staysConnected = false
            stopDeadline = min(deadline, stopDeadline ?? deadline)
            if let waiter { stopWaiters.append(waiter) }
        }
    }

    private func submit(_ submission: Submission) {
        if stopDeadline != nil { return submission.sink.fail(Self.shutDown) }
        let entry = Desk.Entry(
            ticket: submission.ticket, request: submission.request, sink: submission.sink,
            deadline: submission.deadline)
        if let error = desk.submit(entry) { submission.sink.fail(error) }
    }

    /// The caller of a call has gone: the gateway is told.
    private func abandon(_ entry: Desk.Entry) {
        guard case .sent(_, let call) = entry.place, let connection = connection(of: entry) else {
            return
        }
        connection.resume(entry.ticket)
        connection.cancel(call)
        connection.flush()
    }

    private func connection(of entry: Desk.Entry) -> ConnectionHandler? {
        guard case .sent(let id, _) = entry.place else { return nil }
        return connections[id]
    }

    private static var shutDown: SluiceError {
        SluiceError(
            .cancelled, reason: Reason.clientShutDown, "The client has been shut down.",
            notStarted: true)
    }

    // MARK: Calls to connections

    /// Gives waiting calls to the connection, as many as it takes, and does what the time asks for.
    private func pump() {
        let now = loop.now
        for (entry, error) in desk.due(now) {
            abandon(entry)
            entry.sink.fail(error)
        }
        if stopDeadline != nil { stopIfDone(now) }
        if desk.hasWaiting || staysConnected, let id = link.wish(now) { dial(id) }
        if case .ready(let id) = link.state, let connection = connections[id] {
            repeat {
                fill(connection, now: now)
                connection.flush()
            } while desk.hasWaiting && connection.hasRoom
        }
        armTimer()
    }

    private func fill(_ connection: ConnectionHandler, now: NIODeadline) {
        while connection.hasRoom, let entry = desk.takeNext() {
            guard let request = entry.request else {
                if let entry = desk.finish(entry.ticket) {
                    entry.sink.succeed(RawAnswer(timing: Timing(), payload: ByteBuffer()))
                }
                continue
            }
            do throws(SluiceError) {
                let left = max(1, (entry.deadline - now).nanoseconds / 1_000)
                let call = try connection.open(
                    request, ticket: entry.ticket, timeout: UInt64(left), attempt: entry.failures)
                desk.sent(entry.ticket, connection: connection.id, call: call)
            } catch {
                desk.remove(entry.ticket)?.sink.fail(error)
            }
        }
    }

    private func armTimer() {
        var due = desk.nextDue
        if desk.hasWaiting || staysConnected, let again = link.due {
            due = min(due ?? again, again)
        }
        if let stop = stopDeadline, !desk.isEmpty { due = min(due ?? stop, stop) }
        guard let due else { return }
        if let timer, timer.due <= due { return }
        timer?.task.cancel()
        let task = loop.scheduleTask(deadline: due) {
            self.timer = nil
            self.pump()
        }
        timer = (due, task)
    }

    // MARK: What connections tell

    func arrived(_ arrival: Arrival, on connection: ConnectionHandler) {
        switch arrival {
        case .answered(let ticket, let header, let payload):
            if let error = header.status {
                settle(ticket, .attempt(error))
            } else if let entry = desk.finish(ticket) {
                entry.sink.succeed(
                    RawAnswer(
                        timing: header.timing, rateLimit: header.rateLimit, payload: payload))
            }
        case .streamed(let ticket, let message, let end):
            streamed(ticket, message, end, on: connection)
        case .broken(let ticket, let error): settle(ticket, .attempt(error))
        case .progressed(let ticket, let progress):
            desk.entries[ticket]?.sink.progress(progress)
        case .goingAway(let tickets, let why):
            configuration.logger.info(
                "The gateway is leaving the connection.",
                metadata: ["connection": "\(connection.id)", "reason": "\(why)"])
            link.goesAway(connection.id)
            for ticket in tickets { settle(ticket, .moved(Self.goingAway)) }
        case .welcomed(let error): welcomed(connection, error)
        case .authenticated(let error): authenticated(connection, error)
        case .fault, .refused: break
        }
    }

    /// Everything that arrived together has been told.
    func turnEnded(on connection: ConnectionHandler) {
        pump()
        // A connection that drains is not the link's any more.
        connection.flush()
    }

    private func streamed(
        _ ticket: Ticket, _ message: ByteBuffer?, _ end: ReplyHeader?,
        on connection: ConnectionHandler
    ) {
        if let message, case .stream(let mailbox)? = desk.delivering(ticket), mailbox.put(message),
            end == nil, desk.entries[ticket]?.stallDeadline == nil
        {
            connection.stall(ticket)
            desk.stalled(
                ticket,
                until: loop.now + .nanoseconds(configuration.limits.slowReaderGrace.nanoseconds))
        }
        guard let end else { return }
        connection.resume(ticket)
        if let error = end.status {
            settle(ticket, .attempt(error))
        } else {
            desk.finish(ticket)?.sink.succeed(
                RawAnswer(
                    timing: end.timing, rateLimit: end.rateLimit, payload: ByteBuffer()))
        }
    }

    private func settle(_ ticket: Ticket, _ failure: Desk.Failure) {
        switch desk.failed(ticket, failure, now: loop.now, using: &generator) {
        case .none, .again: break
        case .deliver(let entry, let error): entry.sink.fail(error)
        case .replaceToken: replaceToken()
        }
    }

    /// A connection has ended.
    func closed(_ connection: ConnectionHandler, calls: [Ticket], error: SluiceError) {
        // Of several addresses tried at once only one becomes the connection.
        guard connections[connection.id] === connection else { return }
        connections[connection.id] = nil
        if link.isDialing(connection.id) {
            dialFailed(connection.id, error)
        } else {
            configuration.logger.info(
                "The connection has ended.",
                metadata: ["connection": "\(connection.id)", "reason": "\(error)"])
            if link.state == .ready(connection.id), desk.isReplacingToken { desk.tokenAccepted() }
            link.lost(connection.id, now: loop.now, luck: luck())
        }
        for ticket in calls { settle(ticket, .attempt(error)) }
        pump()
    }

    private static var goingAway: SluiceError {
        SluiceError(
            .unavailable, reason: Reason.goingAway, "The gateway is leaving the connection.",
            notStarted: true)
    }

    private func luck() -> Double { Double.random(in: 0..<1, using: &generator) }

    // MARK: Connecting

    private func dial(_ id: UInt64) {
        dialTimer = loop.scheduleTask(
            in: .nanoseconds(configuration.connectTimeout.nanoseconds)
        ) {
            self.dialFailed(
                id,
                SluiceError(
                    .unavailable, reason: Reason.connectTimedOut,
                    "No connection within \(self.configuration.connectTimeout).", notStarted: true))
        }
        token().whenComplete { result in
            guard self.link.isDialing(id) else { return }
            switch result {
            case .failure(let error): self.dialFailed(id, Self.providerError(error))
            case .success(let token): self.connect(id, token: token)
            }
        }
    }

    private func connect(_ id: UInt64, token: String) {
        dialer.dial(id: id, token: token, switchboard: self, on: loop).whenComplete { result in
            do {
                let channel = try result.get()
                guard self.link.isDialing(id) else { return channel.close(promise: nil) }
                let connection = try channel.pipeline.syncOperations.handler(
                    type: ConnectionHandler.self)
                if let ending = connection.ending { throw ending }
                self.connections[id] = connection
            } catch {
                self.dialFailed(id, Self.connectError(error))
            }
        }
    }

    private func dialFailed(_ id: UInt64, _ error: SluiceError) {
        guard link.failed(id, now: loop.now, luck: luck()) else { return }
        dialTimer?.cancel()
        configuration.logger.notice("No connection.", metadata: ["reason": "\(error)"])
        connections[id]?.close()
        for (entry, error) in desk.connectFailed(error, now: loop.now, using: &generator) {
            entry.sink.fail(error)
        }
        pump()
    }

    private func welcomed(_ connection: ConnectionHandler, _ error: SluiceError?) {
        guard link.isDialing(connection.id) else { return connection.close() }
        if let token = connection.lateToken {
            do throws(SluiceError) {
                try connection.authenticate(token)
            } catch {
                dialFailed(connection.id, error)
            }
        } else if let error, !configuration.token.isNone {
            tokenRefused(error, on: connection, mayReplace: true)
        } else {
            ready(connection)
        }
    }

    private func ready(_ connection: ConnectionHandler) {
        guard link.connected(connection.id, now: loop.now) else { return connection.close() }
        dialTimer?.cancel()
        desk.tokenAccepted()
        configuration.logger.info(
            "Connected.",
            metadata: [
                "connection": "\(connection.id)",
                "gateway": "\(connection.machine.settings.server)",
                "gateway.connection": "\(connection.machine.settings.connectionID)",
            ])
    }

    private static func connectError(_ error: any Error) -> SluiceError {
        if let error = error as? SluiceError { return error }
        return SluiceError(
            .unavailable, reason: Reason.connectFailed, "The gateway cannot be reached.",
            notStarted: true, cause: error)
    }

    // MARK: Tokens

    private func token() -> EventLoopFuture<String> {
        switch configuration.token.source {
        case .none: loop.makeSucceededFuture("")
        case .fixed(let token): loop.makeSucceededFuture(token)
        case .provider(let provide): loop.makeFutureWithTask(provide)
        }
    }

    private static func providerError(_ error: any Error) -> SluiceError {
        if let error = error as? SluiceError { return error }
        return SluiceError(
            .unauthenticated, reason: Reason.tokenProviderFailed,
            "The token provider failed.", cause: error)
    }

    /// A new token for the connection there is. Single flight: the desk asks once.
    private func replaceToken() {
        replacements += 1
        let replacement = replacements
        token().whenComplete { result in
            // A lost connection has settled it otherwise.
            guard self.desk.isReplacingToken, self.replacements == replacement else { return }
            switch result {
            case .failure(let error): self.giveUpToken(Self.providerError(error))
            case .success(let token):
                guard case .ready(let id) = self.link.state, let connection = self.connections[id]
                else {
                    // The next connection shows a fresh token by itself.
                    self.desk.tokenAccepted()
                    return self.pump()
                }
                do throws(SluiceError) {
                    try connection.authenticate(token)
                    connection.flush()
                } catch {
                    self.giveUpToken(error)
                }
            }
        }
    }

    private func authenticated(_ connection: ConnectionHandler, _ error: SluiceError?) {
        if link.isDialing(connection.id) {
            guard let error else { return ready(connection) }
            tokenRefused(error, on: connection, mayReplace: false)
        } else if let error {
            giveUpToken(error)
        } else {
            desk.tokenAccepted()
        }
    }

    /// The gateway refused the token of a new connection: once, a provider is asked for another.
    private func tokenRefused(
        _ error: SluiceError, on connection: ConnectionHandler, mayReplace: Bool
    ) {
        let isStale = error.reason == Reason.tokenExpired || error.reason == Reason.tokenInactive
        guard mayReplace, isStale, configuration.token.isProvider else {
            return dialFailed(connection.id, error)
        }
        let id = connection.id
        token().whenComplete { result in
            guard self.link.isDialing(id), let connection = self.connections[id] else { return }
            do throws(SluiceError) {
                switch result {
                case .failure(let error): throw Self.providerError(error)
                case .success(let token): try connection.authenticate(token)
                }
                connection.flush()
            } catch {
                self.dialFailed(id, error)
            }
        }
    }

    private func giveUpToken(_ error: SluiceError) {
        for entry in desk.tokenRefused(error) { entry.sink.fail(error) }
    }

    // MARK: The end

    private func stopIfDone(_ now: NIODeadline) {
        guard let stopDeadline else { return }
        if now >= stopDeadline {
            for entry in desk.removeAll() {
                abandon(entry)
                entry.sink.fail(Self.shutDown)
            }
        }
        guard desk.isEmpty else { return }
        link.stop()
        dialTimer?.cancel()
        for connection in connections.values { connection.close() }
        guard connections.isEmpty else { return }
        timer?.task.cancel()
        timer = nil
        let waiters = stopWaiters
        stopWaiters = []
        for waiter in waiters { waiter.resume() }
    }
}
