// A real authorization server for tests: scripts/components/authorization-server on a free port and a folder of
// its own. It ends with its standard input, so with this process at the latest.

import Contract
import Foundation
import NIOCore
import NIOPosix
import Testing

final class RealServer {
    let port: Int
    private let folder: URL
    private var process: Process?
    private var input: Pipe?

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    var base: String { "https://localhost:\(port)/api" }
    var authority: String { file("pki/ca.crt") }

    func file(_ name: String) -> String { folder.path + "/" + name }

    /// Makes the server for the body and removes everything afterwards, also when the body throws.
    static func running(_ body: (RealServer) async throws -> Void) async throws {
        let server = RealServer(port: try await freePort())
        let result: Result<Void, any Error>
        do {
            try await server.start()
            result = .success(try await body(server))
        } catch {
            result = .failure(error)
        }
        server.stop()
        if FileManager.default.fileExists(atPath: server.folder.path) {
            try FileManager.default.removeItem(at: server.folder)
        }
        try result.get()
    }

    private init(port: Int) {
        self.port = port
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-as-\(UUID().uuidString)")
    }

    private static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }

    struct NotStarted: Error, CustomStringConvertible {
        var description: String
    }

    /// Starts it, on the same folder and port when it ran before.
    func start() async throws {
        let process = Process()
        process.executableURL = Self.root.appendingPathComponent(
            "scripts/components/authorization-server")
        process.arguments = [folder.path, "\(port)"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        self.process = process
        self.input = input
        var said = ""
        // The first line comes when it answers; the end of the stream when it failed.
        for try await line in lines(of: output.fileHandleForReading) {
            said += line + "\n"
            if line.hasPrefix("ready ") { return }
        }
        throw NotStarted(description: said)
    }

    private func lines(of handle: FileHandle) -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream<String>.makeStream(
            bufferingPolicy: .bufferingNewest(100))
        handle.readabilityHandler = { handle in
            let data = handle.availableData
            for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
                continuation.yield(String(line))
            }
            if data.isEmpty {
                handle.readabilityHandler = nil
                continuation.finish()
            }
        }
        return stream
    }

    /// Kills the server itself, as a crash would.
    func kill() throws {
        let identifier = try String(
            contentsOf: folder.appendingPathComponent("pid"), encoding: .utf8)
        _ = try run("kill", ["-KILL", identifier.trimmingCharacters(in: .whitespacesAndNewlines)])
        stop()
    }

    func stop() {
        guard let process, let input else { return }
        do {
            try input.fileHandleForWriting.close()
        } catch {
            Issue.record("the server's input could not be closed: \(error)")
        }
        process.waitUntilExit()
        self.process = nil
    }

    /// A token by client_credentials; `issuer` is `oidc` (an hour) or `brief` (two seconds).
    func token(_ issuer: String) throws -> String {
        let answer = try curl(
            [
                "-u", "app:app-secret", "-d", "grant_type=client_credentials&scope=infer",
                "\(base)/\(issuer)/token",
            ])
        let object = try JSONSerialization.jsonObject(with: Data(answer.utf8)) as? [String: Any]
        return try #require(object?["access_token"] as? String, "\(answer)")
    }

    func revoke(_ token: String, _ issuer: String) throws {
        _ = try curl(
            ["--fail", "-u", "app:app-secret", "-d", "token=\(token)", "\(base)/\(issuer)/revoke"])
    }

    private func curl(_ arguments: [String]) throws -> String {
        try run("curl", ["-sS", "--max-time", "5", "--cacert", authority] + arguments)
    }

    private func run(_ tool: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw NotStarted(description: "\(tool) ended with \(process.terminationStatus)")
        }
        return String(decoding: data, as: UTF8.self)
    }
}
