// The client against a real authorization server over TLS. Fails, with the command to run, where none is
// installed.

import Contract
import Foundation
import Logging
import Outside
import Testing

@Suite(.serialized) struct RealServerTests {
    private func withRealClient(
        _ server: RealServer, _ issuer: String = "oidc", secret: String = "gateway-secret",
        book: LogBook = LogBook(), adjust: (inout IntrospectionSettings) -> Void = { _ in },
        body: (IntrospectionClient) async throws -> Void
    ) async throws {
        try await withClient("\(server.base)/\(issuer)/introspect", book: book) { settings in
            settings.clientSecret = Secret(secret)
            settings.trustedCertificates = server.authority
            settings.allowsPlaintextOnLoopback = false
            adjust(&settings)
        } body: { client in
            try await body(client)
        }
    }

    @Test(.timeLimit(.minutes(1))) func itsAnswersAreUnderstood() async throws {
        try await RealServer.running { server in
            let token = try server.token("oidc")
            let brief = try server.token("brief")

            try await withRealClient(server) { client in
                let verdict = try await client.verify(Secret(token))
                guard case .active(let identity) = verdict else {
                    Issue.record("the token is active, not \(verdict)")
                    return
                }
                #expect(identity.issuer == "main" && identity.client == "app")
                #expect(identity.scopes == ["infer"])
                let left = try #require(identity.validFor)
                #expect(left > .seconds(3_500) && left <= .seconds(3_600))

                for garbage in ["garbage", "a.b.c", token + "x", "=", canaryToken] {
                    #expect(await ask(client, garbage) == "inactive", "\(garbage.count) bytes")
                }
                // A token of another issuer on the same server.
                #expect(await ask(client, brief) == "inactive")

                try server.revoke(token, "oidc")
                #expect(await ask(client, token) == "inactive")
            }

            try await withRealClient(server, "brief") { client in
                let fresh = try server.token("brief")
                #expect(await ask(client, fresh) == "active")
                let end = ContinuousClock.now + .seconds(10)
                var last = ""
                while ContinuousClock.now < end, last != "inactive" {
                    last = await ask(client, fresh)
                }
                #expect(last == "inactive", "expired after two seconds")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func bothWaysToAuthenticate() async throws {
        try await RealServer.running { server in
            let token = try server.token("oidc")
            for way in [IntrospectionSettings.ClientAuthentication.basic, .post] {
                try await withRealClient(server) {
                    $0.clientAuthentication = way
                } body: { client in
                    #expect(await ask(client, token) == "active", "\(way)")
                }
                let book = LogBook()
                try await withRealClient(server, secret: "wrong", book: book) {
                    $0.clientAuthentication = way
                } body: { client in
                    #expect(await ask(client, token) == "ISSUER_REFUSED", "\(way)")
                }
                #expect(book.all.map(\.level) == [.error])
                #expect(!book.all.map(\.text).joined().contains(token))
            }
            try await withRealClient(server) {
                $0.audiences = ["infer"]
            } body: { client in
                #expect(await ask(client, token) == "active")
            }
            try await withRealClient(server) {
                $0.audiences = ["https://else"]
            } body: { client in
                #expect(await ask(client, token) == "inactive")
            }
            // Without its authority, nothing is sent to it.
            try await withRealClient(server) {
                $0.trustedCertificates = nil
            } body: { client in
                #expect(await ask(client, token) == "ISSUER_UNAVAILABLE")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func aClientCertificateIsEnough() async throws {
        try await RealServer.running { server in
            let token = try server.token("oidc")
            for (name, expected) in [("client", "active"), ("server", "ISSUER_REFUSED")] {
                try await withRealClient(server, secret: "") {
                    $0.clientAuthentication = .tls
                    $0.clientID = "gateway-tls"
                    $0.clientCertificate = ClientCertificate(
                        chain: server.file("pki/\(name).crt"), key: server.file("pki/\(name).key"))
                } body: { client in
                    #expect(await ask(client, token) == expected, "\(name)")
                }
            }
            await #expect(throws: GatewayError.self, "a key of another certificate") {
                try await withRealClient(server, secret: "") {
                    $0.clientAuthentication = .tls
                    $0.clientCertificate = ClientCertificate(
                        chain: server.file("pki/client.crt"), key: server.file("pki/server.key"))
                } body: { _ in
                }
            }
        }
    }

    #if JWT
        @Test(.timeLimit(.minutes(1))) func aPrivateKeyIsEnough() async throws {
            try await RealServer.running { server in
                let token = try server.token("oidc")
                let pem = try String(contentsOfFile: server.file("pki/client.key"), encoding: .utf8)
                // It wants to be the audience itself: others want their token endpoint named.
                for (key, audience, expected) in [
                    (pem, nil, "active"), (pem, "\(server.base)/oidc/token", "ISSUER_REFUSED"),
                    (TestKeys.other, nil, "ISSUER_REFUSED"),
                ] {
                    try await withRealClient(server, secret: "") {
                        $0.clientAuthentication = .privateKeyJWT
                        $0.clientID = "gateway-key"
                        $0.assertionKey = Secret(key)
                        $0.assertionAudience = audience
                    } body: { client in
                        #expect(await ask(client, token) == expected)
                        #expect(await ask(client, token) == expected, "a new assertion each time")
                    }
                }
            }
        }

        @Test(.timeLimit(.minutes(1))) func signedAnswersAreBelieved() async throws {
            try await RealServer.running { server in
                let token = try server.token("oidc")
                for source in [
                    KeySource.address("\(server.base)/oidc/jwks"),
                    .discovery(issuer: "\(server.base)/oidc"),
                ] {
                    try await withRealClient(server) {
                        $0.answers = .jwt
                        $0.issuer = "\(server.base)/oidc"
                        $0.audiences = ["infer"]
                        $0.signatures = SignatureSettings(source: source)
                    } body: { client in
                        #expect(await ask(client, token) == "active")
                        // 400 and empty, then asked without a signature.
                        #expect(await ask(client, "garbage") == "inactive")
                    }
                }
                // Keys of somebody else.
                let other = try KeySet.read(Array(#"{"keys":[{\#(TestKeys.otherJWK)}]}"#.utf8))
                let book = LogBook()
                try await withRealClient(server, book: book) {
                    $0.answers = .jwt
                    $0.issuer = "\(server.base)/oidc"
                    $0.audiences = ["infer"]
                    $0.signatures = SignatureSettings(source: .fixed(other))
                } body: { client in
                    #expect(await ask(client, token) == "ISSUER_UNAVAILABLE")
                }
                #expect(book.all.map(\.level) == [.warning])
            }
        }

        @Test(.timeLimit(.minutes(1))) func itsTokensAreReadByItsKeys() async throws {
            try await RealServer.running { server in
                var settings = JWKSSettings(
                    expectation: TokenExpectation(
                        issuerName: "main", issuer: "\(server.base)/oidc", audiences: ["infer"]),
                    signatures: SignatureSettings(
                        source: .discovery(issuer: "\(server.base)/oidc")))
                settings.trustedCertificates = server.authority
                try await withVerifier(settings) { verifier in
                    guard
                        case .active(let identity) = try await verifier.verify(
                            Secret(try server.token("oidc")))
                    else {
                        Issue.record("the token is not active")
                        return
                    }
                    #expect(identity.client == "app" && identity.subject == "app")
                    #expect(identity.scopes == ["infer"])
                    // Another issuer's, signed by the same key.
                    let brief = Secret(try server.token("brief"))
                    #expect(try await verifier.verify(brief) == .inactive)
                }
            }
        }
    #endif

    @Test(.timeLimit(.minutes(1))) func killedAndBack() async throws {
        try await RealServer.running { server in
            let token = try server.token("oidc")
            try await withRealClient(server) { client in
                #expect(await ask(client, token) == "active")
                try server.kill()
                #expect(await ask(client, token) == "ISSUER_UNAVAILABLE")
                try await server.start()
                #expect(await ask(client, token) == "active")
            }
        }
    }
}
