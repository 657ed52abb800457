// `sluice access check`: may this token do that, and which rule says so.

import ArgumentParser
import SluiceClient

struct AccessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "access", abstract: "Ask what a token may do.", subcommands: [Check.self])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether a token may do something, and which rule or scope says so.",
            discussion: """
                A running gateway is asked with the very token: its policy is the one in force. The answer is about \
                the name: it is the same whether or not there is such a model. Exit status 77 when the answer is no.
                """)
        @Option(help: "The model's name.") var model = ""
        @Option(
            help: ArgumentHelp(
                "What is wanted: \(Deed.allCases.map(\.rawValue).joined(separator: ", ")).",
                valueName: "deed"),
            transform: { text in
                guard let deed = Deed(rawValue: text) else {
                    throw ValidationError("'\(text)' is none of them.")
                }
                return deed
            })
        var `for` = Deed.infer
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        private struct Row: Encodable {
            var allowed: Bool
            var rule: String?
            var plan: String?
            var why: String
            var issuer: String
            var client: String
            var subject: String
            var scopes: [String]
        }

        func run() async throws {
            try await reportingFailures {
                let (model, deed) = (model, `for`)
                let report = try await connection.withClient { client in
                    try await client.checkAccess(to: model, for: deed)
                }
                if json {
                    try printJSON(
                        Row(
                            allowed: report.allowed, rule: report.rule, plan: report.plan,
                            why: report.explanation, issuer: report.issuer, client: report.client,
                            subject: report.subject, scopes: report.scopes))
                } else {
                    print("\(report.allowed ? "yes" : "no"): \(report.explanation)")
                    if let plan = report.plan { print("plan: \(plan)") }
                }
                if !report.allowed { throw ExitCode(CommandFailure.Status.permission.rawValue) }
            }
        }
    }
}
