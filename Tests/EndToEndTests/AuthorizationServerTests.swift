// The embedded issuer as a server, over real TLS: curl, stock OAuth libraries, another Sluice, and who tries too much.

import Foundation
import SluiceClient
import Testing

@Suite struct AuthorizationServerTests {
    /// A client that was made on the command line.
    struct Client: Decodable {
        var client_id: String
        var client_secret: String
    }

    static func client(
        _ gateway: TestGateway, _ id: String, scope: String = "infer:* models:read",
        more: [String] = []
    ) async throws -> Client {
        let made = try await Command.run(
            program: Paths.binary,
            [
                "client", "create", "--id", id, "--name", id, "--scope", scope, "--json", "--state",
                gateway.state,
            ] + more)
        guard made.status == 0 else { throw TestTrouble("client create: \(made.error)") }
        return try JSONDecoder().decode(Client.self, from: Data(made.output.utf8))
    }

    struct Answer {
        var status: Int
        var body: String
        var fields: String

        func value(_ name: String) throws -> String? {
            let object = try JSONSerialization.jsonObject(with: Data(body.utf8))
            return (object as? [String: Any])?[name].map { "\($0)" }
        }
    }

    static func curl(
        _ gateway: TestGateway, _ path: String, _ arguments: [String] = []
    ) async throws -> Answer {
        let run = try await Command.run(
            program: "/usr/bin/curl",
            [
                "-sS", "-i", "--max-time", "20", "--cacert", gateway.ca,
                "https://localhost:\(gateway.port)\(path)",
            ] + arguments)
        guard run.status == 0, let end = run.output.firstRange(of: "\r\n\r\n"),
            let status = Int(run.output.dropFirst(9).prefix(3))
        else { throw TestTrouble("curl \(path): \(run.status) \(run.error) \(run.output)") }
        return Answer(
            status: status, body: String(run.output[end.upperBound...]),
            fields: String(run.output[..<end.lowerBound]))
    }

    static func token(_ gateway: TestGateway, _ client: Client) async throws -> String {
        let answer = try await curl(
            gateway, "/oauth2/token",
            [
                "-u", "\(client.client_id):\(client.client_secret)", "-d",
                "grant_type=client_credentials",
            ])
        guard let token = try answer.value("access_token") else { throw TestTrouble(answer.body) }
        return token
    }

    private func introspect(
        _ gateway: TestGateway, _ client: Client, _ token: String
    ) async throws -> Answer {
        try await Self.curl(
            gateway, "/oauth2/introspect",
            ["-u", "\(client.client_id):\(client.client_secret)", "-d", "token=\(token)"])
    }

    @Test func aTokenFromHTTPCallsAModelUntilItIsRevoked() async throws {
        let settings = "auth: { issuers: [{ name: local, kind: embedded, max_ttl: 300s }] }\n"
        try await withGateway(settings: settings) { gateway in
            let app = try await Self.client(gateway, "app")
            let other = try await Self.client(
                gateway, "resource", scope: "", more: ["--introspect"])
            let token = try await Self.token(gateway, app)
            #expect(try await TokenTests.outcome(gateway, token: token) == nil)
            let described = try await introspect(gateway, other, token)
            #expect(try described.value("active") == "1" && described.status == 200)
            #expect(try described.value("client_id") == "app")
            #expect(try described.value("iss") == "https://localhost:\(gateway.port)")
            for client in [other, app] {
                let revoked = try await Self.curl(
                    gateway, "/oauth2/revoke",
                    [
                        "-u", "\(client.client_id):\(client.client_secret)", "-d",
                        "token=\(token)",
                    ])
                #expect(revoked.status == (client.client_id == "app" ? 200 : 403))
            }
            #expect(try await introspect(gateway, other, token).body == "{\"active\":false}\n")
            // At once, however long answers are believed.
            let after = try await TokenTests.outcome(gateway, token: token)
            #expect(after?.code == .unauthenticated)
        }
    }

    @Test func rotatedAndRemovedWhileItRuns() async throws {
        try await withGateway { gateway in
            let old = try await Self.client(gateway, "app")
            func status(_ client: Client) async throws -> Int {
                try await Self.curl(
                    gateway, "/oauth2/token",
                    [
                        "-u", "app:\(client.client_secret)", "-d", "grant_type=client_credentials",
                    ]
                ).status
            }
            // The secret stands alone on standard output.
            let rotated = try await Command.run(
                "client", "rotate", "app", "--grace", "1s", "--state", gateway.state)
            let secret = rotated.output.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(secret.wholeMatch(of: #/scs_[\w-]{43}/#) != nil)
            let new = Client(client_id: "app", client_secret: secret)
            #expect(try await status(new) == 200)
            try await eventually("the grace is over") { try await status(old) == 401 }
            #expect(try await status(new) == 200)
            let list = try await Command.run("client", "list", "--json", "--state", gateway.state)
            #expect(list.output.contains("\"id\":\"app\"") && !list.output.contains("scs_"))
            let tokens = try await Command.run(
                "token", "list", "--all", "--json", "--state", gateway.state)
            #expect(tokens.output.contains("\"client\":\"app\""))
            let removed = try await Command.run("client", "remove", "app", "--state", gateway.state)
            #expect(removed.status == 0)
            #expect(try await status(new) == 401)
            let again = try await Command.run("client", "remove", "app", "--state", gateway.state)
            #expect(again.status == 65)
            let bad = try await Command.run(
                "client", "create", "--name", "x", "--id", "a b", "--state", gateway.state)
            #expect(bad.status == 78)
        }
    }

    @Test func stockClientsOfOAuth() async throws {
        let environment = Paths.root.appending(path: ".venv-oauth")
        let made = try await Command.run(
            program: Paths.root.appending(path: "scripts/python-environment").path,
            ["Tests/Fixtures/oauth/requirements.txt", environment.path], within: 300)
        guard made.status == 0 else { throw TestTrouble("scripts/setup --test: \(made.error)") }
        try await withGateway { gateway in
            let app = try await Self.client(gateway, "app")
            let resource = try await Self.client(
                gateway, "resource", scope: "", more: ["--introspect"])
            let base = "https://localhost:\(gateway.port)"
            let run = try await Command.run(
                program: environment.appending(path: "bin/python").path,
                [
                    "\(Paths.fixtures)/oauth/clients.py", base, gateway.ca, app.client_id,
                    resource.client_id,
                ],
                environment: [
                    "CLIENT_SECRET": app.client_secret,
                    "INTROSPECTING_SECRET": resource.client_secret,
                    // A bundle of this machine's own would come before what the script says.
                    "REQUESTS_CA_BUNDLE": gateway.ca,
                ])
            guard run.status == 0 else { throw TestTrouble(run.error) }
            let methods = ["client_secret_basic", "client_secret_post"].map { method in
                """
                "authlib \(method)": ["Bearer", "infer:iris", 3600], \
                "gone \(method)": {"active": false}, \
                "introspected \(method)": [true, "app", "\(base)"], \
                "revoked \(method)": 200
                """
            }
            let expected = try JSONSerialization.jsonObject(
                with: Data(
                    """
                    {\(methods.joined(separator: ", ")), "issuer": "\(base)",
                    "requests-oauthlib False": ["Bearer", ["infer:*"], 3600],
                    "requests-oauthlib True": ["Bearer", ["infer:*"], 3600],
                    "wrong secret": "invalid_client", "wider scope": "invalid_scope"}
                    """.utf8))
            let said = try JSONSerialization.jsonObject(with: Data(run.output.utf8))
            #expect((said as? NSDictionary) == (expected as? NSDictionary), "\(run.output)")
        }
    }

    @Test func oneSluiceIsTheIssuerOfAnother() async throws {
        try await withGateway { issuer in
            let app = try await Self.client(
                issuer, "app", more: ["--audience", "https://gw.example"])
            let stranger = try await Self.client(
                issuer, "stranger", more: ["--audience", "https://elsewhere.example"])
            let resource = try await Self.client(
                issuer, "gateway-2", scope: "",
                more: ["--introspect", "--audience", "https://gw.example"])
            let secret = issuer.folder.appending(path: "secret")
            try resource.client_secret.write(to: secret, atomically: true, encoding: .utf8)
            let settings = """
                auth:
                  issuers:
                    - name: other
                      kind: introspection
                      url: "https://localhost:\(issuer.port)/oauth2/introspect"
                      client_id: gateway-2
                      client_secret_file: \(secret.path)
                      ca: \(issuer.ca)
                      audience: https://gw.example
                      max_ttl: 1s
                  scopes: { "infer:*": ["infer:*"] }

                """
            try await withGateway(settings: settings) { gateway in
                let token = try await Self.token(issuer, app)
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
                let foreign = try await Self.token(issuer, stranger)
                #expect(
                    try await TokenTests.outcome(gateway, token: foreign)?.code == .unauthenticated)
                // What only an embedded issuer has is not here.
                #expect(try await Self.curl(gateway, "/oauth2/token", ["-d", "x=y"]).status == 401)
                let metadata = try await Self.curl(
                    gateway, "/.well-known/oauth-authorization-server",
                    ["-H", "Authorization: Bearer \(token)"])
                #expect(metadata.status == 404)
                let revoked = try await Self.curl(
                    issuer, "/oauth2/revoke",
                    ["-u", "app:\(app.client_secret)", "-d", "token=\(token)"])
                #expect(revoked.status == 200)
                try await eventually(within: 10, "the other gateway believes the revocation") {
                    try await TokenTests.outcome(gateway, token: token)?.code == .unauthenticated
                }
            }
        }
    }

    @Test func whoeverTriesTooMuchIsSlowedDownAndNobodyElse() async throws {
        let settings = """
            auth:
              server: { failures_per_address: 3, requests_per_client: 1, tokens_per_client: 2 }

            """
        try await withGateway(settings: settings) { gateway in
            let app = try await Self.client(gateway, "app")
            let other = try await Self.client(gateway, "other")
            try await withBystander(gateway) {
                func status(_ client: Client, _ secret: String? = nil) async throws -> Answer {
                    try await Self.curl(
                        gateway, "/oauth2/token",
                        [
                            "-u", "\(client.client_id):\(secret ?? client.client_secret)", "-d",
                            "grant_type=client_credentials",
                        ])
                }
                #expect(try await status(app).status == 200)
                #expect(try await status(app).status == 200)
                let full = try await status(app)
                #expect(full.status == 429 && full.body.contains("2 tokens"))
                #expect(full.fields.contains("retry-after: 60"))
                #expect(try await status(other).status == 200)
                for _ in 0..<3 { #expect(try await status(app, "guess").status == 401) }
                let slowed = try await status(app, "guess")
                #expect(slowed.status == 429 && slowed.body.contains("wrong secrets"))
                #expect(slowed.fields.contains("retry-after: "))
            }
        }
    }

    /// Every route, with nothing and with what is wrong.
    @Test func everyRouteAsksWhoItIs() async throws {
        try await withGateway { gateway in
            let app = try await Self.client(gateway, "app")
            let wrong: [[String]] = [
                [], ["-u", "app:wrong"], ["-u", "nobody:\(app.client_secret)"], ["-u", "app:"],
                ["-H", "Authorization: Bearer \(app.client_secret)"],
                ["-H", "Authorization: Basic"], ["-H", "Authorization: Negotiate x"],
            ]
            for (path, form) in [
                ("/oauth2/token", "grant_type=client_credentials"),
                ("/oauth2/introspect", "token=x"), ("/oauth2/revoke", "token=x"),
            ] {
                for credential in wrong {
                    let answer = try await Self.curl(gateway, path, ["-d", form] + credential)
                    #expect(answer.status == 401, "\(path) \(credential)")
                    #expect(answer.fields.contains("www-authenticate: Basic realm"))
                    #expect(answer.body.contains("\"error\":\"invalid_client\""))
                }
                #expect(try await Self.curl(gateway, path).status == 405)
            }
            for path in [
                "/console", "/sluice/v1/account", "/v2", "/v2/models/iris", "/admin", "/metrics",
                "/livez", "/oauth2",
            ] {
                let none = try await Self.curl(gateway, path)
                #expect(none.status == 401, "\(path)")
                #expect(none.fields.contains("www-authenticate: Bearer realm"))
                let bad = try await Self.curl(
                    gateway, path, ["-H", "Authorization: Bearer garbage"])
                #expect(bad.status == 401, "\(path)")
            }
            let token = try await Self.token(gateway, app)
            let known = try await Self.curl(
                gateway, "/nothing", ["-H", "Authorization: Bearer \(token)"])
            #expect(known.status == 404)
            // Without credentials: what everybody needs to find the rest.
            #expect(
                try await Self.curl(gateway, "/.well-known/oauth-authorization-server").status
                    == 200)
        }
    }

    /// Canaries: neither a client's secret nor a token is in what the gateway writes, whatever goes wrong.
    @Test func nothingSecretIsWritten() async throws {
        try await withGateway(settings: "log: { level: trace }\n") { gateway in
            let app = try await Self.client(gateway, "app")
            let token = try await Self.token(gateway, app)
            let canary = "canary" + String(repeating: "Z", count: 37)
            _ = try await Self.curl(
                gateway, "/oauth2/token?client_secret=\(canary)", ["-d", "x=\(canary)"])
            _ = try await Self.curl(
                gateway, "/oauth2/introspect", ["-u", "app:\(canary)", "-d", "token=\(canary)"])
            _ = try await Self.curl(
                gateway, "/\(canary)?access_token=\(canary)",
                ["-H", "Authorization: Bearer \(canary)"])
            _ = try await Self.curl(
                gateway, "/oauth2/revoke",
                ["-u", "app:\(app.client_secret)", "-d", "token=\(canary)&token=\(token)"])
            for secret in [token, app.client_secret, canary] {
                #expect(!gateway.log.contains(secret))
                let found = try await Command.run(
                    program: "/bin/grep", ["-rc", "--", secret, gateway.state])
                #expect(found.status == 1, "it lies in the state folder: \(found.output)")
            }
            #expect(gateway.log.contains("/oauth2/token"))
        }
    }
}
