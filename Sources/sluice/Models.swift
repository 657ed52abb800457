// `sluice models`: what a running gateway has and what it costs, and putting models in and out of service.

import ArgumentParser
import SluiceClient

struct Models: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Import models; list, show and move those of a running gateway.",
        subcommands: [
            List.self, Show.self, Load.self, Unload.self, Sleep.self, Pin.self, Unpin.self,
            Why.self, Refresh.self, Alias.self, Rollback.self, Unquarantine.self,
            Import.self, Verify.self, Remove.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the models this token may see.",
            discussion: "What they hold in memory is shown to tokens with the scope models:read.")
        @Flag(help: "Only models that can be called now.") var ready = false
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        struct Row: Encodable {
            var name: String
            var version: String
            var state: String
            var reason: String
            var pinned: Bool?
            /// At rest, measured; absent when the token may not know.
            var anonymousBytes: UInt64?
            var mappedBytes: UInt64?
            /// The names that stand for this version; absent when the token may not know.
            var aliases: [String]?
            /// For people.
            var memory: String

            private enum CodingKeys: String, CodingKey {
                case name, version, state, reason, pinned, aliases
                case anonymousBytes = "anonymous_bytes"
                case mappedBytes = "mapped_bytes"
            }

            init(_ model: IndexedModel, _ account: ModelAccount?) {
                name = model.name
                version = model.version
                state = model.state
                reason = model.reason
                pinned = account?.isPinned
                anonymousBytes = account?.anonymousBytes
                mappedBytes = account?.mappedBytes
                aliases = account?.aliases
                memory = account?.holdings ?? ""
            }
        }

        func run() async throws {
            try await reportingFailures {
                let readyOnly = ready
                let (models, fleet) = try await connection.withClient { client in
                    let models = try await client.index(readyOnly: readyOnly)
                    return (models, try await Self.account(client))
                }
                let accounts = Dictionary(
                    (fleet?.models ?? []).map { ([$0.name, $0.version], $0) },
                    uniquingKeysWith: { first, _ in first })
                let rows = models.map { Row($0, accounts[[$0.name, $0.version]]) }
                if json { return try printJSON(rows) }
                let table =
                    [
                        ["MODEL", "VERSION", "STATE"]
                            + (fleet == nil ? [] : ["ALIASES", "MEMORY"]) + ["REASON"]
                    ]
                    + rows.map { row in
                        [row.name, row.version, row.state]
                            + (fleet == nil
                                ? [] : [(row.aliases ?? []).joined(separator: " "), row.memory])
                            + [row.reason]
                    }
                for line in Table.lines(table) { print(line) }
                if let warning = fleet?.warning { print(warning) }
                if let advice = fleet?.advice { print(advice) }
            }
        }

        /// Nil when this token may see models but not what they cost.
        private static func account(
            _ client: SluiceClient
        ) async throws(SluiceError) -> FleetAccount? {
            do {
                return try await client.fleetAccount()
            } catch {
                guard error.code == .permissionDenied else { throw error }
                return nil
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a model's versions, inputs and outputs; does not wake it.")
        @Argument(help: "The model's name.") var model: String
        @Option(help: "A version or an alias; without it the latest.") var version: String?
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        struct Signature: Codable {
            var name: String
            var datatype: String
            var shape: [Int]

            init(_ tensor: ModelMetadata.TensorDescription) {
                name = tensor.name
                datatype = tensor.datatype.rawValue
                shape = tensor.shape
            }

            var row: [String] {
                [name, datatype, "[" + shape.map(String.init).joined(separator: ", ") + "]"]
            }
        }

        struct Model: Codable {
            var name: String
            var versions: [String]
            var platform: String
            var inputs: [Signature]
            var outputs: [Signature]
            var aliases: [String: String]
        }

        func run() async throws {
            try await reportingFailures {
                let (name, version) = (model, version)
                let metadata = try await connection.withClient { client in
                    try await client.metadata(of: name, version: version)
                }
                let model = Model(
                    name: metadata.name, versions: metadata.versions, platform: metadata.platform,
                    inputs: metadata.inputs.map(Signature.init),
                    outputs: metadata.outputs.map(Signature.init), aliases: metadata.aliases)
                if json { return try printJSON(model) }
                print("\(model.name)  versions \(model.versions.joined(separator: ", "))")
                for (alias, version) in model.aliases.sorted(by: { $0.key < $1.key }) {
                    print("  \(alias) is version \(version)")
                }
                let table =
                    model.inputs.map { ["  input"] + $0.row }
                    + model.outputs.map { ["  output"] + $0.row }
                for line in Table.lines(table) { print(line) }
            }
        }
    }

    struct Load: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a model in service and wake it.",
            discussion: "A newer version whose trial has failed is tried again.")
        @Argument(help: "The model's name.") var model: String
        @Option(help: "A version or an alias; without it all, of which the latest is woken.")
        var version: String?
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await reportingFailures {
                let (name, version) = (model, version)
                try await connection.withClient { try await $0.load(name, version: version) }
                if json { return try printJSON(["model": name, "state": "READY"]) }
                print("\(Models.subject(name, version)) is in service and awake")
            }
        }
    }

    struct Unload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a model out of service until it is loaded again.")
        @Argument(help: "The model's name.") var model: String
        @Option(help: "A version or an alias; without it all of them.") var version: String?
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await reportingFailures {
                let (name, version) = (model, version)
                try await connection.withClient { try await $0.unload(name, version: version) }
                if json { return try printJSON(["model": name, "state": "UNAVAILABLE"]) }
                print(
                    "\(Models.subject(name, version)) is out of service; calls that run are finished"
                )
            }
        }
    }

    /// For sentences: `iris`, or `iris version 2`.
    static func subject(_ model: String, _ version: String?) -> String {
        version.map { "\(model) version \($0)" } ?? model
    }
}

/// Columns for people.
enum Table {
    static func lines(_ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }
            return cells.joined(separator: "  ")
        }
    }
}
