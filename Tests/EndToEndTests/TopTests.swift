// `sluice top` as a person has it: in a terminal (tmux) with real models that are called, and in a pipe.

import Foundation
import SluiceClient
import Testing

@Suite struct TopTests {
    private static let scope = "infer:* models:read models:admin"

    /// Calls iris all the time while `body` looks.
    private static func withCalls(
        _ gateway: TestGateway, token: String,
        _ body: @escaping @Sendable (SluiceClient) async throws -> Void
    ) async throws {
        try await gateway.withClient(token: token) { client in
            _ = try await client.infer("iris", inputs: TokenTests.iris())
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    while !Task.isCancelled {
                        do {
                            _ = try await client.infer("iris", inputs: TokenTests.iris())
                            try await Task.sleep(for: .milliseconds(5))
                        } catch {
                            // Out of service for a while: the test's own doing.
                            if error is CancellationError || Task.isCancelled { return false }
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                    return false
                }
                group.addTask {
                    try await body(client)
                    return true
                }
                while let isBody = try await group.next() { if isBody { break } }
                group.cancelAll()
                do { while try await group.next() != nil {} } catch is CancellationError { return }
            }
        }
    }

    private static func environment(_ gateway: TestGateway, _ token: String) -> [String: String] {
        ["SLUICE_TOKEN": token, "TMPDIR": NSTemporaryDirectory()]
    }

    private static func command(_ gateway: TestGateway, _ more: String = "") -> String {
        "'\(Paths.binary)' top --endpoint \(gateway.endpoint) --ca '\(gateway.ca)' "
            + "--interval 300ms \(more)"
    }

    /// The models on the screen from the top.
    private static func models(_ screen: String) -> [String] {
        let names =
            ["breast-cancer-boosting", "diabetes-forest", "digits-forest", "digits-mlp"]
            + ["iris", "wine-pipeline"]
        return screen.split(separator: "\n").compactMap { line in
            let word = line.drop { $0 == " " || $0 == "*" }.prefix { $0 != " " }
            return names.first { $0 == word }
        }
    }

    @Test(.timeLimit(.minutes(3)))
    func aPersonSeesSortsPinsAndUnloads() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: Self.scope)
            try await Self.withCalls(gateway, token: token) { client in
                try await TerminalSession.open(environment: Self.environment(gateway, token)) {
                    terminal in
                    try await terminal.enter("stty -g >'\(gateway.folder.path)/before'")
                    try await terminal.enter(Self.command(gateway))
                    try await Self.look(terminal, gateway)
                    try await Self.act(terminal, client)
                    try await Self.resize(terminal)
                    try await terminal.press("q")
                    try await Self.isRestored(terminal, gateway)
                }
            }
        }
    }

    private static func look(_ terminal: TerminalSession, _ gateway: TestGateway) async throws {
        try await terminal.sees("sluice 0.1.0 at \(gateway.endpoint)")
        #expect(try await terminal.state() == "1 0", "the screen is taken, the cursor hidden")
        // The busiest first, with its rate and latencies.
        try await terminal.waits(for: "iris on top, called") { screen in
            models(screen).first == "iris"
                && screen.contains(
                    #/iris +1 +awake +(-|[\d.]+ [KM]iB) +(-|[\d.]+ [KM]iB) +\d+[\d.]* +[\d.]+ (us|ms) +[\d.]+ (us|ms)/#
                )
        }
        try await terminal.sees("1 of 6 awake")
        // By name, and the other way round.
        for _ in 0..<5 { try await terminal.press("<") }
        try await terminal.sees("MODELv")
        let upwards = [
            "breast-cancer-boosting", "diabetes-forest", "digits-forest", "digits-mlp", "iris",
            "wine-pipeline",
        ]
        try await terminal.waits(for: "names upwards") { models($0) == upwards }
        try await terminal.press("r")
        try await terminal.waits(for: "names downwards") { models($0) == upwards.reversed() }
        try await terminal.press("?")
        try await terminal.sees("any key goes back")
        try await terminal.press("x")
        try await terminal.waits(for: "the rows again") { $0.contains("MODEL^") }
    }

    private static func act(_ terminal: TerminalSession, _ client: SluiceClient) async throws {
        try await terminal.press("/", "iris", "Enter")
        try await terminal.waits(for: "only iris") { models($0) == ["iris"] }
        try await terminal.press("p")
        try await terminal.sees("iris version 1 is pinned")
        try await terminal.sees("* iris")
        #expect(try await client.account("iris").first?.isPinned == true)
        try await terminal.press("p")
        try await terminal.waits(for: "no pin") { !$0.contains("* iris") }
        try await terminal.press("u")
        try await terminal.sees(
            "take iris version 1 out of service until it is loaded again? (y/n)")
        try await terminal.press("n")
        try await terminal.waits(for: "no question") { !$0.contains("(y/n)") }
        #expect(try await client.isReady("iris"))
        try await terminal.press("u", "y")
        try await terminal.sees("iris version 1 is out of service; l puts it back")
        try await terminal.waits(for: "the row says so") {
            $0.contains(#/iris +1 +out of service/#)
        }
        #expect(try await !client.isReady("iris"))
        try await terminal.press("l")
        try await terminal.sees("iris version 1 is in service and awake")
        #expect(try await client.isReady("iris"))
        try await terminal.press("Escape")
        try await terminal.waits(for: "all six") { models($0).count == 6 }
        // One that nobody calls is woken and sent to sleep.
        try await terminal.press("/", "wine", "Enter", "l")
        try await terminal.waits(for: "wine is awake") { $0.contains(#/wine-pipeline +1 +awake/#) }
        try await terminal.press("z", "y")
        try await terminal.waits(for: "wine sleeps") { $0.contains(#/wine-pipeline +1 +asleep/#) }
        try await terminal.press("Escape")
    }

    private static func resize(_ terminal: TerminalSession) async throws {
        try await terminal.tmux(["resize-window", "-x", "60", "-y", "14"])
        try await terminal.waits(for: "fewer columns") {
            !$0.contains("MAPPED") && !$0.contains("COLD") && $0.contains("MODEL")
                && $0.contains("CALLS/S")
        }
        #expect(try await terminal.lines().allSatisfy { $0.count <= 60 })
        try await terminal.tmux(["resize-window", "-x", "20", "-y", "4"])
        try await terminal.waits(for: "the model alone") {
            !$0.contains("STATE") && $0.contains("MODEL")
        }
        try await terminal.tmux(["resize-window", "-x", "130", "-y", "40"])
        try await terminal.sees("MAPPED")
    }

    private static func isRestored(
        _ terminal: TerminalSession, _ gateway: TestGateway
    ) async throws {
        try await eventually("the shell's screen and cursor") {
            try await terminal.state() == "0 1"
        }
        let folder = gateway.folder.path
        try await terminal.enter(
            "stty -g >'\(folder)/after'; cmp '\(folder)/before' '\(folder)/after' && echo the-''same"
        )
        try await terminal.sees("the-same")
    }

    /// Whatever ends it, the terminal is as before.
    @Test(.timeLimit(.minutes(2)), arguments: [SIGTERM, SIGINT, SIGSEGV, 0])
    func theTerminalIsGivenBack(signal: Int32) async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: Self.scope)
            try await TerminalSession.open(environment: Self.environment(gateway, token)) {
                terminal in
                try await terminal.enter("stty -g >'\(gateway.folder.path)/before'")
                // The system shall write no core.
                try await terminal.enter(
                    "ulimit -c 0; SWIFT_BACKTRACE=enable=no \(Self.command(gateway))")
                try await terminal.sees("0 of 6 awake")
                if signal == 0 {
                    try await terminal.press("C-c")
                } else {
                    kill(try #require(try await terminal.child()), signal)
                }
                try await Self.isRestored(terminal, gateway)
            }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func aRestartedGatewayIsSeenAgain() async throws {
        try await withTemporaryFolder { folder in
            let first = try await TestGateway.start(
                in: folder, models: Paths.models, settings: nil, environment: [:])
            let token = try await first.token(scope: Self.scope)
            do {
                try await TerminalSession.open(environment: Self.environment(first, token)) {
                    terminal in
                    try await terminal.enter(Self.command(first))
                    try await terminal.sees("0 of 6 awake")
                    #expect(try await first.stop() == 0)
                    try await terminal.sees("no answer, trying again:")
                    #expect(Self.models(try await terminal.screen()).count == 6)
                    // Of two options of one name the last counts.
                    let second = try await TestGateway.start(
                        in: folder, models: Paths.models, settings: nil, environment: [:],
                        prefix: ["/bin/sh", "-c", "exec \"$@\" --listen \(first.endpoint)", "sh"])
                    do {
                        try await terminal.waits(for: "an answer") {
                            !$0.contains("no answer") && $0.contains("0 of 6 awake")
                        }
                    } catch {
                        _ = try? await second.stop()
                        throw error
                    }
                    #expect(try await second.stop() == 0)
                }
            } catch {
                _ = try? await first.stop()
                throw error
            }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func aPipeGetsTables() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: Self.scope)
            try await Self.withCalls(gateway, token: token) { _ in
                let tables = try await Command.run(
                    "top", "--endpoint", gateway.endpoint, "--ca", gateway.ca, "--count", "2",
                    "--interval", "500ms", "--sort", "model",
                    environment: ["SLUICE_TOKEN": token, "TERM": "xterm"])
                #expect(tables.status == 0, "\(tables.error)")
                #expect(!tables.output.contains("\u{1B}"))
                let parts = tables.output.components(separatedBy: "\n\n")
                #expect(parts.count == 2 && parts.allSatisfy { Self.models($0).count == 6 })
                #expect(parts.last?.contains(#/iris +1 +awake +(-|[\d.]+ [KM]iB)/#) == true)
                #expect(parts.last?.contains(#/calls [1-9][\d.]*\/s/#) == true, "\(tables.output)")
            }
            // Whoever closes the pipe has seen enough.
            let head = try await Command.run(
                program: "/bin/sh",
                [
                    "-c",
                    "\(Self.command(gateway, "--lines")) | head -n 3; echo done",
                ], environment: ["SLUICE_TOKEN": token], within: 20)
            #expect(head.output.hasSuffix("done\n") && head.output.hasPrefix("sluice 0.1.0 at"))
            let poor = try await gateway.token(scope: "infer:*", name: "poor")
            let refused = try await Command.run(
                "top", "--lines", "--endpoint", gateway.endpoint, "--ca", gateway.ca,
                environment: ["SLUICE_TOKEN": poor])
            #expect(
                refused.status == 77 && refused.error.contains("models:read"), "\(refused.error)")
        }
    }
}
