// Versions side by side, through the whole gateway: latest moves only to what has proved itself, aliases and rollbacks,
// what survives a restart and a kill.

import Foundation
import SluiceClient
import Testing

@Suite struct VersionsTests {
    private static let polled = "models:\n  poll: 1s\n"

    private func failure(_ body: () async throws -> Void) async throws -> SluiceError {
        do {
            try await body()
        } catch let error as SluiceError {
            return error
        }
        throw TestTrouble("nothing was thrown")
    }

    /// The version that answers.
    private func answers(_ client: SluiceClient, _ version: String? = nil) async throws -> String {
        try await client.infer("iris", version: version, inputs: TokenTests.iris()).version
    }

    private func models(
        _ gateway: TestGateway, token: String, _ arguments: String...
    ) async throws -> Command {
        try await Command.run(
            program: Paths.binary,
            ["models"] + arguments + ["--endpoint", gateway.endpoint, "--ca", gateway.ca],
            environment: ["SLUICE_TOKEN": token])
    }

    /// A gateway on versions of iris, and an operator's client.
    private func withVersions(
        _ versions: [Int], settings: String? = polled,
        _ body: @escaping @Sendable (TestGateway, SluiceClient, URL) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            for version in versions { try VersionedModel.put(folder, version) }
            try await withGateway(models: folder.path, settings: settings) { gateway in
                let token = try await gateway.token(scope: "admin", name: "operator")
                try await gateway.withClient(token: token) { client in
                    try await body(gateway, client, folder)
                }
            }
        }
    }

    // MARK: - Latest

    @Test func latestMovesToWhatHasProvedItself() async throws {
        try await withVersions([1]) { gateway, client, folder in
            try await withBystander(gateway) {
                #expect(try await answers(client) == "1")
                try VersionedModel.put(folder, 2)
                try await eventually(within: 30, "latest is 2") { try await answers(client) == "2" }
                #expect(try await answers(client, "1") == "1")
                #expect(try await answers(client, "latest") == "2")
                #expect(gateway.log.contains("latest has moved"))
            }
        }
    }

    @Test func whatGivesWrongAnswersDoesNotServe() async throws {
        try await withVersions([1]) { gateway, client, folder in
            try await withBystander(gateway) {
                #expect(try await answers(client) == "1")
                try VersionedModel.put(folder, 2, golden: .wrong)
                try await eventually(within: 30, "the trial has failed") {
                    try await client.account("iris").last?.trial.contains("golden case 1") == true
                }
                #expect(try await answers(client) == "1")
                // By its number it can be reached all the same.
                #expect(try await answers(client, "2") == "2")
                let line = try #require(
                    try await client.index().first { $0.name == "iris" && $0.version == "2" })
                #expect(line.isReady && line.reason.contains("latest stays at version 1"))
                let token = try await gateway.token(scope: "admin", name: "reader")
                let why = try await models(gateway, token: token, "why", "iris")
                #expect(why.output.contains("its trial failed: "), "\(why.output)")
                #expect(why.output.contains("expected 0.25"), "\(why.output)")
                // Put right, it is tried again.
                try VersionedModel.put(folder, 2)
                try await eventually(within: 30, "latest is 2") { try await answers(client) == "2" }
            }
        }
    }

    @Test func whatDoesNotLoadDoesNotServe() async throws {
        try await withVersions([1]) { gateway, client, folder in
            try await withBystander(gateway) {
                #expect(try await answers(client) == "1")
                let bad = folder.appending(path: "iris/2")
                try FileManager.default.createDirectory(at: bad, withIntermediateDirectories: true)
                // Another model, without a manifest: its files are fine and its engine refuses it.
                try FileManager.default.copyItem(
                    atPath: "\(Paths.fixtures)/models/unknown-operator.onnx",
                    toPath: bad.appending(path: "model.onnx").path)
                try await eventually(within: 30, "the trial has failed") {
                    try await client.account("iris").last?.trial.contains("its trial failed")
                        == true
                }
                #expect(try await answers(client) == "1")
            }
        }
    }

    // MARK: - Aliases

    @Test func anAliasMovesWhenTheVersionHasProvedItself() async throws {
        try await withVersions([1, 2]) { gateway, client, folder in
            try await withBystander(gateway) {
                let first = try await client.setAlias("prod", of: "iris", to: "1")
                #expect(first.was == nil && first.now == "1")
                #expect(first.proof == .golden && first.goldenCases == 2)
                #expect(try await answers(client, "prod") == "1")
                #expect(try await answers(client) == "2")
                #expect(
                    try await client.metadata(of: "iris", version: "prod").aliases
                        == ["latest": "2", "prod": "1"])
                #expect(try await client.isReady("iris", version: "prod"))
                #expect(
                    try await client.account("iris", version: "prod").first?.aliases == ["prod"])

                try VersionedModel.put(folder, 3, golden: .wrong)
                try VersionedModel.put(folder, 4, golden: .none)
                try await eventually(within: 30, "all versions are there") {
                    try await client.index().count { $0.name == "iris" } == 4
                }
                let refused = try await failure {
                    _ = try await client.setAlias("prod", of: "iris", to: "3")
                }
                #expect(refused.code == .failedPrecondition && refused.reason == "MODEL_UNPROVED")
                #expect(refused.message.contains("golden case 1"), "\(refused.message)")
                #expect(try await answers(client, "prod") == "1")

                let loaded = try await client.setAlias("prod", of: "iris", to: "4")
                #expect(loaded.was == "1" && loaded.proof == .loaded && loaded.goldenCases == 0)
                #expect(try await answers(client, "prod") == "4")
                let back = try await client.rollBack("iris", alias: "prod")
                #expect(back.was == "4" && back.now == "1" && back.proof == .earlier)
                #expect(try await answers(client, "prod") == "1")
                let gone = try await client.removeAlias("prod", of: "iris")
                #expect(gone.was == "1" && gone.now == nil)
                let lost = try await failure { _ = try await answers(client, "prod") }
                #expect(lost.code == .notFound)
            }
        }
    }

    @Test func latestCanBeRolledBack() async throws {
        try await withVersions([1, 2]) { gateway, client, folder in
            try await withBystander(gateway) {
                #expect(try await answers(client) == "2")
                let back = try await client.rollBack("iris")
                #expect(back.alias == "latest" && back.was == "2" && back.now == "1")
                #expect(try await answers(client) == "1")
                #expect(
                    try await client.account("iris").last?.trial
                        == "latest was rolled back to version 1")
                try VersionedModel.put(folder, 3)
                try await eventually(within: 30, "a still newer one is latest") {
                    try await answers(client) == "3"
                }
                _ = try await client.rollBack("iris")
                #expect(try await answers(client) == "1")
                let freed = try await client.removeAlias("latest", of: "iris")
                #expect(freed.now == "3")
                #expect(try await answers(client) == "3")
            }
        }
    }

    @Test func badAliasesAreRefused() async throws {
        try await withVersions([1]) { gateway, client, _ in
            for alias in ["Prod", "1", "a/b", "..", "a_b", "", "latest", "a\u{0}", "é"] {
                let error = try await failure {
                    _ = try await client.setAlias(alias, of: "iris", to: "1")
                }
                #expect(error.code == .invalidArgument, "\(alias): \(error)")
            }
            for version in ["0", "-1", "abc", "prod", "latest", "../1", ""] {
                let error = try await failure {
                    _ = try await client.setAlias("prod", of: "iris", to: version)
                }
                #expect(error.code == .invalidArgument, "\(version): \(error)")
            }
            for (model, version) in [("iris", "9"), ("nothing", "1"), ("../iris", "1")] {
                let error = try await failure {
                    _ = try await client.setAlias("prod", of: model, to: version)
                }
                #expect(error.code == .notFound, "\(model) \(version): \(error)")
            }
            let removed = try await failure { _ = try await client.removeAlias("prod", of: "iris") }
            #expect(removed.code == .notFound)
            let back = try await failure { _ = try await client.rollBack("iris", alias: "prod") }
            #expect(back.code == .notFound)
            // Nothing was before the first.
            let first = try await failure { _ = try await client.rollBack("iris") }
            #expect(first.code == .failedPrecondition)
            for number in 0..<16 {
                _ = try await client.setAlias("a\(number)", of: "iris", to: "1")
            }
            let full = try await failure {
                _ = try await client.setAlias("one-more", of: "iris", to: "1")
            }
            #expect(full.code == .resourceExhausted)
            let reader = try await gateway.token(scope: "infer:* models:read", name: "reader")
            try await gateway.withClient(token: reader) { client in
                let error = try await failure {
                    _ = try await client.setAlias("prod", of: "iris", to: "1")
                }
                #expect(error.code == .permissionDenied)
            }
        }
    }

    @Test func theCommandsMoveAliases() async throws {
        try await withVersions([1, 2]) { gateway, client, _ in
            let token = try await gateway.token(scope: "admin", name: "commands")
            let set = try await models(gateway, token: token, "alias", "iris", "prod", "1")
            #expect(set.status == 0, "\(set.error)")
            #expect(set.output == "iris: prod is version 1 (it passed its 2 golden cases)\n")
            let moved = try await models(
                gateway, token: token, "alias", "iris", "prod", "2", "--json")
            #expect(
                moved.output == #"{"alias":"prod","golden_cases":2,"model":"iris","now":"2","#
                    + #""proof":"golden","was":"1"}"# + "\n", "\(moved.output)\(moved.error)")
            let back = try await models(gateway, token: token, "rollback", "iris", "prod")
            #expect(back.output == "iris: prod is version 1, was 2 (it proved itself earlier)\n")
            let list = try await models(gateway, token: token, "list")
            #expect(list.output.contains("ALIASES"))
            let rows = list.output.split(separator: "\n").map(String.init)
            #expect(rows.contains { $0.hasPrefix("iris   1        READY  prod") }, "\(list.output)")
            let show = try await models(gateway, token: token, "show", "iris", "--version", "prod")
            #expect(show.output.contains("  latest is version 2\n  prod is version 1\n"))
            let removed = try await models(
                gateway, token: token, "alias", "iris", "prod", "--remove")
            #expect(removed.output == "iris: prod is gone, was version 1\n", "\(removed.error)")
            let call = try await Command.run(
                "call", "iris", "--version", "latest", "--input", "X=[[5.1,3.5,1.4,0.2]]",
                "--endpoint", gateway.endpoint, "--ca", gateway.ca,
                environment: ["SLUICE_TOKEN": token])
            #expect(call.status == 0, "\(call.error)")
            for arguments in [["iris", "prod"], ["iris", "prod", "1", "--remove"]] {
                let bad = try await Command.run(
                    program: Paths.binary, ["models", "alias"] + arguments, within: 20)
                #expect(bad.status == 64)
            }
        }
    }

    // MARK: - What survives

    @Test func aRestartChangesNothing() async throws {
        try await withTemporaryFolder { folder in
            let store = folder.appending(path: "models")
            for version in 1...2 { try VersionedModel.put(store, version) }
            let first = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            let token = try await first.token(scope: "admin")
            try await first.withClient(token: token) { client in
                _ = try await client.setAlias("prod", of: "iris", to: "1")
                _ = try await client.setAlias("prod", of: "iris", to: "2")
                _ = try await client.setAlias("canary", of: "iris", to: "2")
                _ = try await client.rollBack("iris")
                try await client.pin("iris", version: "2")
                #expect(try await answers(client) == "1")
            }
            #expect(try await first.stop() == 0)
            // A newer version that came meanwhile is tried first, as if the gateway had run.
            try VersionedModel.put(store, 3, golden: .wrong)
            let second = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            try await second.withClient(token: token) { client in
                #expect(try await answers(client) == "1")
                #expect(try await answers(client, "prod") == "2")
                #expect(try await answers(client, "canary") == "2")
                #expect(try await client.rollBack("iris", alias: "prod").now == "1")
                try await eventually(within: 30, "the third has failed its trial") {
                    try await client.account("iris").last?.trial.contains("golden") == true
                }
                #expect(try await client.account("iris").map(\.isPinned) == [false, true, false])
            }
            #expect(try await second.stop() == 0)
            try "no JSON".write(
                toFile: second.state + "/versions.json", atomically: false, encoding: .utf8)
            let third = try await Command.run(
                "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--models",
                store.path, "--state", second.state)
            #expect(third.status == 78 && third.error.contains("versions.json"), "\(third.error)")
        }
    }

    /// Killed at any moment while aliases move: the next start finds the old or the new, and serves.
    @Test func aKillWhileAnAliasMovesLeavesTheOldOrTheNew() async throws {
        try await withTemporaryFolder { folder in
            let store = folder.appending(path: "models")
            for version in 1...3 { try VersionedModel.put(store, version) }
            /// What was answered last, and what had been asked for when the kill came.
            var before: (answered: Int, asked: Int)?
            for round in 0..<6 {
                let gateway = try await TestGateway.start(
                    in: folder, models: store.path, settings: nil, environment: [:])
                let token = try await gateway.token(scope: "admin", name: "round-\(round)")
                let known = before
                before = try await gateway.withClient(token: token) { client in
                    if let known {
                        let now = try await answers(client, "prod")
                        #expect(
                            now == "\(known.answered)" || now == "\(known.asked)", "round \(round)")
                    }
                    var last = round % 3 + 1
                    _ = try await client.setAlias("prod", of: "iris", to: String(last))
                    async let killed: Void = {
                        try await Task.sleep(for: .milliseconds(20 + round * 13))
                        gateway.signal(SIGKILL)
                    }()
                    var next = last
                    while true {
                        next = last % 3 + 1
                        do {
                            _ = try await client.setAlias(
                                "prod", of: "iris", to: String(next), timeout: .seconds(5))
                            last = next
                        } catch {
                            break
                        }
                    }
                    try await killed
                    return (last, next)
                }
                _ = try await gateway.ended()
                let bytes = try Data(contentsOf: URL(filePath: gateway.state + "/versions.json"))
                let json = try JSONSerialization.jsonObject(with: bytes) as? [String: Any]
                let models = try #require(json?["models"] as? [String: Any])
                #expect(models["iris"] != nil)
            }
        }
    }

    // MARK: - In and out of service

    @Test func aVersionLeavesServiceAlone() async throws {
        try await withVersions([1, 2]) { gateway, client, _ in
            try await client.unload("iris", version: "1")
            let away = try await failure { _ = try await answers(client, "1") }
            #expect(away.reason == "MODEL_UNLOADED")
            #expect(try await answers(client) == "2")
            try await client.load("iris", version: "1")
            #expect(try await answers(client, "1") == "1")
            #expect(try await client.account("iris", version: "1").first?.state == .awake)
            let error = try await failure { try await client.unload("iris", version: "9") }
            #expect(error.code == .notFound)
        }
    }

    /// Out of service at once for who comes now; who is inside finishes, or ends by its deadline.
    @Test func unloadDuringARun() async throws {
        try await withTemporaryFolder { folder in
            let version = folder.appending(path: "endless/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try VersionedModel.put(folder, 1)
            try await withGateway(models: folder.path) { gateway in
                try await withBystander(gateway) {
                    let token = try await gateway.token(scope: "admin", name: "operator")
                    try await gateway.withClient(token: token) { client in
                        @Sendable func run(_ always: Bool, _ time: Duration) async throws {
                            _ = try await client.infer(
                                "endless",
                                inputs: [
                                    try Tensor("x", shape: [1], [1 as Float]),
                                    try Tensor("always", shape: [], [always]),
                                ], timeout: time)
                        }
                        async let inside = failure { try await run(true, .seconds(3)) }
                        try await eventually("the model runs") {
                            try await client.account("endless").first?.state == .awake
                        }
                        try await client.unload("endless")
                        let late = try await failure { try await run(false, .seconds(3)) }
                        #expect(late.reason == "MODEL_UNLOADED")
                        #expect(try await inside.code == .deadlineExceeded)
                        try await eventually("its memory is free") {
                            try await client.account("endless").first?.state == .asleep
                        }
                        try await client.load("endless")
                        try await run(false, .seconds(10))
                    }
                }
            }
        }
    }
}
