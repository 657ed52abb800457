// `sluice doctor` on a good house, with and without a running gateway, and on broken ones: what is wrong is named, mended by
// what is said, and nothing that is secret is printed.

import Foundation
import NIOCore
import NIOPosix
import Testing

@Suite struct DoctorTests {
    private struct Finding: Decodable {
        var check: String
        var verdict: String
        var found: String
        var wanted: String
        var mend: String
    }

    private static func findings(_ command: Command) throws -> [Finding] {
        try JSONDecoder().decode([Finding].self, from: Data(command.output.utf8))
    }

    /// The findings of `sluice doctor` on a house with these settings, in a folder of its own.
    private static func doctor(
        _ folder: URL, settings: String = "", models: String = Paths.models, more: [String] = []
    ) async throws -> [String: Finding] {
        let file = folder.appending(path: "sluice.yaml")
        try settings.write(to: file, atomically: true, encoding: .utf8)
        let command = try await Command.run(
            program: Paths.binary,
            [
                "doctor", "--json", "--config", file.path, "--models", models, "--state",
                folder.appending(path: "state").path, "--listen", "127.0.0.1:0", "--admin",
                "127.0.0.1:0",
            ] + more, within: 60)
        let findings = try findings(command)
        let hasFailed = findings.contains { $0.verdict == "fail" }
        #expect(command.status == (hasFailed ? 1 : 0), "\(command)")
        return Dictionary(findings.map { ($0.check, $0) }, uniquingKeysWith: { first, _ in first })
    }

    @Test func aGoodHouse() async throws {
        try await withTemporaryFolder { folder in
            let all = try await Self.doctor(folder)
            for (name, finding) in all { #expect(finding.verdict != "fail", "\(name): \(finding)") }
            #expect(all["models"]?.found.hasPrefix("6 versions in") == true)
            #expect(all["certificate"]?.found.hasPrefix("none yet") == true)
            // Whether a time service runs is this machine's affair; that the kernel was asked is ours.
            #expect(all["clock"]?.found.contains(#/synchronised|unknown/#) == true)
            #expect(all["OpenSSL"]?.found.hasPrefix("3.") == true)
            #expect(all["ONNX Runtime"]?.verdict == "ok" && all["SQLite"]?.verdict == "ok")
            let state = folder.appending(path: "state").path
            #expect(!FileManager.default.fileExists(atPath: state), "looking makes nothing")
        }
    }

    @Test func beforeARunningGateway() async throws {
        try await withGateway { gateway in
            let command = try await Command.run(
                "doctor", "--models", Paths.models, "--state", gateway.state, "--listen",
                gateway.endpoint, "--admin", gateway.admin)
            #expect(command.status == 0, "\(command.output)")
            #expect(command.output.contains("\(gateway.endpoint) is a gateway's"))
            #expect(command.output.contains("\(gateway.admin) is a gateway's, version 0.1.0"))
            #expect(command.output.contains("held by process \(gateway.processIdentifier)"))
            #expect(
                command.output.contains(
                    #/process \d+ has \d+ (of \d+ )?open/#))
            #expect(command.output.contains("cert.pem (CN="))
            #expect(command.output.contains(#/\d+ ok, \d+ to watch, 0 failed/#))
        }
    }

    @Test func anExpiredCertificateAndAKeyThatIsNotItsOwn() async throws {
        try await withAuthority { authority in
            try await authority.run(
                "issue", "over", "/CN=over", "DNS:localhost", "serverAuth", "-10s")
            try await authority.issueServer("other")
            try await withTemporaryFolder { folder in
                func settings(_ key: String) -> String {
                    "tls: { certificate: \(authority.path("over.crt")), "
                        + "key: \(authority.path(key)) }\n"
                }
                let ended = try await Self.doctor(folder, settings: settings("over.key"))
                #expect(ended["certificate"]?.verdict == "fail")
                #expect(ended["certificate"]?.found.hasSuffix("has ended") == true)
                let wrong = try await Self.doctor(folder, settings: settings("other.key"))
                #expect(wrong["certificate"]?.verdict == "fail", "\(wrong)")
            }
        }
    }

    @Test func aKeyThatCannotBeReadOrThatEverybodyCan() async throws {
        try await withAuthority { authority in
            try await withTemporaryFolder { folder in
                let key = authority.path("server.key")
                let settings =
                    "tls: { certificate: \(authority.path("server.crt")), key: \(key) }\n"
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o644], ofItemAtPath: key)
                let open = try await Self.doctor(folder, settings: settings)["tls.key"]
                #expect(open?.verdict == "warn" && open?.mend == "chmod 600 '\(key)'")
                try FileManager.default.removeItem(atPath: key)
                let gone = try await Self.doctor(folder, settings: settings)
                #expect(gone["tls.key"]?.verdict == "fail")
                #expect(gone["tls.key"]?.found.hasSuffix("is not there") == true)
                // The settings name it too, and every other check is there all the same.
                #expect(gone["settings"]?.verdict == "fail" && gone["models"]?.verdict == "ok")
            }
        }
    }

    /// Nobody listens, or somebody who never answers: neither holds up the others, and no secret is printed.
    @Test func issuersAndStoresThatAreDown() async throws {
        try await withTemporaryFolder { folder in
            let secret = folder.appending(path: "secret")
            try "open-sesame\n".write(to: secret, atomically: true, encoding: .utf8)
            let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .bind(host: "127.0.0.1", port: 0).get()
            let port = try #require(silent.localAddress?.port)
            func issuer(_ name: String, _ port: Int) -> String {
                """
                    - name: \(name)
                      kind: introspection
                      url: "http://127.0.0.1:\(port)/introspect"
                      client_id: gateway
                      client_secret_file: \(secret.path)
                      audience: infer

                """
            }
            let settings =
                "auth:\n  issuers:\n" + issuer("down", 1) + issuer("silent", port)
                + "models:\n  s3: { endpoint: \"http://127.0.0.1:1\" }\n"
            let file = folder.appending(path: "broken.yaml")
            try settings.write(to: file, atomically: true, encoding: .utf8)
            let start = ContinuousClock.now
            let command = try await Command.run(
                "doctor", "--json", "--config", file.path, "--models", "s3://models/none",
                "--state", folder.appending(path: "state").path, "--listen", "127.0.0.1:0",
                "--admin", "127.0.0.1:0", "--deadline", "6s", environment: BucketServer.keys)
            #expect(ContinuousClock.now - start < .seconds(20))
            try await silent.close()
            #expect(command.status == 1)
            #expect(!(command.output + command.error).contains("open-sesame"))
            let all = try Self.findings(command)
            func verdict(_ name: String) -> String? { all.first { $0.check == name }?.verdict }
            #expect(verdict("issuer down") == "fail" && verdict("issuer silent") == "fail")
            #expect(verdict("store") == "fail" && verdict("settings") == "ok", "\(command.output)")
            #expect(verdict("clock") != "fail" && verdict("OpenSSL") == "ok")
            #expect(all.filter { $0.verdict == "fail" }.allSatisfy { !$0.mend.isEmpty })
        }
    }

    @Test func anIssuerThatAnswers() async throws {
        try await withIntrospection(answering: #"{"active":false}"#) { url in
            try await withTemporaryFolder { folder in
                let settings = """
                    auth:
                      issuers:
                        - name: main
                          kind: introspection
                          url: "\(url)"
                          client_id: gateway
                          client_secret: secret
                          audience: infer

                    """
                    .replacing("      client_secret: secret\n", with: "")
                let secret = folder.appending(path: "secret")
                try "s".write(to: secret, atomically: true, encoding: .utf8)
                let all = try await Self.doctor(
                    folder, settings: settings + "      client_secret_file: \(secret.path)\n")
                #expect(all["issuer main"]?.verdict == "ok", "\(all)")
                #expect(all["clock"]?.found.contains("issuer main") == true, "\(all)")
            }
        }
    }

    @Test func fewOpenFiles() async throws {
        try await withTemporaryFolder { folder in
            let command = try await Command.run(
                program: "/bin/sh",
                [
                    "-c",
                    "ulimit -n 300; exec '\(Paths.binary)' doctor --json --models '\(Paths.models)' "
                        + "--state '\(folder.path)/state' --listen 127.0.0.1:0 --admin 127.0.0.1:0",
                ])
            let finding = try #require(
                try Self.findings(command).first { $0.check == "open files" })
            #expect(finding.verdict == "fail" && command.status == 1)
            #expect(finding.found.hasPrefix("at most 300"))
            #expect(finding.mend.contains("LimitNOFILE=20512"))
        }
    }

    @Test func faultsFoldersAndPorts() async throws {
        try await withTemporaryFolder { folder in
            let taken = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { $0.close() }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = try #require(taken.localAddress?.port)
            let broken = folder.appending(path: "models/bad/1")
            try FileManager.default.createDirectory(
                at: broken, withIntermediateDirectories: true)
            try Data("no model".utf8).write(to: broken.appending(path: "model.onnx"))
            try Data("{".utf8).write(to: broken.appending(path: "manifest.json"))
            let file = folder.appending(path: "sluice.yaml")
            try "limits: { calls: many }\nnonsense: 1\n"
                .write(to: file, atomically: true, encoding: .utf8)
            let command = try await Command.run(
                "doctor", "--json", "--config", file.path, "--models",
                folder.appending(path: "models").path, "--state", "/proc/none/state", "--listen",
                "127.0.0.1:\(port)", "--admin", "192.0.2.1:9464")
            try await taken.close()
            #expect(command.status == 1)
            let all = try Self.findings(command)
            #expect(all.filter { $0.check == "settings" }.count == 2, "\(command.output)")
            func finding(_ name: String) throws -> Finding {
                try #require(all.first { $0.check == name }, "\(command.output)")
            }
            #expect(try finding("models").verdict == "warn")
            #expect(try finding("models").found.contains("1 of them broken: bad/1"))
            #expect(try finding("state folder").verdict == "fail")
            #expect(try finding("port listen").found.contains("taken by another program"))
            #expect(try finding("port admin").found.contains("not this machine's"))
        }
        let missing = try await Command.run("doctor", "--config", "/nowhere.yaml")
        #expect(missing.status == 1 && missing.output.contains("/nowhere.yaml"))
        #expect(try await Command.run("doctor", "--deadline", "0s").status == 64)
    }
}
