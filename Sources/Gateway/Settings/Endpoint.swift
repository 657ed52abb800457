// HOST:PORT, as listeners are written in settings and on the command line.

/// A place to listen on or to connect to.
package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// A name or a numeric address, without brackets.
    package var host: String
    /// 0 asks the system for a free port when listening.
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `name:443`, `127.0.0.1:0` or `[::1]:443`; nil for anything else. An IPv6 address needs its brackets,
    /// else nobody could tell where it ends.
    package init?(_ text: String) {
        guard text.utf8.count <= 300, let colon = text.lastIndex(of: ":") else { return nil }
        var host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.count <= 5,
            digits.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
            let port = Int(digits), port <= 65_535
        else { return nil }
        let isBracketed = host.hasPrefix("[")
        if isBracketed {
            guard host.hasSuffix("]"), host.utf8.count > 4 else { return nil }
            host = host.dropFirst().dropLast()
            guard host.utf8.contains(UInt8(ascii: ":")) else { return nil }
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ Endpoint.isAllowed($0, isBracketed) }) else {
            return nil
        }
        self.host = String(host)
        self.port = port
    }

    private static func isAllowed(_ byte: UInt8, _ isAddress6: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): true
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
        case UInt8(ascii: ":"): isAddress6
        // A zone, as in fe80::1%eth0, may hold any letter.
        case UInt8(ascii: "%"): isAddress6
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    package var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
