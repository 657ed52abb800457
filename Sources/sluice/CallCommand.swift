// `sluice call`: one call of a model, from a shell.

import ArgumentParser
import Foundation
import SluiceClient

struct CallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call",
        abstract: "Call a model and print its outputs as JSON.",
        discussion: """
            Each input is NAME=JSON, nested as the tensor is: sluice call iris --input \
            'X=[[5.1, 3.5, 1.4, 0.2]]'. NAME=@FILE reads the JSON from a file. The datatype is the model's.
            """)

    @Argument(help: "The model's name.")
    var model: String

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp("An input tensor, once for each.", valueName: "name=json"))
    var inputs: [String] = []

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp("An output to return; without it all of them.", valueName: "name"))
    var outputs: [String] = []

    @Option(help: "The model's version; without it the highest.")
    var version: String?

    @Flag(
        help:
            "Also print where the time went, the version, and what a plan has left, as one JSON object."
    )
    var json = false

    @Flag(help: "Show on standard error how far a sleeping model's waking is.")
    var progress = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await reportingFailures {
            let inference = try await connection.withClient { client in
                let metadata = try await client.metadata(of: model, version: version)
                let given = try tensors(for: metadata)
                let wanted = outputs.isEmpty ? nil : outputs
                let time = Duration.seconds(connection.timeout)
                guard progress else {
                    return try await client.infer(
                        model, version: version, inputs: given, outputs: wanted, timeout: time)
                }
                return try await client.infer(
                    model, version: version, inputs: given, outputs: wanted, timeout: time,
                    onProgress: { printError("sluice: \($0)") })
            }
            try print(inference)
        }
    }

    private func tensors(for metadata: ModelMetadata) throws -> [Tensor] {
        try inputs.map { argument in
            guard let equals = argument.firstIndex(of: "=") else {
                throw CommandFailure(.usage, "--input '\(argument)' is not NAME=JSON")
            }
            let name = String(argument[..<equals])
            guard let input = metadata.inputs.first(where: { $0.name == name }) else {
                let names = metadata.inputs.map(\.name).joined(separator: ", ")
                throw CommandFailure(
                    .data, "model '\(model)' has no input '\(name)'; its inputs are: \(names)")
            }
            return try TensorJSON.tensor(text(argument[equals...].dropFirst()), for: input)
        }
    }

    private func text(_ value: Substring) throws -> String {
        guard value.first == "@" else { return String(value) }
        let path = String(value.dropFirst())
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.data, "cannot read the file '\(path)' of an input")
        }
        return String(decoding: data, as: UTF8.self)
    }

    private func print(_ inference: Inference) throws {
        let lines = try inference.outputs.map { output in
            "  \(try TensorJSON.quoted(output.name)): \(try TensorJSON.text(output))"
        }
        let outputs = "{\n" + lines.joined(separator: ",\n") + "\n}"
        guard json else {
            Swift.print(outputs)
            return
        }
        func microseconds(_ duration: Duration) -> Int64 { Int64(duration / .microseconds(1)) }
        let timing = inference.timing
        let limit = try inference.rateLimit.map {
            """
            , "rate_limit": {"name": \(try TensorJSON.quoted($0.name)), "limit": \($0.limit), \
            "window_s": \($0.window.components.seconds), "remaining": \($0.remaining), \
            "reset_s": \($0.reset.components.seconds)}
            """
        }
        Swift.print(
            """
            {"model": \(try TensorJSON.quoted(inference.model)), \
            "version": \(try TensorJSON.quoted(inference.version)), \
            "outputs": \(outputs), \
            "timing": {"auth_us": \(microseconds(timing.authentication)), \
            "queue_us": \(microseconds(timing.queue)), "load_us": \(microseconds(timing.load)), \
            "run_us": \(microseconds(timing.run)), "batch": \(timing.batch), "cold": \(timing.isCold)}\(limit ?? "")}
            """)
    }
}
