// `sluice serve`: the gateway itself.

import ArgumentParser
import Foundation
import Gateway
import Logging
import ServiceLifecycle

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve models.",
        discussion: """
            Prints one line, `ready tls=HOST:PORT admin=HOST:PORT`, when it answers. SIGTERM finishes the calls in \
            flight and stops; a second one stops at once. Without a settings file: an embedded issuer of tokens, a \
            self-signed certificate at STATE/tls/cert.pem, models from ./models, state in ./.sluice.
            """)

    @Option(
        help: ArgumentHelp("Settings, a YAML file; see sluice.example.yaml.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Where callers connect.", valueName: "host:port"))
    var listen: String?
    @Option(
        help: ArgumentHelp(
            "The folder of models, NAME/VERSION/model.onnx, or s3://BUCKET/PREFIX.",
            valueName: "folder"))
    var models: String?
    @Option(help: ArgumentHelp("Where tokens and the certificate are kept.", valueName: "folder"))
    var state: String?
    @Option(
        help: ArgumentHelp(
            "Where probes are answered; keep it on loopback.", valueName: "host:port"))
    var admin: String?

    func run() async throws {
        try await reportingFailures {
            let reading = try SettingsReading.read(
                file: config, environment: ProcessInfo.processInfo.environment, flags: flags)
            let log = reading.settings.log
            LoggingSystem.bootstrap { log.handler(label: $0) }
            let house = try await House.open(reading, logger: Logger(label: "sluice"))
            // Written at once, unlike `print` to a pipe: whoever started the gateway waits for it.
            FileHandle.standardOutput.write(
                Data("ready tls=\(house.listen) admin=\(house.admin)\n".utf8))
            try await house.run()
        }
    }

    private var flags: [String: String] {
        var flags: [String: String] = [:]
        flags["listen"] = listen
        flags["models.repository"] = models
        flags["state"] = state
        flags["admin"] = admin
        return flags
    }
}
