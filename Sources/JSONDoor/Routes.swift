// Which resource a request is for: a table of paths, decided on the head alone.

package import Compression
package import Contract
package import NIOHTTP1

/// What answers the requests of a route. Every method is called on the connection's event loop.
package protocol HTTPResource: Sendable {
    /// The head is here and its body is not: an answer ends the request before its body is read.
    func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer?
    /// The whole request. `exchange.finish` is called once, now or later on the same event loop; the handle is cancelled when
    /// the caller has gone before.
    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)?
}

extension HTTPResource {
    package func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer? { nil }
}

/// Who may come to a route.
package enum RouteAccess: Sendable {
    /// Everybody, or the resource asks itself.
    case open
    /// The token of `Authorization: Bearer` must be active; it is judged before the body is read.
    case token
}

/// One method of one path.
package struct Route: Sendable {
    package var method: HTTPMethod
    /// `/v2/models/{model}/infer`: a part in braces stands for any one part that is not empty.
    package var path: String
    package var access: RouteAccess
    /// Zero: it takes no body.
    package var bodyBytesMax: Int
    /// nil: as the connection's limits say.
    package var bodyTime: Nanoseconds?
    /// Of the body, in lower case; empty: any. A request that says none is taken as the first.
    package var mediaTypes: [String]
    /// Of the body; the resource inflates it.
    package var codings: [ContentCoding]
    package var resource: any HTTPResource
    /// What /openapi.json says of it; nil: it says that nobody has described it, and a test fails.
    package var description: RouteDescription?
    fileprivate let parts: [Substring]

    package init(
        _ method: HTTPMethod, _ path: String, access: RouteAccess = .open, bodyBytesMax: Int = 0,
        bodyTime: Nanoseconds? = nil, mediaTypes: [String] = [], codings: [ContentCoding] = [],
        resource: any HTTPResource,
        description: RouteDescription? = nil
    ) {
        precondition(path.hasPrefix("/"), "a route's path begins with /")
        self.method = method
        self.path = path
        self.access = access
        self.bodyBytesMax = bodyBytesMax
        self.bodyTime = bodyTime
        self.mediaTypes = mediaTypes
        self.codings = codings
        self.resource = resource
        self.description = description
        parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    }

    /// What stands in the path's braces, in its order.
    package var captureNames: [String] {
        parts.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }

    /// The captures when the path is this route's.
    fileprivate func captures(_ path: [Substring]) -> [String: String]? {
        // The last part tells most routes apart.
        for index in parts.indices.reversed() {
            let isCapture = parts[index].hasPrefix("{")
            if isCapture ? path[index].isEmpty : parts[index] != path[index] { return nil }
        }
        var captures: [String: String] = [:]
        for (part, given) in zip(parts, path) where part.hasPrefix("{") {
            captures[String(part.dropFirst().dropLast())] = String(given)
        }
        return captures
    }
}

/// All routes of a port.
package struct RouteTable: Sendable {
    package enum Found: Sendable {
        case route(Route, captures: [String: String])
        /// The path is known, the method is not; what is, for the Allow field.
        case otherMethods(allow: String)
        case nothing
    }

    /// In the order they were given, for the API's description.
    package let all: [Route]
    private var exact: [String: [Route]] = [:]
    /// By how many parts they have.
    private var patterns: [Int: [Route]] = [:]
    /// Whether a path that is unknown asks for a token first, as every other does.
    package var hidesUnknown: Bool

    package init(_ routes: [Route], hidesUnknown: Bool) {
        self.hidesUnknown = hidesUnknown
        all = routes
        for route in routes {
            if route.path.contains("{") {
                patterns[route.parts.count, default: []].append(route)
            } else {
                exact[route.path, default: []].append(route)
            }
        }
    }

    package func find(_ method: HTTPMethod, _ path: String) -> Found {
        if let routes = exact[path] { return choose(method, routes.map { ($0, [:]) }) }
        if patterns.isEmpty { return .nothing }
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let fitting = (patterns[parts.count] ?? []).compactMap { route in
            route.captures(parts).map { (route, $0) }
        }
        return fitting.isEmpty ? .nothing : choose(method, fitting)
    }

    private func choose(
        _ method: HTTPMethod, _ routes: [(route: Route, captures: [String: String])]
    ) -> Found {
        // HEAD is GET without the answer's body (RFC 9110 section 9.3.2).
        let asked = method == .HEAD ? HTTPMethod.GET : method
        if let found = routes.first(where: { $0.route.method == asked }) {
            return .route(found.route, captures: found.captures)
        }
        var allowed = Set(routes.map(\.route.method.rawValue))
        if allowed.contains("GET") { allowed.insert("HEAD") }
        return .otherMethods(allow: allowed.sorted().joined(separator: ", "))
    }
}

/// A resource whose answer is at hand.
package struct ReadyAnswer: HTTPResource {
    private let answer: @Sendable (HTTPRequest) -> HTTPAnswer

    package init(_ answer: @escaping @Sendable (HTTPRequest) -> HTTPAnswer) {
        self.answer = answer
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        exchange.finish(answer(request))
        return nil
    }
}
