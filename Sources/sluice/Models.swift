// `sluice models`: what a running gateway has, and putting models in and out of service.

import ArgumentParser
import SluiceClient

struct Models: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, show, load and unload the models of a running gateway.",
        subcommands: [List.self, Show.self, Load.self, Unload.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the models this token may see.")
        @Flag(help: "Only models that can be called now.") var ready = false
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        struct Row: Codable {
            var name: String
            var version: String
            var state: String
            var reason: String
        }

        func run() async throws {
            try await reportingFailures {
                let readyOnly = ready
                let rows = try await connection.withClient { client in
                    try await client.index(readyOnly: readyOnly)
                }.map {
                    Row(name: $0.name, version: $0.version, state: $0.state, reason: $0.reason)
                }
                if json { return try printJSON(rows) }
                let table =
                    [["MODEL", "VERSION", "STATE", "REASON"]]
                    + rows.map { [$0.name, $0.version, $0.state, $0.reason] }
                for line in Table.lines(table) { print(line) }
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
