// When an issuer is asked no more, and when again; and what a flood of unknown tokens may ask.

import Admission
import Contract
import Testing

private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

@Suite struct BreakerTests {
    @Test func fiveFailuresInARowOpenAndOneProbeCloses() {
        var breaker = Breaker()
        for _ in 0..<4 { breaker.note(answered: false, isProbe: false, at: at(1)) }
        #expect(breaker.permit(at: at(1)) == .granted)
        breaker.note(answered: false, isProbe: false, at: at(1))
        #expect(breaker.phase == .open && breaker.refusal(at: at(1)) == .milliseconds(500))
        #expect(breaker.permit(at: at(1.5)) == .probe)
        #expect(breaker.refusal(at: at(1.6)) != nil, "one probe at a time")
        breaker.note(answered: false, isProbe: true, at: at(2))
        #expect(breaker.refusal(at: at(2)) == .seconds(1), "twice as long")
        #expect(breaker.permit(at: at(3)) == .probe)
        breaker.note(answered: true, isProbe: true, at: at(3))
        #expect(breaker == Breaker())
    }

    @Test func moreThanHalfOfTwentyOpen() {
        var breaker = Breaker()
        for number in 0..<20 {
            #expect(breaker.phase == .closed)
            breaker.note(answered: number % 2 == 0, isProbe: false, at: at(1))
        }
        #expect(breaker.phase == .closed, "half is not more than half")
        breaker.note(answered: false, isProbe: false, at: at(1))
        breaker.note(answered: false, isProbe: false, at: at(1))
        #expect(breaker.phase == .open)
    }

    @Test func theLongestPauseIsTenSeconds() {
        var breaker = Breaker()
        for _ in 0..<5 { breaker.note(answered: false, isProbe: false, at: at(0)) }
        var now = 0.0
        for _ in 0..<10 {
            now += 10
            #expect(breaker.permit(at: at(now)) == .probe)
            breaker.note(answered: false, isProbe: true, at: at(now))
        }
        #expect(breaker.refusal(at: at(now)) == .seconds(10))
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
