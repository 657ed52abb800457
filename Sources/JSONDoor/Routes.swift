// A route: one method of one path, what its requests must be, and the resource that answers them.

package import Compression
package import Contract
package import NIOHTTP1

/// What answers the requests of a route. Every method is called on the connection's event loop.
package protocol HTTPResource: Sendable {
    /// The head is here and its body is not: an answer ends the request before its body is read.
    ///
    /// - Parameter session: the request's token was shown to it; nil on a route that is open. What it would object to is best
    ///   asked when the body may be large (``HTTPRequest/mayBeLarge``): every call is judged once more when it begins.
    func judge(
        _ request: HTTPRequest, by session: (any CallerSession)?, now: Instant
    ) -> HTTPAnswer?
    /// The same for resources that do not mind who asks.
    func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer?
    /// The whole request. `exchange.finish` is called once, now or later on the same event loop; the handle is cancelled when
    /// the caller has gone before.
    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)?
}

extension HTTPResource {
    package func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer? { nil }

    package func judge(
        _ request: HTTPRequest, by session: (any CallerSession)?, now: Instant
    ) -> HTTPAnswer? { judge(request, now: now) }
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
    /// Media types of its answers: a request that accepts none of them gets 406. Empty: whatever is accepted.
    package var produces: [String]
    /// A request that announces no body gets 411.
    package var needsBody: Bool
    /// What /openapi.json says of it; nil: it says that nobody has described it, and a test fails.
    package var description: RouteDescription?
    let parts: [Substring]
    /// What stands in the path's braces, in its order.
    package let captureNames: [String]

    /// - Parameter produces: nil: JSON on a route that asks for a token, anything on another.
    package init(
        _ method: HTTPMethod, _ path: String, access: RouteAccess = .open, bodyBytesMax: Int = 0,
        bodyTime: Nanoseconds? = nil, mediaTypes: [String] = [], codings: [ContentCoding] = [],
        resource: any HTTPResource, produces: [String]? = nil, needsBody: Bool = false,
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
        self.produces = produces ?? (access == .token ? [HTTPAnswer.json] : [])
        self.needsBody = needsBody
        self.description = description
        parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        captureNames = parts.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
        precondition(captureNames.count <= RouteCaptures.countMax, "a route has few captures")
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
