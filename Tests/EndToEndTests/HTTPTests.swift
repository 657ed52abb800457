// HTTP on the callers' port over real TLS, byte by byte: what is refused and closed, what is timed out, what drains.

import Foundation
import Testing

@Suite struct HTTPTests {
    private static let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    private static let form = "Content-Type: application/x-www-form-urlencoded\r\n"

    static let smuggled: [(what: String, request: String, status: String)] = [
        (
            "a length and a coding",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400"
        ),
        (
            "two lengths",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
            "400"
        ),
        (
            "an unknown coding",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "501"
        ),
        (
            "a coding before chunked",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "501"
        ),
        ("a folded field", "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", "400"),
        ("bare line feeds", "GET / HTTP/1.1\nHost: localhost\n\n", "505"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", "400"),
        (
            "an odd chunk size",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "400"
        ),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", "400"),
        (
            "a large head",
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "a", count: 17 << 10))\r\n\r\n",
            "431"
        ),
        (
            "a body nobody asked for",
            "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n",
            "413"
        ),
        (
            "a large body, by its head alone",
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\n\(form)Content-Length: 16385\r\n\r\n",
            "413"
        ),
        ("the binary protocol", "\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", "501"),
    ]

    @Test func smuggling() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                for (what, request, status) in Self.smuggled {
                    let connection = try await RawHTTP.open(to: gateway)
                    try await connection.send(request + Self.hidden)
                    let answer = try await connection.end()
                    #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(what): \(answer)")
                    #expect(
                        !answer.dropFirst(9).contains("HTTP/1.1 2") && !answer.contains("401"),
                        "\(what): \(answer)")
                }
            }
        }
    }

    @Test func namesMustAgree() async throws {
        try await withGateway { gateway in
            for (name, host, status) in [
                ("localhost", "localhost:\(gateway.port)", "200"),
                ("localhost", "evil.example", "421"),
                ("other.example", "localhost", "421"),
            ] {
                let connection = try await RawHTTP.open(to: gateway, name: name)
                try await connection.send(
                    "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: \(host)\r\n"
                        + "Connection: close\r\n\r\n")
                let answer = try await connection.end()
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(name) \(host): \(answer)")
            }
        }
    }

    @Test func aClientWithoutALPNIsServedToo() async throws {
        try await withGateway { gateway in
            let connection = try await RawHTTP.open(to: gateway, protocols: [])
            // Two at once, in order, on one connection.
            try await connection.send(
                "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    + "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            let answers = try await connection.end()
            let first = try #require(answers.firstRange(of: "HTTP/1.1 200 OK"))
            let second = try #require(answers.firstRange(of: "HTTP/1.1 401 Unauthorized"))
            #expect(first.upperBound < second.lowerBound)
        }
    }

    @Test func slowOnesAreTimedOut() async throws {
        let settings = "http: { head_time: 200ms, body_time: 200ms, idle: 3s }\n"
        try await withGateway(settings: settings) { gateway in
            try await withBystander(gateway) {
                let head = try await RawHTTP.open(to: gateway)
                try await head.send("GET / HTTP/1.1\r\nHos")
                #expect(try await head.end().hasPrefix("HTTP/1.1 408"))
                let body = try await RawHTTP.open(to: gateway)
                try await body.send(
                    "POST /oauth2/introspect HTTP/1.1\r\nHost: localhost\r\n\(Self.form)"
                        + "Content-Length: 5\r\n\r\nto")
                let said = try await body.end(within: 15)
                #expect(said.hasPrefix("HTTP/1.1 408"))
                let idle = try await RawHTTP.open(to: gateway)
                #expect(try await idle.end(within: 30) == "")
            }
            // The operator's port has the same patience.
            let admin = try await Command.run(
                program: "/usr/bin/curl",
                [
                    "-sS", "-i", "-X", "GET", "-H", "Content-Length: 5", "--max-time", "5",
                    "http://\(gateway.admin)/livez",
                ])
            #expect(admin.output.hasPrefix("HTTP/1.1 413"))
        }
    }

    @Test func idleConnectionsDoNotHoldAStoppingGateway() async throws {
        try await withGateway(settings: "limits: { drain: 20s }\n") { gateway in
            let idle = try await RawHTTP.open(to: gateway)
            let half = try await RawHTTP.open(to: gateway)
            try await half.send("GET / HTTP/1.1\r\n")
            try await idle.send(
                "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try await eventually("an answer") { idle.received.contains("\"issuer\"") }
            let start = ContinuousClock.now
            #expect(try await gateway.stop() == 0)
            #expect(ContinuousClock.now - start < .seconds(10))
            #expect(idle.isClosed && half.isClosed)
        }
    }
}
