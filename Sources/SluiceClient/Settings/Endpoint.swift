// Where a gateway listens.

/// The address of a gateway: `"gateway.example.com:8443"`, `"[::1]:8443"` or a Unix socket.
public struct Endpoint: Sendable, Hashable {
    enum Address: Sendable, Hashable {
        case host(String, port: Int)
        case unixSocket(path: String)
    }

    /// The port when none is written.
    public static let defaultPort = 8443

    let address: Address

    /// A host name or a numeric address, and a port.
    public static func hostPort(_ host: String, _ port: Int = defaultPort) -> Endpoint {
        Endpoint(address: .host(host, port: port))
    }

    /// A Unix socket; use it with ``SluiceClient/Configuration/Security/plaintext``.
    public static func unixSocket(_ path: String) -> Endpoint {
        Endpoint(address: .unixSocket(path: path))
    }

    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when the text is none.
    public init(_ text: String) throws(SluiceError) {
        guard let address = Self.parse(text) else {
            throw SluiceError(
                .invalidArgument, reason: Reason.badEndpoint,
                "'\(text)' is no endpoint: write HOST:PORT, [IPV6]:PORT or unix:PATH.")
        }
        self.address = address
    }

    private init(address: Address) { self.address = address }

    private static func parse(_ text: String) -> Address? {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            return path.isEmpty ? nil : .unixSocket(path: String(path))
        }
        var host = Substring(text)
        var rest = Substring()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            rest = text[colon...]
            // More than one colon without brackets is an address of IPv6 without a port.
            if host.contains(":") { (host, rest) = (Substring(text), Substring()) }
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "/" }) else {
            return nil
        }
        if rest.isEmpty { return .host(String(host), port: defaultPort) }
        guard let port = Int(rest.dropFirst()), (1...65_535).contains(port) else { return nil }
        return .host(String(host), port: port)
    }
}

extension Endpoint: ExpressibleByStringLiteral {
    /// An endpoint written in the source; traps when it cannot be read, as a mistyped literal should.
    public init(stringLiteral value: String) {
        guard let address = Self.parse(value) else {
            preconditionFailure("'\(value)' is no endpoint: write HOST:PORT")
        }
        self.address = address
    }
}

extension Endpoint: CustomStringConvertible {
    public var description: String {
        switch address {
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unixSocket(let path): "unix:\(path)"
        }
    }
}
