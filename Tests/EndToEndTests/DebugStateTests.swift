// What waits for what: a call that runs for ever, another that waits for the model's next load, told by the operator's port and
// by SIGUSR1.

import Foundation
import SluiceClient
import Testing

@Suite struct DebugStateTests {
    struct State: Decodable {
        struct Gateway: Decodable {
            struct Settings: Decodable { var generation: Int }
            var serving: Bool
            var uptime_ms: Int
            var settings: Settings
        }
        struct Connections: Decodable {
            struct Loop: Decodable { var answers: Bool }
            struct One: Decodable {
                var connection: String
                var peer: String
                var client: String
                var calls: Int
            }
            var open: Int
            var with_calls: Int
            var loops: [Loop]
            var longest_waiting: [One]
            var left_out: Int
        }
        struct Calls: Decodable {
            struct One: Decodable {
                var connection: String
                var door: String
                var method: String
                var model: String
                var stage: String
                var stage_ms: Int?
                var age_ms: Int
                var deadline_ms: Int
            }
            var open: Int
            var errands: Int
            var oldest: [One]
            var left_out: Int
        }
        struct Models: Decodable {
            struct One: Decodable {
                var model: String
                var state: String
                var leases: Int
                var waiting: Int
                var oldest_wait_ms: Int?
                var oldest_deadline_ms: Int?
            }
            var asleep: Int
            var listed: [One]
        }
        struct Shard: Decodable {
            var busy: Bool
            var model: String?
            var running_ms: Int?
        }
        struct Loaders: Decodable { var threads: Int }
        struct Memory: Decodable { var anonymous_budget: UInt64 }
        struct Introspection: Decodable {
            struct Issuer: Decodable {
                var name: String
                var breaker: String
            }
            var asking: Int
            var issuers: [Issuer]
        }
        struct AccessLog: Decodable {
            var written: Int
            var refused: Int
            var waiting: Int
        }

        var gateway: Gateway
        var connections: Connections
        var calls: Calls
        var models: Models
        var shards: [Shard]
        var loaders: Loaders
        var memory: Memory
        var introspection: Introspection
        var access_log: AccessLog
    }

    static func text(_ gateway: TestGateway) async throws -> String {
        let done = try await Command.run(
            program: "/usr/bin/curl",
            ["-sS", "--max-time", "10", "http://\(gateway.admin)/debug/state"])
        guard done.status == 0 else { throw TestTrouble("curl: \(done.error)") }
        return done.output
    }

    static func state(_ gateway: TestGateway) async throws -> State {
        try JSONDecoder().decode(State.self, from: Data(try await text(gateway).utf8))
    }

    private func endless(_ client: SluiceClient) async throws {
        _ = try await client.infer(
            "endless",
            inputs: [
                try Tensor("x", shape: [1], [1 as Float]),
                try Tensor("always", shape: [], [true]),
            ], timeout: .seconds(15))
    }

    @Test func anIdleGatewayWaitsForNothing() async throws {
        try await withGateway { gateway in
            let state = try await Self.state(gateway)
            #expect(state.gateway.serving && state.gateway.settings.generation == 1)
            #expect(state.calls.open == 0 && state.calls.oldest.isEmpty)
            #expect(state.connections.loops.allSatisfy { $0.answers })
            #expect(state.shards.allSatisfy { !$0.busy } && state.loaders.threads > 0)
            #expect(state.introspection.issuers.map(\.breaker) == ["closed"])
            #expect(state.memory.anonymous_budget > 0)
            gateway.signal(SIGHUP)
            try await eventually("another generation of settings") {
                try await Self.state(gateway).gateway.settings.generation == 2
            }
        }
    }

    @Test func aCallThatRunsAndOneThatWaitsForTheNextLoad() async throws {
        try await withTemporaryFolder { folder in
            try FixtureModels.put(["endless"], into: folder)
            try await withGateway(models: folder.path) { gateway in
                let token = try await gateway.token(scope: "admin", name: "canary-app")
                try await gateway.withClient(token: token) { client in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await endless(client) }
                        try await eventually("the run") {
                            try await Self.state(gateway).shards.contains { $0.model == "endless" }
                        }
                        group.addTask { try await client.sleep("endless") }
                        try await eventually("the model is leaving") {
                            try await Self.state(gateway).models.listed.first?.state == "leaving"
                        }
                        group.addTask { try await endless(client) }
                        var seen: State?
                        try await eventually("a call waits for the model") {
                            let state = try await Self.state(gateway)
                            seen = state
                            return state.calls.oldest.contains {
                                $0.stage == "waiting for the model"
                            }
                        }
                        try check(try #require(seen))
                        try await checkTheFile(of: gateway, token: token)
                        // Cancelled, all of them.
                        group.cancelAll()
                    }
                }
            }
        }
    }

    private func check(_ state: State) throws {
        let model = try #require(state.models.listed.first { $0.model == "endless" })
        #expect(model.leases == 1 && model.waiting == 1)
        #expect((model.oldest_deadline_ms ?? 0) > 0 && (model.oldest_deadline_ms ?? 0) <= 15_000)
        #expect(model.oldest_wait_ms != nil)
        #expect(state.calls.open == state.calls.oldest.count && state.calls.left_out == 0)
        let stages = Set(state.calls.oldest.map(\.stage))
        #expect(stages.isSuperset(of: ["running", "waiting for the model"]), "\(stages)")
        #expect(state.calls.oldest.contains { $0.method == "models.control" })
        #expect(state.calls.errands >= 1)
        // The one that has waited longest comes first.
        #expect(state.calls.oldest.map(\.age_ms) == state.calls.oldest.map(\.age_ms).sorted(by: >))
        let connection = try #require(state.connections.longest_waiting.first)
        #expect(connection.calls == 3 && connection.peer == "127.0.0.1")
        #expect(state.connections.with_calls == 1 && state.connections.open >= 1)
        let shard = try #require(state.shards.first { $0.busy })
        #expect(shard.model == "endless" && shard.running_ms != nil)
    }

    private func checkTheFile(of gateway: TestGateway, token: String) async throws {
        let path = gateway.state + "/debug-state.json"
        gateway.signal(SIGUSR1)
        try await eventually("the file") { FileManager.default.fileExists(atPath: path) }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let state = try JSONDecoder().decode(State.self, from: Data(text.utf8))
        #expect(state.calls.oldest.contains { $0.stage == "waiting for the model" })
        #expect(!text.contains(token))
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        try await eventually("the log says where") {
            gateway.log.contains("the state was written down")
        }
        #expect(gateway.isRunning)
    }
}
