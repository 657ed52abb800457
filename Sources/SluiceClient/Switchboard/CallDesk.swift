// Every call of a client from its start to its end, whichever connections it sees: waiting, sent, parked until
// its next attempt, or waiting for a fresh token. A value: events in, what to tell whom out; it never reads a
// clock. `Sink` is whatever takes the answer.

package import NIOCore

package struct CallDesk<Sink> {
    /// Where a call is.
    package enum Place: Equatable {
        /// In the queue for a connection. Exits: sent, or the end.
        case waiting
        /// On a connection. Exits: the end, or any other place when the attempt failed.
        case sent(connection: UInt64, call: UInt32)
        /// Until its next attempt. Exit: waiting.
        case parked(until: NIODeadline)
        /// Until the token has been replaced. Exits: waiting, or the end.
        case awaitingToken
    }

    package struct Entry {
        package let ticket: Ticket
        /// Nil for a wish to be connected, which ends when there is a connection.
        package let request: CallRequest?
        package let sink: Sink
        package let deadline: NIODeadline
        package var place = Place.waiting
        /// Attempts that failed so far.
        package var failures = 0
        /// It was moved once by a GOAWAY without that counting.
        package var wasMoved = false
        package var hasFreshToken = false
        /// Which token the attempt went out with.
        package var tokenEpoch = 0
        /// A stream has brought a message: it cannot begin anew.
        package var hasDelivered = false
        /// When a slow reader loses its stream.
        package var stallDeadline: NIODeadline?

        package init(
            ticket: Ticket, request: CallRequest?, sink: Sink, deadline: NIODeadline
        ) {
            self.ticket = ticket
            self.request = request
            self.sink = sink
            self.deadline = deadline
        }

        package var due: NIODeadline {
            var due = min(deadline, stallDeadline ?? deadline)
            if case .parked(let until) = place { due = min(due, until) }
            return due
        }
    }

    /// How an attempt failed.
    package enum Failure {
        /// Said by the gateway or by the connection's end.
        case attempt(SluiceError)
        /// Not answered because the connection goes away; it was not begun.
        case moved(SluiceError)
    }

    package enum Verdict {
        /// Nobody waits for this call.
        case none
        /// The call ends so.
        case deliver(Entry, SluiceError)
        /// It will be tried again.
        case again
        /// It will be tried again when the token has been replaced, which somebody must do now.
        case replaceToken
    }

    package private(set) var entries: [Ticket: Entry] = [:]
    private var waiting = CircularBuffer<Ticket>()
    package private(set) var budget: RetryBudget
    private let retry: SluiceClient.Configuration.RetryPolicy
    private let limits: SluiceClient.Configuration.Limits
    private let canReplaceToken: Bool
    /// Counts the tokens the gateway has accepted.
    package private(set) var tokenEpoch = 0
    package private(set) var isReplacingToken = false
    /// The earliest time anything may be due; it may be too early, never too late.
    package private(set) var nextDue: NIODeadline?
    /// Calls that are not on a connection.
    private var unsent = 0

    package init(_ configuration: SluiceClient.Configuration) {
        retry = configuration.retry
        limits = configuration.limits
        canReplaceToken = configuration.token.isProvider
        budget = RetryBudget(configuration.retry)
    }

    package var isEmpty: Bool { entries.isEmpty }
    package var hasWaiting: Bool { !waiting.isEmpty }

    // MARK: In and out of the queue

    /// Takes a call, or returns why not.
    package mutating func submit(_ entry: Entry) -> SluiceError? {
        guard unsent < limits.waitingCalls else {
            return SluiceError(
                .resourceExhausted, reason: Reason.waitingCallsFull,
                """
                \(limits.waitingCalls) calls wait to be sent already \
                (Configuration.limits.waitingCalls).
                """, notStarted: true)
        }
        // Tickets of calls that ended while they waited: dropped before they outnumber the others.
        if waiting.count > 2 * limits.waitingCalls {
            waiting = CircularBuffer(waiting.filter { entries[$0]?.place == .waiting })
        }
        unsent += 1
        entries[entry.ticket] = entry
        waiting.append(entry.ticket)
        noteDue(entry.due)
        return nil
    }

    /// The next call for a connection. Follow with ``sent(_:connection:call:)``, ``finish(_:)`` or
    /// ``failed(_:_:now:using:)``.
    package mutating func takeNext() -> Entry? {
        while let ticket = waiting.popFirst() {
            // A call that ended or was parked while it waited leaves its ticket behind.
            if let entry = entries[ticket], entry.place == .waiting { return entry }
        }
        return nil
    }

    package mutating func sent(_ ticket: Ticket, connection: UInt64, call: UInt32) {
        unsent -= 1
        entries[ticket]?.place = .sent(connection: connection, call: call)
        entries[ticket]?.tokenEpoch = tokenEpoch
    }

    // MARK: What became of a call

    /// The call has its answer.
    package mutating func finish(_ ticket: Ticket) -> Entry? {
        guard let entry = remove(ticket) else { return nil }
        budget.earn()
        return entry
    }

    /// The caller has gone, or the call is not to go on.
    package mutating func remove(_ ticket: Ticket) -> Entry? {
        guard let entry = entries.removeValue(forKey: ticket) else { return nil }
        if case .sent = entry.place {} else { unsent -= 1 }
        return entry
    }

    /// Who listens for a call's progress and messages. Notes that one was delivered.
    package mutating func delivering(_ ticket: Ticket) -> Sink? {
        entries[ticket]?.hasDelivered = true
        return entries[ticket]?.sink
    }

    package mutating func failed(
        _ ticket: Ticket, _ failure: Failure, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        guard var entry = entries[ticket] else { return .none }
        switch failure {
        case .moved(let error):
            if entry.hasDelivered { return end(entry, error) }
            if entry.wasMoved { break }
            entry.wasMoved = true
            putBack(&entry, .waiting)
            return .again
        case .attempt(let error):
            if entry.hasDelivered { return end(entry, error) }
            if isTokenStale(error), entry.request?.token.isEmpty == true, canReplaceToken,
                !entry.hasFreshToken
            {
                return awaitToken(&entry)
            }
        }
        let error = failure.error
        guard error.isRetryable, entry.request != nil, entry.failures + 1 < retry.attempts,
            let pause = pause(after: error, &entry, now: now, using: &generator)
        else { return end(entry, error) }
        putBack(&entry, pause > 0 ? .parked(until: now + .nanoseconds(pause)) : .waiting)
        return .again
    }

    /// The pause before the next attempt in nanoseconds, or nil when there is no time or budget for one.
    private mutating func pause(
        after error: SluiceError, _ entry: inout Entry, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> Int64? {
        entry.failures += 1
        let luck = Double.random(in: 0..<1, using: &generator)
        let pause = max(
            retry.backoff.pause(failures: entry.failures, luck: luck),
            error.retryAfter?.nanoseconds ?? 0)
        guard now + .nanoseconds(pause) < entry.deadline, budget.spend() else { return nil }
        return pause
    }

    private mutating func end(_ entry: Entry, _ error: SluiceError) -> Verdict {
        _ = remove(entry.ticket)
        // The gateway answered: what it says about this call does not mean it is in trouble.
        if !error.isRetryable { budget.earn() }
        return .deliver(entry, error)
    }

    private mutating func putBack(_ entry: inout Entry, _ place: Place) {
        if case .sent = entry.place { unsent += 1 }
        entry.place = place
        entry.stallDeadline = nil
        entries[entry.ticket] = entry
        if place == .waiting { waiting.append(entry.ticket) }
        noteDue(entry.due)
    }

    // MARK: Tokens

    private func isTokenStale(_ error: SluiceError) -> Bool {
        error.code == .unauthenticated
            && (error.reason == Reason.tokenExpired || error.reason == Reason.tokenInactive)
    }

    private mutating func awaitToken(_ entry: inout Entry) -> Verdict {
        entry.hasFreshToken = true
        // It went out with a token that has been replaced since.
        if entry.tokenEpoch < tokenEpoch, !isReplacingToken {
            putBack(&entry, .waiting)
            return .again
        }
        putBack(&entry, .awaitingToken)
        if isReplacingToken { return .again }
        isReplacingToken = true
        return .replaceToken
    }

    /// The gateway has accepted a token: on a new connection, or instead of another.
    package mutating func tokenAccepted() {
        tokenEpoch += 1
        isReplacingToken = false
        for ticket in awaitingToken {
            guard var entry = entries[ticket] else { continue }
            putBack(&entry, .waiting)
        }
    }

    /// There is no new token: the calls that waited for it end so.
    package mutating func tokenRefused(_ error: SluiceError) -> [Entry] {
        isReplacingToken = false
        return awaitingToken.compactMap { remove($0) }
    }

    private var awaitingToken: [Ticket] {
        entries.values.lazy.filter { $0.place == .awaitingToken }.map(\.ticket).sorted()
    }

    // MARK: Time

    /// What is due: calls whose time is over, to be told so; parked calls go back to the queue.
    package mutating func due(_ now: NIODeadline) -> [(entry: Entry, error: SluiceError)] {
        guard let nextDue, now >= nextDue else { return [] }
        self.nextDue = nil
        var over: [(Entry, SluiceError)] = []
        for var entry in entries.values {
            if now >= entry.deadline {
                over.append((entry, Self.deadlinePast))
            } else if let stall = entry.stallDeadline, now >= stall {
                over.append((entry, slowReader))
            } else if case .parked(let until) = entry.place, now >= until {
                putBack(&entry, .waiting)
            } else {
                noteDue(entry.due)
            }
        }
        over.sort { $0.0.ticket < $1.0.ticket }
        for (entry, _) in over { _ = remove(entry.ticket) }
        return over
    }

    /// A stream's reader is slow, or (nil) has caught up.
    package mutating func stalled(_ ticket: Ticket, until: NIODeadline?) {
        entries[ticket]?.stallDeadline = until
        if let until { noteDue(until) }
    }

    private mutating func noteDue(_ due: NIODeadline) {
        nextDue = min(nextDue ?? due, due)
    }

    private static var deadlinePast: SluiceError {
        SluiceError(
            .deadlineExceeded, reason: Reason.deadlinePast, "The time for the call ran out.")
    }

    private var slowReader: SluiceError {
        SluiceError(
            .resourceExhausted, reason: Reason.slowReader,
            """
            The stream was not read for \(limits.slowReaderGrace) with \
            \(limits.streamBufferBytes) bytes waiting \
            (Configuration.limits.slowReaderGrace, .streamBufferBytes).
            """)
    }

    // MARK: All of them

    /// No connection could be made: what waits for one has failed an attempt.
    package mutating func connectFailed(
        _ error: SluiceError, now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> [(entry: Entry, error: SluiceError)] {
        var over: [(Entry, SluiceError)] = []
        for _ in 0..<waiting.count {
            guard let entry = takeNext() else { break }
            if case .deliver(let entry, let error) = failed(
                entry.ticket, .attempt(error), now: now, using: &generator)
            {
                over.append((entry, error))
            }
        }
        return over
    }

    /// The client has been shut down.
    package mutating func removeAll() -> [Entry] {
        defer {
            entries = [:]
            waiting.removeAll()
            unsent = 0
        }
        return entries.values.sorted { $0.ticket < $1.ticket }
    }
}

extension CallDesk.Failure {
    fileprivate var error: SluiceError {
        switch self {
        case .attempt(let error), .moved(let error): error
        }
    }
}
