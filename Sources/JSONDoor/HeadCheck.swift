// What every head must be before anybody looks at what it wants. The parser has refused bare line feeds, folded fields,
// spaces before a colon, two lengths and a length beside a coding; here is what it lets through.

import Contract
import NIOHTTP1

/// A head that passed.
struct CheckedHead: Equatable {
    var path: String
    var query: String?
    var host: String
    var body: BodyKind
    var expectsContinue: Bool
    /// The client, or what it asked for, wants no second request on this connection.
    var isLast: Bool
}

/// What a head says about where it goes, once it has passed.
struct CheckedAddress: Equatable {
    var path: String
    var query: String?
    var host: String
}

/// The last address of a connection: most heads ask for the same again, which need not be read anew.
struct FamiliarAddress {
    /// As the head has them.
    let uri: String
    let host: String
    let address: CheckedAddress
    /// The route, by the method it was looked up for.
    var found: (method: HTTPMethod, route: RouteTable.Found)?

    /// - Parameter host: the head's one Host field.
    func fits(_ head: HTTPRequestHead, host: String) -> Bool {
        uri == head.uri && self.host == host
    }
}

/// Why a request is not looked at any further.
struct HTTPRefusal: Error, Equatable {
    var status: HTTPResponseStatus
    var message: String
    /// True when nobody can say where the next request begins.
    var closes: Bool
}

enum HeadCheck {
    /// - Parameters:
    ///   - serverName: the name of SNI, or empty; the same for all heads of a connection.
    ///   - familiar: of the heads before; changed when this head's address is another.
    static func check(
        _ head: HTTPRequestHead, _ places: FieldPlaces, serverName: String,
        familiar: inout FamiliarAddress?
    ) throws(HTTPRefusal) -> CheckedHead {
        guard head.version == .http1_1 || head.version == .http1_0 else {
            throw HTTPRefusal(
                status: .httpVersionNotSupported, message: "HTTP/1.1 and HTTP/1.0 are spoken here",
                closes: true)
        }
        let body = try bodyKind(head, places)
        let host = places.only(.host, in: head.headers)
        let address: CheckedAddress
        if let host, let known = familiar, known.fits(head, host: host) {
            address = known.address
        } else {
            familiar = nil
            address = try self.address(head, places, serverName: serverName)
            if let host, head.uri.utf8.count <= familiarBytesMax {
                familiar = FamiliarAddress(uri: head.uri, host: host, address: address)
            }
        }
        return CheckedHead(
            path: address.path, query: address.query, host: address.host, body: body,
            expectsContinue: try expectation(head, places),
            // The parser stops behind a request to upgrade or connect: whatever follows is not HTTP to it.
            isLast: !head.isKeepAlive || places.count(.upgrade) > 0
                || head.method == .CONNECT)
    }

    /// Longer targets are read each time: an idle connection keeps no more than this.
    private static let familiarBytesMax = 512

    private static func address(
        _ head: HTTPRequestHead, _ places: FieldPlaces, serverName: String
    ) throws(HTTPRefusal) -> CheckedAddress {
        let target = try target(head)
        let host = try host(head, places, authority: target.authority)
        if !serverName.isEmpty, !host.isEmpty, host != serverName, name(of: host) != serverName,
            name(of: host).lowercased() != serverName.lowercased()
        {
            throw HTTPRefusal(
                status: .misdirectedRequest,
                message: "Host is not the name this connection was opened for", closes: false)
        }
        // RFC 6750 section 2.3: an address is written into histories and logs.
        if let query = target.query,
            query.split(separator: "&").contains(where: { $0.hasPrefix("access_token=") })
        {
            throw HTTPRefusal(
                status: .badRequest,
                message: "a token must not stand in the address: send Authorization: Bearer",
                closes: false)
        }
        return CheckedAddress(path: target.path, query: target.query, host: host)
    }

    /// RFC 9112 section 6: one way to say how long a body is.
    private static func bodyKind(
        _ head: HTTPRequestHead, _ places: FieldPlaces
    ) throws(HTTPRefusal) -> BodyKind {
        if let coding = places.value(.transferEncoding, in: head.headers) {
            guard places.count(.contentLength) == 0, head.version == .http1_1 else {
                throw HTTPRefusal(
                    status: .badRequest, message: "Transfer-Encoding beside another length",
                    closes: true)
            }
            guard places.count(.transferEncoding) == 1, coding.lowercased() == "chunked" else {
                throw HTTPRefusal(
                    status: .notImplemented, message: "the one transfer coding here is chunked",
                    closes: true)
            }
            return .chunked
        }
        guard let text = places.value(.contentLength, in: head.headers) else { return .none }
        guard places.count(.contentLength) == 1, text.utf8.count <= 18,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(text)
        else {
            throw HTTPRefusal(
                status: .badRequest, message: "Content-Length must be one number", closes: true)
        }
        return length == 0 ? .none : .length(length)
    }

    /// RFC 9112 section 3.2: `/path?query`, or an absolute address, which every server has to accept.
    private static func target(
        _ head: HTTPRequestHead
    ) throws(HTTPRefusal) -> (authority: String?, path: String, query: String?) {
        var rest = Substring(head.uri)
        var authority: String?
        if rest.utf8.first != stroke {
            for scheme in ["https://", "http://"]
            where rest.prefix(scheme.count).lowercased() == scheme {
                rest = rest.dropFirst(scheme.count)
                let found = rest.prefix { $0 != "/" && $0 != "?" }
                authority = String(found)
                rest = rest.dropFirst(found.count)
                if rest.utf8.first != stroke { rest = "/" + rest }
                break
            }
        }
        guard rest.utf8.first == stroke || rest == "*" else {
            throw HTTPRefusal(
                status: .badRequest, message: "the target must begin with /", closes: true)
        }
        var question: Substring.Index?
        for place in rest.utf8.indices {
            switch rest.utf8[place] {
            case UInt8(ascii: "#"):
                throw HTTPRefusal(
                    status: .badRequest, message: "a target has no fragment", closes: true)
            case UInt8(ascii: "?"): if question == nil { question = place }
            case 0x21..<0x7F: break
            default:
                throw HTTPRefusal(
                    status: .badRequest, message: "the target must be written in ASCII",
                    closes: true)
            }
        }
        guard let question else { return (authority, String(rest), nil) }
        return (authority, String(rest[..<question]), String(rest[question...].dropFirst()))
    }

    private static let stroke = UInt8(ascii: "/")

    /// RFC 9112 section 3.2: exactly one, the same as in an absolute target.
    private static func host(
        _ head: HTTPRequestHead, _ places: FieldPlaces, authority: String?
    ) throws(HTTPRefusal) -> String {
        let count = places.count(.host)
        guard count == 1 || (count == 0 && head.version == .http1_0) else {
            throw HTTPRefusal(
                status: .badRequest, message: "one Host field is needed", closes: true)
        }
        let host = places.value(.host, in: head.headers) ?? authority ?? ""
        guard isHost(host), authority == nil || authority?.lowercased() == host.lowercased() else {
            throw HTTPRefusal(status: .badRequest, message: "Host is not right", closes: true)
        }
        return host
    }

    private static func expectation(
        _ head: HTTPRequestHead, _ places: FieldPlaces
    ) throws(HTTPRefusal) -> Bool {
        guard let expectation = places.value(.expect, in: head.headers) else { return false }
        guard places.count(.expect) == 1, expectation.lowercased() == "100-continue" else {
            throw HTTPRefusal(
                status: .expectationFailed, message: "the one expectation here is 100-continue",
                closes: true)
        }
        return head.version == .http1_1
    }

    /// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port; or nothing.
    static func isHost(_ host: String) -> Bool {
        guard host.utf8.count <= 262 else { return false }
        var rest = Substring(host)
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]"), end > rest.index(after: rest.startIndex)
            else {
                return false
            }
            guard
                rest[rest.startIndex...end].dropFirst().dropLast().utf8.allSatisfy({ byte in
                    isHexadecimal(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
                })
            else { return false }
            rest = rest[rest.index(after: end)...]
        } else {
            rest = Substring(
                rest.utf8.drop { byte in
                    isHexadecimal(byte)
                        || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                        || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
                        || byte == UInt8(ascii: "_")
                })
        }
        if rest.isEmpty { return true }
        let port = rest.dropFirst()
        return rest.hasPrefix(":") && port.utf8.count <= 5
            && port.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    /// `localhost`, or a name below it.
    static func isLocal(_ host: String) -> Bool {
        let name = name(of: host).lowercased()
        return name == "localhost" || name.hasSuffix(".localhost")
    }

    /// The host without its port and without a last dot.
    static func name(of host: String) -> Substring {
        let bytes = host.utf8
        let name =
            bytes.first == UInt8(ascii: "[")
            ? Substring(bytes.prefix { $0 != UInt8(ascii: "]") }).dropFirst()
            : Substring(bytes.prefix { $0 != UInt8(ascii: ":") })
        return name.hasSuffix(".") ? name.dropLast() : name
    }
}
