// The command line as a user runs it.

import Foundation

/// One run of a program: what it printed and how it ended.
struct Command: Sendable {
    var status: Int32
    var output: String
    var error: String

    /// Runs `sluice` with these arguments.
    static func run(
        _ arguments: String..., environment: [String: String] = [:], within seconds: Double = 60
    ) async throws -> Command {
        try await run(
            program: Paths.binary, arguments, environment: environment, within: seconds)
    }

    static func run(
        program: String, _ arguments: [String], environment: [String: String] = [:],
        within seconds: Double = 60
    ) async throws -> Command {
        try await withTemporaryFolder { folder in
            let process = Process()
            process.executableURL = URL(filePath: program)
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardInput = FileHandle.nullDevice
            // Files, not pipes: a program that prints much never waits for a reader.
            let files = ["out", "err"].map { folder.appending(path: $0) }
            for file in files { try Data().write(to: file) }
            process.standardOutput = try FileHandle(forWritingTo: files[0])
            process.standardError = try FileHandle(forWritingTo: files[1])
            try Spawning.start(process)
            do {
                try await eventually(within: seconds, "the end of \(program) \(arguments)") {
                    !process.isRunning
                }
            } catch {
                kill(process.processIdentifier, SIGKILL)
                throw error
            }
            return Command(
                status: process.terminationStatus,
                output: try String(contentsOf: files[0], encoding: .utf8),
                error: try String(contentsOf: files[1], encoding: .utf8))
        }
    }
}
