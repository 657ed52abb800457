// A real object store for the tests of one run: scripts/components/object-store on free ports. It ends with this process.

import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// One store for all tests: it takes ten seconds to start. Each test has a prefix of its own, and one test at a time uses it.
final class BucketServer: Sendable {
    static let shared = BucketServer()
    static let bucket = "models"

    private struct State: Sendable {
        var port = 0
        var token = ""
        var folder = ""
        /// The end of its standard input that keeps it alive.
        var input: FileHandle?
    }

    private let state = Mutex(State())

    var endpoint: String { "http://127.0.0.1:\(state.withLock { $0.port })" }

    /// What a gateway needs to use it, with these lines below `models`.
    func settings(_ lines: String = "") -> String {
        "models:\n  poll: 1h\n  s3: { endpoint: \"\(endpoint)\" }\n"
            + lines.split(separator: "\n").map { "  \($0)\n" }.joined()
    }

    static let keys = [
        "AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
    ]

    /// Starts it when it does not run; opens its door when that is closed.
    func start() async throws {
        if state.withLock({ $0.input }) == nil { try await launch() }
        if try await status(of: "/healthcheck") != 200 {
            try #require(state.withLock { $0.input }).write(Data("start\n".utf8))
            try await eventually(within: 60, "the store's door") {
                try await status(of: "/healthcheck") == 200
            }
        }
        if state.withLock({ $0.token }).isEmpty { try await enter() }
    }

    private func launch() async throws {
        let port = try await freePorts()
        let files = FileManager.default
        let folder = files.temporaryDirectory.appending(path: "sluice-bucket-\(UUID().uuidString)")
            .path
        let output = files.temporaryDirectory.appending(path: "sluice-bucket-\(port).out")
        try Data().write(to: output)
        let process = Process()
        process.executableURL = Paths.root.appending(path: "scripts/components/object-store")
        process.arguments = [folder, "\(port)", "temporary"]
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: output)
        try Spawning.start(process)
        state.withLock {
            $0.port = port
            $0.folder = folder
            $0.input = input.fileHandleForWriting
        }
        try await eventually(within: 120, "the object store") {
            let said = try String(contentsOf: output, encoding: .utf8)
            guard process.isRunning else { throw TestTrouble("the object store: \(said)") }
            return said.hasPrefix("ready ")
        }
        try files.removeItem(at: output)
    }

    /// A port whose four successors are free too.
    private func freePorts() async throws -> Int {
        let group = MultiThreadedEventLoopGroup.singleton
        for _ in 0..<50 {
            var channels: [any Channel] = []
            defer { for channel in channels { channel.close(promise: nil) } }
            let first = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0)
                .get()
            channels.append(first)
            let port = first.localAddress?.port ?? 0
            do {
                for next in 1...4 {
                    channels.append(
                        try await ServerBootstrap(group: group)
                            .bind(host: "127.0.0.1", port: port + next).get())
                }
                return port
            } catch {
                continue
            }
        }
        throw TestTrouble("no five free ports in a row")
    }

    /// Nobody is answered until ``start()``.
    func stop() async throws {
        let number = try String(
            contentsOfFile: state.withLock { $0.folder } + "/pid", encoding: .utf8
        )
        .trimmingCharacters(in: .whitespacesAndNewlines)
        _ = kill(try #require(Int32(number)), SIGKILL)
        try await eventually(within: 20, "the store's end") {
            try await status(of: "/healthcheck") == 0
        }
    }

    // MARK: By Swift's own API: another signer than the one that is tested

    private func enter() async throws {
        let answer = try await curl([
            "-D", "-", "-o", "/dev/null", "-H", "X-Storage-User: test:tester", "-H",
            "X-Storage-Pass: testing", "\(endpoint)/auth/v1.0",
        ])
        let line = answer.split(whereSeparator: \.isNewline).first {
            $0.lowercased().hasPrefix("x-auth-token:")
        }
        let token = try #require(line, "\(answer)").split(separator: ":", maxSplits: 1)[1]
            .trimmingCharacters(in: .whitespaces)
        state.withLock { $0.token = token }
        try await put(nil, "")
    }

    /// Stores a file, or makes the bucket.
    private func put(_ file: String?, _ key: String) async throws {
        let place = key.isEmpty ? BucketServer.bucket : "\(BucketServer.bucket)/\(key)"
        let token = state.withLock { $0.token }
        _ = try await curl([
            "-f", "-X", "PUT", "-H", "X-Auth-Token: \(token)", "-T", file ?? "/dev/null",
            "\(endpoint)/v1/AUTH_test/\(place)",
        ])
    }

    private func status(of path: String) async throws -> Int {
        let result = try await Command.run(
            program: "/usr/bin/curl",
            ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", endpoint + path])
        return Int(result.output) ?? 0
    }

    private func curl(_ arguments: [String]) async throws -> String {
        let result = try await Command.run(
            program: "/usr/bin/curl", ["-sS", "--max-time", "60"] + arguments)
        guard result.status == 0 else { throw TestTrouble("curl: \(result.error)") }
        return result.output
    }

    /// Puts iris into the bucket under a name, with so many random bytes beside it; the manifest last.
    func publish(
        _ name: String, version: Int = 1, padding: Int = 0, to prefix: String
    ) async throws {
        try await withTemporaryFolder { folder in
            let iris = URL(filePath: Paths.models).appending(path: "iris/1")
            var manifest = try #require(
                try JSONSerialization.jsonObject(
                    with: Data(contentsOf: iris.appending(path: "manifest.json")))
                    as? [String: Any])
            manifest["name"] = name
            manifest["version"] = version
            var files = try #require(manifest["files"] as? [[String: Any]])
            var paths = [("model.onnx", iris.appending(path: "model.onnx").path)]
            if padding > 0 {
                let file = folder.appending(path: "padding.bin").path
                let made = try await Command.run(
                    program: "/bin/sh",
                    [
                        "-c", "head -c \(padding) /dev/urandom >'\(file)' && sha256sum '\(file)'",
                    ])
                files.append([
                    "name": "padding.bin", "bytes": padding,
                    "sha256": String(made.output.prefix(64)),
                ])
                paths.append(("padding.bin", file))
            }
            manifest["files"] = files
            let json = folder.appending(path: "manifest.json")
            try JSONSerialization.data(withJSONObject: manifest).write(to: json)
            for (file, path) in paths + [("manifest.json", json.path)] {
                try await put(path, "\(prefix)/\(name)/\(version)/\(file)")
            }
        }
    }

    /// Replaces one file with other bytes.
    func spoil(_ key: String) async throws { try await put("/etc/hostname", key) }
}
