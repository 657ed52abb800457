// `sluice bench`: a load generator over the binary protocol.

import ArgumentParser
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Load a gateway over the binary protocol and measure.",
        discussion: """
            Closed loop by default: each answer starts the next call. With --rate the loop is open: calls are due \
            at a fixed rate, and a call that had to wait for its turn counts from when it was due, so that a slow \
            server cannot hide (no coordinated omission).
            """)

    @Option(help: "The model's name.") var model: String
    @Option(help: "The model's version; without it the highest.") var version: String?
    @Option(help: "Connections.") var connections = 8
    @Option(help: "Calls open at a time on each connection; at most 4096.") var inFlight = 32
    @Option(help: "Calls a second over all connections (open loop).") var rate: Double?
    @Option(help: "Measured time, for example 10s or 500ms.") var duration = Span(.seconds(10))
    @Option(help: "Time before the measurement begins.") var warmUp = Span(.seconds(2))
    @Option(help: "Threads of the generator.") var threads = 1
    @Option(
        name: .customLong("input"),
        help: ArgumentHelp(
            "An input tensor; without any, ones of the model's shape with a batch of one.",
            valueName: "name=json"))
    var inputs: [String] = []
    @Option(help: "What free dimensions are set to when inputs are made up.") var batch = 1
    @Option(
        help: ArgumentHelp(
            "Another model, called one at a time on each connection beside the others.",
            valueName: "model"))
    var companion: String?
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard connections > 0, connections <= 10_000 else {
            throw ValidationError("--connections is \(connections); allowed is 1 to 10000.")
        }
        guard inFlight > 0, inFlight <= 4_096 else {
            throw ValidationError("--in-flight is \(inFlight); allowed is 1 to 4096.")
        }
        if let rate, !(rate > 0 && rate <= 10_000_000) {
            throw ValidationError("--rate is \(rate); allowed is more than 0 and at most 10000000.")
        }
        guard threads > 0, threads <= 64 else {
            throw ValidationError("--threads is \(threads); allowed is 1 to 64.")
        }
        guard batch > 0 else { throw ValidationError("--batch is \(batch); allowed is 1 or more.") }
    }

    func run() async throws {
        try await reportingFailures {
            let plan = try await plan()
            let result = try await LoadRun(plan: plan, target: target(), threads: threads).run()
            let seconds = Double(plan.duration.nanoseconds) / 1e9
            let report = LoadReport(model: model, plan: plan, seconds: seconds, result: result)
            if json { try printJSON(report) } else { print(report.text) }
        }
    }

    private func plan() async throws -> LoadPlan {
        let (name, version) = (model, version)
        let beside = companion
        let (metadata, besideMetadata) = try await connection.withClient { client in
            let metadata = try await client.metadata(of: name, version: version)
            guard let beside else { return (metadata, ModelMetadata?.none) }
            return (metadata, try await client.metadata(of: beside))
        }
        var hello = Sluice_ClientHello()
        hello.userAgent = "sluice-bench/\(Sluice.version)"
        hello.token = try connection.token()
        let frame = Frame(.hello, header: ByteBuffer(bytes: try hello.serializedBytes() as [UInt8]))
        var helloBytes = ByteBuffer()
        helloBytes.writeFrame(frame)
        let template = try CallTemplate(
            model: model, version: version ?? "",
            message: try message(for: metadata, batch: batch, inputs: inputs),
            frameBytes: 256 << 10)
        var plan = LoadPlan(
            connections: connections, inFlight: inFlight, rate: rate, warmUp: warmUp.amount,
            duration: duration.amount, call: template, hello: helloBytes)
        if let besideMetadata {
            plan.companion = try CallTemplate(
                model: besideMetadata.name, version: "",
                message: try message(for: besideMetadata, batch: 1, inputs: []),
                frameBytes: 256 << 10)
        }
        return plan
    }

    /// The encoded request every call sends.
    private func message(
        for metadata: ModelMetadata, batch: Int, inputs: [String]
    ) throws -> ByteBuffer {
        var given: [String: Tensor] = [:]
        for argument in inputs {
            guard let equals = argument.firstIndex(of: "=") else {
                throw CommandFailure(.usage, "--input '\(argument)' is not NAME=JSON")
            }
            let name = String(argument[..<equals])
            guard let input = metadata.inputs.first(where: { $0.name == name }) else {
                throw CommandFailure(.data, "model '\(model)' has no input '\(name)'")
            }
            given[name] = try TensorJSON.tensor(
                String(argument[equals...].dropFirst()), for: input)
        }
        var request = Inference_ModelInferRequest()
        for input in metadata.inputs {
            let tensor = try given[input.name] ?? ones(for: input, batch: batch)
            var description = Inference_ModelInferRequest.InferInputTensor()
            description.name = tensor.name
            description.datatype = tensor.datatype.rawValue
            description.shape = tensor.shape.map(Int64.init)
            request.inputs.append(description)
            request.rawInputContents.append(Data(tensor.rawContents))
        }
        return ByteBuffer(bytes: try request.serializedBytes() as [UInt8])
    }

    private func ones(
        for input: ModelMetadata.TensorDescription, batch: Int
    ) throws -> Tensor {
        let shape = input.shape.map { $0 < 0 ? batch : $0 }
        let count = shape.reduce(1, *)
        if input.datatype == .bytes {
            return try Tensor(input.name, shape: shape, [String](repeating: "1", count: count))
        }
        guard let width = input.datatype.elementBytes else {
            throw CommandFailure(.data, "give --input for '\(input.name)'")
        }
        if input.datatype == .fp32 {
            return try Tensor(input.name, shape: shape, [Float](repeating: 1, count: count))
        }
        return try Tensor(
            input.name, datatype: input.datatype, shape: shape,
            rawContents: [UInt8](repeating: 0, count: count * width))
    }

    private func target() throws -> LoadRun.Target {
        guard let colon = connection.endpoint.lastIndex(of: ":"),
            let port = Int(connection.endpoint[connection.endpoint.index(after: colon)...])
        else {
            throw CommandFailure(.usage, "--endpoint '\(connection.endpoint)' is not HOST:PORT")
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.applicationProtocols = ["sluice/1"]
        tls.minimumTLSVersion = .tlsv13
        if let ca = connection.ca {
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(ca))
        }
        let host = connection.endpoint[..<colon].trimmingCharacters(in: ["[", "]"])
        return LoadRun.Target(host: host, port: port, tls: try NIOSSLContext(configuration: tls))
    }
}

/// A time on the command line: a number with us, ms, s or m.
struct Span: ExpressibleByArgument, CustomStringConvertible {
    let amount: TimeAmount
    init(_ amount: TimeAmount) { self.amount = amount }

    init?(argument: String) {
        let digits = argument.prefix { $0.isNumber || $0 == "." }
        guard let value = Double(digits), value >= 0, value < 1e6 else { return nil }
        let unit: Double
        switch argument.dropFirst(digits.count) {
        case "us": unit = 1e3
        case "ms": unit = 1e6
        case "s", "": unit = 1e9
        case "m": unit = 60e9
        default: return nil
        }
        amount = .nanoseconds(Int64(value * unit))
    }

    var description: String { "\(Double(amount.nanoseconds) / 1e9)s" }
    var defaultValueDescription: String { description }
}
