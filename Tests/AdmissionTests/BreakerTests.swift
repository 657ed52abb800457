// When an issuer is asked no more, and when again; and what a flood of unknown tokens may ask.

import Admission
import Contract
import Testing

private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

private let down = CallFailure(.unavailable, .issuerUnavailable, "down")

@Suite struct BreakerTests {
    @Test func fiveFailuresInARowOpenAndOneProbeCloses() {
        var breaker = Breaker()
        for _ in 0..<4 { breaker.note(down, isProbe: false, at: at(1)) }
        #expect(breaker.permit(at: at(1)) == .granted)
        breaker.note(down, isProbe: false, at: at(1))
        #expect(breaker.phase == .open && breaker.refusal(at: at(1)) == .milliseconds(500))
        #expect(breaker.permit(at: at(1.5)) == .probe)
        #expect(breaker.refusal(at: at(1.6)) != nil, "one probe at a time")
        breaker.note(down, isProbe: true, at: at(2))
        #expect(breaker.refusal(at: at(2)) == .seconds(1), "twice as long")
        #expect(breaker.permit(at: at(3)) == .probe)
        breaker.note(nil, isProbe: true, at: at(3))
        #expect(breaker == Breaker())
    }

    @Test func moreThanHalfOfTwentyOpen() {
        var breaker = Breaker()
        for number in 0..<20 {
            #expect(breaker.phase == .closed)
            breaker.note(number % 2 == 0 ? nil : down, isProbe: false, at: at(1))
        }
        #expect(breaker.phase == .closed, "half is not more than half")
        breaker.note(down, isProbe: false, at: at(1))
        breaker.note(down, isProbe: false, at: at(1))
        #expect(breaker.phase == .open)
    }

    @Test func theLongestPauseIsTenSeconds() {
        var breaker = Breaker()
        for _ in 0..<5 { breaker.note(down, isProbe: false, at: at(0)) }
        var now = 0.0
        for _ in 0..<10 {
            now += 10
            #expect(breaker.permit(at: at(now)) == .probe)
            breaker.note(down, isProbe: true, at: at(now))
        }
        #expect(breaker.refusal(at: at(now)) == .seconds(10))
    }

    @Test func itRemembersWhyItOpened() {
        let refused = CallFailure(.unavailable, .issuerRefused, "401")
        var breaker = Breaker()
        for _ in 0..<4 { breaker.note(down, isProbe: false, at: at(1)) }
        breaker.note(refused, isProbe: false, at: at(1))
        #expect(breaker.phase == .open && breaker.lastFailure == refused)
        // What was asked before it opened and comes late changes nothing.
        breaker.note(down, isProbe: false, at: at(1.1))
        breaker.note(nil, isProbe: false, at: at(1.1))
        #expect(breaker.phase == .open && breaker.lastFailure == refused)
        #expect(breaker.permit(at: at(2)) == .probe)
        breaker.note(down, isProbe: true, at: at(2))
        #expect(breaker.lastFailure == down)
    }

    /// Anything in any order, beside a model that keeps whole histories.
    @Test func randomWalkAgainstANaiveModel() {
        for _ in 0..<50 {
            let seed = UInt64.random(in: 0..<1_000_000)
            var random = SplitMix(seed: seed)
            // Some issuers are worse than others.
            let failing = random.next() % 100
            var breaker = Breaker()
            var model = NaiveBreaker()
            var now: UInt64 = 1_000_000_000
            var openings = 0
            for step in 0..<2_000 {
                now += random.next() % 400_000_000
                let instant = Instant(nanoseconds: now)
                switch random.next() % 8 {
                case 0, 1, 2:
                    let permit = breaker.permit(at: instant)
                    #expect(permit == model.permit(now), "seed \(seed) step \(step)")
                case 3:
                    breaker.abandonProbe(at: instant)
                    model.abandon(now)
                default:
                    let failed = random.next() % 100 < failing
                    let isProbe = model.isProbing && random.next() % 2 == 0
                    let before = breaker.phase
                    breaker.note(failed ? down : nil, isProbe: isProbe, at: instant)
                    model.note(failed: failed, isProbe: isProbe, now)
                    if before != .open, breaker.phase == .open { openings += 1 }
                }
                #expect(breaker.phase == model.phase, "seed \(seed) step \(step)")
                #expect(
                    breaker.refusal(at: instant) == model.refusal(now), "seed \(seed) step \(step)")
            }
            #expect(failing < 60 || openings > 0, "seed \(seed)")
        }
    }
}

/// What ``Breaker`` is meant to do, with everything kept and nothing clever. Instants are nanoseconds.
private struct NaiveBreaker {
    /// Since it was closed; true is a failure.
    var history: [Bool] = []
    var openedAt: UInt64?
    var pauses: [UInt64] = [500_000_000]
    var isProbing = false

    var phase: Breaker.Phase { isProbing ? .halfOpen : openedAt == nil ? .closed : .open }

    func refusal(_ now: UInt64) -> Nanoseconds? {
        if isProbing { return .milliseconds(500) }
        guard let openedAt, let pause = pauses.last, now < openedAt + pause else { return nil }
        return Nanoseconds(openedAt + pause - now)
    }

    mutating func permit(_ now: UInt64) -> Breaker.Permit {
        if phase == .closed { return .granted }
        if let wait = refusal(now) { return .refused(wait: wait) }
        isProbing = true
        return .probe
    }

    mutating func note(failed: Bool, isProbe: Bool, _ now: UInt64) {
        if phase == .closed {
            history.append(failed)
            let fiveInARow = history.count >= 5 && history.suffix(5).allSatisfy { $0 }
            let ofTwenty = history.count >= 20 ? history.suffix(20).count { $0 } : 0
            if fiveInARow || ofTwenty > 10 { openedAt = now }
        } else if isProbing, isProbe {
            isProbing = false
            history = []
            openedAt = failed ? now : nil
            pauses =
                failed ? pauses + [min(10_000_000_000, pauses.reduce(0, max) * 2)] : [500_000_000]
        }
    }

    mutating func abandon(_ now: UInt64) {
        guard isProbing else { return }
        isProbing = false
        openedAt = now
    }
}

@Suite struct LookupBudgetTests {
    @Test func badTokensAreHeldToTheRateAndGoodOnesAreNot() {
        var budget = LookupBudget(
            perAddress: Rate(20, per: .seconds(1), burst: 10), inAll: nil, addressesMax: 100)
        for _ in 0..<10 { #expect(budget.take("a", at: at(1)) == nil) }
        #expect(budget.take("a", at: at(1)) == .address(wait: .milliseconds(50)))
        #expect(budget.take("b", at: at(1)) == nil)
        // Ten of them were active: another ten may come at once.
        for _ in 0..<10 { budget.giveBack("a") }
        for _ in 0..<10 { #expect(budget.take("a", at: at(1)) == nil) }
        #expect(budget.take("a", at: at(1)) != nil)
    }

    @Test func inAllIsABoundForManyAddresses() {
        var budget = LookupBudget(
            perAddress: Rate(20, per: .seconds(1)), inAll: Rate(5, per: .seconds(1)),
            addressesMax: 100)
        var asked = 0
        for number in 0..<100 where budget.take("\(number)", at: at(1)) == nil { asked += 1 }
        #expect(asked == 5)
        #expect(budget.take("x", at: at(1)) == .all(wait: .milliseconds(200)))
    }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2/64"),
        ("2001:db8::1", "2001:db8:0:0/64"), ("::1", "0:0:0:0/64"), ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80:0:0:0/64"), ("", ""),
    ])
    func oneCallersAddressesAreOne(address: String, block: String) {
        #expect(LookupBudget.block(of: address) == block)
    }
}
