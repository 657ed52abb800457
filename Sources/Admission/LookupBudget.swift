// How many unknown tokens may be asked about, by address and in all: a flood of random tokens never reaches an issuer.

package import Contract

/// The budget of look-ups of tokens that were not known active before. A look-up that finds an active token is given
/// back to its address: many good callers behind one address (NAT) are only held to the burst, and bad ones to the rate.
package struct LookupBudget: Sendable {
    package enum Refusal: Sendable, Equatable {
        case address(wait: Nanoseconds)
        case all(wait: Nanoseconds)
    }

    private var addresses: BucketTable<String>?
    private let rate: Rate?
    private var all = TokenBucket()

    /// - Parameters:
    ///   - perAddress: nil: as many as come.
    ///   - inAll: nil: as many as come.
    package init(perAddress: Rate?, inAll: Rate?, addressesMax: Int) {
        addresses = perAddress.map { BucketTable(rate: $0, keysMax: addressesMax) }
        rate = inAll
    }

    /// Takes one look-up, or says why not and takes nothing.
    package mutating func take(_ address: String, at now: Instant) -> Refusal? {
        if let wait = addresses?.take(for: address, at: now) { return .address(wait: wait) }
        if let rate, let wait = all.take(at: now, rate: rate) {
            addresses?.giveBack(for: address)
            return .all(wait: wait)
        }
        return nil
    }

    /// The token was active: whoever shows such tokens is no flood.
    package mutating func giveBack(_ address: String) { addresses?.giveBack(for: address) }

    /// What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 one, which one caller has to itself.
    package static func block(of address: String) -> String {
        guard address.utf8.contains(UInt8(ascii: ":")) else { return address }
        let plain = address.prefix { $0 != "%" }
        if let last = plain.split(separator: ":").last, last.contains(".") {
            // IPv4-mapped.
            return String(last)
        }
        guard let gap = plain.firstRange(of: "::") else {
            return plain.split(separator: ":").prefix(4).joined(separator: ":") + "/64"
        }
        let front = plain[..<gap.lowerBound].split(separator: ":")
        let back = plain[gap.upperBound...].split(separator: ":")
        let zeros = max(0, 8 - front.count - back.count)
        let groups = front + [Substring](repeating: "0", count: zeros) + back
        return groups.prefix(4).joined(separator: ":") + "/64"
    }
}
