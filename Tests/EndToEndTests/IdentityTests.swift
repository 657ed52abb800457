// Who a caller is, at both doors of a real gateway: how long an issuer's answer is believed while nobody answers there, whose
// certificate a token needs, and how often anybody is asked.

import Foundation
import SluiceClient
import Testing

@Suite(.serialized) struct IdentityTests {
    private enum Door: String, CaseIterable { case binary, http }

    /// How a call with this token went, as a connection of its own: `OK`, or the failure's reason.
    private func call(
        _ gateway: TestGateway, _ token: String, by door: Door
    ) async throws -> String {
        switch door {
        case .binary:
            guard let error = try await TokenTests.outcome(gateway, token: token) else {
                return "OK"
            }
            return error.reason
        case .http:
            let caller = try HTTPCaller(gateway, token: token)
            defer { caller.close() }
            let reply = try await caller.post(BridgeTests.infer, BridgeTests.iris)
            guard reply.status != 200 else { return "OK" }
            return try reply.json()["reason"] as? String ?? "no reason: \(reply.text)"
        }
    }

    // MARK: An issuer that is down

    /// An endpoint that knows every token, and a gateway that believes it for a second, and for `more` beyond that.
    private func withIssuer(
        _ more: String, _ body: (TestGateway, IntrospectionEndpoint) async throws -> Void
    ) async throws {
        let end = Int(Date().timeIntervalSince1970) + 3_600
        let answer =
            #"{"active":true,"client_id":"app","scope":"infer:*","aud":"gw","exp":\#(end)}"#
        try await withTemporaryFolder { folder in
            let secret = folder.appending(path: "secret")
            try "s".write(to: secret, atomically: true, encoding: .utf8)
            try await withIntrospectionEndpoint(answering: answer) { endpoint in
                let settings = """
                    auth:
                      issuers:
                        - name: main
                          kind: introspection
                          url: "\(endpoint.url)"
                          client_id: gw
                          client_secret_file: \(secret.path)
                          audience: gw
                          max_ttl: 1s
                    \(more)

                    """
                try await withGateway(settings: settings) { try await body($0, endpoint) }
            }
        }
    }

    private static let staleAnswers = "sluice_auth_stale_answers_total"

    @Test func whoWasKnownIsBelievedAtBothDoorsAndCounted() async throws {
        try await withIssuer("      stale: 60s") { gateway, endpoint in
            for door in Door.allCases {
                let said = try await call(gateway, "known", by: door)
                #expect(said == "OK", "\(door)")
            }
            #expect(try await gateway.metric(Self.staleAnswers) == 0)
            try await endpoint.takeDown()
            for door in Door.allCases {
                let before = try await gateway.metric(Self.staleAnswers)
                try await eventually(within: 20, "a stale answer is believed by \(door)") {
                    let said = try await call(gateway, "known", by: door)
                    guard said == "OK" else { throw TestTrouble("\(door): \(said)") }
                    return try await gateway.metric(Self.staleAnswers) > before
                }
                // Nobody has ever said anything of this one.
                let stranger = try await call(gateway, "stranger-\(door)", by: door)
                #expect(stranger == "ISSUER_UNAVAILABLE", "\(door)")
            }
        }
    }

    /// The default.
    @Test func nobodyIsBelievedLongerWhereNothingSaysSo() async throws {
        try await withIssuer("") { gateway, endpoint in
            for door in Door.allCases {
                let said = try await call(gateway, "known", by: door)
                #expect(said == "OK", "\(door)")
            }
            try await endpoint.takeDown()
            for door in Door.allCases {
                try await eventually(within: 20, "the answer has lapsed at \(door)") {
                    let said = try await call(gateway, "known", by: door)
                    guard ["OK", "ISSUER_UNAVAILABLE"].contains(said) else {
                        throw TestTrouble("\(door): \(said)")
                    }
                    return said != "OK"
                }
            }
            #expect(try await gateway.metric(Self.staleAnswers) == 0)
        }
    }

    // MARK: A token that is bound to a certificate

    /// RFC 8705 section 3: a token that was given to the owner of a certificate is worth nothing without it.
    @Test func aBoundTokenNeedsItsCertificate() async throws {
        try await withAuthority { authority in
            for name in ["owner", "other"] { try await authority.issueClient(name) }
            let digest = try await Command.run(
                program: "/bin/bash",
                [
                    "-c",
                    "set -o pipefail; openssl x509 -in \(authority.path("owner.crt")) -outform DER"
                        + " | openssl dgst -sha256 -binary | basenc --base64url | tr -d =\\\\n",
                ])
            try #require(digest.status == 0 && digest.output.count == 43, "\(digest)")
            let answer = """
                {"active": true, "client_id": "app", "scope": "infer:*", "aud": "gw", \
                "cnf": {"x5t#S256": "\(digest.output)"}}
                """
            try "s".write(toFile: authority.path("secret"), atomically: true, encoding: .utf8)
            try await withIntrospection(answering: answer) { url in
                let settings = """
                    tls:
                      certificate: \(authority.path("server.crt"))
                      key: \(authority.path("server.key"))
                      client_certificates: optional
                      client_ca: \(authority.ca)
                    auth:
                      issuers:
                        - { name: main, kind: introspection, url: "\(url)", client_id: gw, \
                    client_secret_file: \(authority.path("secret")), audience: gw }

                    """
                try await withGateway(settings: settings) { gateway in
                    // The answer is remembered from the first on: whose session it is, is looked at each time.
                    for (client, status) in [
                        ("owner", "200"), ("other", "401"), (nil, "401"), ("owner", "200"),
                    ] {
                        let said = try await overHTTP(gateway, authority, client)
                        #expect(said == status, "\(client ?? "none")")
                        let error = try await overBinary(gateway, authority, client)
                        #expect(
                            error?.code == (status == "200" ? nil : .unauthenticated),
                            "\(client ?? "none")")
                    }
                }
            }
        }
    }

    /// The status of a call with the bound token and this client's certificate.
    private func overHTTP(
        _ gateway: TestGateway, _ authority: Authority, _ client: String?
    ) async throws -> String {
        let shown = client.map {
            ["--cert", authority.path("\($0).crt"), "--key", authority.path("\($0).key")]
        }
        let done = try await Command.run(
            program: "/usr/bin/curl",
            [
                "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", authority.ca, "-H",
                "Authorization: Bearer bound", "-H", "Content-Type: application/json", "-d",
                BridgeTests.iris,
            ] + (shown ?? []) + ["https://localhost:\(gateway.port)\(BridgeTests.infer)"])
        #expect(done.error.isEmpty, "\(done.error)")
        return done.output
    }

    private func overBinary(
        _ gateway: TestGateway, _ authority: Authority, _ client: String?
    ) async throws -> SluiceError? {
        let shown = client.map {
            SluiceClient.Configuration.ClientCertificate(
                certificateFile: authority.path("\($0).crt"),
                keyFile: authority.path("\($0).key"))
        }
        var configuration = SluiceClient.Configuration(
            security: .tls(.init(trust: .file(authority.ca), clientCertificate: shown)),
            token: .token("bound"))
        configuration.retry = .never
        configuration.callTimeout = .seconds(20)
        do {
            try await withSluiceClient(
                endpoint: try Endpoint(gateway.endpoint), configuration: configuration
            ) { _ = try await $0.infer("iris", inputs: TokenTests.iris()) }
            return nil
        } catch let error as SluiceError {
            return error
        }
    }

    // MARK: How often anybody is asked

    /// A connection shows its token once: its calls ask neither the issuer nor the cache.
    @Test func aConnectionsTokenIsLookedUpOnce() async throws {
        let settings = "auth: { issuers: [{ name: local, kind: embedded, max_ttl: 300s }] }\n"
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token()
            func looked() async throws -> [Double] {
                var counts: [Double] = []
                for series in [
                    #"sluice_introspections_total{result="active"}"#,
                    #"sluice_auth_cache_hits_total{segment="active"}"#,
                ] { counts.append(try await gateway.metric(series)) }
                return counts
            }
            for connection in 0..<3 {
                try await gateway.withClient(token: token) { client in
                    for _ in 0..<50 {
                        _ = try await client.infer("iris", inputs: TokenTests.iris())
                    }
                }
                // The first asked the issuer, each further one the cache, once.
                let counts = try await looked()
                #expect(counts == [1, Double(connection)])
            }
        }
    }
}
