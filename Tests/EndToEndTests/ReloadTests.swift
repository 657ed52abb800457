// Settings that change under a gateway, what the audit log says of it, and a caller that asks what it may do.

import Foundation
import SluiceClient
import Testing

@Suite struct ReloadTests {
    /// Writes the settings file of a running gateway anew.
    private func write(_ settings: String, for gateway: TestGateway) throws {
        try settings.write(
            to: gateway.folder.appending(path: "sluice.yaml"), atomically: true, encoding: .utf8)
    }

    static func audit(_ gateway: TestGateway) -> [[String: String]] {
        let text =
            (try? String(contentsOfFile: gateway.state + "/audit.jsonl", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap {
            try? JSONDecoder().decode([String: String].self, from: Data($0.utf8))
        }
    }

    @Test func newSettingsHoldFromTheNextConnectionOn() async throws {
        try await withGateway(settings: "limits: { deadline_max: 1h }\n") { gateway in
            let admin = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: admin) { client in
                try write(
                    "limits: { message: 4KiB }\nmemory: { loads_warn: 7 }\n", for: gateway)
                let changes = try await client.reloadSettings()
                #expect(
                    changes.map(\.description) == [
                        "limits.deadline_max: 1h -> default", "limits.message: default -> 4KiB",
                        "memory.loads_warn: default -> 7",
                    ])
                // The connection that was there goes on as it began.
                let large = try Tensor(
                    "X", rows: (0..<400).map { _ in [5.1, 3.5, 1.4, 0.2] as [Float] })
                _ = try await client.infer("iris", inputs: [large])
                let fresh = try await TokenTests.outcome(gateway, token: admin)
                #expect(fresh == nil)
                try await gateway.withClient(token: admin) { other in
                    await #expect(throws: SluiceError.self) {
                        _ = try await other.infer("iris", inputs: [large])
                    }
                    let warning = try await other.fleetAccount().loadsWarn
                    #expect(warning == 7)
                }
                #expect(try await client.reloadSettings() == [])
            }
            try await eventually("the reload is in the audit log") {
                Self.audit(gateway).contains {
                    $0["act"] == "config.reload" && $0["outcome"] == "done"
                        && $0["detail"]?.contains("limits.message: default -> 4KiB") == true
                }
            }
        }
    }

    /// The bridge, pages' origins and what strangers may do follow too; a connection that was there goes on as it began.
    @Test func httpFollowsNewSettings() async throws {
        try await withGateway(settings: "limits: { token: 4KiB }\n") { gateway in
            let admin = try await gateway.token(scope: "admin")
            let body = "{\"id\": \"" + String(repeating: "x", count: 5_000) + "\"}"
            try await withCaller(gateway) { before in
                #expect(try await before.post("/v2/models/iris/infer", body).status == 400)
                try write(
                    """
                    limits: { message: 4KiB, calls: 7, calls_per_client: 6, token: 2KiB, handshakes: 9 }
                    http: { head: 2KiB }
                    cors: { origins: ["https://page.example"] }
                    """, for: gateway)
                try await gateway.withClient(token: admin) { client in
                    let changes = try await client.reloadSettings()
                    #expect(changes.count == 7, "\(changes)")
                }
                #expect(try await before.post("/v2/models/iris/infer", body).status == 400)
                try await withCaller(gateway) { after in
                    let refused = try await after.post("/v2/models/iris/infer", body)
                    #expect(refused.status == 413)
                    let known = try await after.get("/v2", ["Origin": "https://page.example"])
                    #expect(known.fields["access-control-allow-origin"] == "https://page.example")
                    let long = String(repeating: "x", count: 3_000)
                    #expect(try await after.get("/v2", ["X-Long": long]).status == 431)
                }
                before.token = String(repeating: "a", count: 3_000)
                #expect(try await before.get("/v2").status == 401)
            }
        }
    }

    @Test func oneFaultAndNothingChanges() async throws {
        try await withGateway(settings: "memory: { loads_warn: 5 }\n") { gateway in
            let admin = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: admin) { client in
                try write(
                    """
                    memory: { loads_warn: 9, idle: soon }
                    listen: 127.0.0.1:1
                    tls: { certificate: /nowhere/cert.pem, key: /nowhere/key.pem }
                    """, for: gateway)
                let error = await #expect(throws: SluiceError.self) {
                    try await client.reloadSettings()
                }
                #expect(error?.reason == "SETTINGS_REFUSED")
                let text = error?.message ?? ""
                #expect(text.contains("memory.idle") && text.contains("tls.certificate"), "\(text)")
                #expect(try await client.fleetAccount().loadsWarn == 5)
                // What needs a restart is refused too, when nothing else is wrong.
                try write("memory: { loads_warn: 9 }\nshards: { queue: 7 }\n", for: gateway)
                let restart = await #expect(throws: SluiceError.self) {
                    try await client.reloadSettings()
                }
                #expect(
                    restart?.message.contains("shards.queue") == true, "\(restart?.message ?? "")")
                #expect(restart?.message.contains("restart") == true)
                #expect(try await client.fleetAccount().loadsWarn == 5)
                // The command line says it as well, with the status of a refusal.
                let command = try await Command.run(
                    "config", "reload", "--endpoint", gateway.endpoint, "--ca", gateway.ca,
                    environment: ["SLUICE_TOKEN": admin])
                #expect(command.status != 0 && command.error.contains("restart"))
            }
        }
    }

    @Test func aHangUpReadsThemToo() async throws {
        try await withGateway(settings: "memory: { loads_warn: 5 }\n") { gateway in
            let admin = try await gateway.token(scope: "admin")
            try write("memory: { loads_warn: 6 }\n", for: gateway)
            gateway.signal(SIGHUP)
            try await gateway.withClient(token: admin) { client in
                try await eventually("the new settings are in force") {
                    try await client.fleetAccount().loadsWarn == 6
                }
            }
            try write("memory: { loads_warn: many }\n", for: gateway)
            gateway.signal(SIGHUP)
            try await eventually("the log says why not") {
                gateway.log.contains("the settings were not taken")
                    && gateway.log.contains("memory.loads_warn")
            }
            #expect(gateway.isRunning)
        }
    }

    @Test func onlyAnAdministratorMayReload() async throws {
        try await withGateway { gateway in
            let tokens = try await gateway.token(scope: "tokens:admin infer:*")
            try await gateway.withClient(token: tokens) { client in
                let error = await #expect(throws: SluiceError.self) {
                    try await client.reloadSettings()
                }
                #expect(error?.code == .permissionDenied)
                _ = try await client.purgeTokens(of: .everybody)
            }
            let caller = try await gateway.token(scope: "infer:*")
            try await gateway.withClient(token: caller) { client in
                await #expect(throws: SluiceError.self) { try await client.reloadSettings() }
                await #expect(throws: SluiceError.self) {
                    try await client.purgeTokens(of: .everybody)
                }
            }
        }
    }

    /// Believed for an hour, and gone at once when an operator says so.
    @Test func aPurgeMakesARevocationWorkAtOnce() async throws {
        let hour = "auth: { issuers: [{ name: local, kind: embedded, max_ttl: 1h }] }\n"
        try await withGateway(settings: hour) { gateway in
            let admin = try await gateway.token(scope: "admin", name: "admin")
            let leaver = try await gateway.token(name: "leaver")
            let stayer = try await gateway.token(name: "stayer")
            for token in [leaver, stayer] {
                #expect(try await TokenTests.outcome(gateway, token: token) == nil)
            }
            let revoked = try await Command.run(
                "token", "revoke", "leaver", "--state", gateway.state)
            #expect(revoked.status == 0)
            #expect(try await TokenTests.outcome(gateway, token: leaver) == nil, "still believed")
            let file = gateway.folder.appending(path: "leaver")
            try leaver.write(to: file, atomically: true, encoding: .utf8)
            let purged = try await Command.run(
                "token", "purge", "--only-token-file", file.path, "--endpoint", gateway.endpoint,
                "--ca", gateway.ca, "--json", environment: ["SLUICE_TOKEN": admin])
            #expect(purged.status == 0, "\(purged.error)")
            #expect(purged.output.contains("\"purged\":1"), "\(purged.output)")
            #expect(try await TokenTests.outcome(gateway, token: leaver)?.code == .unauthenticated)
            #expect(try await TokenTests.outcome(gateway, token: stayer) == nil)
            try await gateway.withClient(token: admin) { client in
                let stayers = try await client.purgeTokens(of: .client("stayer"))
                let nobodys = try await client.purgeTokens(of: .subject("nobody"))
                #expect(stayers == 1 && nobodys == 0)
            }
        }
    }

    @Test func aCallerCanAskWhatItMayDo() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "infer:iris")
            func check(_ arguments: String...) async throws -> Command {
                try await Command.run(
                    program: Paths.binary,
                    ["access", "check", "--endpoint", gateway.endpoint, "--ca", gateway.ca]
                        + arguments, environment: ["SLUICE_TOKEN": token])
            }
            let yes = try await check("--model", "iris")
            #expect(yes.status == 0 && yes.output.hasPrefix("yes"), "\(yes)")
            #expect(yes.output.contains("infer:iris"))
            let no = try await check("--model", "wine")
            #expect(no.status == 77 && no.output.hasPrefix("no"), "\(no)")
            // A model that is not there gets the same words.
            let none = try await check("--model", "nothing")
            #expect(
                none.status == 77
                    && none.output == no.output.replacingOccurrences(of: "wine", with: "nothing"))
            let unload = try await check("--model", "iris", "--for", "unload", "--json")
            #expect(unload.status == 77 && unload.output.contains("\"allowed\":false"))
        }
    }

    @Test func theAuditLogHoldsActsAndRefusalsAndNoToken() async throws {
        try await withGateway { gateway in
            let admin = try await gateway.token(scope: "admin", name: "chief")
            let iris = try await gateway.token(scope: "infer:iris", name: "caller")
            try await gateway.withClient(token: admin) { client in
                try await client.load("iris")
                try await client.unload("iris")
                try await client.load("iris")
            }
            try await gateway.withClient(token: iris) { client in
                await #expect(throws: SluiceError.self) {
                    _ = try await client.infer("wine", inputs: TokenTests.iris())
                }
                await #expect(throws: SluiceError.self) { try await client.unload("iris") }
            }
            _ = try await TokenTests.outcome(gateway, token: "garbage-canary")
            try await eventually("everything is written down") {
                let acts = Self.audit(gateway).map {
                    "\($0["act"] ?? "") \($0["outcome"] ?? "") \($0["client"] ?? "") "
                        + "\($0["object"] ?? "")"
                }
                return acts.contains("models.unload done chief iris")
                    && acts.filter { $0 == "models.load done chief iris" }.count == 2
                    && acts.contains("infer refused caller wine")
                    && acts.contains("models.unload refused caller iris")
                    && acts.contains { $0.hasPrefix("hello refused") }
                    && acts.filter { $0.hasPrefix("token.create done") }.count == 2
            }
            let lines = Self.audit(gateway)
            #expect(
                lines.filter { $0["outcome"] == "refused" }.allSatisfy { $0["from"] == "127.0.0.1" }
            )
            #expect(lines.contains { $0["detail"] == "TOKEN_INACTIVE" })
            let text = try String(contentsOfFile: gateway.state + "/audit.jsonl", encoding: .utf8)
            for secret in [admin, iris, "garbage-canary"] { #expect(!text.contains(secret)) }
        }
    }
}
