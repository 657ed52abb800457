// The OAuth endpoints in memory: what of a request reaches the authorization server, and what its answers look like.

import Contract
import JSONDoor
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct OAuthTests {
    /// An authorization server that remembers what it was asked, on the one thread of an embedded loop.
    final class Desk: AuthorizationDesk, @unchecked Sendable {
        // Safe: see above.
        final class Handle: CallHandle {
            var isCancelled = false
            func cancel() { isCancelled = true }
        }

        var asked: [(request: AuthorizationRequest, credential: ClientCredential)] = []
        var result: Result<AuthorizationAnswer, AuthorizationRefusal> = .success(.inactive)
        var isFull = false

        func ask(
            _ request: AuthorizationRequest, credential: ClientCredential, address: String,
            on loop: any EventLoop,
            done: @escaping (Result<AuthorizationAnswer, AuthorizationRefusal>) -> Void
        ) throws(AuthorizationRefusal) -> any CallHandle {
            if isFull {
                throw AuthorizationRefusal(
                    .temporarilyUnavailable, "full", retryAfter: .seconds(1))
            }
            asked.append((request, credential))
            done(result)
            return Handle()
        }
    }

    final class Bench {
        let desk = Desk()
        let channel = EmbeddedChannel()

        init(
            serverName: String = "gw", setting: String? = nil, requests: UInt64 = 1_000,
            failures: UInt64 = 3
        ) throws {
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            let routes = OAuthEndpoint.routes(
                desk: desk,
                budget: RequestBudget(
                    requests: Rate(requests, per: .seconds(1)),
                    failures: Rate(failures, per: .seconds(60))),
                issuer: IssuerAddress(setting: setting))
            let front = HTTPFront(
                routes: RouteTable(routes, hidesUnknown: true), limits: HTTPLimits(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try front.open(
                on: channel, peer: Peer(address: "10.0.0.1", serverName: serverName),
                connection: "c")
        }

        deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

        func send(_ text: String) throws -> String {
            _ = try? channel.writeInbound(ByteBuffer(string: text))
            channel.embeddedEventLoop.run()
            var answer = ""
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
                answer += String(buffer: bytes)
            }
            return answer
        }

        func post(_ path: String, _ form: String, _ fields: String = "") throws -> String {
            try send(
                "POST \(path) HTTP/1.1\r\nHost: gw\r\n\(fields)"
                    + "Content-Type: application/x-www-form-urlencoded\r\n"
                    + "Content-Length: \(form.utf8.count)\r\n\r\n\(form)")
        }
    }

    // The id and secret `a b` and `p:ä%`, encoded as RFC 6749 section 2.3.1 asks.
    static let basic = "Authorization: Basic YStiOnAlM0ElYzMlYTQlMjU=\r\n"

    @Test func theFormOfACredential() throws {
        let bench = try Bench()
        bench.desk.result = .success(
            .granted(
                Grant(
                    token: Secret("slc_x"), id: "1", scopes: ["infer:*", "models:read"],
                    validFor: .seconds(60))))
        let answer = try bench.post("/oauth2/token", "grant_type=client_credentials", Self.basic)
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(answer.contains("cache-control: no-store") && answer.contains("pragma: no-cache"))
        #expect(
            answer.hasSuffix(
                "{\"access_token\":\"slc_x\",\"token_type\":\"Bearer\",\"expires_in\":60,"
                    + "\"scope\":\"infer:* models:read\"}\n"))
        #expect(bench.desk.asked[0].credential.id == "a b")
        #expect(bench.desk.asked[0].credential.secret.matches(Secret("p:ä%")))
        _ = try bench.post(
            "/oauth2/token",
            "grant_type=client_credentials&client_id=a+b&client_secret=p%3A&scope=infer%3Aa+infer:b"
        )
        #expect(bench.desk.asked[1].credential.id == "a b")
        #expect(bench.desk.asked[1].credential.secret.matches(Secret("p:")))
        guard case .token(let scopes) = bench.desk.asked[1].request else {
            Issue.record("asked for something else")
            return
        }
        #expect(scopes == ["infer:a", "infer:b"])
        // The id may stand in the form as well, when it is the same.
        let both = try bench.post(
            "/oauth2/token", "grant_type=client_credentials&client_id=a+b", Self.basic)
        #expect(both.hasPrefix("HTTP/1.1 200"))
    }

    static let wrong:
        [(path: String, form: String, fields: String, status: String, error: String)] = [
            ("/oauth2/token", "", basic, "400", "invalid_request"),
            ("/oauth2/token", "grant_type=", basic, "400", "invalid_request"),
            ("/oauth2/token", "grant_type=password", basic, "400", "unsupported_grant_type"),
            ("/oauth2/token", "grant_type=client_credentials", "", "401", "invalid_client"),
            (
                "/oauth2/token", "grant_type=client_credentials&client_id=a", "", "401",
                "invalid_client"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials", "Authorization: Bearer x\r\n",
                "401", "invalid_client"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials", "Authorization: Basic !!!\r\n",
                "401", "invalid_client"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials", "Authorization: Basic YQ==\r\n",
                "401", "invalid_client"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials", basic + basic, "400",
                "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&client_secret=x", basic, "400",
                "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&client_id=c", basic, "400",
                "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&grant_type=client_credentials",
                basic, "400", "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&scope=a&scope=b", basic, "400",
                "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&x=%zz", basic, "400",
                "invalid_request"
            ),
            (
                "/oauth2/token", "grant_type=client_credentials&x=%4", basic, "400",
                "invalid_request"
            ),
            ("/oauth2/token", String(repeating: "a=&", count: 33), basic, "400", "invalid_request"),
            (
                "/oauth2/token?client_id=a", "grant_type=client_credentials", basic, "400",
                "invalid_request"
            ),
            ("/oauth2/introspect", "", basic, "400", "invalid_request"),
            ("/oauth2/introspect", "token=x", "", "401", "invalid_client"),
            ("/oauth2/introspect?token=x", "token=x", basic, "400", "invalid_request"),
            ("/oauth2/revoke", "token=", basic, "400", "invalid_request"),
            ("/oauth2/revoke", "token=x&token=x", basic, "400", "invalid_request"),
            ("/oauth2/revoke", "token=x", "", "401", "invalid_client"),
            ("/oauth2/token", "x=" + String(repeating: "a", count: 16 << 10), basic, "413", ""),
        ]

    @Test(arguments: wrong.indices) func whatIsWrongNeverReachesTheServer(_ index: Int) throws {
        let (path, form, fields, status, error) = OAuthTests.wrong[index]
        let bench = try Bench()
        let answer = try bench.post(path, form, fields)
        #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer)")
        if !error.isEmpty { #expect(answer.contains("{\"error\":\"\(error)\""), "\(answer)") }
        #expect(answer.contains("\r\nwww-authenticate: Basic ") == (status == "401"))
        #expect(bench.desk.asked.isEmpty)
    }

    @Test func otherMethodsAndTypes() throws {
        let bench = try Bench()
        for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
            let answer = try bench.send("GET \(path) HTTP/1.1\r\nHost: gw\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 405") && answer.contains("\r\nallow: POST\r\n"))
        }
        let json = try bench.send(
            "POST /oauth2/token HTTP/1.1\r\nHost: gw\r\nContent-Type: application/json\r\n"
                + "Content-Length: 2\r\n\r\n{}")
        #expect(json.hasPrefix("HTTP/1.1 415"))
    }

    @Test func refusalsOfTheServer() throws {
        let bench = try Bench(failures: 1_000)
        for (code, status) in [
            (AuthorizationRefusal.Code.invalidScope, "400"), (.invalidClient, "401"),
            (.unauthorizedClient, "403"), (.slowDown, "429"), (.temporarilyUnavailable, "503"),
            (.serverError, "500"),
        ] {
            bench.desk.result = .failure(
                AuthorizationRefusal(code, "so \"and\\ so\u{7}", retryAfter: .milliseconds(1_500)))
            let answer = try bench.post("/oauth2/introspect", "token=x", Self.basic)
            #expect(answer.hasPrefix("HTTP/1.1 \(status)"))
            #expect(answer.contains("\r\nretry-after: 2\r\n"))
            #expect(
                answer.contains(
                    "\"error\":\"\(code.rawValue)\",\"error_description\":\"so 'and' so'\""))
        }
        bench.desk.isFull = true
        let full = try bench.post("/oauth2/introspect", "token=x", Self.basic)
        #expect(full.hasPrefix("HTTP/1.1 503") && full.contains("retry-after: 1"))
    }

    @Test func introspectionAnswers() throws {
        let bench = try Bench(setting: "https://as.example")
        #expect(
            try bench.post("/oauth2/introspect", "token=x", Self.basic)
                .hasSuffix("{\"active\":false}\n"))
        bench.desk.result = .success(
            .described(
                TokenDescription(
                    id: "7", client: "app", subject: "s\"", scopes: ["a", "b"],
                    audiences: ["x", "y"], issuedAt: 5, expires: 9)))
        #expect(
            try bench.post("/oauth2/introspect", "token=x&token_type_hint=y", Self.basic).hasSuffix(
                "{\"active\":true,\"token_type\":\"Bearer\",\"scope\":\"a b\",\"client_id\":\"app\","
                    + "\"sub\":\"s\\\"\",\"jti\":\"7\",\"iat\":5,\"exp\":9,"
                    + "\"iss\":\"https://as.example\",\"aud\":[\"x\",\"y\"]}\n"))
        bench.desk.result = .success(.revoked)
        #expect(
            try bench.post("/oauth2/revoke", "token=x", Self.basic).hasPrefix("HTTP/1.1 200"))
    }

    @Test func anAddressHasABudget() throws {
        let bench = try Bench(requests: 2)
        for status in ["200", "200", "429"] {
            let answer = try bench.post("/oauth2/introspect", "token=x", Self.basic)
            #expect(answer.hasPrefix("HTTP/1.1 \(status)"))
            #expect(answer.contains("retry-after: 1") == (status == "429"))
        }
        #expect(bench.desk.asked.count == 2)
    }

    @Test func whoeverGuessesIsSlowedDown() throws {
        let bench = try Bench(failures: 3)
        bench.desk.result = .failure(AuthorizationRefusal(.invalidClient, "no"))
        for status in ["401", "401", "401", "429", "429"] {
            let answer = try bench.post("/oauth2/introspect", "token=x", Self.basic)
            #expect(answer.hasPrefix("HTTP/1.1 \(status)"))
        }
        #expect(bench.desk.asked.count == 3)
        // Right secrets cost nothing.
        let other = try Bench(failures: 1)
        for _ in 0..<5 {
            #expect(
                try other.post("/oauth2/introspect", "token=x", Self.basic)
                    .hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func addressesThatBelongTogether() {
        #expect(RequestBudget.key("10.0.0.1") == "10.0.0.1")
        #expect(RequestBudget.key("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2")
        #expect(RequestBudget.key("2001:db8::1") == "2001:db8:0:0")
        #expect(RequestBudget.key("2001:db8::2") == RequestBudget.key("2001:db8::ffff:1"))
        #expect(RequestBudget.key("::1") == "0:0:0:0")
        #expect(RequestBudget.key("::ffff:10.0.0.1") == "10.0.0.1")
        #expect(RequestBudget.key("fe80::1%eth0") == "fe80:0:0:0")
    }

    @Test func theMetadataTellTheAddressThatWasProved() throws {
        func metadata(_ bench: Bench, host: String) throws -> String {
            try bench.send(
                "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        }
        let named = try metadata(try Bench(), host: "GW:8443")
        #expect(named.contains("\"issuer\":\"https://gw:8443\""))
        #expect(named.contains("\"token_endpoint\":\"https://gw:8443/oauth2/token\""))
        #expect(named.contains("\"response_types_supported\":[]"))
        #expect(try metadata(try Bench(), host: "evil.example").hasPrefix("HTTP/1.1 421"))
        // Without a name in TLS nobody has vouched for what Host says.
        #expect(
            try metadata(try Bench(serverName: ""), host: "evil.example").hasPrefix("HTTP/1.1 404"))
        let set = try metadata(
            try Bench(serverName: "", setting: "https://as.example"), host: "evil.example")
        #expect(set.contains("\"issuer\":\"https://as.example\"") && !set.contains("evil"))
    }

    @Test func base64AsBasicHasIt() {
        func decoded(_ text: String) -> String? {
            ClientAuthentication.base64(Array(text.utf8)).map {
                String(decoding: $0, as: UTF8.self)
            }
        }
        #expect(decoded("YTpi") == "a:b")
        #expect(decoded("YTpiYw==") == "a:bc" && decoded("YTpiYw") == "a:bc")
        #expect(decoded("YTpiYw=") == nil && decoded("YTpiY") == nil && decoded("YT=pi") == nil)
        #expect(decoded("YT pi") == nil && decoded("YT-_") == nil)
    }

    @Test func aRequestShowsNothingOfItself() {
        var fields = HTTPHeaders([("Authorization", "Bearer canary"), ("X", "canary")])
        fields.add(name: "host", value: "canary")
        let request = HTTPRequest(
            head: HTTPRequestHead(version: .http1_1, method: .GET, uri: "/canary", headers: fields),
            path: "/canary", query: "canary", host: "canary", peer: Peer(address: "canary"),
            local: "", arrived: Instant(nanoseconds: 0), id: "c-1")
        #expect(request.bearer?.matches(Secret("canary")) == true)
        #expect(!request.head.headers.contains(name: "authorization"))
        var dumped = ""
        dump(request, to: &dumped)
        #expect(!"\(request) \(String(reflecting: request)) \(dumped)".contains("canary"))
    }

    @Test func dates() {
        #expect(HTTPDate.text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(HTTPDate.text(951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
        #expect(HTTPDate.text(4_102_444_799) == "Thu, 31 Dec 2099 23:59:59 GMT")
    }

    @Test func failuresOfCallsAsHTTP() {
        func status(_ code: StatusCode, _ reason: Reason = .none) -> Int {
            Int(HTTPAnswer.failure(CallFailure(code, reason, "x")).status.code)
        }
        #expect(
            status(.invalidArgument) == 400 && status(.invalidArgument, .messageTooLarge) == 413)
        #expect(status(.unauthenticated) == 401 && status(.permissionDenied) == 403)
        #expect(status(.notFound) == 404 && status(.failedPrecondition) == 409)
        #expect(status(.resourceExhausted, .rateLimit) == 429)
        #expect(status(.resourceExhausted, .memoryLimit) == 507)
        #expect(status(.resourceExhausted, .queueFull) == 503 && status(.unavailable) == 503)
        #expect(status(.deadlineExceeded) == 504 && status(.cancelled) == 499)
        #expect(status(.unimplemented) == 501 && status(.internal) == 500)
        let answer = HTTPAnswer.failure(
            CallFailure(.unavailable, .modelLoading, "so \"much\"", retryAfter: .milliseconds(1)))
        #expect(answer.fields.contains { $0 == ("retry-after", "1") })
        #expect(
            String(buffer: answer.body)
                == "{\"error\":\"so \\\"much\\\"\",\"title\":\"Service Unavailable\",\"status\":503,"
                + "\"code\":\"UNAVAILABLE\",\"reason\":\"MODEL_LOADING\"}\n")
    }
}
