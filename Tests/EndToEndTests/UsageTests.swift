// The ledger as an operator reads it: rows for every grouping, a kill under load compared with the client's own counts, and what
// it would have cost elsewhere. The examples in docs/cost.md are run.

import Foundation
import SluiceClient
import Synchronization
import Testing

@Suite struct UsageCommandTests {
    private struct Row: Decodable {
        var day: String?
        var client: String?
        var model: String?
        var calls: Int
        var cold: Int
        var run_seconds: Double
        var cpu_seconds: Double
        var load_seconds: Double
        var awake_gigabyte_seconds: Double
        var peak_bytes: Int
    }

    private static func rows(_ state: String, _ more: String...) async throws -> [Row] {
        let command = try await Command.run(
            program: Paths.binary, ["usage", "--state", state, "--json"] + more)
        #expect(command.status == 0, "\(command.error)")
        return try JSONDecoder().decode([Row].self, from: Data(command.output.utf8))
    }

    private static func calls(_ rows: [Row]) -> Int {
        rows.filter { $0.model == "iris" }.reduce(0) { $0 + $1.calls }
    }

    @Test func whatWasUsedIsShownByClientModelAndDay() async throws {
        try await withGateway { gateway in
            let state = gateway.state
            for (name, calls) in [("one", 3), ("two", 2)] {
                try await gateway.withClient(token: try await gateway.token(name: name)) { client in
                    for _ in 0..<calls {
                        _ = try await client.infer("iris", inputs: TokenTests.iris())
                    }
                }
            }
            try await eventually("the counts are on disk") {
                Self.calls(try await Self.rows(state)) == 5
            }
            let rows = try await Self.rows(state)
            #expect(rows.contains { $0.client == "one" && $0.model == "iris" && $0.calls == 3 })
            #expect(rows.contains { $0.client == "two" && $0.model == "iris" && $0.calls == 2 })
            let model = try #require(
                try await Self.rows(state, "--by", "model").first { $0.model == "iris" })
            #expect(model.client == nil && model.calls == 5 && model.cold >= 1)
            #expect(model.run_seconds > 0 && model.cpu_seconds > 0 && model.load_seconds > 0)
            #expect(model.peak_bytes > 0)
            #expect(try await Self.rows(state, "--by", "day").allSatisfy { $0.day != nil })
            let csv = try await Command.run("usage", "--state", state, "--by", "client", "--csv")
            let lines = csv.output.split(separator: "\n")
            #expect(lines.first?.hasPrefix("issuer,client,calls,errors,cold,") == true)
            #expect(lines.contains { $0.contains(",one,3,0,") })
            let table = try await Command.run("usage", "--state", state)
            #expect(table.status == 0 && table.output.contains("GB S AWAKE"))
            // The same ledger, priced.
            let cost = try await Command.run("cost", "--state", state, "--machine", "25", "--json")
            #expect(cost.status == 0, "\(cost.error)")
            let report = try JSONDecoder().decode(Report.self, from: Data(cost.output.utf8))
            #expect(report.models >= 1 && report.calls == 5)
            #expect(report.alternatives.map(\.alternative).contains("sluice"))
            #expect(report.alternatives.allSatisfy { ($0.total ?? 0) > 0 })
        }
    }

    private struct Report: Decodable {
        struct Line: Decodable {
            var alternative: String
            var total: Double?
        }
        var models: Int
        var calls: Double
        var alternatives: [Line]
    }

    /// When each answer came, by the client's own clock.
    private final class Answers: Sendable {
        private let times = Mutex<[ContinuousClock.Instant]>([])
        private let sent = Atomic<Int>(0)
        private let killed = Mutex<ContinuousClock.Instant?>(nil)
        func noteKill() { killed.withLock { $0 = .now } }
        var killedAt: ContinuousClock.Instant? { killed.withLock { $0 } }
        func send() { sent.add(1, ordering: .relaxed) }
        func note() { times.withLock { $0.append(.now) } }
        var sentCount: Int { sent.load(ordering: .relaxed) }
        func count(before end: ContinuousClock.Instant) -> Int {
            times.withLock { $0.count { $0 <= end } }
        }
    }

    @Test func aKillUnderLoadLosesASecondAtMostAndCountsNothingTwice() async throws {
        try await withTemporaryFolder { folder in
            func start() async throws -> TestGateway {
                try await TestGateway.start(
                    in: folder, models: Paths.models, settings: "", environment: [:])
            }
            let answers = Answers()
            let first = try await start()
            let token = try await first.token()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        do {
                            try await first.withClient(token: token) { client in
                                while true {
                                    answers.send()
                                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                                    answers.note()
                                }
                            }
                        } catch is SluiceError {
                            // The gateway is gone.
                            return
                        }
                    }
                }
                group.addTask {
                    let end = ContinuousClock.now + .seconds(3)
                    try await eventually("three seconds of load") {
                        ContinuousClock.now > end && answers.sentCount > 100
                    }
                    answers.noteKill()
                    first.signal(SIGKILL)
                }
                try await group.waitForAll()
            }
            _ = try await first.ended()
            let end = try #require(answers.killedAt)
            let second = try await start()
            let counted = Self.calls(try await Self.rows(second.state))
            let promised = answers.count(before: end - .seconds(1))
            print("sent \(answers.sentCount), promised \(promised), in the ledger \(counted)")
            #expect(promised > 0 && counted >= promised)
            #expect(counted <= answers.sentCount)
            // From here on it goes on from what is there.
            try await second.withClient(token: token) { client in
                for _ in 0..<10 { _ = try await client.infer("iris", inputs: TokenTests.iris()) }
            }
            let state = second.state
            try await eventually("ten more") {
                Self.calls(try await Self.rows(state)) == counted + 10
            }
            #expect(try await second.stop() == 0)
            // A stop in good order writes what is left, and how long the model was awake.
            let after = try await Self.rows(state, "--by", "model")
            #expect(Self.calls(after) == counted + 10)
            #expect(after.contains { $0.model == "iris" && $0.awake_gigabyte_seconds > 0 })
        }
    }

    @Test func badInputIsNamed() async throws {
        try await withTemporaryFolder { folder in
            func fails(_ status: Int32, _ words: [String], _ arguments: String...) async throws {
                let command = try await Command.run(program: Paths.binary, arguments)
                #expect(command.status == status, "\(arguments): \(command.error)")
                for word in words {
                    #expect(command.error.contains(word), "\(word): \(command.error)")
                }
            }
            let (state, plan) = (
                folder.path, Paths.root.appending(path: "examples/case-study.yaml").path
            )
            try await fails(65, ["no ledger", "--state"], "usage", "--state", state)
            try await fails(65, ["no ledger"], "cost", "--state", state)
            try await fails(64, ["--by"], "usage", "--by", "colour")
            try await fails(64, ["--since", "7x"], "usage", "--state", state, "--since", "7x")
            try await fails(64, ["one of"], "usage", "--csv", "--json")
            try await fails(65, ["not there", "nowhere.yaml"], "cost", "--plan", "nowhere.yaml")
            try await fails(
                65, ["not there", "price table"], "cost", "--plan", plan, "--prices", "/nowhere")
            try await fails(
                64, ["--machine", "t3.medium"], "cost", "--plan", plan, "--machine", "z9")
            try await fails(64, ["negative"], "cost", "--plan", plan, "--machine=-5")
            try await fails(64, ["--since"], "cost", "--plan", plan, "--since", "7d")
            let table = try await Command.run("cost", "--print-prices")
            let mine = folder.appending(path: "mine.yaml")
            try Data(table.output.replacing("value: 3.50", with: "value: -3.50").utf8).write(
                to: mine)
            try await fails(
                65, ["mine.yaml", "line", "gateway.requests.value", "negative"], "cost", "--plan",
                plan,
                "--prices", mine.path)
            try Data(table.output.replacing("    value: 3.50\n", with: "").utf8).write(to: mine)
            try await fails(
                65, ["gateway.requests", "no 'value'"], "cost", "--plan", plan, "--prices",
                mine.path)
        }
    }

    /// Every `$ sluice` line of docs/cost.md is run, and prints each line that stands below it.
    @Test func theExamplesOfTheDocumentAreTrue() async throws {
        let text = try String(
            contentsOf: Paths.root.appending(path: "docs/cost.md"), encoding: .utf8)
        var examples: [(command: [String], output: [String])] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isInside = line == "```console"
            } else if isInside, line.hasPrefix("$ sluice ") {
                examples.append((line.dropFirst(9).split(separator: " ").map(String.init), []))
            } else if isInside, !line.allSatisfy(\.isWhitespace), line != "..." {
                try #require(!examples.isEmpty)
                examples[examples.count - 1].output.append(String(line))
            }
        }
        #expect(examples.count >= 2)
        try await withTemporaryFolder { folder in
            for example in examples {
                let arguments = example.command.map { word in
                    word.hasPrefix("examples/")
                        ? Paths.root.appending(path: word).path
                        : word.hasSuffix(".svg") ? folder.appending(path: "it.svg").path : word
                }
                let command = try await Command.run(program: Paths.binary, arguments)
                #expect(command.status == 0, "\(command.error)")
                let lines = Set(command.output.split(separator: "\n").map(String.init))
                for line in example.output {
                    #expect(lines.contains(line), "\(example.command): \(line)\n\(command.output)")
                }
            }
            #expect(FileManager.default.fileExists(atPath: folder.appending(path: "it.svg").path))
        }
    }

    /// A chart drawn into a pipe or a device leaves it what it is.
    @Test func aChartNeverTakesADevicesPlace() async throws {
        try await withTemporaryFolder { folder in
            let plan = Paths.root.appending(path: "examples/case-study.yaml").path
            let done = try await Command.run(
                program: "/bin/bash",
                [
                    "-ec",
                    "cd \(folder.path); mkfifo pipe; timeout 20 cat pipe > out & "
                        + "\(Paths.binary) cost --plan \(plan) --plot pipe; wait; test -p pipe; grep -c '</svg>' out",
                ])
            #expect(done.status == 0 && done.output.hasSuffix("1\n"), "\(done.error)")
        }
    }
}
