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
            for way in IntrospectionSettings.ClientAuthentication.allCases {
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
                $0.audience = "infer"
            } body: { client in
                #expect(await ask(client, token) == "active")
            }
            try await withRealClient(server) {
                $0.audience = "https://else"
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
