// A real gateway for a test: the release binary as a process of its own, on free ports, with a state folder that is removed.

import Foundation
import SluiceClient
import Testing

/// What a test does wrong or did not get in time.
struct TestTrouble: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

enum Paths {
    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    static let models = root.appending(path: "models").path
    static let fixtures = root.appending(path: "Tests/Fixtures").path
    /// The binary that `scripts/test` has just built.
    static let binary =
        ProcessInfo.processInfo.environment["SLUICE_BINARY"]
        ?? root.appending(path: ".build/release/sluice").path
}

/// Waits for a condition, looking again every 10 ms. Throws when it does not come true in time.
func eventually(
    within seconds: Double = 10, _ what: String, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while !(try await condition()) {
        guard ContinuousClock.now < end else {
            throw TestTrouble("not within \(seconds) s: \(what)")
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// A folder that is gone when the test is over, also when it fails.
@discardableResult
func withTemporaryFolder<Outcome>(
    _ body: (URL) async throws -> Outcome
) async throws -> Outcome {
    let folder = FileManager.default.temporaryDirectory
        .appending(path: "sluice-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    do {
        let outcome = try await body(folder)
        try FileManager.default.removeItem(at: folder)
        return outcome
    } catch {
        try? FileManager.default.removeItem(at: folder)
        throw error
    }
}

/// A gateway that runs.
final class TestGateway: @unchecked Sendable {
    // Safe: `process` is started before the value is shared and afterwards only signalled and asked.
    private let process: Process
    let folder: URL
    let endpoint: String
    let admin: String

    var state: String { folder.appending(path: "state").path }
    var ca: String { state + "/tls/cert.pem" }
    var host: String { "127.0.0.1" }
    var port: Int { Int(endpoint.split(separator: ":").last ?? "") ?? 0 }
    var log: String {
        (try? String(contentsOf: folder.appending(path: "log"), encoding: .utf8)) ?? ""
    }
    var isRunning: Bool { process.isRunning }
    var processIdentifier: Int32 { process.processIdentifier }

    private init(process: Process, folder: URL, ready: String) throws {
        self.process = process
        self.folder = folder
        guard let match = ready.firstMatch(of: #/ready tls=(\S+) admin=(\S+)/#) else {
            throw TestTrouble("no ready line: \(ready)")
        }
        endpoint = String(match.1)
        admin = String(match.2)
    }

    /// Starts a gateway and waits for its ready line.
    /// - Parameter prefix: a program that becomes the gateway, and its arguments: a shell with limits, for example.
    static func start(
        in folder: URL, models: String, settings: String?, environment: [String: String],
        prefix: [String] = []
    ) async throws -> TestGateway {
        var arguments = [
            Paths.binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--models",
            models,
            "--state", folder.appending(path: "state").path,
        ]
        if let settings {
            let file = folder.appending(path: "sluice.yaml")
            try settings.write(to: file, atomically: true, encoding: .utf8)
            arguments += ["--config", file.path]
        }
        let process = Process()
        let words = prefix + arguments
        process.executableURL = URL(filePath: words[0])
        process.arguments = Array(words.dropFirst())
        // Most tests' models have no manifest, and one never ends; TrialTests asks for the default.
        process.environment = ProcessInfo.processInfo.environment
            .merging(["SLUICE_MODELS_TRIAL_TIME": "0"]) { $1 }.merging(environment) { $1 }
        let out = folder.appending(path: "out")
        let log = folder.appending(path: "log")
        for file in [out, log] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: out)
        process.standardError = try FileHandle(forWritingTo: log)
        try Spawning.start(process)
        do {
            var ready = ""
            try await eventually(within: 60, "the gateway's ready line") {
                ready = try String(contentsOf: out, encoding: .utf8)
                if !process.isRunning, !ready.contains("\n") {
                    throw TestTrouble(
                        "the gateway ended with \(process.terminationStatus): "
                            + (try String(contentsOf: log, encoding: .utf8)))
                }
                return ready.contains("\n")
            }
            return try TestGateway(process: process, folder: folder, ready: ready)
        } catch {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            throw error
        }
    }

    func signal(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// SIGTERM, and the exit status when it has ended.
    @discardableResult
    func stop(within seconds: Double = 40) async throws -> Int32 {
        if process.isRunning { signal(SIGTERM) }
        return try await ended(within: seconds)
    }

    func ended(within seconds: Double = 40) async throws -> Int32 {
        do {
            try await eventually(within: seconds, "the gateway's end") { !process.isRunning }
        } catch {
            signal(SIGKILL)
            throw error
        }
        return process.terminationStatus
    }

    /// Makes a token through the command line, as an operator would.
    func token(
        scope: String = "infer:* models:read", ttl: String = "1h", name: String = "test"
    ) async throws -> String {
        let result = try await Command.run(
            "token", "create", "--name", name, "--scope", scope, "--ttl", ttl, "--state", state)
        guard result.status == 0 else { throw TestTrouble("token create: \(result.error)") }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func configuration(token: String) -> SluiceClient.Configuration {
        var configuration = SluiceClient.Configuration(
            security: .tls(.init(trust: .file(ca))), token: .token(token))
        configuration.retry = .never
        configuration.callTimeout = .seconds(20)
        return configuration
    }

    /// An SDK client for the body.
    @discardableResult
    func withClient<Outcome>(
        token: String? = nil, _ body: (SluiceClient) async throws -> Outcome
    ) async throws -> Outcome {
        let shown: String
        if let token { shown = token } else { shown = try await self.token() }
        return try await withSluiceClient(
            endpoint: try Endpoint(endpoint), configuration: configuration(token: shown), body)
    }
}

extension TestGateway {
    /// A sample of /metrics, by its name and labels as they stand there.
    func metric(_ series: String) async throws -> Double {
        let page = try await Command.run(
            program: "/usr/bin/curl", ["-sS", "--max-time", "20", "http://\(admin)/metrics"])
        let line = page.output.split(separator: "\n").first { $0.hasPrefix(series + " ") }
        guard let value = line.flatMap({ Double($0.dropFirst(series.count + 1)) }) else {
            throw TestTrouble("no sample of \(series): \(page.error)")
        }
        return value
    }
}

/// Runs `body` with a gateway of its own, and ends it whatever happens.
@discardableResult
func withGateway<Outcome>(
    models: String = Paths.models, settings: String? = nil, environment: [String: String] = [:],
    _ body: (TestGateway) async throws -> Outcome
) async throws -> Outcome {
    try await withTemporaryFolder { folder in
        let gateway = try await TestGateway.start(
            in: folder, models: models, settings: settings, environment: environment)
        do {
            let outcome = try await body(gateway)
            let status = try await gateway.stop()
            #expect(status == 0, "the gateway ended with \(status): \(gateway.log)")
            return outcome
        } catch {
            gateway.signal(SIGKILL)
            _ = try? await gateway.ended()
            Issue.record("the gateway's log: \(gateway.log.suffix(4_000))")
            throw error
        }
    }
}
