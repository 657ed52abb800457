// The settings: sources and their order, every kind of value, every fault at once, and the example file.

import Contract
import Foundation
import Gateway
import JSONDoor
import Outside
import Testing

@Suite struct SettingsTests {
    private static var example: String {
        get throws {
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
            return try String(
                contentsOf: root.appendingPathComponent("sluice.example.yaml"), encoding: .utf8)
        }
    }

    // MARK: The example

    @Test func theExampleIsTheDefaults() throws {
        let (settings, faults) = evaluate(try SettingsTests.example, opensFiles: true)
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings == Settings())
    }

    @Test func theExampleShowsEveryKey() throws {
        let document = try SettingsDocument(yaml: try SettingsTests.example)
        let shown = Set(document.keys)
        for key in Settings.keys { #expect(shown.contains(key), "\(key)") }
        let text = try SettingsTests.example
        for key in IssuerSettings.keys {
            #expect(text.contains(" \(key):"), "auth.issuers.\(key)")
        }
        for key in PolicyRuleText.keys + OwnershipText.keys + CertificateIdentityText.keys {
            #expect(text.contains(" \(key):"), "auth: \(key)")
        }
        for key in ModelRuleText.keys {
            #expect(text.contains(" \(key):"), "models.rules.\(key)")
        }
        for key in PlanText.keys + PlanPartText.keys {
            // `day` is written out, `month` is the same.
            let last = key.split(separator: ".").last.map(String.init) ?? key
            #expect(text.contains(" \(last):"), "plans.\(key)")
        }
    }

    /// The commented issuer of the example works once its comments are taken away.
    @Test func theExampleOfAnotherIssuerIsRight() throws {
        let lines = try SettingsTests.example.split(
            separator: "\n", omittingEmptySubsequences: false)
        let own = try #require(lines.firstIndex { $0.hasPrefix("auth:") })
        let end = try #require(lines.firstIndex { $0.hasPrefix("  scopes:") })
        let yaml = lines.enumerated().map { index, line in
            (own..<end).contains(index) && line.hasPrefix("#   ")
                ? " " + line.dropFirst() : String(line)
        }
        .joined(separator: "\n")
        let (settings, faults) = evaluate(yaml)
        #expect(faults.isEmpty, "\(faults)")
        let names = settings.auth.issuers.map(\.name)
        try #require(names == ["local", "main", "strict", "pinned", "cognito", "entra"])
        #expect(settings.auth.issuers[4].kind == .jwks && settings.auth.issuers[2].answers == .jwt)
        #expect(settings.auth.issuers[1].kind == .introspection)
        #expect(settings.auth.issuers[1].url == "https://as.example/introspect")
    }

    /// The commented certificate of the example works too.
    @Test func theExampleOfAnotherCertificateIsRight() throws {
        let yaml = try SettingsTests.example
            .replacing("  certificates: []", with: "  certificates:")
            .replacing("#   - certificate:", with: "    - certificate:")
            .replacing("#     key:", with: "      key:")
            .replacing("#     ocsp:", with: "      ocsp:")
        let (settings, faults) = evaluate(yaml)
        #expect(faults.isEmpty, "\(faults)")
        try #require(settings.tls.certificates.count == 1)
        #expect(settings.tls.certificates[0].certificate == "other.pem")
        #expect(settings.tls.certificates[0].key == "other.key")
        #expect(settings.tls.certificates[0].ocsp == "other.ocsp")
        let text = try SettingsTests.example
        for key in CertificateSettings.keys {
            #expect(text.contains(" \(key):"), "tls.certificates.\(key)")
        }
    }

    // MARK: Sources

    @Test func nothingGivenIsTheDefaults() {
        #expect(evaluate(nil).settings == Settings())
        #expect(evaluate("").faults.isEmpty)
        #expect(evaluate("# nothing\n\n").settings == Settings())
        #expect(evaluate("limits:\ntls: {}\nlisten:\n").faults.isEmpty)
        #expect(Settings().limits == Limits())
    }

    @Test func flagsBeforeEnvironmentBeforeFile() {
        let yaml = "listen: 1.1.1.1:1\nadmin: 1.1.1.1:2\nstate: /file\nmodels: { poll: 9s }"
        let environment = [
            "SLUICE_LISTEN": "2.2.2.2:1", "SLUICE_ADMIN": "2.2.2.2:2",
            "SLUICE_LIMITS_CALLS_PER_CONNECTION": "7", "SLUICE_STATE": "", "LISTEN": "3.3.3.3:3",
            "SLUICE_SERVICE_PORT": "tcp://10.0.0.1:80", "SLUICE_TOKEN": "secret",
        ]
        let (settings, faults) = evaluate(
            yaml, environment: environment,
            flags: ["listen": "3.3.3.3:1", "models.repository": "/flag"])
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings.listen.description == "3.3.3.3:1")
        #expect(settings.admin.description == "2.2.2.2:2")
        #expect(settings.state == "/file")
        #expect(settings.models.repository == "/flag")
        #expect(settings.models.poll == .seconds(9))
        #expect(settings.limits.callsPerConnection == 7)
    }

    @Test func theFaultNamesItsSource() {
        let (_, faults) = evaluate(
            "\n\nadmin: nowhere", environment: ["SLUICE_LIMITS_FRAME": "big"],
            flags: ["listen": ":1", "models.repository": "a\u{7}b"])
        #expect(
            faults.map(\.place).sorted() == [
                "--listen", "--models", "SLUICE_LIMITS_FRAME", "line 3",
            ])
        #expect(
            faults.first?.description
                == "listen (--listen): ':1' must be HOST:PORT, like 0.0.0.0:8443, localhost:0 or "
                + "[::1]:8443")
    }

    @Test func everyValueIsTakenIn() {
        let yaml = """
            listen: "[::1]:0"
            tls: { certificate: c.pem, key: k.pem, client_ca: ca.pem, client_certificates: required,
                   minimum_version: "1.3" }
            models: { repository: "s3://models/team", poll: 0, require_manifest: true,
                      s3: { endpoint: "https://store:9000", region: eu-1, path_style: false, ca: s.pem,
                            access_key_file: a, secret_key_file: s, session_token_file: t, profile: p },
                      cache: { path: /var/cache/sluice, bytes: 5GiB } }
            engine: { library: /opt/libonnxruntime.so, threads: 4 }
            auth:
              issuers:
                - { name: local, kind: embedded, token_prefix: slu_ }
                - name: main
                  kind: introspection
                  url: https://as.example:8443/introspect?x=1
                  client_id: gateway
                  client_secret_file: /run/secret
                  client_auth: post
                  credential_encoding: raw
                  ca: ca.pem
                  audience: https://gw
                  issuer: https://as
                  timeout: 1500ms
                  max_ttl: 0
                  server_names: [a.example, "*.b.example"]
              server: { enabled: false, url: "https://as.example:8443", token_ttl: 5m, queue: 1,
                        tokens_per_client: 2, requests_per_address: 3, requests_per_client: 4,
                        failures_per_address: 5 }
              scopes: { read: ["infer:iris", "infer:digits-*", "models:read"], api.all: [admin] }
            limits: { message: 1 MiB, buffered: 2MiB, deadline: 5s, deadline_max: 5s, drain: 0, calls: 9000 }
            http: { head: 8KiB, head_time: 1s, body_time: 2s, idle: 3s, write_time: 4s, hsts: false }
            cors: { origins: ["https://app.example", "http://localhost:5173"], max_age: 1m }
            shards: { count: 3, loaders: auto, inline_run_max: 0, queue: 5 }
            log: { level: debug, format: json }
            """
        let (settings, faults) = evaluate(yaml)
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings.listen == Endpoint(host: "::1", port: 0))
        #expect(settings.tls.certificate == "c.pem")
        #expect(settings.tls.clientCertificates == .required)
        #expect(settings.tls.minimumVersion == .tls13)
        #expect(settings.models.poll == .zero)
        #expect(settings.models.requiresManifest)
        #expect(settings.models.repository == "s3://models/team")
        #expect(settings.models.bucket.endpoint == "https://store:9000")
        #expect(settings.models.bucket.region == "eu-1" && !settings.models.bucket.usesPathStyle)
        #expect(settings.models.bucket.authority == "s.pem")
        #expect(settings.models.bucket.accessKeyFile == "a")
        #expect(settings.models.bucket.secretKeyFile == "s")
        #expect(settings.models.bucket.sessionTokenFile == "t")
        #expect(settings.models.bucket.profile == "p")
        #expect(settings.models.cache.path == "/var/cache/sluice")
        #expect(settings.models.cache.bytes == 5 << 30)
        #expect(settings.engine.threads == 4)
        #expect(settings.auth.issuers[0].tokenPrefix == "slu_")
        let main = settings.auth.issuers[1]
        #expect(main.clientAuthentication == .post)
        #expect(main.credentialEncoding == .raw)
        #expect(main.timeout == .milliseconds(1_500))
        #expect(main.timeToLiveMax == .zero)
        #expect(main.serverNames == ["a.example", "*.b.example"])
        #expect(main.audiences == ["https://gw"])
        #expect(
            settings.auth.scopes == [
                "read": ["infer:iris", "infer:digits-*", "models:read"], "api.all": ["admin"],
            ])
        #expect(settings.limits.messageBytes == 1 << 20)
        #expect(settings.limits.drainTime == .zero)
        #expect(settings.shards.count == 3)
        #expect(settings.http.headBytes == 8 << 10 && settings.http.headTime == .seconds(1))
        #expect(settings.http.bodyTime == .seconds(2) && settings.http.idleTime == .seconds(3))
        #expect(settings.http.writeTime == .seconds(4) && !settings.isStrictTransport)
        #expect(settings.origins.origins == ["https://app.example", "http://localhost:5173"])
        #expect(settings.origins.ageMax == .seconds(60))
        let server = settings.auth.server
        #expect(!server.enabled && server.url == "https://as.example:8443")
        #expect(server.tokenTime == .seconds(300) && server.queueMax == 1)
        #expect(server.tokensPerClientMax == 2 && server.requestsPerAddress == 3)
        #expect(server.requestsPerClient == 4 && server.failuresPerAddress == 5)
        #expect(settings.shards.loaders == nil)
        #expect(settings.shards.inlineRunMax == .zero)
        #expect(settings.log.format == .json)
    }

    // MARK: Secrets

    @Test func aSecretInTheFileIsRefusedAndNeverShown() {
        let yaml = """
            password: hunter2
            tls: { certificate: c, key: "-----BEGIN PRIVATE KEY-----hunter2" }
            auth:
              issuers:
                - { name: a, kind: introspection, url: "https://as", client_id: x, audience: g, client_secret: hunter2 }
            """
        let texts = faults(yaml)
        #expect(texts.count == 4)
        #expect(!texts.joined().contains("hunter2"))
        #expect(
            texts.contains(
                "auth.issuers.0.client_secret (line 5): a secret must not stand in the settings; use "
                    + "client_secret_file, or SLUICE_AUTH_ISSUERS_0_CLIENT_SECRET in the environment"
            ))
        #expect(texts.contains { $0.hasPrefix("password (line 1): a secret must not stand") })
        // Nor in what the YAML parser says.
        #expect(!faults("client_secret: \"hunter2").joined().contains("hunter2"))
    }

    private static let issuer = """
        auth:
          issuers:
            - { name: a, kind: introspection, url: "https://as", client_id: x, audience: g, client_secret_file: FILE }
        """

    @Test func secretsComeFromFileOrEnvironment() throws {
        let place = try TemporarySettings("s3cret\n")
        let yaml = SettingsTests.issuer.replacingOccurrences(of: "FILE", with: place.path)
        let fromFile = evaluate(yaml, opensFiles: true)
        #expect(fromFile.faults.isEmpty, "\(fromFile.faults)")
        #expect(fromFile.settings.auth.issuers[0].clientSecret == ClientSecret(Secret("s3cret")))
        let (settings, faults) = evaluate(
            yaml, environment: ["SLUICE_AUTH_ISSUERS_0_CLIENT_SECRET": "other"], opensFiles: true)
        #expect(faults.isEmpty)
        #expect(settings.auth.issuers[0].clientSecret == ClientSecret(Secret("other")))
        #expect(!"\(settings)".contains("other"))
        var dumped = ""
        dump(settings, to: &dumped)
        #expect(!dumped.contains("other"))
    }

    @Test func filesThatAreNamedMustBeThere() throws {
        let empty = try TemporarySettings("\n")
        let yaml =
            SettingsTests.issuer.replacingOccurrences(of: "FILE", with: "/nowhere/secret")
            + "\ntls: { certificate: /nowhere/c, key: /nowhere/k }\nengine: { library: /dev/null }"
        let texts = evaluate(yaml, opensFiles: true).faults.map(\.description)
        #expect(texts.count == 4, "\(texts)")
        #expect(
            texts.contains(
                "auth.issuers.0.client_secret_file (line 3): cannot be read: No such file or directory"
            ))
        let emptied = evaluate(
            SettingsTests.issuer.replacingOccurrences(of: "FILE", with: empty.path),
            opensFiles: true)
        #expect(emptied.faults.map(\.message) == ["is empty"])
    }

    @Test func aMissingSettingsFileIsNamed() {
        #expect(throws: GatewayError.self) { try Settings.check(file: "/nowhere/sluice.yaml") }
        do {
            _ = try Settings.load(file: "/nowhere/sluice.yaml", environment: [:])
            Issue.record("a missing file was loaded")
        } catch {
            #expect(
                error.message
                    == "the settings file '/nowhere/sluice.yaml' cannot be read: No such file or "
                    + "directory")
        }
    }

    @Test func issuersCanComeFromTheEnvironment() {
        let (settings, faults) = evaluate(
            nil,
            environment: [
                "SLUICE_AUTH_ISSUERS_0_NAME": "main", "SLUICE_AUTH_ISSUERS_0_KIND": "introspection",
                "SLUICE_AUTH_ISSUERS_0_URL": "https://as", "SLUICE_AUTH_ISSUERS_0_CLIENT_ID": "x",
                "SLUICE_AUTH_ISSUERS_0_CLIENT_SECRET": "s",
                "SLUICE_AUTH_ISSUERS_0_AUDIENCE": "a, b",
                "SLUICE_AUTH_ISSUERS_0_SERVER_NAMES": "a.example, b.example",
            ])
        #expect(faults.isEmpty, "\(faults)")
        #expect(settings.auth.issuers.map(\.name) == ["main"])
        #expect(settings.auth.issuers[0].serverNames == ["a.example", "b.example"])
    }

    // MARK: Fuzz

    @Test func fuzz() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("SettingsTests.fuzz seed \(seed)")
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let right = Array(try SettingsTests.example.utf8)
        var faulty = 0
        for _ in 0..<300 {
            var bytes = right
            for _ in 0...random(6) {
                let place = random(bytes.count)
                switch random(4) {
                case 0: bytes[place] = UInt8(random(128))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(right[random(right.count)], at: place)
                default: bytes.insert(Array("[]{}&*:-#\"'\n".utf8)[random(12)], at: place)
                }
            }
            let yaml = String(decoding: bytes, as: UTF8.self)
            if !evaluate(yaml).faults.isEmpty { faulty += 1 }
        }
        #expect(faulty > 10)
    }
}

// MARK: - For the tests of settings

func evaluate(
    _ yaml: String?, environment: [String: String] = [:], flags: [String: String] = [:],
    opensFiles: Bool = false
) -> (settings: Settings, faults: [SettingsFault]) {
    Settings.evaluate(
        yaml: yaml, environment: environment, flags: flags, opensFiles: opensFiles)
}

func faults(_ yaml: String, environment: [String: String] = [:]) -> [String] {
    evaluate(yaml, environment: environment).faults.map(\.description)
}

/// A file of its own for a test.
final class TemporarySettings {
    let path: String

    init(_ text: String) throws {
        path = NSTemporaryDirectory() + "/sluice-settings-\(UUID().uuidString)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("left behind: \(path)")
        }
    }
}
