// How often one address may ask the authorization server, and how often it may be wrong.

package import Contract
import Synchronization

/// Shared by all connections. Each lock is held for a look-up.
package final class RequestBudget: Sendable {
    private struct Buckets {
        var requests: BucketTable<String>
        var failures: BucketTable<String>
    }

    private let buckets: Mutex<Buckets>

    /// - Parameter failures: wrong secrets of one address: whoever guesses is slowed down long before a guess is right.
    package init(requests: Rate, failures: Rate, addressesMax: Int = 16_384) {
        buckets = Mutex(
            Buckets(
                requests: BucketTable(rate: requests, keysMax: addressesMax),
                failures: BucketTable(rate: failures, keysMax: addressesMax)))
    }

    /// nil, or how long this address has to wait.
    func enter(_ address: String, now: Instant) -> Nanoseconds? {
        let key = RequestBudget.key(address)
        return buckets.withLock { $0.requests.take(for: key, at: now) }
    }

    /// Before a secret is looked at. nil, or how long this address has to wait after its wrong ones.
    func guess(_ address: String, now: Instant) -> Nanoseconds? {
        let key = RequestBudget.key(address)
        return buckets.withLock { $0.failures.wait(for: key, at: now) }
    }

    /// The secret was wrong.
    func failed(_ address: String, now: Instant) {
        let key = RequestBudget.key(address)
        buckets.withLock { _ = $0.failures.take(for: key, at: now) }
    }

    /// The address, or the first half of an IPv6 address: who has one of its addresses has them all.
    package static func key(_ address: String) -> String {
        guard address.contains(":") else { return address }
        let halves = address.prefix { $0 != "%" }.split(
            separator: "::", maxSplits: 1, omittingEmptySubsequences: false)
        var groups = halves[0].split(separator: ":").map(String.init)
        if halves.count == 2 {
            let behind = halves[1].split(separator: ":").count
            groups += Array(repeating: "0", count: max(0, 8 - groups.count - behind))
        }
        // An IPv4 address in IPv6's clothes counts whole.
        if halves.first == "", address.hasPrefix("::ffff:") { return String(address.dropFirst(7)) }
        return groups.prefix(4).joined(separator: ":")
    }
}
