// The gateway at a real authorization server (glewlwyd): what its answers mean to a caller.

import Foundation
import SluiceClient
import Testing

@Suite(.serialized) struct IntrospectionTests {
    /// The authorization server of scripts/components, running. It ends with its standard input.
    struct AuthorizationServer {
        let folder: URL
        let port: Int
        var ca: String { folder.appending(path: "pki/ca.crt").path }

        var pid: Int32 {
            get throws {
                let text = try String(contentsOf: folder.appending(path: "pid"), encoding: .utf8)
                guard let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                    throw TestTrouble("no process id of the authorization server: \(text)")
                }
                return pid
            }
        }

        /// - Parameter plugin: `oidc`, or `brief` whose tokens live two seconds.
        func base(_ plugin: String = "oidc") -> String {
            "https://localhost:\(port)/api/\(plugin)"
        }

        /// A token of the client `app`.
        func token(_ plugin: String = "oidc") async throws -> String {
            let result = try await Command.run(
                program: "/usr/bin/curl",
                [
                    "-sS", "--cacert", ca, "-u", "app:app-secret", "-d",
                    "grant_type=client_credentials&scope=infer", "\(base(plugin))/token",
                ])
            struct Grant: Decodable { var access_token: String }
            return try JSONDecoder().decode(Grant.self, from: Data(result.output.utf8)).access_token
        }

        func revoke(_ token: String) async throws {
            let result = try await Command.run(
                program: "/usr/bin/curl",
                [
                    "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, "-u",
                    "app:app-secret", "-d", "token=\(token)", "\(base())/revoke",
                ])
            guard result.output == "200" else { throw TestTrouble("revoke: \(result.output)") }
        }

        func settings(
            secret: String = "gateway-secret", plugin: String = "oidc", ttl: String = "1s",
            more: String = ""
        ) throws -> String {
            let file = folder.appending(path: "secret-of-the-gateway")
            try secret.write(to: file, atomically: true, encoding: .utf8)
            return """
                auth:
                  issuers:
                    - name: main
                      kind: introspection
                      url: "\(base(plugin))/introspect"
                      client_id: gateway
                      client_secret_file: \(file.path)
                      ca: \(ca)
                      audience: infer
                      max_ttl: \(ttl)
                \(more)
                  scopes: { infer: ["infer:*"] }

                """
        }
    }

    private func withAuthorizationServer(
        _ body: (AuthorizationServer) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let port = try FreePort.find()
            let process = Process()
            process.executableURL = Paths.root.appending(
                path: "scripts/components/authorization-server")
            process.arguments = [folder.appending(path: "server").path, String(port)]
            let (input, out) = (Pipe(), folder.appending(path: "out"))
            try Data().write(to: out)
            process.standardInput = input
            process.standardOutput = try FileHandle(forWritingTo: out)
            process.standardError = try FileHandle(forWritingTo: out)
            try Spawning.start(process)
            defer { try? input.fileHandleForWriting.close() }
            try await eventually(within: 60, "the authorization server is ready") {
                let text = try String(contentsOf: out, encoding: .utf8)
                guard process.isRunning || text.contains("ready ") else {
                    throw TestTrouble("the authorization server did not start: \(text)")
                }
                return text.contains("ready ")
            }
            let server = AuthorizationServer(folder: folder.appending(path: "server"), port: port)
            try await body(server)
            try input.fileHandleForWriting.close()
            try await eventually(within: 20, "the authorization server has ended") {
                !process.isRunning
            }
        }
    }

    @Test func anExpiredTokenIsRefused() async throws {
        try await withAuthorizationServer { server in
            try await withGateway(settings: try server.settings(plugin: "brief")) { gateway in
                let token = try await server.token("brief")
                try await eventually(within: 20, "the token has expired") {
                    try await TokenTests.outcome(gateway, token: token)?.code == .unauthenticated
                }
            }
        }
    }

    @Test func activeRevokedAndGarbage() async throws {
        try await withAuthorizationServer { server in
            try await withGateway(settings: try server.settings()) { gateway in
                let token = try await server.token()
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
                let garbage = try await TokenTests.outcome(gateway, token: "garbage")
                #expect(garbage?.code == .unauthenticated)
                #expect(garbage?.reason == "TOKEN_INACTIVE")
                try await server.revoke(token)
                try await eventually(within: 10, "the revocation is believed") {
                    try await TokenTests.outcome(gateway, token: token)?.code == .unauthenticated
                }
            }
        }
    }

    /// Settings of one issuer in other ways than a secret.
    private func settings(_ lines: [String]) -> String {
        "auth:\n  issuers:\n    - name: main\n"
            + lines.map { "      \($0)\n" }.joined()
            + "  scopes: { infer: [\"infer:*\"] }\n"
    }

    @Test(arguments: ["private_key_jwt", "tls", "jwks"])
    func otherWaysToAskWork(way: String) async throws {
        try await withAuthorizationServer { server in
            let pki = server.folder.appending(path: "pki").path
            var lines = ["audience: infer", "ca: \(server.ca)", "issuer: \"\(server.base())\""]
            switch way {
            case "jwks": lines.append("kind: jwks")
            case "tls":
                lines += [
                    "kind: introspection", "url: \"\(server.base())/introspect\"",
                    "client_id: gateway-tls", "client_auth: tls",
                    "client_certificate: \(pki)/client.crt", "client_key: \(pki)/client.key",
                ]
            default:
                lines += [
                    "kind: introspection", "url: \"\(server.base())/introspect\"",
                    "client_id: gateway-key", "client_auth: private_key_jwt",
                    "key_file: \(pki)/client.key", "answers: jwt",
                ]
            }
            try await withGateway(settings: settings(lines)) { gateway in
                let token = try await server.token()
                // On a busy machine the server may take longer for its first answer than a call waits for it.
                try await eventually(within: 20, "a good token is known (\(way))") {
                    try await TokenTests.outcome(gateway, token: token) == nil
                }
                for wrong in ["garbage", token.dropLast(4) + "AAAA"] {
                    let error = try await TokenTests.outcome(gateway, token: String(wrong))
                    #expect(error?.code == .unauthenticated, "\(way)")
                    #expect(error?.reason == "TOKEN_INACTIVE", "\(way)")
                }
                let other = try await server.token("brief")
                let error = try await TokenTests.outcome(gateway, token: other)
                #expect(error?.code == .unauthenticated, "another issuer's, \(way)")
            }
        }
    }

    @Test func aWrongClientSecretIsTheOperatorsTroubleNotTheCallers() async throws {
        try await withAuthorizationServer { server in
            try await withGateway(settings: try server.settings(secret: "not-the-secret")) {
                gateway in
                let token = try await server.token()
                let error = try await TokenTests.outcome(gateway, token: token)
                #expect(error?.code == .unavailable)
                #expect(error?.reason == "ISSUER_REFUSED")
                #expect(!gateway.log.contains("not-the-secret"))
            }
        }
    }

    @Test func killedTheGatewayStaysClosedAndBackItServes() async throws {
        try await withAuthorizationServer { server in
            try await withGateway(settings: try server.settings()) { gateway in
                let token = try await server.token()
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
                kill(try server.pid, SIGSTOP)
                try await eventually(within: 15, "the cached answer has lapsed") {
                    let error = try await TokenTests.outcome(gateway, token: token)
                    return error?.code == .unavailable && error?.reason == "ISSUER_UNAVAILABLE"
                }
                kill(try server.pid, SIGCONT)
                try await eventually(within: 15, "the issuer answers again") {
                    try await TokenTests.outcome(gateway, token: token) == nil
                }
            }
        }
    }

    /// `stale`: who was known goes on for a while when the issuer is silent; who was not stays outside.
    @Test func whoWasKnownIsBelievedForAWhileWhenTheIssuerIsSilent() async throws {
        try await withAuthorizationServer { server in
            let settings = try server.settings(more: "      stale: 8s")
            try await withGateway(settings: settings) { gateway in
                let known = try await server.token()
                let unknown = try await server.token()
                #expect(try await TokenTests.outcome(gateway, token: known) == nil)
                kill(try server.pid, SIGSTOP)
                // Long enough for the answer to lapse: the issuer's silence is noticed by somebody else's token.
                try await eventually(within: 15, "the issuer's silence is noticed") {
                    let error = try await TokenTests.outcome(gateway, token: unknown)
                    return error?.reason == "ISSUER_UNAVAILABLE"
                }
                try await eventually(within: 15, "a stale answer is told of") {
                    let error = try await TokenTests.outcome(gateway, token: known)
                    #expect(error == nil)
                    return gateway.log.contains("stale")
                }
                try await eventually(within: 40, "its time is over") {
                    let error = try await TokenTests.outcome(gateway, token: known)
                    return error?.reason == "ISSUER_UNAVAILABLE"
                }
                kill(try server.pid, SIGCONT)
            }
        }
    }

    /// A reload reads an issuer's files again, and forgets none of what it said.
    @Test func aReloadAsksNobodyAgain() async throws {
        try await withAuthorizationServer { server in
            let settings = try server.settings(ttl: "300s")
            let rights = "  scopes: { infer: [\"infer:*\", admin] }\n"
            let start = settings.replacing("  scopes: { infer: [\"infer:*\"] }\n", with: rights)
            try await withGateway(settings: start) { gateway in
                let token = try await server.token()
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
                kill(try server.pid, SIGSTOP)
                try await gateway.withClient(token: token) { client in
                    try (start + "memory: { loads_warn: 7 }\n").write(
                        to: gateway.folder.appending(path: "sluice.yaml"), atomically: true,
                        encoding: .utf8)
                    let changes = try await client.reloadSettings()
                    #expect(changes.map(\.key) == ["memory.loads_warn"])
                }
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
                kill(try server.pid, SIGCONT)
            }
        }
    }
}

/// A port nobody listens on right now.
enum FreePort {
    static func find() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw TestTrouble("no socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, length) == 0
                    && getsockname(descriptor, address, &length) == 0
            }
        }
        guard bound else { throw TestTrouble("no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
