// A model whose weights stay in their file, over real TLS: it answers, and its memory is the file's.

import Foundation
import SluiceClient
import Testing

@Suite struct MappedTests {
    /// The fixture `external`: y = x, by weights in a file of 16 KiB beside it.
    static let manifest = """
        {"format": 1, "name": "external", "version": 1, "load": "mapped", "files": [
        {"name": "model.onnx", "bytes": 178,
         "sha256": "966a8fd7416ee80889643c2bf2948622b75a3951474c9a8b14ea374e705418a9"},
        {"name": "external.weights", "bytes": 16384,
         "sha256": "818fe6091b008bdd9b0a0bddc98edc6055abeab9f7643888c7a3e7622094dc59"}],
        "signature": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
                      "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 64]}]}}
        """

    private func withMappedModel(
        settings: String, _ body: (TestGateway) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let version = folder.appending(path: "external/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            for (from, to) in [("external.onnx", "model.onnx"), ("external.weights", nil)] {
                try FileManager.default.copyItem(
                    atPath: "\(Paths.fixtures)/models/\(from)",
                    toPath: version.appending(path: to ?? from).path)
            }
            try Self.manifest.write(
                to: version.appending(path: "manifest.json"), atomically: true, encoding: .utf8)
            try await withGateway(models: folder.path, settings: settings, body)
        }
    }

    @Test func itAnswersAndItsFileIsWhatItHolds() async throws {
        try await withMappedModel(settings: "memory:\n  awake_min: 0\n") { gateway in
            try await gateway.withClient { client in
                let row = (0..<64).map { Float($0) / 7 }
                let input = try Tensor("x", rows: [row])
                for _ in 0..<3 {
                    let answer = try await client.infer("external", inputs: [input])
                    #expect(try answer.output("y").values(as: Float.self) == row)
                }
                let account = try await client.account("external")
                #expect(account[0].mappedBytes == 16_384)
                #expect(account[0].loads == 1)
            }
        }
    }

    /// Small as it is, its weights are: a promotion is soon worth it, and is judged by its runs.
    @Test func aHotOneIsPromotedAndAnswersTheSame() async throws {
        let settings = "memory:\n  awake_min: 0\nshards:\n  inline_run_max: 0\n"
        try await withMappedModel(settings: settings) { gateway in
            try await gateway.withClient { client in
                let row = (0..<64).map { Float($0) / 7 }
                let input = try Tensor("x", rows: [row])
                try await eventually(within: 30, "the promotion") {
                    for _ in 0..<20 {
                        let answer = try await client.infer("external", inputs: [input])
                        #expect(try answer.output("y").values(as: Float.self) == row)
                    }
                    return gateway.log.contains("model promoted")
                }
                for _ in 0..<20 {
                    let answer = try await client.infer("external", inputs: [input])
                    #expect(try answer.output("y").values(as: Float.self) == row)
                }
                #expect(try await client.account("external")[0].loads == 1)
            }
        }
    }

    @Test func aRuleKeepsAModelWarm() async throws {
        let settings = """
            models:
              rules: [{ match: "exter*", keep_warm: "* * * * *", time_zone: Europe/Vienna }]
            """
        try await withMappedModel(settings: settings) { gateway in
            try await gateway.withClient { client in
                try await eventually(within: 20, "a model that nobody called is awake") {
                    let account = try await client.account("external")[0]
                    return account.state == .awake && account.isKeptWarm
                }
            }
        }
    }
}
