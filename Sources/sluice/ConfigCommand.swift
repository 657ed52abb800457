// `sluice config check`: reads settings as `serve` would, without serving. `sluice config reload`: has a running gateway read
// them again.

import ArgumentParser
import Foundation
import Gateway
import SluiceClient

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check settings, or have a gateway read them again.",
        subcommands: [Check.self, Reload.self])

    struct Reload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a running gateway read its settings file again.",
            discussion: """
                All of it is checked first: with one fault nothing changes and every fault is told. Calls under way \
                keep the settings they started with. SIGHUP does the same and tells the log. Needs the scope admin.
                """)
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        private struct Row: Encodable {
            var key: String
            var was: String?
            var now: String?
        }

        func run() async throws {
            try await reportingFailures {
                let changes = try await connection.withClient { try await $0.reloadSettings() }
                if json {
                    return try printJSON(
                        changes.map { Row(key: $0.key, was: $0.was, now: $0.now) })
                }
                for change in changes { print(change) }
                if changes.isEmpty { print("nothing has changed") }
            }
        }
    }

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
