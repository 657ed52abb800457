// What the gateway shows of itself to whoever has no business with it: ports, fields of HTTP, lines of its logs.

import Foundation
import SluiceClient
import SluiceMessages
import SluiceWire
import Testing

@Suite struct ExposureTests {
    // MARK: Ports

    /// The addresses a process listens at, as the kernel knows them: hexadecimal address and port.
    private func listening(_ process: Int32) throws -> Set<String> {
        let folder = "/proc/\(process)/fd"
        var sockets: Set<String> = []
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            // One that was closed in between is none.
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "\(folder)/\(name)")
            if let target, target.hasPrefix("socket:[") {
                sockets.insert(String(target.dropFirst(8).dropLast()))
            }
        }
        var found: Set<String> = []
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            // Read to its end: the kernel hands such a table out a page at a time.
            guard
                let file = FileHandle(forReadingAtPath: "/proc/\(process)/net/\(table)"),
                let bytes = try file.readToEnd()
            else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            for line in text.split(separator: "\n").dropFirst() {
                let words = line.split(separator: " ")
                // 0A: it listens; a UDP socket always does.
                guard words.count > 9, sockets.contains(String(words[9])),
                    words[3] == "0A" || table.hasPrefix("udp")
                else { continue }
                found.insert("\(table) \(words[1])")
            }
        }
        return found
    }

    @Test func twoPortsAreOpenAndNoMore() async throws {
        try await withGateway { gateway in
            let ports = [gateway.endpoint, gateway.admin].map {
                Int($0.split(separator: ":").last ?? "") ?? 0
            }
            let expected = ports.map { "tcp 0100007F:" + String(format: "%04X", $0) }
            // The system's table may miss a line while other tests' sockets come and go.
            var found: Set<String> = []
            try await eventually("both ports are listed") {
                found = try listening(gateway.processIdentifier)
                return found.isSuperset(of: expected)
            }
            #expect(found == Set(expected))
        }
    }

    /// The operator's port answers probes, and nothing that changes or tells anything.
    @Test func theAdminPortAnswersProbesAndMetricsOnly() async throws {
        try await withGateway { gateway in
            func status(_ path: String, _ more: [String] = []) async throws -> String {
                let answer = try await Command.run(
                    program: "/usr/bin/curl",
                    [
                        "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10",
                        "--path-as-is", "http://\(gateway.admin)\(path)",
                    ] + more)
                return answer.output
            }
            #expect(try await status("/livez") == "200")
            #expect(try await status("/readyz") == "200")
            #expect(try await status("/metrics") == "200")
            #expect(try await status("/debug/state") == "200")
            for path in [
                "/", "/metrics/", "/metrics/x", "/v2", "/v2/models/iris", "/admin", "/config",
                "/reload", "/debug", "/debug/", "/debug/state/x",
                "/oauth2/token", "/oauth2/introspect", "/livez/../oauth2/token",
                "/.well-known/oauth-authorization-server", "/%2e%2e/etc/passwd",
            ] {
                let answer = try await status(path)
                #expect(["400", "404"].contains(answer), "\(path): \(answer)")
            }
            for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
                let answer = try await status("/livez", ["-X", method])
                #expect(["400", "405", "501"].contains(answer), "\(method): \(answer)")
            }
        }
    }

    // MARK: Fields of HTTP

    /// No origin is trusted, no cookie is set, and no body is taken for something else.
    @Test func browsersGetNothingToWorkWith() async throws {
        try await withGateway { gateway in
            let client = try await AuthorizationServerTests.client(gateway, "app")
            let origin = ["-H", "Origin: https://evil.example", "-H", "Cookie: session=1"]
            let preflight =
                origin + [
                    "-X", "OPTIONS", "-H", "Access-Control-Request-Method: POST", "-H",
                    "Access-Control-Request-Headers: authorization",
                ]
            let form = ["-d", "grant_type=client_credentials"]
            let signed = ["-u", "app:\(client.client_secret)"]
            for (path, arguments) in [
                ("/oauth2/token", preflight), ("/oauth2/token", origin + form),
                ("/oauth2/token", origin + form + signed), ("/nothing", origin),
                ("/.well-known/oauth-authorization-server", origin), ("/v2", preflight),
            ] {
                let answer = try await AuthorizationServerTests.curl(gateway, path, arguments)
                let fields = answer.fields.lowercased()
                #expect(!fields.contains("access-control-"), "\(path): \(fields)")
                #expect(!fields.contains("set-cookie"), "\(path): \(fields)")
                #expect(fields.contains("x-content-type-options: nosniff"), "\(path): \(fields)")
                #expect(fields.contains("cache-control: no-store"), "\(path): \(fields)")
            }
        }
    }

    @Test func compressedBodiesAreNotTaken() async throws {
        try await withGateway { gateway in
            let client = try await AuthorizationServerTests.client(gateway, "app")
            for coding in ["gzip", "deflate", "br", "gzip, gzip"] {
                let answer = try await AuthorizationServerTests.curl(
                    gateway, "/oauth2/token",
                    [
                        "-u", "app:\(client.client_secret)", "-H", "Content-Encoding: \(coding)",
                        "-d", "grant_type=client_credentials",
                    ])
                #expect(answer.status == 415, "\(coding)")
            }
        }
    }

    /// `access_token=` in an address would stand in every proxy's log.
    @Test func aTokenInAnAddressIsRefused() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token()
            let answer = try await AuthorizationServerTests.curl(
                gateway, "/v2/models/iris?access_token=\(token)",
                ["-H", "Authorization: Bearer \(token)"])
            #expect(answer.status == 400)
            #expect(!answer.body.contains(token) && !answer.fields.contains(token))
        }
    }

    // MARK: Lines of the logs

    /// What a caller writes stands inside a line, or nowhere: it never begins one.
    @Test(arguments: ["json", "text"])
    func nobodyWritesLinesIntoALog(format: String) async throws {
        let settings = "log: { level: trace, format: \(format) }\n"
        try await withGateway(settings: settings) { gateway in
            let forged = "\r\n\n{\"act\":\"token.create\",\"outcome\":\"done\"}\nFORGED\u{1b}[2J"
            let token = try await gateway.token()
            try await gateway.withClient(token: token) { client in
                for model in ["iris" + forged, forged, "../../etc/passwd\n"] {
                    await #expect(throws: SluiceError.self) {
                        _ = try await client.infer(model, inputs: TokenTests.iris())
                    }
                }
            }
            _ = try await TokenTests.outcome(gateway, token: "a" + forged)
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            try await connection.send(
                .call(1) { header in
                    header.modelVersion = "1" + forged
                    var metadata = Sluice_Metadata()
                    metadata.key = "x-request-id"
                    metadata.value = forged
                    header.metadata = [metadata]
                    header.idempotencyKey = forged
                })
            _ = try await connection.reply(to: 1)
            try await connection.close()
            let path = "/oauth2/x%0d%0aFORGED%0aFORGED"
            _ = try await AuthorizationServerTests.curl(
                gateway, path, ["-A", "x\u{1b}[2JFORGED"])
            try await eventually("the refusals are in the audit log") {
                !ReloadTests.audit(gateway).isEmpty
            }
            for line in gateway.log.split(whereSeparator: \.isNewline) {
                #expect(!line.hasPrefix("FORGED") && !line.hasPrefix("{\"act\""), "\(line)")
                #expect(
                    line.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\t" }, "\(line)")
                if format == "json" {
                    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8))
                    #expect(object is [String: Any], "\(line)")
                }
            }
            let audit = try String(contentsOfFile: gateway.state + "/audit.jsonl", encoding: .utf8)
            let lines = audit.split(whereSeparator: \.isNewline)
            #expect(lines.count == ReloadTests.audit(gateway).count, "every line is one of JSON")
            #expect(ReloadTests.audit(gateway).count { $0["act"] == "token.create" } == 1)
        }
    }
}
