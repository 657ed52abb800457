// HTTP as it should be: what a request accepts, brings and is called; which pages may read the answer; what every answer says.

import Contract
import Foundation
import JSONDoor
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct SemanticsTests {
    private func bench(
        serverName: String = "", origins: [String] = [], isStrict: Bool = false,
        more: [Route] = [], _ body: (ConnectionBench) throws -> Void
    ) throws {
        let bench = try ConnectionBench(
            serverName: serverName, hidesUnknown: true, origins: origins, isStrict: isStrict,
            more: more)
        defer { bench.end() }
        try body(bench)
    }

    private func get(_ path: String, _ fields: String = "", method: String = "GET") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: gw\r\n\(fields)\r\n"
    }

    private func status(_ answer: String) -> String { String(answer.dropFirst(9).prefix(3)) }

    private func value(_ name: String, _ answer: String) -> String? {
        let lines = answer.components(separatedBy: "\r\n").filter { $0.hasPrefix(name + ": ") }
        return lines.count == 1 ? String(lines[0].dropFirst(name.count + 2)) : nil
    }

    // MARK: What is wanted

    static let accepts: [(field: String, allows: Bool)] = [
        ("application/json", true), ("*/*", true), ("application/*", true),
        ("text/html, application/json;q=0.1", true), ("APPLICATION/JSON", true),
        ("text/html, */*;q=0.001", true), ("application/json; q=1.0", true), ("", true),
        ("text/html", false), ("application/json;q=0", false), ("*/*;q=0", false),
        ("application/json;q=0.000, */*", false), ("application/*;q=0, */*", false),
        ("text/*", false), ("image/png, text/html;q=0.9", false), ("nonsense", true),
    ]

    @Test(arguments: accepts.indices) func acceptedTypes(_ index: Int) throws {
        let (field, allows) = SemanticsTests.accepts[index]
        #expect(AcceptedTypes(field).allows("application/json") == allows, "\(field)")
        let json = Route(
            .GET, "/json", resource: ReadyAnswer { _ in ConnectionBench.text("json") },
            produces: [HTTPAnswer.json])
        try bench(more: [json]) { (bench) throws in
            let answer = try bench.send(get("/json", "Accept: \(field)\r\n"))
            #expect(status(answer) == (allows ? "200" : "406"), "\(field): \(answer)")
            #expect(bench.isOpen)
        }
    }

    @Test func manyAcceptFieldsAreOne() throws {
        let json = Route(
            .GET, "/json", resource: ReadyAnswer { _ in ConnectionBench.text("json") },
            produces: [HTTPAnswer.json])
        try bench(more: [json]) { (bench) throws in
            let fields = "Accept: text/html\r\nAccept: application/json;q=0.5\r\n"
            #expect(status(try bench.send(get("/json", fields))) == "200")
        }
    }

    @Test func eventsAreAskedForByName() {
        func wants(_ accept: String?) -> Bool {
            var headers = HTTPHeaders()
            if let accept { headers.add(name: "accept", value: accept) }
            return HTTPRequest(
                head: HTTPRequestHead(version: .http1_1, method: .POST, uri: "/", headers: headers),
                path: "/", query: nil, host: "", peer: Peer(address: ""), local: "",
                arrived: Instant(nanoseconds: 0), id: "c"
            ).wantsEvents
        }
        #expect(wants("text/event-stream") && wants("application/json;q=0.5, text/event-stream"))
        #expect(!wants(nil) && !wants("*/*") && !wants("application/json"))
        #expect(
            !wants("text/event-stream;q=0") && !wants("application/json, text/event-stream;q=0.1"))
    }

    // MARK: What it brings

    @Test func aBodyThatIsNeededMustBeAnnounced() throws {
        try bench { (bench) throws in
            let good = "Authorization: Bearer good\r\n"
            #expect(status(try bench.send(get("/secret/m", good, method: "POST"))) == "411")
            let empty = good + "Content-Length: 0\r\n"
            #expect(status(try bench.send(get("/secret/m", empty, method: "POST"))) == "200")
            #expect(status(try bench.send(get("/secret/m", method: "POST"))) == "401")
            #expect(bench.isOpen)
        }
    }

    @Test func whatTheWalkWouldRefuseIsRefusedBeforeALargeBody() throws {
        let good = "Authorization: Bearer good\r\n"
        for (fields, status) in [
            ("Content-Length: 1048576\r\n", "404"), ("Transfer-Encoding: chunked\r\n", "404"),
            ("Content-Length: 10\r\nExpect: 100-continue\r\n", "404"),
            // Small ones are judged once, with their body.
            ("Content-Length: 10\r\n", ""),
        ] {
            try bench { (bench) throws in
                let answer = try bench.send(get("/secret/unknown", good + fields, method: "POST"))
                #expect(self.status(answer) == status, "\(fields): \(answer)")
                #expect(!answer.contains("100 Continue") && bench.isOpen == status.isEmpty)
            }
        }
        try bench { (bench) throws in
            let fields = good + "Content-Length: 100000\r\nExpect: 100-continue\r\n"
            let word = try bench.send(get("/secret/known", fields, method: "POST"))
            #expect(word == "HTTP/1.1 100 Continue\r\n\r\n")
            for _ in 0..<99 { #expect(try bench.send(String(repeating: "x", count: 1_000)) == "") }
            let answer = try bench.send(String(repeating: "x", count: 1_000))
            #expect(answer.hasSuffix("\r\n\r\n100000"))
        }
    }

    @Test func theSameTokenIsShownToTheSessionWithEveryRequest() throws {
        try bench { (bench) throws in
            for token in ["good", "good", "bad", "good"] {
                let answer = try bench.send(get("/secret", "Authorization: Bearer \(token)\r\n"))
                #expect(status(answer) == (token == "good" ? "200" : "401"))
            }
            #expect(bench.desk.shown == 4)
            for field in ["Bearer", "Bearer ", "bearergood", "Bear good", "Basic good"] {
                let answer = try bench.send(get("/secret", "Authorization: \(field)\r\n"))
                #expect(status(answer) == "401", "\(field)")
            }
            let two = "Authorization: Bearer good\r\nAuthorization: Bearer good\r\n"
            #expect(status(try bench.send(get("/secret", two))) == "401")
            #expect(
                status(try bench.send(get("/secret", "authorization: BEARER  good\r\n"))) == "200")
        }
    }

    @Test func aTurnEndsAfterEverythingThatCameTogether() throws {
        try bench { (bench) throws in
            let ask = get("/secret", "Authorization: Bearer good\r\n")
            try bench.send(ask + ask)
            #expect(bench.desk.turns == 1)
            // Pipelined behind one that takes its time.
            try bench.send(get("/slow") + ask)
            let turns = bench.desk.turns
            bench.slow.answer("late")
            #expect(bench.desk.turns == turns + 1)
            #expect(try bench.received().hasSuffix("known"))
        }
    }

    // MARK: What it is called

    @Test func aRequestIDOfTheCallersIsTakenWhenItIsNothingElse() throws {
        try bench { (bench) throws in
            for id in ["a", "01J9-Z_x.y", String(repeating: "x", count: 128)] {
                let answer = try bench.send(get("/hello", "X-Request-Id: \(id)\r\n"))
                #expect(value("x-request-id", answer) == id)
            }
            for id in [
                "", "a b", "a;b", "\"a\"", "ä", "a,b", "a/b", String(repeating: "x", count: 129),
            ] {
                let answer = try bench.send(get("/hello", "X-Request-Id: \(id)\r\n"))
                #expect(value("x-request-id", answer)?.hasPrefix("c-") == true, "\(id)")
            }
            let two = "X-Request-Id: a\r\nX-Request-Id: b\r\n"
            #expect(
                value("x-request-id", try bench.send(get("/hello", two)))?.hasPrefix("c-") == true)
        }
    }

    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    static let traces: [(field: String, isRight: Bool)] = [
        ("00-\(trace)-00f067aa0ba902b7-01", true),
        ("00-\(trace)-00f067aa0ba902b7-00", true),
        ("cc-\(trace)-00f067aa0ba902b7-01", true),
        ("cc-\(trace)-00f067aa0ba902b7-01-what-comes", true),
        ("", false), ("00", false),
        ("ff-\(trace)-00f067aa0ba902b7-01", false),
        ("00-\(trace)-00f067aa0ba902b7-01-more", false),
        ("00-\(trace)-00f067aa0ba902b7-1", false),
        ("00-\(trace)-00f067aa0ba902b7-0g", false),
        ("00-\(trace.uppercased())-00f067aa0ba902b7-01", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-\(trace)-0000000000000000-01", false),
        ("00_\(trace)-00f067aa0ba902b7-01", false),
        ("cc-\(trace)-00f067aa0ba902b7-01.more", false),
        ("0é-\(trace)-00f067aa0ba902b-01", false),
    ]

    @Test(arguments: traces.indices) func traceparent(_ index: Int) throws {
        let (field, isRight) = SemanticsTests.traces[index]
        try bench { (bench) throws in
            let answer = try bench.send(get("/hello", "traceparent: \(field)\r\n"))
            let told = value("traceparent", answer)
            guard isRight else {
                #expect(told == nil && status(answer) == "200", "\(field)")
                return
            }
            let match = try #require(
                told?.wholeMatch(of: #/00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]/#))
            // The caller's trace, and a span of our own.
            #expect(match.1 == Self.trace && match.2 != "00f067aa0ba902b7")
            #expect(told?.hasSuffix(field.hasSuffix("-00") ? "-00" : "-01") == true)
        }
    }

    // MARK: Who may read it

    private let app = "https://app.example"

    @Test func pagesOfAnAllowedOriginReadEveryAnswer() throws {
        try bench(origins: [app, "http://localhost:5173"]) { (bench) throws in
            for (request, code) in [
                (get("/hello", "Origin: \(app)\r\n"), "200"),
                (get("/secret", "Origin: \(app)\r\n"), "401"),
                (get("/nothing", "Origin: \(app)\r\n"), "401"),
                (get("/hello", "Origin: \(app)\r\n", method: "DELETE"), "405"),
                (get("/hello?access_token=x", "Origin: \(app)\r\n"), "400"),
            ] {
                let answer = try bench.send(request)
                #expect(status(answer) == code)
                #expect(value("access-control-allow-origin", answer) == app, "\(code)")
                #expect(value("vary", answer) == "Origin", "\(code)")
                let exposed = try #require(value("access-control-expose-headers", answer))
                for name in [
                    "inference-header-content-length", "retry-after", "ratelimit",
                    "ratelimit-policy", "server-timing", "traceparent", "x-request-id",
                ] { #expect(exposed.components(separatedBy: ", ").contains(name)) }
                #expect(!answer.contains("allow-credentials"))
            }
        }
    }

    @Test func foreignPagesReadNothing() throws {
        try bench(origins: [app]) { (bench) throws in
            for origin in [
                "https://evil.example", "https://app.example.evil", "http://app.example",
                "https://app.example:444", "HTTPS://APP.EXAMPLE", "null", "*",
                "https://app.example/",
            ] {
                let answer = try bench.send(get("/hello", "Origin: \(origin)\r\n"))
                #expect(status(answer) == "200" && !answer.contains("access-control-"), "\(origin)")
                #expect(value("vary", answer) == "Origin")
            }
            let two = "Origin: \(app)\r\nOrigin: https://evil.example\r\n"
            #expect(!(try bench.send(get("/hello", two))).contains("access-control-"))
            // A cache must not give one page's answer to another, and none to a page at all.
            #expect(value("vary", try bench.send(get("/hello"))) == "Origin")
        }
        try bench { (bench) throws in
            let answer = try bench.send(get("/hello", "Origin: \(app)\r\n"))
            #expect(!answer.contains("access-control-") && value("vary", answer) == nil)
        }
    }

    @Test func preflights() throws {
        func ask(_ path: String, _ origin: String, _ method: String = "POST") -> String {
            get(
                path,
                "Origin: \(origin)\r\nAccess-Control-Request-Method: \(method)\r\n"
                    + "Access-Control-Request-Headers: authorization,content-type\r\n",
                method: "OPTIONS")
        }
        try bench(origins: [app]) { (bench) throws in
            // Without a token: browsers send none.
            let answer = try bench.send(ask("/secret/m", app))
            #expect(status(answer) == "204" && answer.hasSuffix("\r\n\r\n"))
            #expect(!answer.contains("\r\ncontent-length") && !answer.contains("\r\ncontent-type:"))
            #expect(value("access-control-allow-origin", answer) == app)
            #expect(value("access-control-allow-methods", answer) == "POST")
            #expect(value("access-control-max-age", answer) == "600")
            let taken = try #require(value("access-control-allow-headers", answer))
            for name in ["authorization", "content-type", "inference-header-content-length"] {
                #expect(taken.components(separatedBy: ", ").contains(name))
            }
            #expect(answer.contains("vary: Origin\r\n"))
            let slow = try bench.send(ask("/slow", app))
            #expect(value("access-control-allow-methods", slow) == "GET, HEAD, POST")
            // The request itself will be told that there is nothing.
            #expect(status(try bench.send(ask("/nothing", app))) == "204")
            let foreign = try bench.send(ask("/secret/m", "https://evil.example"))
            #expect(status(foreign) == "403" && !foreign.contains("access-control-"))
            // No preflight without the method it is for.
            let plain = try bench.send(get("/hello", "Origin: \(app)\r\n", method: "OPTIONS"))
            #expect(status(plain) == "405")
            #expect(bench.isOpen)
        }
        try bench { (bench) throws in
            #expect(status(try bench.send(ask("/hello", app))) == "403")
        }
    }

    @Test func originsAreWhatBrowsersWrite() {
        for right in [
            "https://app.example", "http://localhost:5173", "https://127.0.0.1:8443",
            "http://[::1]:3000", "https://a-b.c1.example",
        ] { #expect(CrossOrigin.isOrigin(right), "\(right)") }
        for wrong in [
            "*", "null", "", "https://", "app.example", "https://app.example/",
            "https://App.example",
            "https://app.example/x", "https://app.example:443", "http://app.example:80",
            "https://a@app.example", "https://app.example:", "ftp://app.example",
            "https://*.example",
            "https://app.example?x", "https://app.example#x", "https://ä.example", "https://a b",
            "https://app.example.", "https://app.example:123456",
        ] { #expect(!CrossOrigin.isOrigin(wrong), "\(wrong)") }
    }

    // MARK: What every answer says

    @Test func manners() throws {
        let page = Route(
            .GET, "/page",
            resource: ReadyAnswer { _ in
                HTTPAnswer(status: .ok, contentType: "text/html; charset=utf-8", text: "<p>")
            })
        let kept = Route(
            .GET, "/kept",
            resource: ReadyAnswer { _ in
                HTTPAnswer(status: .ok, fields: [("cache-control", "no-cache")], text: "{}")
            })
        try bench(isStrict: true, more: [page, kept]) { (bench) throws in
            for (path, code) in [("/hello", "200"), ("/nothing", "401"), ("/page", "200")] {
                let answer = try bench.send(get(path))
                #expect(status(answer) == code)
                #expect(value("x-content-type-options", answer) == "nosniff")
                #expect(value("referrer-policy", answer) == "no-referrer")
                #expect(value("cache-control", answer) == "no-store")
                #expect(value("strict-transport-security", answer) == "max-age=31536000")
                #expect(value("server", answer) == nil)
                #expect(answer.contains("x-frame-options: DENY") == (path == "/page"))
                #expect(answer.contains("frame-ancestors 'none'") == (path == "/page"))
            }
            #expect(value("cache-control", try bench.send(get("/kept"))) == "no-cache")
            let local = try bench.send("GET /hello HTTP/1.1\r\nHost: localhost:8443\r\n\r\n")
            #expect(value("strict-transport-security", local) == nil)
        }
        try bench { (bench) throws in
            #expect(value("strict-transport-security", try bench.send(get("/hello"))) == nil)
        }
    }

    @Test func noFieldCanEndItsLine() throws {
        let wild = Route(
            .GET, "/wild",
            resource: ReadyAnswer { _ in
                HTTPAnswer(status: .ok, fields: [("x", "a\r\nset-cookie: b")], text: "")
            })
        try bench(more: [wild]) { (bench) throws in
            #expect(value("x", try bench.send(get("/wild"))) == "a??set-cookie: b")
        }
    }

    // MARK: Routes

    @Test func pathsAreFoundByTheirParts() throws {
        func route(_ method: HTTPMethod, _ path: String) -> Route {
            Route(
                method, path,
                resource: ReadyAnswer { request in
                    ConnectionBench.text(
                        "\(path) \(request.captures["m"] ?? "-") \(request.captures["v"] ?? "-")")
                })
        }
        let routes = [
            route(.GET, "/"), route(.GET, "/v2"), route(.GET, "/v2/models/stats"),
            route(.GET, "/v2/models/{m}"), route(.GET, "/v2/models/{m}/stats"),
            route(.GET, "/v2/models/{m}/versions/{v}"), route(.POST, "/v2/models/{m}/infer"),
            route(.POST, "/v2/models/{m}/versions/{v}/infer"),
        ]
        try bench(more: routes) { (bench) throws in
            for (path, answer) in [
                ("/", "/ - -"), ("/v2", "/v2 - -"), ("/v2/models/stats", "/v2/models/stats - -"),
                ("/v2/models/iris", "/v2/models/{m} iris -"),
                // A literal that leads nowhere is a model's name.
                ("/v2/models/stats/stats", "/v2/models/{m}/stats stats -"),
                ("/v2/models/stats/versions/1", "/v2/models/{m}/versions/{v} stats 1"),
                (
                    "/v2/models/versions/versions/versions",
                    "/v2/models/{m}/versions/{v} versions versions"
                ),
            ] { #expect(try bench.send(get(path)).hasSuffix("\r\n\r\n\(answer)"), "\(path)") }
            for path in [
                "/v2/", "/v2/models", "/v2/models/", "/v2/models/iris/", "/v2/models/iris/versions",
                "/v2/models/iris/versions/", "/v2//models", "/v2/models/a/versions/1/x", "/v3",
                "/v2/models/%2e%2e%2fsecret/x", "/v2/../v2/", "/v2/models/{m}/nothing",
            ] { #expect(status(try bench.send(get(path))) == "401", "\(path)") }
            let wrong = try bench.send(get("/v2/models/iris/infer"))
            #expect(status(wrong) == "405" && value("allow", wrong) == "POST")
        }
    }
}
