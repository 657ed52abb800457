// `sluice models alias|rollback|unquarantine`: which version a name stands for, and who may serve again.

import ArgumentParser
import SluiceClient

extension Models {
    struct Alias: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a name stand for a version, once that has proved itself.",
            discussion: """
                The version is loaded and its manifest's golden cases are run; only when all answers are right \
                does the alias move. Calls go where they went before until then, and when it fails. \
                `alias NAME latest --remove` undoes a rollback.
                """)
        @Argument(help: "The model's name.") var model: String
        @Argument(help: "The alias: small letters, digits and '-', for example prod.")
        var alias: String
        @Argument(help: "The version's number.") var version: String?
        @Flag(help: "Remove the alias.") var remove = false
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            if remove == (version != nil) {
                throw ValidationError(
                    remove
                        ? "--remove takes no version." : "Name the version, or give --remove.")
            }
        }

        func run() async throws {
            try await reportingFailures {
                let (model, alias, version) = (model, alias, version)
                let change = try await connection.withClient { client in
                    if let version {
                        return try await client.setAlias(alias, of: model, to: version)
                    }
                    return try await client.removeAlias(alias, of: model)
                }
                try Models.show(change, of: model, json: json)
            }
        }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let an alias, or the latest version, be what it was before.",
            discussion: """
                `latest` then stays there until a still newer version has proved itself, or until \
                `sluice models alias NAME latest --remove`. Doing it twice goes back again.
                """)
        @Argument(help: "The model's name.") var model: String
        @Argument(help: "The alias.") var alias = "latest"
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await reportingFailures {
                let (model, alias) = (model, alias)
                let change = try await connection.withClient { client in
                    try await client.rollBack(model, alias: alias)
                }
                try Models.show(change, of: model, json: json)
            }
        }
    }

    struct Unquarantine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Serve a model again that was kept away after crashes.",
            discussion: """
                A version that was at work twice when the gateway ended without being stopped is not served \
                any more, so that the others can be. `models why` tells. A change of its files forgives it too.
                """)
        @OptionGroup var options: ModelOptions

        func run() async throws {
            try await reportingFailures {
                let (model, version) = (options.model, options.version)
                try await options.connection.withClient {
                    try await $0.unquarantine(model, version: version)
                }
                if options.json { return try printJSON(["model": model, "state": "READY"]) }
                print("nothing is held against \(options.subject) any more")
            }
        }
    }

    private struct Moved: Encodable {
        var model: String
        var alias: String
        var was: String?
        var now: String?
        var proof: String
        var goldenCases: Int

        private enum CodingKeys: String, CodingKey {
            case model, alias, was, now, proof
            case goldenCases = "golden_cases"
        }
    }

    private static func show(_ change: AliasChange, of model: String, json: Bool) throws {
        guard json else { return print("\(model): \(change)") }
        try printJSON(
            Moved(
                model: model, alias: change.alias, was: change.was, now: change.now,
                proof: change.proof.rawValue, goldenCases: change.goldenCases))
    }
}
