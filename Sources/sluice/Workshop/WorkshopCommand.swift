// `sluice workshop`: what the children of an import do. Hidden: only this program starts them, confined (Workshop,
// Confinement). They print one line of JSON.

import ArgumentParser
import Foundation
import Workshop

struct WorkshopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workshop", abstract: "What the children of an import do.",
        shouldDisplay: false, subcommands: [Optimise.self, Probe.self])

    struct Optimise: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a model as it is and write it optimised.", shouldDisplay: false)
        @Argument var source: String
        @Argument var destination: String
        @Flag var answers = false
        @Option var rows: String?

        func run() async throws {
            let (source, destination, answers, rows) = (source, destination, answers, rows)
            try await WorkshopCommand.answer {
                try Optimisation.run(
                    source: source, destination: destination,
                    inputs: try rows.map { try RowsFile.tensors($0) }, answers: answers)
            }
        }
    }

    struct Probe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load, run and measure a model.", shouldDisplay: false)
        @Argument var folder: String
        @Option var cases: String?
        @Flag var mapped = false
        @Flag var quick = false

        func run() async throws {
            let (folder, cases, mapped, quick) = (folder, cases, mapped, quick)
            try await WorkshopCommand.answer {
                try Workshop.Probe.run(
                    folder: folder, cases: try cases.map { try ProbeCases.read($0) },
                    isMapped: mapped, isQuick: quick)
            }
        }
    }

    /// On a thread of its own, because models recurse and block.
    private static func answer<Value: Codable & Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws {
        let bytes = try await OwnThread.run { () -> [UInt8] in
            do {
                return try WorkshopJSON.encode(ToolAnswer(value: try body()))
            } catch {
                return try WorkshopJSON.encode(ToolAnswer<Value>(failure: "\(error)"))
            }
        }
        FileHandle.standardOutput.write(Data(bytes))
    }
}

/// Work that blocks, for which the shared pool is no place.
enum OwnThread {
    static func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                do throws(Failure) {
                    continuation.resume(returning: try body())
                } catch {
                    continuation.resume(throwing: error)
                }
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }
}
