// Where a connection comes from, as a number: what lists of addresses and limits per address compare. Before TLS.

import NIOCore

/// An IPv6 address, or an IPv4 address as the IPv6 one that stands for it (RFC 4291 section 2.5.5.2): a listener on `::`
/// sees IPv4 callers so, and they count as what they are.
package struct NetworkAddress: Sendable, Hashable {
    /// The first and the last 8 bytes.
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter v4: Four bytes, the first the most significant.
    package init(v4: UInt32) { self.init(high: 0, low: 0xFFFF << 32 | UInt64(v4)) }

    package var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// What a limit per address counts: an IPv4 address, or an IPv6 network of 64 bits, which one caller has whole.
    package var counted: NetworkAddress { isV4 ? self : NetworkAddress(high: high, low: 0) }

    /// Numeric text; an IPv6 address may have a zone (`%eth0`), which says nothing about the peer.
    package init?(_ text: String) {
        let body = text.prefix { $0 != "%" }
        if body.utf8.contains(UInt8(ascii: ":")) {
            self.init(v6: body)
        } else {
            guard let number = NetworkAddress.v4(body) else { return nil }
            self.init(v4: number)
        }
    }

    private static func v4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            // A leading zero means octal to some readers and decimal to others.
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ 48...57 ~= $0 }),
                part.utf8.count == 1 || part.first != "0", let byte = UInt8(part)
            else { return nil }
            number = number << 8 | UInt32(byte)
        }
        return number
    }

    private init?(v6 text: Substring) {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2,
            let head = NetworkAddress.groups(halves[0], isLast: halves.count == 1)
        else { return nil }
        var groups = head
        if halves.count == 2 {
            guard let tail = NetworkAddress.groups(halves[1], isLast: true),
                head.count + tail.count < 8
            else { return nil }
            groups += Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        }
        guard groups.count == 8 else { return nil }
        func join(_ part: ArraySlice<UInt16>) -> UInt64 {
            part.reduce(0) { $0 << 16 | UInt64($1) }
        }
        self.init(high: join(groups[..<4]), low: join(groups[4...]))
    }

    private static func groups(_ text: Substring, isLast: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.utf8.contains(UInt8(ascii: ".")) {
                guard let number = v4(part) else { return nil }
                groups += [UInt16(number >> 16), UInt16(number & 0xFFFF)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 < 128 }),
                    part.first != "+", let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }
}

extension NetworkAddress: CustomStringConvertible {
    /// As the system writes it: `10.0.0.1`, `2001:db8::1`.
    package var description: String {
        if isV4 {
            return (0..<4).map { String(low >> UInt64(24 - 8 * $0) & 0xFF) }.joined(separator: ".")
        }
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(high, low)
        let written = try? SocketAddress(packedIPAddress: bytes, port: 0).ipAddress
        return written ?? "\(String(high, radix: 16))/\(String(low, radix: 16))"
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`; an address alone is itself only.
package struct AddressBlock: Sendable, Hashable {
    private let base: NetworkAddress
    /// Of the 128 that the addresses have.
    private let bits: Int

    /// Nil for what is no block, and for one whose address has bits behind its length: it would not be what was meant.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), !text.contains("%"),
            let address = NetworkAddress(String(parts[0]))
        else { return nil }
        let isWrittenV4 = !parts[0].contains(":")
        var bits = 128
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count),
                parts[1].utf8.allSatisfy({ 48...57 ~= $0 }), let length = Int(parts[1]),
                length <= (isWrittenV4 ? 32 : 128)
            else { return nil }
            bits = isWrittenV4 ? 96 + length : length
        }
        base = address
        self.bits = bits
        guard AddressBlock.cut(address, bits) == address else { return nil }
    }

    package func contains(_ address: NetworkAddress) -> Bool {
        AddressBlock.cut(address, bits) == base
    }

    private static func cut(_ address: NetworkAddress, _ bits: Int) -> NetworkAddress {
        func mask(_ bits: Int) -> UInt64 {
            bits <= 0 ? 0 : bits >= 64 ? .max : ~(UInt64.max >> UInt64(bits))
        }
        return NetworkAddress(high: address.high & mask(bits), low: address.low & mask(bits - 64))
    }
}
