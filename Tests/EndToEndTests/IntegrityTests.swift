// Files that are not what their manifest says: the model says so, the others serve.

import Foundation
import SluiceClient
import Testing

@Suite struct IntegrityTests {
    /// iris, and the forest with one byte of it changed.
    private func withDamage(_ body: (URL) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let files = FileManager.default
            for name in ["iris", "diabetes-forest"] {
                try files.copyItem(
                    atPath: "\(Paths.models)/\(name)", toPath: folder.appending(path: name).path)
            }
            try flip(folder)
            try await body(folder)
        }
    }

    /// Changes one byte in the middle, and changes it back the next time.
    private func flip(_ folder: URL) throws {
        let model = folder.appending(path: "diabetes-forest/1/model.onnx")
        var bytes = try Data(contentsOf: model)
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: model)
    }

    private func forest() throws -> [Tensor] {
        [try Tensor("X", rows: [(0..<10).map { Float($0) / 100 }])]
    }

    @Test func aFileThatChangedAfterItsManifestIsNotServed() async throws {
        try await withDamage { folder in
            try await withGateway(models: folder.path, settings: "models:\n  poll: 1s\n") {
                gateway in
                try await withBystander(gateway) {
                    try await gateway.withClient { client in
                        let error = await #expect(throws: SluiceError.self) {
                            _ = try await client.infer("diabetes-forest", inputs: forest())
                        }
                        #expect(error?.code == .failedPrecondition)
                        #expect(error?.reason == "MODEL_BROKEN")
                        let text = error?.message ?? ""
                        #expect(text.contains("'model.onnx' has SHA-256"), "\(text)")
                        #expect(text.contains("manifest.json says"), "\(text)")
                        #expect(!text.contains(folder.path), "\(text)")
                        // Put right, it is served without a restart.
                        try flip(folder)
                        try await eventually(within: 20, "the model is served again") {
                            do {
                                _ = try await client.infer("diabetes-forest", inputs: forest())
                                return true
                            } catch let error as SluiceError
                                where error.code == .failedPrecondition
                            {
                                return false
                            }
                        }
                    }
                }
            }
        }
    }
}
