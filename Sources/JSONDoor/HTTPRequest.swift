// A request as a resource gets it: checked, with its route found. Its texts are the caller's; but for a request id and a trace
// that are nothing else, none goes into a field of an answer.

package import Contract
package import NIOCore
package import NIOHTTP1

/// One request. Before its body has come, `body` is empty.
package struct HTTPRequest: Sendable {
    /// With the Authorization fields: never handed out whole.
    private let whole: HTTPRequestHead
    private let places: FieldPlaces
    /// The target's path as it came, without the query. It is compared and looked up, never decoded, never made into a path.
    package var path: String
    package var query: String?
    /// What stands in the path where the route has braces.
    package var captures = RouteCaptures()
    /// The Host field, or the authority of an absolute target: `name`, `name:port`, `[::1]:port`. Empty for HTTP/1.0 without.
    package var host: String
    package var peer: Peer
    /// The address and port it was received on, `127.0.0.1:8443` or `[::1]:8443`.
    package var local: String
    package var body = ByteBuffer()
    /// What the head says of the body.
    package var announced: BodyKind
    package var arrived: Instant
    /// The caller's, when it brought one that is right (``GivenRequestID``); else ours names the request.
    package var givenID: String?
    /// The caller's trace, when it brought one that is right.
    package var trace: TraceContext?
    /// What the gateway exports of it, when it does (``HTTPExchange/trace(as:)``).
    var span: TraceContext?
    private let connection: String
    private let number: UInt64

    init(
        head: HTTPRequestHead, places: FieldPlaces, checked: CheckedHead, peer: Peer,
        local: String, arrived: Instant, connection: String, number: UInt64
    ) {
        whole = head
        self.places = places
        path = checked.path
        query = checked.query
        host = checked.host
        announced = checked.body
        self.peer = peer
        self.local = local
        self.arrived = arrived
        self.connection = connection
        self.number = number
        givenID = places.only(.requestID, in: head.headers).flatMap {
            GivenRequestID.isAllowed($0) ? $0 : nil
        }
        trace = places.only(.traceparent, in: head.headers).flatMap(TraceParent.read)
    }

    /// A request that no connection has brought.
    package init(
        head: HTTPRequestHead, path: String, query: String?, host: String, peer: Peer,
        local: String, arrived: Instant, id: String
    ) {
        let checked = CheckedHead(
            path: path, query: query, host: host, body: .none, expectsContinue: false,
            isLast: false)
        self.init(
            head: head, places: FieldPlaces(head.headers), checked: checked, peer: peer,
            local: local, arrived: arrived, connection: id, number: 0)
    }

    /// Names the request in the logs of both sides.
    package var id: String { givenID ?? connection + "-" + String(number) }

    package var method: HTTPMethod { whole.method }
    package var version: HTTPVersion { whole.version }

    /// Without the Authorization fields. A copy: for one field ask ``field(_:)``.
    package var head: HTTPRequestHead {
        var head = whole
        head.headers.remove(name: "authorization")
        return head
    }

    /// The first field of this name.
    package func field(_ name: FieldName) -> String? {
        name == .authorization ? nil : places.value(name, in: whole.headers)
    }

    /// True when there are two fields or more of a name that allows one.
    package func repeats(_ name: FieldName) -> Bool { places.count(name) > 1 }

    /// More than 64 KiB are announced, or nobody says how much, or the caller waits for our word before it sends anything.
    package var mayBeLarge: Bool {
        switch announced {
        case .none: false
        case .length(let count): count > 64 << 10 || places.count(.expect) > 0
        case .chunked: true
        }
    }

    /// Whether the request says how long its body is, be it that there is none.
    var saysLength: Bool {
        places.count(.contentLength) > 0 || places.count(.transferEncoding) > 0
    }
}

// MARK: - Who asks

extension HTTPRequest {
    /// The Authorization fields.
    package var credentials: [Secret] {
        places.count(.authorization) == 0
            ? [] : whole.headers["authorization"].map { Secret($0) }
    }

    /// The token of `Authorization: Bearer`, when there is exactly one such field (RFC 6750 section 2.1).
    package var bearer: Secret? { bearer(known: nil) }

    /// The same; `known` itself when it is that.
    func bearer(known: Secret?) -> Secret? {
        guard let text = places.only(.authorization, in: whole.headers) else { return nil }
        var rest = text.utf8[...]
        for byte in "bearer".utf8 {
            guard let next = rest.popFirst(), next | 0x20 == byte else { return nil }
        }
        guard rest.first == UInt8(ascii: " ") else { return nil }
        rest = rest.drop { $0 == UInt8(ascii: " ") }
        guard !rest.isEmpty else { return nil }
        if let known, known.matches(rest) { return known }
        return Secret(bytes: Array(rest))
    }
}

// MARK: - What is wanted

extension HTTPRequest {
    /// The media type of the body without parameters, in lower case; nil when the request does not say.
    package var mediaType: String? {
        field(.contentType).map { field in
            String(field.prefix { $0 != ";" && $0 != " " && $0 != "\t" }).lowercased()
        }
    }

    /// What the request accepts; nil: anything.
    package var accepted: AcceptedTypes? {
        guard places.count(.accept) > 0 else { return nil }
        let text =
            places.only(.accept, in: whole.headers)
            ?? whole.headers["accept"].joined(separator: ",")
        return AcceptedTypes(text)
    }

    /// The caller asks for server-sent events by name, and for JSON not more than for them.
    package var wantsEvents: Bool {
        guard let accepted, let quality = accepted.named(EventStream.mediaType) else {
            return false
        }
        return quality > 0 && quality >= accepted.named(HTTPAnswer.json) ?? 0
    }
}

/// A request may hold secrets anywhere, and says nothing of itself but its id.
extension HTTPRequest: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "request \(id)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension Secret {
    /// An Authorization field's scheme in lower case, and what stands behind it (RFC 9110 section 11.4).
    var schemeAndRest: (scheme: String, rest: [UInt8])? {
        reveal { bytes in
            let scheme = bytes.prefix { $0 != UInt8(ascii: " ") }
            let rest = bytes.dropFirst(scheme.count).drop { $0 == UInt8(ascii: " ") }
            return String(validating: scheme, as: UTF8.self).map { ($0.lowercased(), Array(rest)) }
        }
    }
}

/// What a head says of what follows it.
package enum BodyKind: Sendable, Equatable {
    case none
    /// More than zero bytes.
    case length(Int)
    case chunked
}
