import NIOCore
import SluiceClient
import Testing

/// A desk whose callers are words.
private final class DeskBench {
    var desk: CallDesk<String>
    var generator = SeededGenerator(1)

    init(_ configure: (inout SluiceClient.Configuration) -> Void = { _ in }) {
        var configuration = SluiceClient.Configuration()
        configuration.retry.backoff = .init(base: .milliseconds(100), maximum: .seconds(1))
        configure(&configuration)
        desk = CallDesk(configuration)
    }

    func submit(
        _ ticket: Ticket, deadline: Int64 = 10_000, request: CallRequest? = .init(method: .infer)
    ) -> String? {
        desk.submit(
            .init(ticket: ticket, request: request, sink: "c\(ticket)", deadline: at(deadline)))?
            .reason
    }

    /// Sends all that waits.
    func send(connection: UInt64 = 1) -> [Ticket] {
        var tickets: [Ticket] = []
        while let entry = desk.takeNext() {
            desk.sent(entry.ticket, connection: connection, call: UInt32(entry.ticket))
            tickets.append(entry.ticket)
        }
        return tickets
    }

    func fail(_ ticket: Ticket, _ error: SluiceError, at now: Int64 = 0) -> String {
        word(desk.failed(ticket, .attempt(error), now: at(now), using: &generator))
    }

    func move(_ ticket: Ticket) -> String {
        let error = SluiceError(.unavailable, "", notStarted: true)
        return word(desk.failed(ticket, .moved(error), now: at(0), using: &generator))
    }

    func remove(_ ticket: Ticket) -> CallDesk<String>.Entry? { desk.remove(ticket) }
    func finish(_ ticket: Ticket) -> CallDesk<String>.Entry? { desk.finish(ticket) }
    func delivering(_ ticket: Ticket) -> String? { desk.delivering(ticket) }
    func tokenRefused(_ error: SluiceError) -> [CallDesk<String>.Entry] {
        desk.tokenRefused(error)
    }
    func due(_ now: NIODeadline) -> [(entry: CallDesk<String>.Entry, error: SluiceError)] {
        desk.due(now)
    }

    private func word(_ verdict: CallDesk<String>.Verdict) -> String {
        switch verdict {
        case .none: "none"
        case .deliver(let entry, let error): "\(entry.sink) \(error.code)"
        case .again: "again"
        case .replaceToken: "replace token"
        }
    }
}

@Suite struct CallDeskTests {
    let unavailable = SluiceError(.unavailable, "")
    let expired = SluiceError(.unauthenticated, reason: "TOKEN_EXPIRED", "")

    @Test func callsGoInTurn() {
        let bench = DeskBench()
        for ticket in 1...3 { #expect(bench.submit(Ticket(ticket)) == nil) }
        #expect(bench.remove(2)?.sink == "c2")
        #expect(bench.send() == [1, 3])
        #expect(bench.finish(3)?.sink == "c3")
        #expect(bench.finish(3) == nil)
        #expect(bench.finish(1)?.sink == "c1")
        #expect(bench.desk.isEmpty)
    }

    @Test func onlyWhatTheProtocolAllowsIsTriedAgain() {
        for number in 1...16 {
            let code = SluiceError.Code(rawValue: number)
            let bench = DeskBench()
            _ = bench.submit(1)
            _ = bench.send()
            let plain = bench.fail(1, SluiceError(code, ""))
            #expect(plain == (code == .unavailable ? "again" : "c1 \(code)"))
            _ = bench.submit(2)
            _ = bench.send()
            #expect(bench.fail(2, SluiceError(code, "", notStarted: true)) == "again")
        }
    }

    @Test func pausesAndAttemptsEnd() {
        let bench = DeskBench { $0.retry.attempts = 3 }
        _ = bench.submit(1)
        #expect(bench.send() == [1])
        #expect(bench.fail(1, unavailable) == "again")
        #expect(bench.send() == [])
        // A pause is never longer than its ceiling.
        #expect(bench.due(at(101)).isEmpty)
        #expect(bench.send() == [1])
        #expect(bench.fail(1, unavailable, at: 101) == "again")
        #expect(bench.due(at(302)).isEmpty)
        #expect(bench.send() == [1])
        #expect(bench.fail(1, unavailable, at: 302) == "c1 UNAVAILABLE")
        #expect(bench.desk.isEmpty)
    }

    @Test func pushbackIsObeyed() {
        let bench = DeskBench()
        _ = bench.submit(1)
        _ = bench.send()
        #expect(
            bench.fail(1, SluiceError(.unavailable, "", retryAfter: .milliseconds(700))) == "again")
        _ = bench.due(at(699))
        #expect(bench.send() == [])
        _ = bench.due(at(700))
        #expect(bench.send() == [1])
    }

    @Test func neverAfterTheDeadline() {
        let bench = DeskBench()
        _ = bench.submit(1, deadline: 500)
        _ = bench.send()
        #expect(
            bench.fail(1, SluiceError(.unavailable, "", retryAfter: .milliseconds(500)))
                == "c1 UNAVAILABLE")
    }

    @Test func theBudgetEnds() {
        let bench = DeskBench {
            $0.retry.budgetReserve = 2
            $0.retry.budgetRatio = 0
        }
        for ticket in 1...3 { _ = bench.submit(Ticket(ticket)) }
        _ = bench.send()
        #expect(
            (1...3).map { bench.fail(Ticket($0), unavailable) }
                == ["again", "again", "c3 UNAVAILABLE"])
    }

    @Test func aDeadlineIsKeptWhereverTheCallIs() {
        let bench = DeskBench { $0.token = .provider { "" } }
        _ = bench.submit(1, deadline: 100)  // sent
        _ = bench.submit(2, deadline: 100)  // parked
        _ = bench.submit(3, deadline: 100)  // awaiting a token
        _ = bench.send()
        _ = bench.submit(4, deadline: 100)  // waiting
        _ = bench.submit(5, deadline: 101)
        _ = bench.fail(2, SluiceError(.unavailable, "", retryAfter: .milliseconds(99)))
        #expect(bench.fail(3, expired) == "replace token")
        #expect(bench.desk.nextDue.map { $0 <= at(100) } == true)
        #expect(bench.due(at(98)).isEmpty)
        let over = bench.due(at(100))
        #expect(over.map(\.entry.sink) == ["c1", "c2", "c3", "c4"])
        #expect(over.allSatisfy { $0.error.code == .deadlineExceeded })
        #expect(over[0].entry.place == .sent(connection: 1, call: 1))
        #expect(bench.due(at(101)).map(\.entry.sink) == ["c5"])
        #expect(bench.desk.nextDue == nil)
    }

    @Test func goAwayMovesACallOnceForFree() {
        let bench = DeskBench { $0.retry = .never }
        _ = bench.submit(1)
        _ = bench.send()
        #expect(bench.move(1) == "again")
        #expect(bench.send(connection: 2) == [1])
        #expect(bench.move(1) == "c1 UNAVAILABLE")
    }

    @Test func aStreamThatBroughtAMessageEnds() {
        let bench = DeskBench()
        _ = bench.submit(1)
        _ = bench.submit(2)
        _ = bench.send()
        #expect(bench.delivering(1) == "c1")
        #expect(bench.fail(1, unavailable) == "c1 UNAVAILABLE")
        #expect(bench.delivering(2) == "c2")
        #expect(bench.move(2) == "c2 UNAVAILABLE")
    }

    @Test func theTokenIsReplacedOnceForAll() {
        let bench = DeskBench { $0.token = .provider { "" } }
        for ticket in 1...3 { _ = bench.submit(Ticket(ticket)) }
        _ = bench.send()
        #expect(bench.fail(1, expired) == "replace token")
        #expect(bench.fail(2, expired) == "again")
        bench.desk.tokenAccepted()
        #expect(bench.send() == [1, 2])
        // Sent with the token before: tried with the new one at once.
        #expect(bench.fail(3, expired) == "again")
        #expect(bench.send() == [3])
        // The fresh token is no good either.
        #expect(bench.fail(1, expired) == "c1 UNAUTHENTICATED")
        #expect(!bench.desk.isReplacingToken)
    }

    @Test func aRefusedTokenEndsWhoWaitedForIt() {
        let bench = DeskBench { $0.token = .provider { "" } }
        for ticket in 1...2 { _ = bench.submit(Ticket(ticket)) }
        _ = bench.send()
        #expect(bench.fail(1, expired) == "replace token")
        #expect(bench.tokenRefused(expired).map(\.sink) == ["c1"])
        #expect(bench.finish(2)?.sink == "c2")
        #expect(bench.desk.isEmpty)
    }

    @Test func aFixedTokenAndAnotherCallersTokenAreNotReplaced() {
        let bench = DeskBench { $0.token = .token("t") }
        _ = bench.submit(1)
        _ = bench.send()
        #expect(bench.fail(1, expired) == "c1 UNAUTHENTICATED")
        let provided = DeskBench { $0.token = .provider { "" } }
        var request = CallRequest(method: .infer)
        request.token = "another"
        _ = provided.submit(1, request: request)
        _ = provided.send()
        #expect(provided.fail(1, expired) == "c1 UNAUTHENTICATED")
        _ = provided.submit(2)
        _ = provided.send()
        #expect(
            provided.fail(2, SluiceError(.unauthenticated, reason: "TOKEN_MISSING", ""))
                == "c2 UNAUTHENTICATED")
    }

    @Test func noConnectionFailsWhatWaits() {
        let bench = DeskBench { $0.retry.attempts = 2 }
        _ = bench.submit(1)
        _ = bench.submit(2, request: nil)
        let refused = SluiceError(.unavailable, "", notStarted: true)
        var over = bench.desk.connectFailed(refused, now: at(0), using: &bench.generator)
        #expect(over.map(\.entry.sink) == ["c2"])
        _ = bench.due(at(200))
        over = bench.desk.connectFailed(refused, now: at(200), using: &bench.generator)
        #expect(over.map(\.entry.sink) == ["c1"])
        #expect(bench.desk.isEmpty)
    }

    @Test func waitingCallsAreBounded() {
        let bench = DeskBench { $0.limits.waitingCalls = 2 }
        #expect(bench.submit(1) == nil)
        #expect(bench.submit(2) == nil)
        #expect(bench.submit(3) == "WAITING_CALLS_FULL")
        #expect(bench.send() == [1, 2])
        #expect(bench.submit(4) == nil)
        // Those that give up leave no trace, however many.
        for ticket in Ticket(10)..<1_000 {
            #expect(bench.submit(ticket) == nil)
            #expect(bench.remove(ticket) != nil)
        }
        #expect(bench.submit(5) == nil)
        #expect(bench.submit(6) == "WAITING_CALLS_FULL")
        #expect(bench.send() == [4, 5])
    }

    @Test func aSlowReaderLosesItsStream() {
        let bench = DeskBench()
        _ = bench.submit(1)
        _ = bench.submit(2)
        _ = bench.send()
        bench.desk.stalled(1, until: at(50))
        bench.desk.stalled(2, until: at(50))
        bench.desk.stalled(2, until: nil)
        let over = bench.due(at(50))
        #expect(over.map(\.entry.sink) == ["c1"])
        #expect(over.map(\.error.reason) == ["SLOW_READER"])
    }

    /// Whatever happens in whatever order, each call ends once and nothing is left.
    @Test(arguments: UInt64(1)...60)
    func randomWalk(_ seed: UInt64) {
        var generator = SeededGenerator(seed)
        let bench = DeskBench {
            $0.token = .provider { "" }
            $0.limits.waitingCalls = 30
            $0.retry.budgetReserve = 10
        }
        var ended: [String: Int] = [:]
        var submitted = 0
        var now: Int64 = 0
        let errors = [
            unavailable, expired, SluiceError(.notFound, ""),
            SluiceError(.resourceExhausted, "", retryAfter: .milliseconds(40), notStarted: true),
        ]
        for step in 1...600 {
            now += Int64.random(in: 0...30, using: &generator)
            let sent = bench.desk.entries.values.filter {
                if case .sent = $0.place { true } else { false }
            }.map(\.ticket).sorted()
            switch Int.random(in: 0..<9, using: &generator) {
            case 0, 1, 2:
                submitted += 1
                let entry = CallDesk<String>.Entry(
                    ticket: Ticket(step), request: CallRequest(method: .infer), sink: "c\(step)",
                    deadline: at(now + Int64.random(in: 1...2_000, using: &generator)))
                if bench.desk.submit(entry) != nil { ended["c\(step)", default: 0] += 1 }
            case 3: _ = bench.send(connection: 1)
            case 4:
                guard let ticket = sent.randomElement(using: &generator) else { continue }
                if let entry = bench.finish(ticket) { ended[entry.sink, default: 0] += 1 }
            case 5:
                guard let ticket = sent.randomElement(using: &generator),
                    let error = errors.randomElement(using: &generator)
                else { continue }
                let failure: CallDesk<String>.Failure =
                    Bool.random(using: &generator) ? .attempt(error) : .moved(error)
                if case .deliver(let entry, _) = bench.desk.failed(
                    ticket, failure, now: at(now), using: &generator)
                {
                    ended[entry.sink, default: 0] += 1
                }
            case 6:
                if Bool.random(using: &generator) {
                    bench.desk.tokenAccepted()
                } else {
                    for entry in bench.tokenRefused(expired) {
                        ended[entry.sink, default: 0] += 1
                    }
                }
            case 7:
                for over in bench.due(at(now)) { ended[over.entry.sink, default: 0] += 1 }
                #expect(bench.desk.entries.values.allSatisfy { $0.due > at(now) })
            default:
                for over in bench.desk.connectFailed(
                    unavailable, now: at(now), using: &generator)
                {
                    ended[over.entry.sink, default: 0] += 1
                }
            }
            let due = bench.desk.entries.values.map(\.due).min()
            if let due { #expect(bench.desk.nextDue.map { $0 <= due } == true, "seed \(seed)") }
        }
        for entry in bench.desk.removeAll() { ended[entry.sink, default: 0] += 1 }
        #expect(ended.count == submitted, "seed \(seed)")
        #expect(ended.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        #expect(bench.desk.isEmpty)
    }
}

private final class LinkBench {
    var link: LinkMachine
    init(_ backoff: SluiceClient.Configuration.Backoff) { link = LinkMachine(backoff) }

    var state: LinkMachine.State { link.state }
    var due: NIODeadline? { link.due }
    func isDialing(_ id: UInt64) -> Bool { link.isDialing(id) }
    func wish(_ now: NIODeadline) -> UInt64? { link.wish(now) }
    func connected(_ id: UInt64, now: NIODeadline) -> Bool { link.connected(id, now: now) }
    func failed(_ id: UInt64, now: NIODeadline, luck: Double) -> Bool {
        link.failed(id, now: now, luck: luck)
    }
    func goesAway(_ id: UInt64) { link.goesAway(id) }
    func lost(_ id: UInt64, now: NIODeadline, luck: Double) { link.lost(id, now: now, luck: luck) }
    func stop() { link.stop() }
}

@Suite struct LinkMachineTests {
    let backoff = SluiceClient.Configuration.Backoff(base: .milliseconds(100), maximum: .seconds(1))

    @Test func connectsOnAWishAndOnce() {
        let link = LinkBench(backoff)
        #expect(link.wish(at(0)) == 1)
        #expect(link.wish(at(0)) == nil)
        #expect(link.connected(1, now: at(5)))
        #expect(link.state == .ready(1))
        #expect(link.wish(at(6)) == nil)
    }

    @Test func failuresPauseLongerAndLonger() {
        let link = LinkBench(backoff)
        var now: Int64 = 0
        for pause in [100, 200, 400, 800, 1_000, 1_000] as [Int64] {
            guard let id = link.wish(at(now)) else {
                Issue.record("no attempt at \(now)")
                return
            }
            #expect(link.failed(id, now: at(now), luck: 1))
            #expect(!link.failed(id, now: at(now), luck: 1))
            #expect(link.due == at(now + pause))
            #expect(link.wish(at(now + pause - 1)) == nil)
            now += pause
        }
    }

    @Test func aConnectionThatHeldIsReplacedAtOnce() {
        let link = LinkBench(backoff)
        _ = link.wish(at(0))
        _ = link.connected(1, now: at(0))
        link.lost(1, now: at(5_000), luck: 1)
        #expect(link.state == .idle)
        #expect(link.wish(at(5_000)) == 2)
    }

    @Test func aConnectionThatIsDroppedAtOnceCountsAsFailure() {
        let link = LinkBench(backoff)
        for (id, pause) in [(UInt64(1), Int64(100)), (2, 200), (3, 400)] {
            let now = Int64(id) * 10_000
            #expect(link.wish(at(now)) == id)
            #expect(link.connected(id, now: at(now)))
            link.lost(id, now: at(now + 10), luck: 1)
            #expect(link.due == at(now + 10 + pause))
        }
    }

    @Test func goingAwayMakesRoomForTheNext() {
        let link = LinkBench(backoff)
        _ = link.wish(at(0))
        _ = link.connected(1, now: at(0))
        link.goesAway(1)
        #expect(link.wish(at(1)) == 2)
        // The old one's end changes nothing.
        link.lost(1, now: at(2), luck: 1)
        #expect(link.isDialing(2))
        #expect(!link.connected(1, now: at(3)))
    }

    @Test func stoppedIsStopped() {
        let link = LinkBench(backoff)
        _ = link.wish(at(0))
        link.stop()
        #expect(!link.connected(1, now: at(0)))
        #expect(!link.failed(1, now: at(0), luck: 1))
        #expect(link.wish(at(9_999)) == nil)
    }
}
