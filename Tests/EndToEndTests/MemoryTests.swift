// More models than memory, over real TLS and with real models: every call is answered, and the gateway says who went for whom.

import Foundation
import SluiceClient
import Testing

@Suite struct MemoryTests {
    private func row(_ count: Int) throws -> Tensor {
        try Tensor("X", shape: [1, count], [Float](repeating: 0.5, count: count))
    }

    /// Eight forests of four MiB each under a budget of 24.
    @Test func moreModelsThanMemoryAndEveryCallIsAnswered() async throws {
        let names = (1...8).map { "forest-\($0)" }
        let tight = "memory:\n  anonymous: 24MiB\n  awake_min: 0\n"
        try await withTemporaryFolder { folder in
            for name in names {
                let version = folder.appending(path: "\(name)/1")
                try FileManager.default.createDirectory(
                    at: version, withIntermediateDirectories: true)
                try FileManager.default.copyItem(
                    atPath: "\(Paths.models)/diabetes-forest/1/model.onnx",
                    toPath: version.appending(path: "model.onnx").path)
            }
            try await withGateway(models: folder.path, settings: tight) { gateway in
                let token = try await gateway.token(scope: "admin")
                try await gateway.withClient(token: token) { client in
                    let input = try row(10)
                    for _ in 0..<6 {
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            for name in names {
                                group.addTask { _ = try await client.infer(name, inputs: [input]) }
                            }
                            try await group.waitForAll()
                        }
                    }
                    // A call is counted when its turn has ended, just after its answer.
                    try await eventually(within: 10, "the count of calls") {
                        try await client.fleetAccount().calls == 48
                    }
                    let fleet = try await client.fleetAccount()
                    #expect(fleet.anonymousBudget == 24 << 20)
                    #expect(fleet.anonymousUsed <= 24 << 20)
                    #expect(fleet.coldCalls > 8)
                    let evicted = fleet.models.filter { $0.evictions > 0 }
                    #expect(evicted.contains { names.contains($0.evictedFor) })
                    #expect(fleet.models.contains { $0.state == .awake })
                }
                #expect(gateway.log.contains("model evicted"))
                let why = try await Command.run(
                    "models", "why", "forest-1", "--endpoint", gateway.endpoint, "--ca",
                    gateway.ca, environment: ["SLUICE_TOKEN": token])
                #expect(why.status == 0, "\(why.error)")
            }
        }
    }

    @Test func aModelThatCanNeverFitIsRefusedAndTheOthersServe() async throws {
        // The forest is larger on disk than the whole budget.
        let settings = "memory:\n  anonymous: 5MiB\n  awake_min: 0\n"
        try await withGateway(settings: settings) { gateway in
            try await gateway.withClient { client in
                let forest = try row(64)
                do throws(SluiceError) {
                    _ = try await client.infer("digits-forest", inputs: [forest])
                    Issue.record("it was let in")
                } catch {
                    #expect(error.code == .resourceExhausted)
                    #expect(error.reason == "MEMORY_LIMIT")
                    #expect(error.message.contains("memory.anonymous"))
                    #expect(error.message.contains("5 MiB"))
                }
                _ = try await client.infer("iris", inputs: [try row(4)])
            }
        }
    }
}
