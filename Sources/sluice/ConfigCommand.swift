// `sluice config check`: reads settings as `serve` would, without serving.

import ArgumentParser
import Foundation
import Gateway

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check a settings file.", subcommands: [Check.self])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a settings file and name every fault. Exit status 78 when there is one."
        )
        @Argument(help: "The settings, a YAML file.") var file: String
        @Flag(help: "Print JSON.") var json = false

        struct Report: Codable {
            struct Fault: Codable {
                var key: String
                var place: String
                var message: String
            }
            var file: String
            var faults: [Fault]
        }

        func run() async throws {
            try await reportingFailures {
                let faults = try Settings.check(
                    file: file, environment: ProcessInfo.processInfo.environment)
                if json {
                    try printJSON(
                        Report(
                            file: file,
                            faults: faults.map {
                                .init(key: $0.key, place: $0.place, message: $0.message)
                            }))
                } else if faults.isEmpty {
                    print("\(file) is good")
                }
                guard faults.isEmpty else {
                    if !json { for fault in faults { printError("\(file): \(fault)") } }
                    throw ExitCode(CommandFailure.Status.configuration.rawValue)
                }
            }
        }
    }
}
