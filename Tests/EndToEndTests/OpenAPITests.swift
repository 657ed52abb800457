// /openapi.json of a real gateway: valid, a caller's own, with examples that work, and nothing schemathesis finds.

import Foundation
import Testing

@Suite struct OpenAPITests {
    private static let seed = "20261123"

    /// One answer over HTTP, with a token unless it is nil.
    private func get(
        _ gateway: TestGateway, _ path: String, _ token: String?, _ arguments: [String] = []
    ) async throws -> AuthorizationServerTests.Answer {
        try await AuthorizationServerTests.curl(
            gateway, path, (token.map { ["-H", "Authorization: Bearer \($0)"] } ?? []) + arguments)
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    /// A program of schemathesis's environment, made by `scripts/setup --test`, or here.
    private func tool(_ name: String) async throws -> String {
        let environment = Paths.root.appending(path: ".venv-schemathesis").path
        let made = try await Command.run(
            program: Paths.root.appending(path: "scripts/python-environment").path,
            ["Tests/Fixtures/schemathesis-requirements.txt", environment], within: 300)
        guard made.status == 0 else { throw TestTrouble("no schemathesis: \(made.error)") }
        return environment + "/bin/" + name
    }

    @Test func aDescriptionIsValidAndItsCallers() async throws {
        let validator = try await tool("openapi-spec-validator")
        try await withGateway { gateway in
            let all = try await gateway.token(scope: "models:read", name: "all")
            let one = try await gateway.token(scope: "infer:iris", name: "one")
            let none = try await gateway.token(scope: "tokens:admin", name: "none")
            let whole = try await get(gateway, "/openapi.json", all)
            #expect(whole.status == 200)
            let file = gateway.folder.appending(path: "openapi.json")
            try whole.body.write(to: file, atomically: true, encoding: .utf8)
            let valid = try await Command.run(program: validator, [file.path])
            #expect(valid.status == 0, "\(valid.output) \(valid.error)")
            let models = try FileManager.default.contentsOfDirectory(atPath: Paths.models)
                .filter { FileManager.default.fileExists(atPath: Paths.models + "/\($0)/1") }
            #expect(models.count >= 6)
            for (token, seen) in [(all, models), (one, ["iris"]), (none, [])] {
                let answer = try await get(gateway, "/openapi.json", token)
                let paths = try #require(try object(answer.body)["paths"] as? [String: Any])
                #expect(paths["/v2/models/{model}/infer"] != nil)
                for model in models {
                    #expect(
                        (paths["/v2/models/\(model)/infer"] != nil) == seen.contains(model),
                        "\(model)")
                    if !seen.contains(model) { #expect(!answer.body.contains("\"\(model)\"")) }
                }
            }
            #expect(try await get(gateway, "/openapi.json", nil).status == 401)
            let tag = try #require(whole.fields.firstMatch(of: #/(?i)etag: (\S+)/#)?.1)
            let known = try await get(
                gateway, "/openapi.json", all, ["-H", "If-None-Match: \(tag)"])
            #expect(known.status == 304 && known.body.isEmpty)
        }
    }

    @Test func everyModelsExampleWorks() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token()
            let document = try object(try await get(gateway, "/openapi.json", token).body)
            let paths = try #require(document["paths"] as? [String: Any])
            var count = 0
            for path in paths.keys where path.hasSuffix("/infer") && !path.contains("{") {
                let model = try #require(path.split(separator: "/").dropFirst(2).first)
                let answer = try await get(gateway, "/v2/models/\(model)/example", token)
                #expect(answer.status == 200, "\(answer.body)")
                let example = try object(answer.body)
                let request = gateway.folder.appending(path: "request.json")
                try JSONSerialization.data(withJSONObject: try #require(example["request"]))
                    .write(to: request)
                let run = try await get(
                    gateway, path, token,
                    ["-H", "Content-Type: application/json", "--data-binary", "@\(request.path)"])
                #expect(run.status == 200, "\(model): \(run.body)")
                try compare(
                    try object(run.body), try #require(example["response"] as? [String: Any]),
                    "\(model)")
                count += 1
            }
            #expect(count >= 6)
            let narrow = try await gateway.token(scope: "infer:iris", name: "narrow")
            for path in ["wine-pipeline/example", "nothing/example", "iris/versions/9/example"] {
                let hidden = try await get(gateway, "/v2/models/\(path)", narrow)
                #expect(hidden.status == 404 && hidden.body.contains("\"error\""), "\(path)")
            }
        }
    }

    private func compare(
        _ got: [String: Any], _ expected: [String: Any], _ model: String
    ) throws {
        let outputs = try #require(got["outputs"] as? [[String: Any]])
        for right in try #require(expected["outputs"] as? [[String: Any]]) {
            let name = try #require(right["name"] as? String)
            let found = try #require(
                outputs.first { $0["name"] as? String == name }, "\(model) \(name)")
            #expect(found["shape"] as? [Int] == right["shape"] as? [Int])
            #expect(found["datatype"] as? String == right["datatype"] as? String)
            if let texts = right["data"] as? [String] {
                #expect(found["data"] as? [String] == texts)
                continue
            }
            let numbers = try #require(right["data"] as? [Double])
            let mine = try #require(found["data"] as? [Double])
            #expect(mine.count == numbers.count)
            for (left, right) in zip(mine, numbers) {
                #expect(abs(left - right) <= 1e-4 * max(1, abs(right)), "\(model) \(name)")
            }
        }
    }

    @Test func aModelWithoutAGoldenCaseSaysSo() async throws {
        try await withTemporaryFolder { folder in
            let version = folder.appending(path: "echo/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: Paths.fixtures + "/models/identity-fp32.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try await withGateway(models: folder.path) { gateway in
                let token = try await gateway.token()
                let answer = try await get(gateway, "/v2/models/echo/example", token)
                #expect(answer.status == 404 && answer.body.contains("golden"), "\(answer.body)")
                let described = try object(try await get(gateway, "/openapi.json", token).body)
                let paths = try #require(described["paths"] as? [String: Any])
                #expect(paths["/v2/models/echo/infer"] != nil)
            }
        }
    }

    /// Every path with what its description allows and what it does not, in a fixed order of dice: no 500, no status, type or
    /// body that is not described, no bad request taken, no method or missing token overlooked.
    @Test func schemathesisFindsNothing() async throws {
        let program = try await tool("schemathesis")
        try await withGateway { gateway in
            let token = try await gateway.token(
                scope: "infer:* models:read models:admin", name: "schemathesis")
            let run = try await Command.run(
                program: program,
                [
                    "--config-file", Paths.fixtures + "/schemathesis.toml", "run",
                    "https://localhost:\(gateway.port)/openapi.json",
                    "-H", "Authorization: Bearer \(token)", "--tls-verify", gateway.ca,
                    "--seed", Self.seed, "--max-examples", "5", "--no-color",
                    // A cold call beside nine other suites has taken 10 s, which is its own limit.
                    "--request-timeout", "60",
                    "--continue-on-failure", "--generation-database", "none",
                    // It does not end by itself.
                    "--exclude-path-regex", "/events$",
                ], within: 400)
            #expect(run.status == 0, "seed \(Self.seed): \(run.output.suffix(12_000)) \(run.error)")
            let tested = run.output.firstMatch(of: #/Tested: (\d+)/#).flatMap { Int($0.1) }
            #expect((tested ?? 0) >= 40, "\(run.output.suffix(2_000))")
            let generated = run.output.firstMatch(of: #/(\d+) generated/#).flatMap { Int($0.1) }
            #expect((generated ?? 0) > 500)
            // Nothing of it was too much for the gateway.
            #expect(gateway.isRunning)
        }
    }
}
