// The policy as callers meet it: rules, owners, certificates, ages of answers, and a flood of tokens nobody knows.

import Foundation
import NIOCore
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Testing

@Suite(.serialized) struct PolicyTests {
    /// How a call of one row ends.
    private func outcome(
        _ client: SluiceClient, _ model: String = "iris"
    ) async throws -> SluiceError? {
        do {
            let columns = model == "digits-mlp" ? 64 : 4
            let row = [Float](repeating: 1, count: columns)
            _ = try await client.infer(model, inputs: [try Tensor("X", rows: [row])])
            return nil
        } catch {
            return error
        }
    }

    private func outcome(
        _ gateway: TestGateway, token: String, _ model: String = "iris"
    ) async throws -> SluiceError? {
        do {
            return try await gateway.withClient(token: token) { try await outcome($0, model) }
        } catch let error as SluiceError {
            return error
        }
    }

    private func write(_ settings: String, for gateway: TestGateway) throws {
        try settings.write(
            to: gateway.folder.appending(path: "sluice.yaml"), atomically: true, encoding: .utf8)
    }

    // MARK: Rules

    private static let rules = """
        plans:
          - { name: gold, rate: 1/m, burst: 2 }
        auth:
          policy:
            - { name: irises, client: "app-*", models: [iris, nothing-here], allow: ["infer:*"], plan: gold }
            - { name: chiefs, client: chief }

        """

    @Test func aRuleBoundsModelsAndGivesAPlan() async throws {
        try await withGateway(settings: Self.rules) { gateway in
            // What its token may by itself does not matter: the rule says `allow`.
            let app = try await gateway.token(scope: "models:read", name: "app-1")
            try await gateway.withClient(token: app) { client in
                for left in [1, 0] {
                    let limit = try await client.infer("iris", inputs: TokenTests.iris()).rateLimit
                    #expect(limit?.remaining == left && limit?.limit == 1)
                }
                let limited = try #require(try await outcome(client))
                #expect(limited.code == .resourceExhausted && limited.reason == "RATE_LIMIT")
                #expect(try await outcome(client, "digits-mlp")?.code == .notFound)
            }
            let other = try await gateway.token(scope: "models:read", name: "app-2")
            try await gateway.withClient(token: other) { client in
                let index = try await client.index()
                #expect(index.map(\.name) == ["iris"])
            }
            // A rule without `allow` grants what the token's own scopes do, and no plan of its own.
            let chief = try await gateway.token(scope: "infer:digits-mlp", name: "chief")
            try await gateway.withClient(token: chief) { client in
                for _ in 0..<4 {
                    let error = try await outcome(client, "digits-mlp")
                    #expect(error == nil)
                }
                #expect(try await outcome(client)?.code == .notFound)
            }
            let check = try await Command.run(
                "access", "check", "--model", "iris", "--json", "--endpoint", gateway.endpoint,
                "--ca", gateway.ca, environment: ["SLUICE_TOKEN": other])
            #expect(check.status == 0, "\(check.error)")
            let said = try JSONSerialization.jsonObject(with: Data(check.output.utf8))
            let fields = try #require(said as? [String: Any])
            #expect(fields["rule"] as? String == "irises" && fields["plan"] as? String == "gold")
        }
    }

    @Test func whoFitsNoRuleMayNothing() async throws {
        try await withGateway(settings: Self.rules) { gateway in
            let stranger = try await gateway.token(
                scope: "admin infer:* models:read models:admin", name: "stranger")
            try await gateway.withClient(token: stranger) { client in
                for model in ["iris", "digits-mlp", "nothing-here"] {
                    let error = try #require(try await outcome(client, model))
                    #expect(error.code == .permissionDenied && error.notStarted, "\(model)")
                }
                await #expect(throws: SluiceError.self) { try await client.unload("iris") }
                await #expect(throws: SluiceError.self) { try await client.reloadSettings() }
                let index = try? await client.index()
                #expect(index?.isEmpty != false)
            }
            let check = try await Command.run(
                "access", "check", "--model", "iris", "--endpoint", gateway.endpoint, "--ca",
                gateway.ca, environment: ["SLUICE_TOKEN": stranger])
            #expect(check.status == 77)
            #expect(check.output.contains("no rule of auth.policy fits this caller"))
        }
    }

    @Test func anOwnedModelIsNotThereForOthers() async throws {
        let settings = "auth: { owners: [{ models: \"digits-*\", clients: [team-a] }] }\n"
        try await withGateway(settings: settings) { gateway in
            let scope = "infer:* models:read models:admin"
            let owner = try await gateway.token(scope: scope, name: "team-a")
            let other = try await gateway.token(scope: scope, name: "team-b")
            let admin = try await gateway.token(scope: "admin", name: "chief")
            for (token, sees) in [(owner, true), (other, false), (admin, true)] {
                try await gateway.withClient(token: token) { client in
                    let error = try await outcome(client, "digits-mlp")
                    #expect((error == nil) == sees)
                    #expect(sees || error?.code == .notFound)
                    let names = try await client.index().map(\.name)
                    #expect(names.contains("iris") && names.contains("digits-mlp") == sees)
                    #expect(try await outcome(client) == nil)
                    guard !sees else { return }
                    // Not with the rights of an administrator of models either.
                    await #expect(throws: SluiceError.self) {
                        try await client.unload("digits-mlp")
                    }
                    await #expect(throws: SluiceError.self) {
                        _ = try await client.account("digits-mlp")
                    }
                }
            }
            #expect(try await outcome(gateway, token: owner, "digits-mlp") == nil)
        }
    }

    /// Whatever hides a model, it answers as one that is not there: the same bytes but for the name.
    @Test(
        arguments: [
            "auth: { owners: [{ models: \"digits-mlp\", clients: [team-a] }] }\n",
            "auth: { policy: [{ name: r, models: [iris], allow: [admin] }] }\n",
            "auth: { policy: [{ name: r, allow: [\"infer:iris\", \"infer:none\"] }] }\n",
        ])
    func unknownAndForbiddenAreAlike(settings: String) async throws {
        try await withGateway(settings: settings) { gateway in
            let scope = "infer:* models:read models:admin"
            let token = try await gateway.token(scope: scope, name: "team-b")
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            var id: UInt32 = 0
            /// Status and payload of the answer, without the name that was asked for.
            func answer(_ method: Sluice_Method, _ model: String, version: String) async throws
                -> [[UInt8]]
            {
                id += 1
                let payload = method == .infer ? nil : ByteBuffer()
                try await connection.send(
                    .call(id, model, method: method, payload: payload) {
                        $0.modelVersion = version
                    })
                var frame = try await connection.frame()
                while frame.type != .reply || frame.call != id {
                    frame = try await connection.frame()
                }
                let header = try Sluice_ReplyHeader(
                    serializedBytes: Array(frame.header.readableBytesView))
                var status = header.status
                #expect(method != .infer || status.code != 0, "\(model)")
                status.message = status.message.replacing(model, with: "MODEL")
                return [try status.serializedBytes(), Array(frame.payload.readableBytesView)]
            }
            for method in [
                Sluice_Method.infer, .modelMetadata, .modelReady, .modelStatistics,
                .repositoryLoad, .repositoryUnload,
            ] {
                for version in ["", "1", "9", "prod"] {
                    let forbidden = try await answer(method, "digits-mlp", version: version)
                    let unknown = try await answer(method, "none", version: version)
                    #expect(forbidden == unknown, "\(method) \(version)")
                }
            }
            try await connection.close()
        }
    }

    // MARK: Certificates

    @Test func aCertificateIsAnIdentity() async throws {
        try await withAuthority { authority in
            for name in ["app1", "app2", "app3"] { try await authority.issueClient(name) }
            let settings = """
                tls:
                  certificate: \(authority.path("server.crt"))
                  key: \(authority.path("server.key"))
                  client_certificates: optional
                  client_ca: \(authority.ca)
                auth:
                  certificates:
                    - { subject: "CN=app1,O=Example", client: app-one, scopes: ["infer:iris"] }
                    - { subject: "CN=app2,O=Example", client: app-two, scopes: ["infer:digits-mlp"] }

                """
            try await withGateway(settings: settings) { gateway in
                func call(_ name: String?, _ model: String, token: String = "") async throws
                    -> SluiceError?
                {
                    let shown = name.map {
                        SluiceClient.Configuration.ClientCertificate(
                            certificateFile: authority.path("\($0).crt"),
                            keyFile: authority.path("\($0).key"))
                    }
                    var configuration = SluiceClient.Configuration(
                        security: .tls(
                            .init(trust: .file(authority.ca), clientCertificate: shown)),
                        token: .token(token))
                    configuration.retry = .never
                    configuration.callTimeout = .seconds(20)
                    do {
                        return try await withSluiceClient(
                            endpoint: try Endpoint(gateway.endpoint), configuration: configuration
                        ) { try await outcome($0, model) }
                    } catch let error as SluiceError {
                        return error
                    }
                }
                #expect(try await call("app1", "iris") == nil)
                #expect(try await call("app1", "digits-mlp")?.code == .notFound)
                #expect(try await call("app2", "digits-mlp") == nil)
                #expect(try await call("app2", "iris")?.code == .notFound)
                // Nobody's certificate, and none at all.
                #expect(try await call("app3", "iris")?.code == .unauthenticated)
                #expect(try await call(nil, "iris")?.code == .unauthenticated)
                // A token counts more than the certificate, also a wrong one.
                let token = try await gateway.token(scope: "infer:digits-mlp")
                #expect(try await call("app1", "digits-mlp", token: token) == nil)
                #expect(try await call("app1", "iris", token: token)?.code == .notFound)
                #expect(try await call("app1", "iris", token: "garbage")?.code == .unauthenticated)
            }
        }
    }

    // MARK: Issuers

    /// A gateway that asks another Sluice, and how often that was asked.
    private func withAskedIssuer(
        _ settings: String,
        _ body: (_ gateway: TestGateway, _ issuer: TestGateway, _ token: String) async throws ->
            Void
    ) async throws {
        try await withGateway(settings: "log: { level: debug, format: json }\n") { issuer in
            let app = try await AuthorizationServerTests.client(
                issuer, "app", more: ["--audience", "https://gw.example"])
            let own = try await AuthorizationServerTests.client(
                issuer, "gw", scope: "", more: ["--introspect"])
            let token = try await AuthorizationServerTests.token(issuer, app)
            let asking = """
                auth:
                  issuers:
                    - name: other
                      kind: introspection
                      url: "https://localhost:\(issuer.port)/oauth2/introspect"
                      client_id: gw
                      ca: \(issuer.ca)
                      audience: https://gw.example
                      max_ttl: 1h
                  scopes: { "infer:*": ["infer:*"], "models:read": ["models:read"] }

                """
            try await withGateway(
                settings: asking + settings,
                environment: ["SLUICE_AUTH_ISSUERS_0_CLIENT_SECRET": own.client_secret]
            ) { try await body($0, issuer, token) }
        }
    }

    /// Questions about tokens that the issuer has answered.
    private func questions(_ issuer: TestGateway) -> Int {
        issuer.log.split(separator: "\n").count { $0.contains("/oauth2/introspect") }
    }

    /// The facts are kept, the judgement is not: a new policy holds for the next call, and nobody is asked again. Else the
    /// token, which was revoked meanwhile, would not be believed any more.
    @Test func aNewPolicyHoldsWithoutAskingAnybody() async throws {
        let open = "auth:\n  issuers: [{ name: local, kind: embedded, max_ttl: 1h }]\n"
        try await withGateway(settings: open) { gateway in
            let token = try await gateway.token(name: "app")
            try await gateway.withClient(token: token) { client in
                let first = try await outcome(client)
                #expect(first == nil)
                let revoked = try await Command.run(
                    "token", "revoke", "app", "--state", gateway.state)
                #expect(revoked.status == 0)
                let policies = [
                    ("[{ name: r, client: app, models: [digits-mlp] }]", SluiceError.Code.notFound),
                    ("[{ name: r, client: nobody }]", .permissionDenied),
                ]
                for (policy, code) in policies {
                    try write(open + "  policy: \(policy)\n", for: gateway)
                    gateway.signal(SIGHUP)
                    try await eventually("the connection of before is judged by \(policy)") {
                        try await outcome(client)?.code == code
                    }
                }
                try write(open, for: gateway)
                gateway.signal(SIGHUP)
                try await eventually("everything is as it was") {
                    try await outcome(client) == nil
                }
                #expect(try await outcome(gateway, token: token) == nil, "a new connection")
            }
        }
    }

    /// Random tokens from one address: the issuer is asked as often as the budget says; who is known is served.
    @Test func aFloodOfRandomTokens() async throws {
        let budget = """
              lookups: { per_address: 1/s, per_address_burst: 20, in_all: 500/s }

            """
        try await withAskedIssuer(budget) { gateway, issuer, token in
            try await gateway.withClient(token: token) { client in
                let before = try await times(client)
                let asked = questions(issuer)
                let began = ContinuousClock.now
                let during = try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await flood(gateway, requests: 2_000) }
                    let during = try await times(client)
                    try await group.waitForAll()
                    return during
                }
                let seconds = Int((ContinuousClock.now - began) / .seconds(1)) + 1
                let more = questions(issuer) - asked
                print(
                    "flood: \(more) questions in \(seconds) s; before \(before), during \(during)")
                #expect(more > 0 && more <= 20 + seconds, "\(more) questions in \(seconds) s")
                #expect(during < max(before * 4, .milliseconds(100)), "\(before), \(during)")
                let newcomer = try await outcome(gateway, token: token)
                #expect(newcomer == nil)
            }
        }
    }

    /// The 99th percentile of 300 calls.
    private func times(_ client: SluiceClient) async throws -> Duration {
        var times: [Duration] = []
        for _ in 0..<300 {
            let began = ContinuousClock.now
            let error = try await outcome(client)
            #expect(error == nil)
            times.append(ContinuousClock.now - began)
        }
        return times.sorted()[296]
    }

    /// So many requests over HTTP, each with another token, fifty on the way at a time; every one is refused.
    private func flood(_ gateway: TestGateway, requests: Int) async throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<(requests / 50) {
            let connection = try await RawHTTP.open(to: gateway)
            var text = ""
            for number in 1...50 {
                let token = "rnd\(String(generator.next(), radix: 36))"
                text += "GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n"
                text += number == 50 ? "Connection: close\r\n\r\n" : "\r\n"
            }
            try await connection.send(text)
            let answers = try await connection.end(within: 30)
            let refused = answers.matches(of: #/HTTP/1\.1 (401|429) /#).count
            #expect(refused == 50, "\(answers.prefix(2_000))")
        }
    }

    /// What a scope protects is asked about each time; the rest is believed for an hour.
    @Test func aScopeMayWantYoungerAnswers() async throws {
        let settings = """
            auth:
              issuers: [{ name: local, kind: embedded, max_ttl: 1h }]
              max_ttl_by_scope: { "infer:iris": 0s }

            """
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token(name: "leaver")
            for model in ["iris", "digits-mlp"] {
                #expect(try await outcome(gateway, token: token, model) == nil)
            }
            let revoked = try await Command.run(
                "token", "revoke", "leaver", "--state", gateway.state)
            #expect(revoked.status == 0)
            #expect(try await outcome(gateway, token: token, "digits-mlp") == nil)
            #expect(try await outcome(gateway, token: token)?.code == .unauthenticated)
        }
    }
}
