// A request as a resource gets it: checked, with its route found. Its texts are the caller's and never go into a field of an
// answer.

package import Contract
package import NIOCore
package import NIOHTTP1

/// One request. Before its body has come, `body` is empty.
package struct HTTPRequest: Sendable {
    /// Without the Authorization fields.
    package var head: HTTPRequestHead
    /// The Authorization fields.
    package var credentials: [Secret]
    /// The target's path as it came, without the query. It is compared and looked up, never decoded, never made into a path.
    package var path: String
    package var query: String?
    /// The route's captures, by name.
    package var captures: [String: String] = [:]
    /// The Host field, or the authority of an absolute target: `name`, `name:port`, `[::1]:port`. Empty for HTTP/1.0 without.
    package var host: String
    package var peer: Peer
    /// The address and port it was received on, `127.0.0.1:8443` or `[::1]:8443`.
    package var local: String
    package var body = ByteBuffer()
    package var arrived: Instant
    /// Names the request in the logs of both sides; of our own making.
    package var id: String

    package init(
        head: HTTPRequestHead, path: String, query: String?, host: String, peer: Peer,
        local: String, arrived: Instant, id: String
    ) {
        self.head = head
        credentials = head.headers["authorization"].map { Secret($0) }
        if !credentials.isEmpty { self.head.headers.remove(name: "authorization") }
        self.path = path
        self.query = query
        self.host = host
        self.peer = peer
        self.local = local
        self.arrived = arrived
        self.id = id
    }

    /// The token of `Authorization: Bearer`, when there is exactly one such field (RFC 6750 section 2.1).
    package var bearer: Secret? {
        guard credentials.count == 1, let (scheme, rest) = credentials[0].schemeAndRest,
            scheme == "bearer", !rest.isEmpty
        else { return nil }
        return Secret(bytes: Array(rest))
    }

    /// The media type of the body without parameters, in lower case; nil when the request does not say.
    package var mediaType: String? {
        head.headers.first(name: "content-type").map { field in
            String(field.prefix { $0 != ";" && $0 != " " && $0 != "\t" }).lowercased()
        }
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
