// The embedded issuer as a server: clients and what they may ask, on real files in temporary folders.

import Contract
import Foundation
import GRDB
import Issuer
import Testing

@Suite struct EmbeddedServerTests {
    /// A server on a folder of its own, with a clock that stands still.
    private final class Bench {
        let clock = Clock()
        let store: TokenStore
        let server: EmbeddedServer

        init(
            _ folder: borrowing Folder, _ change: (inout EmbeddedServerSettings) -> Void = { _ in }
        ) async throws {
            store = try await open(folder, clock)
            var settings = EmbeddedServerSettings()
            change(&settings)
            server = EmbeddedServer(store: store, settings: settings)
        }

        func client(
            _ id: String, scopes: [String] = ["infer:*"], audiences: [String] = [],
            introspects: Bool = false
        ) async throws -> ClientCredential {
            let issued = try await store.createClient(
                id: id, name: id, scopes: scopes, audiences: audiences, mayIntrospect: introspects)
            return ClientCredential(id: id, secret: issued.secret)
        }

        func ask(
            _ request: AuthorizationRequest, _ credential: ClientCredential, at second: UInt64 = 1
        ) async throws(AuthorizationRefusal) -> AuthorizationAnswer {
            try await server.answer(
                request, from: credential, now: Instant(nanoseconds: second * 1_000_000_000))
        }

        func grant(_ credential: ClientCredential, _ scopes: [String]? = nil) async throws -> Grant
        {
            guard case .granted(let grant) = try await ask(.token(scopes: scopes), credential)
            else {
                throw AuthorizationRefusal(.serverError, "no grant")
            }
            return grant
        }

        func description(
            of token: Secret, to credential: ClientCredential
        ) async throws -> TokenDescription? {
            guard case .described(let found) = try await ask(.introspect(token), credential) else {
                return nil
            }
            return found
        }

        /// The code of the refusal, nil when there was none.
        func refusal(
            _ request: AuthorizationRequest, _ credential: ClientCredential
        ) async -> AuthorizationRefusal.Code? {
            do {
                _ = try await ask(request, credential)
                return nil
            } catch {
                return error.code
            }
        }
    }

    @Test func aClientGetsATokenThatIsKnownEverywhere() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let app = try await bench.client(
            "app", scopes: ["infer:*", "models:read"], audiences: ["https://gw"])
        let gateway = try await bench.client("gw", scopes: [], introspects: true)
        let grant = try await bench.grant(app)
        #expect(grant.scopes == ["infer:*", "models:read"])
        #expect(grant.validFor == .seconds(3_600))
        let identity = try #require(try await bench.store.verify(grant.token).identity)
        #expect(identity.client == "app" && identity.subject == grant.id)
        #expect(identity.validFor == .seconds(3_600))
        let described = try #require(try await bench.description(of: grant.token, to: gateway))
        #expect(
            described
                == TokenDescription(
                    id: grant.id, client: "app", subject: grant.id,
                    scopes: ["infer:*", "models:read"], audiences: ["https://gw"],
                    issuedAt: bench.clock.now / 1_000, expires: bench.clock.now / 1_000 + 3_600))
        // One that an operator made is described alike; it is for anybody.
        let made = try await bench.store.create(name: "demo", scopes: ["admin"], ttl: nil)
        let other = try #require(try await bench.description(of: made.token, to: gateway))
        #expect(other.client == "demo" && other.expires == nil && other.audiences.isEmpty)
        bench.clock.advance(seconds: 3_600)
        #expect(try await bench.description(of: grant.token, to: gateway) == nil)
        try await bench.store.close()
    }

    @Test func wrongSecretsAndUnknownClientsAreAlike() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let app = try await bench.client("app")
        let other = try await bench.client("other")
        for credential in [
            ClientCredential(id: "app", secret: other.secret),
            ClientCredential(id: "nobody", secret: app.secret),
            ClientCredential(id: "app", secret: Secret("")),
            ClientCredential(id: "", secret: app.secret),
            ClientCredential(id: "a' OR '1'='1", secret: app.secret),
            ClientCredential(id: "app", secret: Secret(String(repeating: "\u{0}", count: 32))),
        ] {
            for request in [
                AuthorizationRequest.token(scopes: nil), .introspect(Secret("x")),
                .revoke(Secret("x")),
            ] {
                #expect(await bench.refusal(request, credential) == .invalidClient)
            }
        }
        try await bench.store.close()
    }

    @Test func scopesAreNarrowedAndNeverWidened() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let app = try await bench.client(
            "app", scopes: ["infer:digits-*", "infer:iris", "models:admin"])
        for (asked, isGranted) in [
            (["infer:iris"], true), (["infer:digits-a", "infer:digits-a*"], true),
            (["models:read"], true), (["models:admin", "infer:digits-*"], true), ([], true),
            (["infer:*"], false), (["infer:digits*"], false), (["infer:iris*"], false),
            (["infer:other"], false), (["admin"], false), (["tokens:admin"], false),
            (["infer:iris", "nonsense"], false), (["openid"], false),
        ] as [([String], Bool)] {
            let code = await bench.refusal(.token(scopes: asked), app)
            #expect(code == (isGranted ? nil : .invalidScope), "\(asked)")
        }
        let admin = try await bench.client("root", scopes: ["admin"])
        #expect(try await bench.grant(admin, ["infer:x*", "tokens:admin"]).scopes.count == 2)
        let reader = try await bench.client("reader", scopes: [], introspects: true)
        #expect(await bench.refusal(.token(scopes: nil), reader) == .unauthorizedClient)
        try await bench.store.close()
    }

    @Test func whoMayIntrospectAndWhatItIsTold() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let here = try await bench.client("here", audiences: ["https://a", "https://b"])
        let free = try await bench.client("free")
        let gatewayA = try await bench.client(
            "ga", scopes: [], audiences: ["https://b"], introspects: true)
        let gatewayC = try await bench.client(
            "gc", scopes: [], audiences: ["https://c"], introspects: true)
        let token = try await bench.grant(here).token
        let freeToken = try await bench.grant(free).token
        #expect(await bench.refusal(.introspect(token), here) == .unauthorizedClient)
        #expect(try await bench.description(of: token, to: gatewayA) != nil)
        #expect(try await bench.description(of: token, to: gatewayC) == nil)
        #expect(try await bench.description(of: freeToken, to: gatewayC) != nil)
        for unknown in ["", "x", "slc_" + String(repeating: "A", count: 43)] {
            #expect(try await bench.description(of: Secret(unknown), to: gatewayA) == nil)
        }
        try await bench.store.close()
    }

    @Test func onlyOwnTokensAreRevoked() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let one = try await bench.client("one")
        let two = try await bench.client("two", introspects: true)
        let token = try await bench.grant(one).token
        let operators = try await bench.store.create(name: "one", scopes: ["admin"], ttl: nil)
        #expect(await bench.refusal(.revoke(token), two) == .unauthorizedClient)
        #expect(await bench.refusal(.revoke(operators.token), one) == .unauthorizedClient)
        #expect(try await bench.description(of: token, to: two) != nil)
        for _ in 0..<2 { #expect(await bench.refusal(.revoke(token), one) == nil) }
        #expect(await bench.refusal(.revoke(Secret("unknown")), one) == nil)
        #expect(try await bench.description(of: token, to: two) == nil)
        #expect(try await bench.store.verify(token) == .inactive)
        #expect(try await bench.store.verify(operators.token) != .inactive)
        try await bench.store.close()
    }

    @Test func aRotatedSecretHasItsGrace() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let first = try await bench.client("app")
        let rotated = try await bench.store.rotateClient("app", grace: .seconds(60))
        let second = ClientCredential(id: "app", secret: rotated.secret)
        #expect(await bench.refusal(.token(scopes: nil), first) == nil)
        #expect(await bench.refusal(.token(scopes: nil), second) == nil)
        bench.clock.advance(seconds: 60)
        #expect(await bench.refusal(.token(scopes: nil), first) == .invalidClient)
        let third = ClientCredential(
            id: "app", secret: try await bench.store.rotateClient("app", grace: .seconds(60)).secret
        )
        #expect(await bench.refusal(.token(scopes: nil), first) == .invalidClient)
        #expect(await bench.refusal(.token(scopes: nil), second) == nil)
        _ = try await bench.store.rotateClient("app", grace: .zero)
        for secret in [first, second, third] {
            #expect(await bench.refusal(.token(scopes: nil), secret) == .invalidClient)
        }
        try await bench.store.close()
    }

    @Test func aRemovedClientGoesWithItsTokens() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let app = try await bench.client("app")
        let gateway = try await bench.client("gw", scopes: [], introspects: true)
        let token = try await bench.grant(app).token
        #expect(try await bench.store.removeClient("app").removed == bench.clock.now)
        #expect(await bench.refusal(.token(scopes: nil), app) == .invalidClient)
        #expect(try await bench.description(of: token, to: gateway) == nil)
        #expect(try await bench.store.verify(token) == .inactive)
        await #expect(throws: GatewayError.self) { try await bench.store.removeClient("app") }
        // Its id is not given to another while anybody may remember it.
        await #expect(throws: GatewayError.self) { try await bench.client("app") }
        bench.clock.advance(seconds: 31 * 24 * 3_600)
        _ = try await bench.client("app")
        try await bench.store.close()
    }

    @Test func whatIsNoClient() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        for (id, name, scopes, audiences) in [
            ("a b", "x", ["admin"], []), ("", "x", ["admin"], []), ("ä", "x", ["admin"], []),
            (String(repeating: "a", count: 65), "x", ["admin"], []), ("a", "", ["admin"], []),
            ("a", "x\n", ["admin"], []), ("a", "x", [], []), ("a", "x", ["root"], []),
            ("a", "x", ["admin"], ["a b"]),
            ("a", "x", ["admin"], Array(repeating: "a", count: 17)),
        ] as [(String, String, [String], [String])] {
            await #expect(throws: GatewayError.self, "\(id) \(name) \(scopes) \(audiences)") {
                try await bench.store.createClient(
                    id: id, name: name, scopes: scopes, audiences: audiences, mayIntrospect: false)
            }
        }
        _ = try await bench.client("a")
        await #expect(throws: GatewayError.self) { try await bench.client("a") }
        let made = try await bench.store.createClient(
            id: nil, name: "a", scopes: ["admin"], audiences: [], mayIntrospect: false)
        #expect(made.record.id.hasPrefix("client-"))
        // An id comes before a name.
        #expect(try await bench.store.removeClient("a").id == "a")
        #expect(try await bench.store.removeClient("a").id == made.record.id)
        try await bench.store.close()
    }

    // MARK: Limits

    @Test func aClientsTokensAreBoundedUntilTheyExpire() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder) {
            $0.tokensPerClientMax = 3
            $0.tokenTime = .seconds(60)
        }
        let app = try await bench.client("app")
        let other = try await bench.client("other")
        for _ in 0..<3 { _ = try await bench.grant(app) }
        #expect(await bench.refusal(.token(scopes: nil), app) == .slowDown)
        #expect(await bench.refusal(.token(scopes: nil), other) == nil)
        bench.clock.advance(seconds: 60)
        #expect(await bench.refusal(.token(scopes: nil), app) == nil)
        // The expired ones are gone, and operators do not see those of clients unless they ask.
        #expect(try await bench.store.list(ofClients: true).count == 2)
        #expect(try await bench.store.list().isEmpty)
        try await bench.store.close()
    }

    @Test func expiredTokensAreForgottenAlsoOfClientsThatStayAway() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder) { $0.tokenTime = .seconds(60) }
        let away = try await bench.client("away")
        let here = try await bench.client("here")
        for _ in 0..<3 { _ = try await bench.grant(away) }
        bench.clock.advance(seconds: 60)
        _ = try await bench.grant(here)
        #expect(try await bench.store.list(ofClients: true).count == 4)
        _ = try await bench.ask(.token(scopes: nil), here, at: 601)
        #expect(try await bench.store.list(ofClients: true).map(\.client) == ["here", "here"])
        try await bench.store.close()
    }

    @Test func allTokensOfClientsAreBounded() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder) {
            $0.tokensMax = 4
            $0.tokenTime = .seconds(60)
        }
        for name in ["a", "b", "c", "d"] { _ = try await bench.grant(try await bench.client(name)) }
        let last = try await bench.client("e")
        #expect(await bench.refusal(.token(scopes: nil), last) == .temporarilyUnavailable)
        // An operator is not kept out.
        _ = try await bench.store.create(name: "x", scopes: ["admin"], ttl: nil)
        bench.clock.advance(seconds: 60)
        #expect(await bench.refusal(.token(scopes: nil), last) == nil)
        try await bench.store.close()
    }

    @Test func aClientHasABudgetThatNobodyElseUsesUp() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder) { $0.requestsPerClient = Rate(2, per: .seconds(10)) }
        let app = try await bench.client("app", introspects: true)
        let wrong = ClientCredential(id: "app", secret: Secret("wrong"))
        for _ in 0..<5 {
            #expect(await bench.refusal(.introspect(Secret("x")), wrong) == .invalidClient)
        }
        for code in [nil, nil, AuthorizationRefusal.Code.slowDown] {
            #expect(await bench.refusal(.introspect(Secret("x")), app) == code)
        }
        do {
            _ = try await bench.ask(.introspect(Secret("x")), app)
            Issue.record("the budget was not used up")
        } catch {
            #expect(error.retryAfter == .seconds(5))
        }
        _ = try await bench.ask(.introspect(Secret("x")), app, at: 6)
        try await bench.store.close()
    }

    // MARK: The file

    @Test func noSecretLiesInTheFile() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder)
        let app = try await bench.client("app")
        let token = try await bench.grant(app).token
        let secrets = [text(app.secret), text(token)]
        #expect(!"\(app)".contains(secrets[0]))
        try await bench.store.close()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + name))
            for secret in secrets {
                #expect(bytes.firstRange(of: Data(secret.utf8)) == nil, "\(name)")
            }
        }
    }

    /// A file of the version before clients: its tokens are there, and clients can be made.
    @Test func aFileOfTheVersionBeforeIsTakenOver() async throws {
        let folder = try Folder()
        try FileManager.default.createDirectory(
            atPath: folder.path, withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: folder.file)
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: tokens") { database in
            try database.execute(
                sql: """
                    CREATE TABLE token (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL,
                        hash BLOB NOT NULL UNIQUE, scopes TEXT NOT NULL, created INTEGER NOT NULL,
                        expires INTEGER, revoked INTEGER) STRICT, WITHOUT ROWID;
                    INSERT INTO token VALUES ('0123456789ab', 'old', x'00', 'infer:*', 5, NULL, NULL)
                    """)
        }
        try migrator.migrate(queue)
        try queue.close()
        let bench = try await Bench(folder)
        #expect(try await bench.store.list().map(\.name) == ["old"])
        #expect(try await bench.grant(try await bench.client("app")).scopes == ["infer:*"])
        #expect(try await bench.store.list(ofClients: true).count == 2)
        try await bench.store.close()
    }

    @Test func manyAtOnce() async throws {
        let folder = try Folder()
        let bench = try await Bench(folder) { $0.tokensPerClientMax = 20 }
        let app = try await bench.client("app")
        let granted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<40 {
                group.addTask { [server = bench.server] in
                    do {
                        _ = try await server.answer(
                            .token(scopes: nil), from: app, now: Instant(nanoseconds: 1))
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(granted == 20)
        try await bench.store.close()
    }
}
