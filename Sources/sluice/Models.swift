// `sluice models`: what a running gateway has and what it costs, and putting models in and out of service.

import ArgumentParser
import SluiceClient

struct Models: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, show and move the models of a running gateway.",
        subcommands: [
            List.self, Show.self, Load.self, Unload.self, Sleep.self, Pin.self, Unpin.self,
            Refresh.self,
            Why.self,
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
            /// For people.
            var memory: String

            private enum CodingKeys: String, CodingKey {
                case name, version, state, reason, pinned
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
                    [["MODEL", "VERSION", "STATE"] + (fleet == nil ? [] : ["MEMORY"]) + ["REASON"]]
                    + rows.map { row in
                        [row.name, row.version, row.state] + (fleet == nil ? [] : [row.memory])
                            + [row.reason]
                    }
                for line in Table.lines(table) { print(line) }
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
        @Option(help: "The model's version; without it the highest.") var version: String?
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
                    outputs: metadata.outputs.map(Signature.init))
                if json { return try printJSON(model) }
                print("\(model.name)  versions \(model.versions.joined(separator: ", "))")
                let table =
                    model.inputs.map { ["  input"] + $0.row }
                    + model.outputs.map { ["  output"] + $0.row }
                for line in Table.lines(table) { print(line) }
            }
        }
    }

    struct Load: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a model in service and wake it.")
        @Argument(help: "The model's name.") var model: String
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await reportingFailures {
                let name = model
                try await connection.withClient { try await $0.load(name) }
                if json { return try printJSON(["model": name, "state": "READY"]) }
                print("\(name) is in service and awake")
            }
        }
    }

    struct Unload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a model out of service until it is loaded again.")
        @Argument(help: "The model's name.") var model: String
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await reportingFailures {
                let name = model
                try await connection.withClient { try await $0.unload(name) }
                if json { return try printJSON(["model": name, "state": "UNAVAILABLE"]) }
                print("\(name) is out of service; calls that run are finished")
            }
        }
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
