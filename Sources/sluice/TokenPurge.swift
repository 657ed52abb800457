// `sluice token purge`: a running gateway asks its issuers again.

import ArgumentParser
import SluiceClient

extension TokenCommand {
    struct Purge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a running gateway forget what issuers said of tokens.",
            discussion: """
                They are asked again at the next call, so that a revocation works at once and not only within max_ttl. \
                Needs the scope tokens:admin.
                """)
        @Option(help: "Only tokens of this subject.") var subject: String?
        @Option(help: "Only tokens of this client.") var client: String?
        @Option(
            help: ArgumentHelp("Only the token in this file.", valueName: "file"))
        var onlyTokenFile: String?
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            guard [subject, client, onlyTokenFile].count(where: { $0 != nil }) <= 1 else {
                throw ValidationError(
                    "Give one of --subject, --client and --only-token-file, or none for all.")
            }
        }

        func run() async throws {
            try await reportingFailures {
                let owner: TokenOwner =
                    if let subject {
                        .subject(subject)
                    } else if let client {
                        .client(client)
                    } else if let onlyTokenFile {
                        .token(try ConnectionOptions.readToken(onlyTokenFile))
                    } else {
                        .everybody
                    }
                let purged = try await connection.withClient {
                    try await $0.purgeTokens(of: owner)
                }
                if json { return try printJSON(["purged": purged]) }
                print("forgot what issuers said of \(purged) token\(purged == 1 ? "" : "s")")
            }
        }
    }
}
