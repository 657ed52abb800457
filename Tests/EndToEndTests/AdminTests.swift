// Giving memory back, keeping it and asking where it went, through the whole gateway: SDK and command line.

import Foundation
import SluiceClient
import Testing

@Suite struct AdminTests {
    /// The error of `body`, which must fail with the SDK's.
    private func failure(_ body: () async throws -> Void) async throws -> SluiceError {
        do {
            try await body()
        } catch let error as SluiceError {
            return error
        }
        throw TestTrouble("nothing was thrown")
    }

    private func state(_ client: SluiceClient, _ model: String) async throws -> ModelAccount.State {
        try #require(try await client.account(model).first).state
    }

    @Test func sleepGivesTheMemoryBackAndTheNextCallWakes() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "infer:* models:admin")
            try await gateway.withClient(token: token) { client in
                #expect(try await state(client, "iris") == .asleep)
                // Asleep already: nothing to wait for.
                try await client.sleep("iris")
                let cold = try await client.infer("iris", inputs: TokenTests.iris())
                #expect(cold.timing.isCold && cold.timing.batch == 1)
                #expect(try await state(client, "iris") == .awake)
                // In service all the time, unlike after an unload; awake again after the call.
                for _ in 0..<3 {
                    try await client.sleep("iris", version: "1")
                    #expect(try await state(client, "iris") == .asleep)
                    #expect(try await client.isReady("iris"))
                    let again = try await client.infer("iris", inputs: TokenTests.iris())
                    #expect(again.timing.isCold)
                    let warm = try await client.infer("iris", inputs: TokenTests.iris())
                    #expect(!warm.timing.isCold)
                }
                let account = try #require(try await client.account("iris", version: "1").first)
                #expect(account.name == "iris" && account.version == "1")
                #expect(account.callsSinceWake > 0)
                #expect(account.sinceLastCall.map { $0 < .seconds(60) } == true)
            }
        }
    }

    @Test func asleepWhileManyCall() async throws {
        try await withGateway { gateway in
            let admin = try await gateway.token(scope: "admin")
            try await withBystander(gateway) {
                try await gateway.withClient(token: admin) { client in
                    for _ in 0..<20 { try await client.sleep("iris") }
                }
            }
        }
    }

    /// A run that does not end keeps its model; who waits is answered at the deadline, and the model goes when it can.
    @Test func sleepWaitsForCallsUntilItsDeadline() async throws {
        try await withTemporaryFolder { folder in
            let version = folder.appending(path: "endless/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try await withGateway(models: folder.path) { gateway in
                let token = try await gateway.token(scope: "admin")
                try await gateway.withClient(token: token) { client in
                    async let run = failure {
                        _ = try await client.infer(
                            "endless",
                            inputs: [
                                try Tensor("x", shape: [1], [1 as Float]),
                                try Tensor("always", shape: [], [true]),
                            ], timeout: .seconds(5))
                    }
                    try await eventually("the endless model is awake") {
                        try await state(client, "endless") == .awake
                    }
                    try await withThrowingTaskGroup(of: SluiceError.self) { group in
                        group.addTask {
                            try await failure { try await client.sleep("endless") }
                        }
                        try await eventually("the endless model is leaving") {
                            try await state(client, "endless") == .leaving
                        }
                        group.cancelAll()
                        #expect(try await group.next()?.code == .cancelled)
                    }
                    let error = try await failure {
                        try await client.sleep("endless", timeout: .milliseconds(300))
                    }
                    #expect(error.code == .deadlineExceeded)
                    #expect(try await state(client, "endless") == .leaving)
                    #expect(try await run.code == .deadlineExceeded)
                    try await eventually("the endless model is asleep") {
                        try await state(client, "endless") == .asleep
                    }
                }
            }
        }
    }

    @Test func aPinIsShown() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: token) { client in
                try await client.pin("iris")
                try await client.pin("iris")
                _ = try await client.infer("iris", inputs: TokenTests.iris())
                let fleet = try await client.fleetAccount()
                #expect(fleet.models.filter(\.isPinned).map(\.name) == ["iris"])
                #expect(fleet.models.count == 6)
                // A pin is against eviction, not against an operator.
                try await client.sleep("iris")
                let asleep = try #require(try await client.account("iris").first)
                #expect(asleep.state == .asleep && asleep.isPinned)
                try await client.unpin("iris")
                let free = try #require(try await client.account("iris").first)
                #expect(!free.isPinned)
            }
        }
    }

    @Test func scopesAreKept() async throws {
        try await withGateway { gateway in
            let iris = try await gateway.token(scope: "infer:iris")
            let reader = try await gateway.token(scope: "infer:* models:read")
            for (token, mayRead) in [(iris, false), (reader, true)] {
                try await gateway.withClient(token: token) { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    // The same for a model there is and one there is not: nothing is revealed.
                    for model in ["iris", "digits-mlp", "nothing-here"] {
                        for act in [client.sleep, client.pin, client.unpin] {
                            let error = try await failure { try await act(model, nil, nil) }
                            #expect(error.code == .permissionDenied, "\(model)")
                            #expect(error.reason == "SCOPE_MISSING")
                        }
                        guard !mayRead else { continue }
                        let error = try await failure { _ = try await client.account(model) }
                        #expect(error.code == .permissionDenied, "\(model)")
                    }
                    if mayRead {
                        #expect(try await state(client, "iris") == .awake)
                    } else {
                        let error = try await failure { _ = try await client.fleetAccount() }
                        #expect(error.code == .permissionDenied)
                    }
                }
            }
        }
    }

    @Test func whatIsNotThereIsNotFound() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "models:admin")
            try await gateway.withClient(token: token) { client in
                for (model, version) in [("nothing-here", nil), ("iris", "9"), ("../iris", nil)] {
                    for act in [client.sleep, client.pin, client.unpin] {
                        let error = try await failure { try await act(model, version, nil) }
                        #expect(error.code == .notFound && error.reason == "MODEL_NOT_FOUND")
                    }
                    let error = try await failure {
                        _ = try await client.account(model, version: version)
                    }
                    #expect(error.code == .notFound)
                }
                // A word may be an alias; what can be neither is said at once.
                for (version, code) in [
                    ("0", SluiceError.Code.invalidArgument), ("-1", .invalidArgument),
                    ("..", .invalidArgument), ("1/2", .invalidArgument), ("abc", .notFound),
                ] {
                    let error = try await failure {
                        try await client.sleep("iris", version: version)
                    }
                    #expect(error.code == code, "\(version)")
                }
                let unnamed = try await failure { try await client.sleep("") }
                #expect(unnamed.code == .invalidArgument)
            }
        }
    }

    // MARK: - The command line

    /// Runs `sluice models` against a gateway.
    private func models(
        _ gateway: TestGateway, token: String, _ arguments: String...
    ) async throws -> Command {
        try await Command.run(
            program: Paths.binary,
            ["models"] + arguments + ["--endpoint", gateway.endpoint, "--ca", gateway.ca],
            environment: ["SLUICE_TOKEN": token])
    }

    private func json(_ command: Command) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(command.output.utf8))
    }

    @Test func whySpeaks() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "admin")
            let before = try await models(gateway, token: token, "why", "iris")
            #expect(before.status == 0, "\(before.error)")
            #expect(before.output == "iris 1: asleep: never called since the start\n")
            try await gateway.withClient(token: token) { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
            }
            let awake = try await models(gateway, token: token, "why", "iris")
            #expect(awake.output.hasPrefix("iris 1: awake"), "\(awake.output)")
            #expect(awake.output.contains(", 1 call"), "\(awake.output)")
            let fields = try await models(gateway, token: token, "why", "iris", "--json")
            let rows = try #require(try json(fields) as? [[String: Any]])
            #expect(rows.count == 1)
            #expect(rows.first?["name"] as? String == "iris")
            #expect(rows.first?["state"] as? String == "awake")
            #expect(rows.first?["pinned"] as? Bool == false)
            #expect(rows.first?["anonymous_bytes"] is Int)
            #expect((rows.first?["why"] as? String)?.hasPrefix("awake") == true)
            #expect(rows.first?["evicted_for"] == nil)

            try await gateway.withClient(token: token) { try await $0.unload("iris") }
            let unloaded = try await models(gateway, token: token, "why", "iris")
            #expect(
                unloaded.output.hasSuffix("; out of service: unloaded by CLIENT\n"),
                "\(unloaded.output)")

            let unknown = try await models(gateway, token: token, "why", "nothing-here")
            #expect(unknown.status == 65)
            #expect(unknown.error.contains("nothing-here"))
        }
    }

    @Test func theCommandsDoWhatTheySay() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: token) { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
                let pin = try await models(gateway, token: token, "pin", "iris")
                #expect(pin.status == 0 && pin.output.hasPrefix("iris is pinned"), "\(pin.error)")
                let why = try await models(gateway, token: token, "why", "iris")
                #expect(why.output.hasSuffix("; is pinned\n"), "\(why.output)")
                let sleep = try await models(
                    gateway, token: token, "sleep", "iris", "--version", "1")
                #expect(sleep.status == 0, "\(sleep.error)")
                #expect(sleep.output == "iris version 1 is asleep; its memory is free\n")
                #expect(try await state(client, "iris") == .asleep)
            }
            let unpin = try await models(gateway, token: token, "unpin", "iris", "--json")
            let unpinned = try #require(try json(unpin) as? [String: Any])
            #expect(unpinned["model"] as? String == "iris")
            #expect(unpinned["pinned"] as? Bool == false)
            let again = try await models(gateway, token: token, "sleep", "iris", "--json")
            #expect(
                try json(again) as? [String: String] == ["model": "iris", "state": "asleep"])
        }
    }

    /// DESIGN.md section 5: 64 usage, 65 bad data, 77 not permitted.
    @Test func exitStatusesSayWhatWentWrong() async throws {
        try await withGateway { gateway in
            let caller = try await gateway.token(scope: "infer:*")
            for action in ["sleep", "pin", "unpin", "why"] {
                let denied = try await models(gateway, token: caller, action, "iris")
                #expect(denied.status == 77, "\(action): \(denied.error)")
                #expect(denied.output.isEmpty && denied.error.contains("models:"))
                let unsaid = try await models(gateway, token: caller, action)
                #expect(unsaid.status == 64, "\(action)")
            }
            let admin = try await gateway.token(scope: "models:admin")
            for action in ["sleep", "pin", "unpin", "why"] {
                let unknown = try await models(gateway, token: admin, action, "nothing-here")
                #expect(unknown.status == 65, "\(action): \(unknown.error)")
            }
        }
    }

    @Test func theListHasAMemoryColumnForThoseWhoMayRead() async throws {
        try await withGateway { gateway in
            let reader = try await gateway.token(scope: "infer:* models:read")
            try await gateway.withClient(token: reader) { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
            }
            let list = try await models(gateway, token: reader, "list")
            #expect(list.status == 0, "\(list.error)")
            let lines = list.output.split(separator: "\n")
            #expect(lines.first?.contains("MEMORY") == true, "\(list.output)")
            let digits = try #require(lines.first { $0.hasPrefix("digits-mlp") })
            #expect(digits.contains(" - "), "asleep it holds nothing: \(digits)")
            let rows = try #require(
                try json(try await models(gateway, token: reader, "list", "--json"))
                    as? [[String: Any]])
            #expect(rows.count == 6)
            #expect(rows.allSatisfy { $0["anonymous_bytes"] is Int && $0["pinned"] is Bool })

            // Who may only call sees what there is, and not what it costs.
            let caller = try await gateway.token(scope: "infer:iris")
            let plain = try await models(gateway, token: caller, "list")
            #expect(plain.status == 0, "\(plain.error)")
            #expect(plain.output.hasPrefix("MODEL"))
            #expect(!plain.output.contains("MEMORY") && plain.output.contains("iris"))
            let bare = try #require(
                try json(try await models(gateway, token: caller, "list", "--json"))
                    as? [[String: Any]])
            #expect(bare.count == 1 && bare.first?["anonymous_bytes"] == nil)
        }
    }
}
