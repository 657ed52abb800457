// Which web pages may read the answers (WHATWG Fetch, section 3.2): exact origins, no wildcard, no cookies.

package import Contract
import NIOHTTP1

/// The settings `cors`. Without origins nothing of it is said and every preflight is refused.
package struct CrossOrigin: Sendable, Equatable {
    /// As browsers serialize them: `https://app.example`, `http://localhost:5173`.
    package var origins: [String]
    /// How long a browser may remember what a preflight was told.
    package var ageMax: Nanoseconds

    package init(origins: [String] = [], ageMax: Nanoseconds = .seconds(600)) {
        self.origins = origins
        self.ageMax = ageMax
    }

    /// What a page may read beside the fields every page may.
    static let exposed: StaticString =
        "access-control-expose-headers: inference-header-content-length, retry-after, ratelimit, ratelimit-policy, server-timing, traceparent, x-request-id\r\n"
    /// What a page may send beside the fields every page may.
    static let taken =
        "authorization, content-type, content-encoding, inference-header-content-length, traceparent, tracestate, x-request-id"

    func allows(_ origin: String) -> Bool { origins.contains(origin) }

    /// The answer to a preflight for one path.
    ///
    /// - Parameter methods: that the path has, for example `GET, HEAD`.
    func preflight(origin: String, methods: String) -> HTTPAnswer {
        guard allows(origin) else {
            return .error(
                .forbidden,
                "pages of this origin may not call this gateway (setting cors.origins)")
        }
        return HTTPAnswer(
            status: .noContent, contentType: "",
            fields: [
                ("access-control-allow-methods", methods),
                ("access-control-allow-headers", CrossOrigin.taken),
                ("access-control-max-age", String(ageMax.count / 1_000_000_000)),
                ("vary", "Access-Control-Request-Method, Access-Control-Request-Headers"),
            ], text: "")
    }

    /// `scheme://host[:port]` as a browser writes it: lower case, no default port, no path, no user.
    package static func isOrigin(_ text: String) -> Bool {
        guard text.utf8.count <= 270, text == text.lowercased() else { return false }
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")]
        where text.hasPrefix(scheme) {
            let host = String(text.dropFirst(scheme.count))
            return !HeadCheck.name(of: host).isEmpty && HeadCheck.isHost(host)
                && !host.hasSuffix(":") && !host.hasSuffix(".") && !host.hasSuffix(port)
        }
        return false
    }
}
