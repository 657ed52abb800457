// Versions without a manifest pass a child process before the gateway opens them.

import Foundation
import SluiceClient
import Testing

@Suite struct TrialTests {
    private static func place(_ fixture: String, as name: String, in models: URL) throws {
        let version = models.appending(path: "\(name)/1")
        try FileManager.default.createDirectory(at: version, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: "\(Paths.fixtures)/models/\(fixture).onnx",
            toPath: version.appending(path: "model.onnx").path)
    }

    private static func ask(_ client: SluiceClient, _ model: String) async throws -> [Float] {
        let row = try Tensor("x", shape: [1, 4], [1, 2, 3, 4] as [Float])
        return try await client.infer(model, inputs: [row]).outputs[0].values(as: Float.self)
    }

    @Test func aModelWithoutManifestServesAfterItsTrialAndIsRemembered() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            try Self.place("linear", as: "line", in: models)
            // What has just changed is tried again: wait until the seal of the file holds.
            let file = models.appending(path: "line/1/model.onnx").path
            try await eventually(within: 10, "an older file") {
                let changed =
                    try FileManager.default.attributesOfItem(atPath: file)[.modificationDate]
                    as? Date
                return Date().timeIntervalSince(changed ?? Date()) > 3
            }
            try await withGateway(
                models: models.path, environment: ["SLUICE_MODELS_TRIAL_TIME": "20s"]
            ) { gateway in
                try await gateway.withClient { client in
                    #expect(try await Self.ask(client, "line").count == 3)
                    try await Self.sleepAndWake(gateway, client)
                }
                let passed = gateway.log.components(separatedBy: "passed its trial").count - 1
                #expect(passed == 1, "it is tried once: \(gateway.log)")
                let remembered = try String(
                    contentsOfFile: gateway.state + "/trials", encoding: .utf8)
                #expect(remembered.split(separator: "\n").count == 1)
            }
        }
    }

    private static func sleepAndWake(_ gateway: TestGateway, _ client: SluiceClient) async throws {
        try await gateway.withClient(token: try await gateway.token(scope: "admin", name: "admin"))
        {
            try await $0.sleep("line")
        }
        #expect(try await ask(client, "line").count == 3)
    }

    @Test func aModelThatNeverEndsAndOneThatWantsAllMemoryDoNotReachTheGateway() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            try Self.place("endless", as: "endless", in: models)
            try Self.place("bomb", as: "bomb", in: models)
            try Self.place("linear", as: "line", in: models)
            let environment = [
                "SLUICE_MODELS_TRIAL_TIME": "10s", "SLUICE_MODELS_TRIAL_MEMORY": "512MiB",
            ]
            try await withGateway(models: models.path, environment: environment) { gateway in
                try await gateway.withClient { client in
                    let endless = await #expect(throws: SluiceError.self) {
                        try await client.infer(
                            "endless",
                            inputs: [
                                Tensor("x", shape: [1], [1] as [Float]),
                                Tensor("always", shape: [], [false]),
                            ])
                    }
                    #expect(endless?.code == .failedPrecondition)
                    #expect("\(endless as Any)".contains("models.trial.time"))
                    let bomb = await #expect(throws: SluiceError.self) {
                        try await client.infer(
                            "bomb", inputs: [Tensor("x", shape: [1], [1] as [Float])])
                    }
                    #expect(bomb?.code == .failedPrecondition)
                    #expect("\(bomb as Any)".contains("models.trial.memory"))
                    #expect(!"\(bomb as Any)".contains(models.path))
                    let answer = try await Self.ask(client, "line")
                    #expect(answer.count == 3)
                }
            }
        }
    }
}
