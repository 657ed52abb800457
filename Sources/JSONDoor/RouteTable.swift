// All routes of a port as a tree of the parts of their paths, so that a path is looked up without copies.

package import NIOHTTP1

/// What stands in a path where its route has braces, by name. At most three; not decoded, never empty.
package struct RouteCaptures: Sendable {
    package static let countMax = 3

    fileprivate var names: [String] = []
    private var values: (Substring, Substring, Substring) = ("", "", "")
    private var count = 0

    package init() {}

    package subscript(_ name: String) -> String? {
        guard let place = names.firstIndex(of: name), place < count else { return nil }
        return String(value(place))
    }

    private func value(_ place: Int) -> Substring {
        switch place {
        case 0: values.0
        case 1: values.1
        default: values.2
        }
    }

    fileprivate mutating func push(_ value: Substring) {
        switch count {
        case 0: values.0 = value
        case 1: values.1 = value
        default: values.2 = value
        }
        count += 1
    }

    fileprivate mutating func pop() { count -= 1 }
}

/// A route where the table keeps it.
package final class PlacedRoute: Sendable {
    package let route: Route

    fileprivate init(_ route: Route) { self.route = route }
}

/// All routes of a port.
package struct RouteTable: Sendable {
    package enum Found: Sendable {
        case route(PlacedRoute, captures: RouteCaptures)
        /// The path is known, the method is not; what is, for the Allow field.
        case otherMethods(allow: String)
        case nothing
    }

    /// In their order.
    package let all: [Route]
    /// Whether a path that is unknown asks for a token first, as every other does.
    package var hidesUnknown: Bool
    private let root: RouteNode

    package init(_ routes: [Route], hidesUnknown: Bool) {
        all = routes
        self.hidesUnknown = hidesUnknown
        root = RouteNode(routes.map { ($0.parts[...], PlacedRoute($0)) })
    }

    package func find(_ method: HTTPMethod, _ path: String) -> Found {
        var captures = RouteCaptures()
        guard let node = node(path, &captures) else { return .nothing }
        // HEAD is GET without the answer's body (RFC 9110 section 9.3.2).
        let asked = method == .HEAD ? HTTPMethod.GET : method
        guard let found = node.routes.first(where: { $0.route.method == asked }) else {
            return .otherMethods(allow: node.allow)
        }
        captures.names = found.route.captureNames
        return .route(found, captures: captures)
    }

    /// The methods of a path, for example `GET, HEAD`; nil when there is nothing.
    func methods(_ path: String) -> String? {
        var captures = RouteCaptures()
        return node(path, &captures)?.allow
    }

    private func node(_ path: String, _ captures: inout RouteCaptures) -> RouteNode? {
        guard path.utf8.first == UInt8(ascii: "/") else { return nil }
        return root.find(path.dropFirst(), &captures)
    }
}

/// What may follow one beginning of a path.
private final class RouteNode: Sendable {
    /// Those whose path ends here.
    let routes: [PlacedRoute]
    let allow: String
    private let literals: [(text: String, node: RouteNode)]
    private let capture: RouteNode?

    init(_ below: [(parts: ArraySlice<Substring>, route: PlacedRoute)]) {
        routes = below.filter { $0.parts.isEmpty }.map(\.route)
        var allowed = Set(routes.map(\.route.method.rawValue))
        if allowed.contains("GET") { allowed.insert("HEAD") }
        allow = allowed.sorted().joined(separator: ", ")
        var literal: [(text: Substring, below: [(ArraySlice<Substring>, PlacedRoute)])] = []
        var captured: [(ArraySlice<Substring>, PlacedRoute)] = []
        for (parts, route) in below {
            guard let part = parts.first else { continue }
            let rest = (parts.dropFirst(), route)
            if part.hasPrefix("{") {
                captured.append(rest)
            } else if let place = literal.firstIndex(where: { $0.text == part }) {
                literal[place].below.append(rest)
            } else {
                literal.append((part, [rest]))
            }
        }
        literals = literal.map { (String($0.text), RouteNode($0.below)) }
        capture = captured.isEmpty ? nil : RouteNode(captured)
    }

    /// - Parameter path: what follows, without the stroke before it. As deep as the routes are, whatever is asked for.
    func find(_ path: Substring, _ captures: inout RouteCaptures) -> RouteNode? {
        let end = path.utf8.firstIndex(of: UInt8(ascii: "/"))
        let part = path[..<(end ?? path.endIndex)]
        for (text, node) in literals where part == text {
            if let found = node.follow(path, end, &captures) { return found }
        }
        guard let capture, !part.isEmpty else { return nil }
        captures.push(part)
        if let found = capture.follow(path, end, &captures) { return found }
        captures.pop()
        return nil
    }

    private func follow(
        _ path: Substring, _ end: Substring.Index?, _ captures: inout RouteCaptures
    ) -> RouteNode? {
        guard let end else { return routes.isEmpty ? nil : self }
        return find(path[path.utf8.index(after: end)...], &captures)
    }
}
