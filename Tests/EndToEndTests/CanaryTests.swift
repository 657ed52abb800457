// Canaries: everything secret that one long scene uses or makes up is searched for in all that it left behind.

import Foundation
import NIOCore
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

/// The secrets of a scene, and every word that was said in it to somebody who had not asked for one.
private final class Witness: Sendable {
    private struct State: Sendable {
        var secrets: Set<String> = []
        var words: [(what: String, text: String)] = []
    }

    private let state = Mutex(State())

    func keep(_ secret: String) {
        // As a client sends it in HTTP, too.
        let basic = Data("app:\(secret)".utf8).base64EncodedString()
        state.withLock { $0.secrets.formUnion([secret, String(basic.dropLast(4).dropFirst(8))]) }
    }

    func heard(_ what: String, _ text: String) {
        state.withLock { $0.words.append((what, text)) }
    }

    /// Runs a program, and remembers what it said.
    @discardableResult
    func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> Command {
        let done = try await Command.run(program: program, arguments, environment: environment)
        heard(arguments.first ?? program, done.output + done.error)
        return done
    }

    @discardableResult
    func sluice(
        _ arguments: String..., environment: [String: String] = [:]
    ) async throws -> Command {
        try await run(Paths.binary, arguments, environment: environment)
    }

    /// Asks the command line for a secret: it stands once on standard output, and that is where it belongs.
    func ask(_ arguments: String...) async throws -> String {
        let done = try await Command.run(program: Paths.binary, arguments)
        guard let secret = done.output.firstMatch(of: #/sl?cs?_[\w-]{43}/#).map({ String($0.0) })
        else { throw TestTrouble("\(arguments): \(done)") }
        keep(secret)
        heard("\(arguments)", done.output.replacing(secret, with: "", maxReplacements: 1))
        heard("\(arguments), its errors", done.error)
        return secret
    }

    /// The same over HTTP.
    func token(_ gateway: TestGateway, _ id: String, _ secret: String) async throws -> String {
        let answer = try await AuthorizationServerTests.curl(
            gateway, "/oauth2/token",
            ["-u", "\(id):\(secret)", "-d", "grant_type=client_credentials"])
        guard let token = try answer.value("access_token") else { throw TestTrouble(answer.body) }
        keep(token)
        heard("the token's answer", answer.body.replacing(token, with: "", maxReplacements: 1))
        heard("its fields", answer.fields)
        return token
    }

    /// An HTTP request whose whole answer is remembered.
    @discardableResult
    func curl(
        _ gateway: TestGateway, _ path: String, _ arguments: [String] = []
    ) async throws -> Int {
        let answer = try await AuthorizationServerTests.curl(gateway, path, arguments)
        heard(path, answer.fields + answer.body)
        return answer.status
    }

    /// How a call by the SDK ends.
    @discardableResult
    func call(_ gateway: TestGateway, _ token: String, model: String = "iris") async throws -> Bool
    {
        do {
            try await gateway.withClient(token: token) {
                _ = try await $0.infer(model, inputs: TokenTests.iris())
            }
            return true
        } catch let error as SluiceError {
            heard("an error", "\(error) \(error.message) \(String(reflecting: error))")
            return false
        }
    }

    /// What was found where: nothing, if all is well.
    func found(in folders: [URL]) throws -> [String] {
        let (secrets, words) = state.withLock { ($0.secrets, $0.words) }
        var places: [String] = []
        for secret in secrets {
            for (what, text) in words where text.contains(secret) {
                places.append("\(what): \(secret)")
            }
        }
        let needles = secrets.map { ($0, Data($0.utf8)) }
        for folder in folders {
            guard let files = FileManager.default.enumerator(atPath: folder.path) else {
                throw TestTrouble("no folder \(folder.path)")
            }
            for case let name as String in files {
                let file = folder.appending(path: name)
                guard let bytes = try? Data(contentsOf: file) else { continue }
                for (secret, needle) in needles where bytes.firstRange(of: needle) != nil {
                    places.append("\(file.path): \(secret)")
                }
            }
        }
        return places
    }

    var secretCount: Int { state.withLock { $0.secrets.count } }
    var wordCount: Int { state.withLock { $0.words.count } }
}

@Suite struct CanaryTests {
    private static let loud = "log: { level: trace, format: json }\n"
    private static let audience = "https://gw.example"

    /// One Sluice makes tokens, another asks it about them. Everything is done right and wrong; then both end.
    @Test func nothingSecretIsLeftBehind() async throws {
        let witness = Witness()
        try await withTemporaryFolder { secrets in
            try await withGateway(settings: Self.loud) { issuer in
                let app = try await makeClient(issuer, "app", ["--audience", Self.audience])
                let resource = try await makeClient(issuer, "gw", ["--introspect"])
                for secret in [app, resource] { witness.keep(secret) }
                let file = secrets.appending(path: "secret")
                try resource.write(to: file, atomically: true, encoding: .utf8)
                try await withGateway(settings: Self.asking(issuer, file)) { gateway in
                    let token = try await witness.token(issuer, "app", app)
                    let canary = "canary" + UUID().uuidString.filter { $0 != "-" }
                    witness.keep(canary)
                    try await overHTTP(witness, issuer, app: app, token: token, canary: canary)
                    try await onBothDoors(witness, [gateway, issuer], token, canary: canary)
                    try await byCommand(witness, issuer, canary: canary, files: secrets)
                    try await reload(witness, gateway, canary: canary)
                    #expect(try await gateway.stop() == 0)
                    #expect(try await issuer.stop() == 0)
                    #expect(witness.secretCount >= 10 && witness.wordCount > 30)
                    let found = try witness.found(in: [gateway.folder, issuer.folder])
                    #expect(found == [])
                    try theSearchFinds(witness, gateway, token: token)
                }
            }
        }
    }

    private func makeClient(
        _ gateway: TestGateway, _ id: String, _ more: [String]
    ) async throws -> String {
        try await AuthorizationServerTests.client(gateway, id, more: more).client_secret
    }

    private static func asking(_ issuer: TestGateway, _ secret: URL) -> String {
        loud + """
            auth:
              issuers:
                - name: other
                  kind: introspection
                  url: "https://localhost:\(issuer.port)/oauth2/introspect"
                  client_id: gw
                  client_secret_file: \(secret.path)
                  ca: \(issuer.ca)
                  audience: \(audience)
                  max_ttl: 1s
              scopes: { "infer:*": ["infer:*"] }

            """
    }

    private func overHTTP(
        _ witness: Witness, _ issuer: TestGateway, app: String, token: String, canary: String
    ) async throws {
        let form = ["-d", "grant_type=client_credentials"]
        for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
            let question = ["-d", "token=\(token)&token_type_hint=access_token"]
            for credential in [
                [], ["-u", "app:\(canary)"], ["-u", "nobody:\(canary)"],
                ["-H", "Authorization: Bearer \(canary)"], ["-H", "Authorization: \(canary)"],
                ["-d", "client_id=app&client_secret=\(canary)"],
            ] {
                let status = try await witness.curl(issuer, path, question + credential)
                #expect((400..<500).contains(status), "\(path) \(status)")
            }
            try await witness.curl(issuer, "\(path)?client_secret=\(canary)", form)
            try await witness.curl(issuer, "\(path)?access_token=\(canary)", form)
            try await witness.curl(issuer, path, ["-H", "Content-Type: text/plain", "-d", canary])
        }
        let signed = ["-u", "app:\(app)"]
        try await witness.curl(issuer, "/oauth2/token", signed + ["-d", "scope=\(canary)"])
        try await witness.curl(issuer, "/oauth2/token", signed + form + ["-d", "scope=\(canary)"])
        try await witness.curl(issuer, "/oauth2/revoke", signed + ["-d", "token=\(canary)"])
        let short = try await witness.token(issuer, "app", app)
        let revoked = try await witness.curl(
            issuer, "/oauth2/revoke", signed + ["-d", "token=\(short)"])
        #expect(revoked == 200)
        #expect(try await !witness.call(issuer, short))
    }

    private func onBothDoors(
        _ witness: Witness, _ gateways: [TestGateway], _ token: String, canary: String
    ) async throws {
        for gateway in gateways {
            #expect(try await witness.call(gateway, token))
            #expect(try await !witness.call(gateway, token, model: "nothing-here"))
            for wrong in [canary, canary + "&x=1", "slc_" + canary, canary + "\n", ""] {
                #expect(try await !witness.call(gateway, wrong))
            }
            // In the middle of a connection: by AUTH, and in a call's header.
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            var update = Sluice_AuthUpdate()
            update.token = canary
            try await connection.send(
                Frame(.auth, header: ByteBuffer(bytes: try update.serializedBytes() as [UInt8])))
            try await connection.send(.call(1) { $0.token = canary })
            witness.heard("a reply", "\(try await connection.reply(to: 1))")
            try await connection.close()
            for bearer in [token, canary, "\(canary) x"] {
                let header = ["-H", "Authorization: Bearer \(bearer)"]
                try await witness.curl(gateway, "/v2/models/iris", header)
                try await witness.curl(gateway, "/v2?access_token=\(bearer.prefix(20))", header)
            }
            for path in ["/livez", "/readyz", "/metrics", "/?token=\(canary)"] {
                try await witness.run(
                    "/usr/bin/curl",
                    ["-sS", "-i", "-H", "Authorization: Bearer \(canary)"]
                        + ["http://\(gateway.admin)\(path)"])
            }
        }
    }

    private func byCommand(
        _ witness: Witness, _ issuer: TestGateway, canary: String, files: URL
    ) async throws {
        let state = ["--state", issuer.state]
        let admin = try await witness.ask(
            "token", "create", "--name", "chief", "--scope", "admin", state[0], state[1])
        let leaver = try await witness.ask(
            "token", "create", "--name", "leaver", "--json", state[0], state[1])
        _ = try await witness.ask(
            "client", "create", "--name", "b", "--id", "b", state[0], state[1])
        _ = try await witness.ask("client", "rotate", "b", "--json", state[0], state[1])
        #expect(try await witness.call(issuer, leaver))
        let wrong = files.appending(path: "canary")
        try canary.write(to: wrong, atomically: true, encoding: .utf8)
        let there = ["--endpoint", issuer.endpoint, "--ca", issuer.ca]
        for arguments in [
            ["models", "unload", "iris"], ["models", "load", "iris"], ["models", "list", "--json"],
            ["access", "check", "--model", "iris"], ["config", "reload"],
            ["token", "purge", "--only-token-file", wrong.path], ["token", "purge"],
            ["call", "iris", "--input", "X=[[1, 2, 3, 4]]", "--json"],
        ] {
            for token in [admin, canary, canary + "\u{1}"] {
                try await witness.run(
                    Paths.binary, arguments + there, environment: ["SLUICE_TOKEN": token])
            }
        }
        for arguments in [
            ["token", "list", "--all", "--json"], ["client", "list", "--json"],
            ["token", "revoke", "leaver"], ["token", "revoke", canary], ["client", "remove", "b"],
        ] {
            let done = try await Command.run(program: Paths.binary, arguments + state)
            // What was typed may be said back; the others' secrets may not.
            witness.heard("\(arguments)", (done.output + done.error).replacing(canary, with: ""))
        }
    }

    /// Settings that hold a secret are refused, and not repeated.
    private func reload(
        _ witness: Witness, _ gateway: TestGateway, canary: String
    ) async throws {
        let file = gateway.folder.appending(path: "sluice.yaml")
        let good = try String(contentsOf: file, encoding: .utf8)
        let bad = good.replacing("client_secret_file:", with: "client_secret: \(canary) #")
        try bad.write(to: file, atomically: true, encoding: .utf8)
        gateway.signal(SIGHUP)
        try await eventually("the settings are refused") {
            gateway.log.contains("the settings were not taken")
        }
        try await witness.sluice("config", "check", file.path)
        try (good + "memory: { loads_warn: 7 }\n").write(
            to: file, atomically: true, encoding: .utf8)
        gateway.signal(SIGHUP)
        try await eventually("the new settings are taken") {
            ReloadTests.audit(gateway).contains {
                $0["act"] == "config.reload" && $0["outcome"] == "done"
            }
        }
    }

    /// A search that finds nothing has to be one that would find something.
    private func theSearchFinds(
        _ witness: Witness, _ gateway: TestGateway, token: String
    ) throws {
        let file = gateway.folder.appending(path: "state/core.1")
        try (Data([0, 0xFF]) + Data(token.utf8) + Data([0])).write(to: file)
        let found = try witness.found(in: [gateway.folder])
        #expect(found == ["\(file.path): \(token)"])
        #expect(gateway.log.contains("\"level\":\"debug\""))
        let names = try FileManager.default.subpathsOfDirectory(atPath: gateway.folder.path)
        #expect(names.contains("log") && names.contains("out"))
        #expect(names.contains { $0.hasSuffix("audit.jsonl") })
    }
}
