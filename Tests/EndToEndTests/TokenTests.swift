// Tokens of the embedded issuer: what each kind of bad one gets, and how fast a revocation is believed.

import Foundation
import SluiceClient
import Testing

@Suite struct TokenTests {
    static func iris() throws -> [Tensor] {
        [try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2] as [Float]])]
    }

    /// How a call with this token ends.
    static func outcome(_ gateway: TestGateway, token: String) async throws -> SluiceError? {
        do {
            _ = try await gateway.withClient(token: token) {
                try await $0.infer("iris", inputs: iris())
            }
            return nil
        } catch let error as SluiceError {
            return error
        }
    }

    static let shortTTL = """
        auth:
          issuers: [{ name: local, kind: embedded, max_ttl: 1s }]

        """

    @Test func badTokensAreRefused() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                for token in ["garbage", "slc_" + String(repeating: "A", count: 43)] {
                    let error = try #require(try await Self.outcome(gateway, token: token))
                    #expect(error.code == .unauthenticated)
                    #expect(error.reason == "TOKEN_INACTIVE")
                }
                for token in ["x&client_id=other", "two words", "ü", "a\u{1}b"] {
                    let error = try #require(try await Self.outcome(gateway, token: token))
                    #expect(error.code == .unauthenticated)
                    #expect(error.reason == "TOKEN_MALFORMED", "\(token)")
                }
                let none = try #require(try await Self.outcome(gateway, token: ""))
                #expect(none.reason == "TOKEN_MISSING")
                // No string of the protocol holds a NUL: that HELLO is no message, and the connection ends.
                let broken = try #require(try await Self.outcome(gateway, token: "a\u{0}b"))
                #expect(broken.code == .unavailable)
            }
        }
    }

    @Test func anExpiredTokenIsRefused() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                let token = try await gateway.token(ttl: "2s")
                #expect(try await Self.outcome(gateway, token: token) == nil)
                try await eventually("the token has expired") {
                    try await Self.outcome(gateway, token: token)?.reason == "TOKEN_EXPIRED"
                }
            }
        }
    }

    @Test func aRevokedTokenIsRefusedWithinItsTime() async throws {
        try await withGateway(settings: Self.shortTTL) { gateway in
            try await withBystander(gateway) {
                let token = try await gateway.token(name: "leaver")
                #expect(try await Self.outcome(gateway, token: token) == nil)
                let revoked = try await Command.run(
                    "token", "revoke", "leaver", "--state", gateway.state)
                #expect(revoked.status == 0, "\(revoked.error)")
                try await eventually(within: 5, "the revocation is believed") {
                    try await Self.outcome(gateway, token: token)?.code == .unauthenticated
                }
            }
        }
    }

    @Test func scopesDecideWhatMayBeDone() async throws {
        try await withGateway { gateway in
            let iris = try await gateway.token(scope: "infer:iris")
            try await gateway.withClient(token: iris) { client in
                _ = try await client.infer("iris", inputs: Self.iris())
                let index = try await client.index()
                #expect(index.map(\.name) == ["iris"])
                await #expect(throws: SluiceError.self) { try await client.unload("iris") }
            }
            let reader = try await gateway.token(scope: "models:read")
            try await gateway.withClient(token: reader) { client in
                let index = try await client.index()
                #expect(index.count == 6)
                await #expect(throws: SluiceError.self) {
                    _ = try await client.infer("iris", inputs: Self.iris())
                }
            }
            let nothing = try await gateway.token(scope: "tokens:admin")
            try await gateway.withClient(token: nothing) { client in
                await #expect(throws: SluiceError.self) {
                    _ = try await client.infer("iris", inputs: Self.iris())
                }
            }
        }
    }

    @Test func unloadTakesOutOfServiceUntilLoad() async throws {
        try await withGateway { gateway in
            let admin = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: admin) { client in
                _ = try await client.infer("iris", inputs: Self.iris())
                try await client.unload("iris")
                let isReady = try await client.isReady("iris")
                #expect(!isReady)
                await #expect(throws: SluiceError.self) {
                    _ = try await client.infer("iris", inputs: Self.iris())
                }
                let index = try await client.index()
                let entry = try #require(index.first { $0.name == "iris" })
                #expect(entry.state == "UNAVAILABLE")
                #expect(entry.reason == "unloaded by CLIENT")
                try await client.load("iris")
                _ = try await client.infer("iris", inputs: Self.iris())
            }
        }
    }

    /// A canary: whatever went wrong in between, the token is nowhere in what the gateway wrote.
    @Test func aTokenIsNeverWritten() async throws {
        try await withGateway(settings: "log: { level: trace }\n") { gateway in
            let token = try await gateway.token()
            _ = try await Self.outcome(gateway, token: token)
            let canary = "canary" + String(repeating: "Z", count: 37)
            _ = try await Self.outcome(gateway, token: canary)
            _ = try await Self.outcome(gateway, token: canary + "&x")
            for secret in [token, canary] {
                #expect(!gateway.log.contains(secret))
                let found = try await Command.run(
                    program: "/bin/grep", ["-rc", "--", secret, gateway.state])
                #expect(found.status == 1, "the token lies in the state folder: \(found.output)")
            }
        }
    }
}
