// The command line: one binary for the gateway, its clients and its operator.

import ArgumentParser

struct Sluice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "A self-hosted inference gateway: many models, one process, one small machine.",
        discussion: """
            Begin with `sluice serve --models models`, then `sluice token create --name me`, then \
            `sluice call iris --input 'X=[[5.1, 3.5, 1.4, 0.2]]' --ca .sluice/tls/cert.pem`.
            """,
        version: version,
        subcommands: [
            Serve.self, CallCommand.self, Models.self, TokenCommand.self, ClientCommand.self,
            AccessCommand.self, TopCommand.self, UsageCommand.self,
            CostCommand.self, BenchCommand.self, ConfigCommand.self, DoctorCommand.self,
            WorkshopCommand.self,
        ])

    static let version = "0.1.0"
}
