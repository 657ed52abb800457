// `sluice doctor`: looks at everything a gateway depends on, and says what is wrong and how it is mended.

import ArgumentParser
import Checkup
import Contract
import Foundation
import Gateway
import NIOCore
import NIOPosix

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look at everything a gateway depends on, and say how what is wrong is mended.",
        discussion: """
            Takes the settings as serve does, with or without a running gateway, and changes nothing. A line for \
            each check: ok, warn or fail. Run it as the gateway's user, with its limits. Exit status 0 when nothing \
            failed, warnings or not; 1 when something did.
            """)

    @Option(
        help: ArgumentHelp("Settings, a YAML file; see sluice.example.yaml.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Where callers connect.", valueName: "host:port"))
    var listen: String?
    @Option(help: ArgumentHelp("The folder of models, or s3://BUCKET/PREFIX.", valueName: "folder"))
    var models: String?
    @Option(help: ArgumentHelp("Where tokens and the certificate are kept.", valueName: "folder"))
    var state: String?
    @Option(help: ArgumentHelp("Where probes are answered.", valueName: "host:port"))
    var admin: String?
    @Option(
        help: ArgumentHelp("How long one check may take, for example 5s.", valueName: "time"))
    var deadline = Span(.seconds(10))
    @Flag(help: "Print JSON, an array.") var json = false

    func validate() throws {
        guard (1_000_000...600_000_000_000).contains(deadline.amount.nanoseconds) else {
            throw ValidationError("--deadline is \(deadline); allowed is 1ms to 10m.")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let environment = ProcessInfo.processInfo.environment
            let (settings, first) = Self.settings(config, environment, flags)
            let surroundings = HouseSurroundings(
                settings, environment: environment, group: MultiThreadedEventLoopGroup.singleton)
            let findings =
                first
                + (await Check.run(
                    Check.all(HousePlan(settings)), in: surroundings,
                    within: .nanoseconds(deadline.amount.nanoseconds)))
            if json {
                try printJSON(findings)
            } else {
                for finding in findings { for line in finding.lines { print(line) } }
                func count(_ verdict: Finding.Verdict) -> Int {
                    findings.count { $0.verdict == verdict }
                }
                print("\(count(.ok)) ok, \(count(.warn)) to watch, \(count(.fail)) failed")
            }
            if findings.contains(where: { $0.verdict == .fail }) { throw ExitCode(1) }
        }
    }

    /// The settings as far as they can be read, and a finding for each fault.
    private static func settings(
        _ file: String?, _ environment: [String: String], _ flags: [String: String]
    ) -> (Settings, [Finding]) {
        let wanted = "settings that a gateway starts with"
        let name = file ?? "the defaults, the environment and the flags"
        do {
            let (settings, faults) = try Settings.appraise(
                file: file, environment: environment, flags: flags)
            guard !faults.isEmpty else {
                return (settings, [Finding("settings", .ok, found: name, wanted: wanted)])
            }
            return (
                settings,
                faults.map {
                    Finding(
                        "settings", .fail, found: "\($0)", wanted: wanted,
                        mend: "Mend \(name); sluice config check FILE names every fault")
                }
            )
        } catch {
            let finding = Finding(
                "settings", .fail, found: error.message, wanted: wanted,
                mend: error.mend.isEmpty ? "Name a file that can be read by --config" : error.mend)
            return (Settings(), [finding])
        }
    }

    /// By key, as serve has them.
    private var flags: [String: String] {
        var flags: [String: String] = [:]
        flags["listen"] = listen
        flags["models.repository"] = models
        flags["state"] = state
        flags["admin"] = admin
        return flags
    }
}
