// Other people's clients of the Open Inference Protocol, unmodified, through every call they have.

import Foundation
import Testing

@Suite struct ConformanceTests {
    /// Runs one of the scripts of Tests/Fixtures/clients at a gateway with iris and the identities of every datatype.
    private static func run(
        _ script: String, address: @Sendable (TestGateway) -> String
    ) async throws -> [String: Any] {
        let environment = Paths.root.appending(path: ".venv-clients")
        let made = try await Command.run(
            program: Paths.root.appending(path: "scripts/python-environment").path,
            ["Tests/Fixtures/clients/requirements.txt", environment.path, "--no-deps"], within: 300)
        guard made.status == 0 else { throw TestTrouble("scripts/setup --test: \(made.error)") }
        return try await withTemporaryFolder { folder in
            try FixtureModels.putIdentities(into: folder)
            return try await withGateway(models: folder.path) { gateway in
                let token = try await gateway.token(scope: "infer:* models:admin")
                let run = try await Command.run(
                    program: environment.appending(path: "bin/python").path,
                    ["\(Paths.fixtures)/clients/\(script)", address(gateway), gateway.ca],
                    environment: ["TOKEN": token, "SSL_CERT_FILE": gateway.ca], within: 120)
                guard run.status == 0,
                    let said = try JSONSerialization.jsonObject(with: Data(run.output.utf8))
                        as? [String: Any]
                else { throw TestTrouble("\(script): \(run.status) \(run.error.suffix(3_000))") }
                return said
            }
        }
    }

    @Test func tritonclient() async throws {
        let said = try await Self.run("triton.py") { "localhost:\($0.port)" }
        #expect(said["described"] as? Bool == true)
        #expect((said["datatypes"] as? [String])?.count == FixtureModels.datatypes.count)
        #expect(said["iris"] as? Int == 20 && said["absent"] as? Int == 12)
        #expect(said["repository"] as? Int == FixtureModels.datatypes.count + 1)
        // Exactly what is there.
        #expect(
            said["extensions"] as? [String] == [
                "binary_tensor_data", "classification", "model_configuration", "model_repository",
                "model_repository(unload_dependents)", "parameters", "statistics",
            ])
    }

    @Test func kserve() async throws {
        let said = try await Self.run("kserve_rest.py") { "https://localhost:\($0.port)" }
        let expected = try JSONSerialization.jsonObject(
            with: Data(
                """
                {"live": true, "ready": true, "models": [true, false],
                 "labels False": ["k-1", "iris", [0, 2]],
                 "labels True": ["k-1", "iris", [0, 2]], "dictionary": ["label", "probabilities"],
                 "no token": [401, true], "nobody": [404, true], "bad input": [400, true]}
                """.utf8))
        #expect(said as NSDictionary == expected as? NSDictionary, "\(said)")
    }
}
