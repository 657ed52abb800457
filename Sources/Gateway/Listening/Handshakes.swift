// How many TLS handshakes begin and are under way: they are what a stranger can make the gateway work for.

import Contract
import NIOCore
import Synchronization

/// What is under way, oldest first, bounded: whoever comes when it is full takes the place of the oldest. An honest
/// handshake takes milliseconds, one that is meant to hold a place grows old.
package struct UnderWay<Element: Sendable>: Sendable {
    package var countMax: Int
    private var elements: [UInt64: Element] = [:]
    /// In the order of entering; numbers that have left are still here until they are first.
    private var order: [UInt64] = []
    private var first = 0
    private var next: UInt64 = 0

    package init(countMax: Int) { self.countMax = max(1, countMax) }

    package var count: Int { elements.count }
    /// For the test of its bound.
    package var orderCount: Int { order.count }

    /// Takes one in. Returns its number, and who has to go for it.
    package mutating func enter(_ element: Element) -> (number: UInt64, evicted: Element?) {
        let evicted = elements.count >= countMax ? removeOldest() : nil
        next += 1
        elements[next] = element
        order.append(next)
        tidy()
        return (next, evicted)
    }

    /// False when it had left before.
    @discardableResult
    package mutating func leave(_ number: UInt64) -> Bool {
        elements.removeValue(forKey: number) != nil
    }

    private mutating func removeOldest() -> Element? {
        while first < order.count {
            first += 1
            if let element = elements.removeValue(forKey: order[first - 1]) { return element }
        }
        return nil
    }

    /// The list is made anew when more than half of it has left: each entry pays for one step.
    private mutating func tidy() {
        guard order.count > 2 * elements.count + 64 else { return }
        order = order[first...].filter { elements[$0] != nil }
        first = 0
    }
}

/// How handshakes ended, since the gateway started.
struct HandshakeCounts: Sendable, Equatable {
    var full: UInt64 = 0
    /// By a ticket.
    var resumed: UInt64 = 0
    /// Or given up, or too slow, or in the way of newer ones.
    var failed: UInt64 = 0
    /// Did not begin: their address had had its share.
    var refused: UInt64 = 0
}

/// The gateway's handshakes: a rate for each address, and a bound on those that are not done. May be used from any thread.
final class Handshakes: Sendable {
    private struct State {
        var rates: BucketTable<NetworkAddress>?
        var underWay: UnderWay<any Channel>
        var counts = HandshakeCounts()
    }

    /// Addresses that are told apart.
    static let addressesMax = 65_536

    private let state: Mutex<State>

    init(limits: Limits) {
        state = Mutex(
            State(
                rates: Handshakes.rates(limits), underWay: UnderWay(countMax: limits.handshakes)))
    }

    /// New settings. Addresses begin with a full bucket when the rate has changed; what is under way stays.
    func apply(_ new: Limits, insteadOf old: Limits) {
        state.withLock {
            if new.handshakesPerAddress != old.handshakesPerAddress {
                $0.rates = Handshakes.rates(new)
            }
            $0.underWay.countMax = max(1, new.handshakes)
        }
    }

    private static func rates(_ limits: Limits) -> BucketTable<NetworkAddress>? {
        let perSecond = UInt64(max(0, limits.handshakesPerAddress))
        // As many again as four seconds give may come at once: a client opens its connections together.
        return perSecond == 0
            ? nil
            : BucketTable(
                rate: Rate(perSecond, per: .seconds(1), burst: 4 * perSecond),
                keysMax: Handshakes.addressesMax)
    }

    /// Lets a handshake begin; nil when the address has had its share. It is over with ``succeed(_:resumed:)`` or the channel.
    func begin(
        _ channel: any Channel, from address: NetworkAddress?, at now: Instant
    ) -> UInt64? {
        let (number, evicted) = state.withLock { state -> (UInt64?, (any Channel)?) in
            if let address, state.rates?.take(for: address.counted, at: now) != nil {
                state.counts.refused += 1
                return (nil, nil)
            }
            let entered = state.underWay.enter(channel)
            if entered.evicted != nil { state.counts.failed += 1 }
            return (entered.number, entered.evicted)
        }
        evicted?.close(promise: nil)
        guard let number else { return nil }
        channel.closeFuture.whenComplete { [weak self] _ in self?.end(number) }
        return number
    }

    /// It is done.
    func succeed(_ number: UInt64, resumed: Bool) {
        state.withLock { state in
            guard state.underWay.leave(number) else { return }
            if resumed { state.counts.resumed += 1 } else { state.counts.full += 1 }
        }
    }

    /// The connection has ended; one whose handshake was done is none of ours any more.
    private func end(_ number: UInt64) {
        state.withLock { if $0.underWay.leave(number) { $0.counts.failed += 1 } }
    }

    var counts: HandshakeCounts { state.withLock { $0.counts } }

    var count: Int { state.withLock { $0.underWay.count } }
}
