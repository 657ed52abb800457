// The PROXY protocol, version 2: who the caller behind a load balancer is. A value: bytes in, verdict out.

package import NIOCore

/// The header that a proxy sends before everything else (The PROXY protocol, section 2.2, binary form). Version 1, which is
/// text, is refused.
package enum ProxyHeader: Sendable, Equatable {
    /// The proxy speaks for itself: a health check.
    case local
    /// TCP over IPv4 or IPv6.
    case caller(NetworkAddress, port: UInt16)

    package enum Reading: Sendable, Equatable {
        /// Not all of it is there.
        case more
        case whole(ProxyHeader, byteCount: Int)
        /// What is wrong, after "a PROXY header".
        case refused(StaticWords)
    }

    /// Reasons, all known beforehand: nothing of the peer's is repeated.
    package enum StaticWords: String, Sendable, Equatable {
        case signature = "is missing or not of version 2"
        case version = "has an unknown version or command"
        case family = "is for another protocol than TCP over IPv4 or IPv6"
        case length = "is too long or too short for its addresses"
        case extensions = "has extensions that do not fit its length"
    }

    package static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    package static let headBytes = 16
    /// The longest header that is taken, extensions included. Proxies send some hundred bytes.
    package static let bytesMax = 4_096

    /// Looks at the beginning of a connection's bytes. Refuses at the first byte that is wrong.
    package static func read(_ bytes: ByteBuffer) -> Reading {
        let start = bytes.readerIndex
        func byte(_ offset: Int) -> UInt8? { bytes.getInteger(at: start + offset) }
        for (offset, expected) in signature.enumerated() {
            guard let found = byte(offset) else { return .more }
            if found != expected { return .refused(.signature) }
        }
        guard let command = byte(12) else { return .more }
        guard command == 0x20 || command == 0x21 else { return .refused(.version) }
        guard let family = byte(13) else { return .more }
        let addressBytes: Int
        switch (command, family) {
        // What a proxy says of itself is skipped, whatever it is.
        case (0x20, _): addressBytes = 0
        case (_, 0x11): addressBytes = 12
        case (_, 0x21): addressBytes = 36
        default: return .refused(.family)
        }
        guard let length = bytes.getInteger(at: start + 14, as: UInt16.self) else { return .more }
        let count = headBytes + Int(length)
        guard count <= bytesMax, Int(length) >= addressBytes else { return .refused(.length) }
        guard bytes.readableBytes >= count else { return .more }
        if command == 0x20 { return .whole(.local, byteCount: count) }
        guard extensionsFit(bytes, from: start + headBytes + addressBytes, to: start + count)
        else { return .refused(.extensions) }
        return caller(bytes, at: start + headBytes, isV4: family == 0x11).map {
            .whole($0, byteCount: count)
        } ?? .refused(.length)
    }

    private static func caller(_ bytes: ByteBuffer, at start: Int, isV4: Bool) -> ProxyHeader? {
        if isV4 {
            guard let address = bytes.getInteger(at: start, as: UInt32.self),
                let port = bytes.getInteger(at: start + 8, as: UInt16.self)
            else { return nil }
            return .caller(NetworkAddress(v4: address), port: port)
        }
        guard let high = bytes.getInteger(at: start, as: UInt64.self),
            let low = bytes.getInteger(at: start + 8, as: UInt64.self),
            let port = bytes.getInteger(at: start + 32, as: UInt16.self)
        else { return nil }
        return .caller(NetworkAddress(high: high, low: low), port: port)
    }

    /// Type (1), length (2), value; one after the other up to the very end.
    private static func extensionsFit(_ bytes: ByteBuffer, from start: Int, to end: Int) -> Bool {
        var place = start
        while place < end {
            guard place + 3 <= end,
                let length = bytes.getInteger(at: place + 1, as: UInt16.self)
            else { return false }
            place += 3 + Int(length)
        }
        return place == end
    }
}
