// Runs the workshop's tools as confined children and turns how they ended into an answer or a sentence.

import Confinement
import Contract

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// How the workshop starts its own program again as a child.
package struct WorkshopProgram: Sendable {
    /// Absolute path of the `sluice` binary.
    package var path: String
    /// ONNX Runtime's library when it is not in a usual place.
    package var library: String?

    package init(path: String, library: String?) {
        self.path = path
        self.library = library
    }

    /// This very program, and the library the environment names.
    package static func current() -> WorkshopProgram {
        let path =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            ?? CommandLine.arguments[0]
        return WorkshopProgram(
            path: path, library: ProcessInfo.processInfo.environment["SLUICE_ONNXRUNTIME"])
    }
}

/// What a tool prints: a value, or why there is none.
package struct ToolAnswer<Value: Codable>: Codable {
    package var value: Value?
    package var failure: String?

    package init(value: Value) { self.value = value }
    package init(failure: String) { self.failure = failure }
}

/// A value and how it came about.
struct Confined<Value> {
    var value: Value
    /// Whether the child was without network.
    var isAlone: Bool
}

/// One confined child.
struct ConfinedTool {
    /// What it does, as it stands in a sentence: "the conversion".
    var title: String
    var program: String
    var arguments: [String]
    var environment: [String: String] = [:]
    var folder: String
    var limits: WorkshopLimits
    /// Bytes it maps from files privately: they count as memory but are the page cache's.
    var mappedBytes: UInt64 = 0
    /// Where the operator changes the limits.
    var timeSetting = "--limit-time"
    var memorySetting = "--limit-memory"

    /// A hidden command of this program.
    static func workshop(
        _ program: WorkshopProgram, _ title: String, _ arguments: [String], folder: String,
        limits: WorkshopLimits, mappedBytes: UInt64 = 0
    ) -> ConfinedTool {
        var tool = ConfinedTool(
            title: title, program: program.path, arguments: ["workshop"] + arguments,
            folder: folder, limits: limits, mappedBytes: mappedBytes)
        tool.environment["SLUICE_ONNXRUNTIME"] = program.library
        return tool
    }

    /// Runs it and decodes the JSON it prints.
    func answer<Value: Codable>(_: Value.Type) throws(GatewayError) -> Confined<Value> {
        let outcome = try run()
        let answer: ToolAnswer<Value>
        do {
            let decoder = JSONDecoder()
            decoder.nonConformingFloatDecodingStrategy = WorkshopJSON.decoding
            answer = try decoder.decode(ToolAnswer<Value>.self, from: Data(outcome.output))
        } catch {
            throw GatewayError(.internal, "\(title) gave no answer: \(outcome.complaint)")
        }
        if let failure = answer.failure { throw refused(failure) }
        guard let value = answer.value else {
            throw GatewayError(.internal, "\(title) gave an empty answer")
        }
        return Confined(value: value, isAlone: outcome.isAlone)
    }

    /// Runs it to its end. Throws for every end but a good one.
    func run() throws(GatewayError) -> ChildOutcome {
        var bounds = ChildLimits(time: limits.time, memoryBytes: limits.memoryBytes + mappedBytes)
        let cores = max(1, ProcessInfo.processInfo.activeProcessorCount)
        bounds.processorTime = .seconds(limits.time.components.seconds * Int64(cores) + 1)
        bounds.fileBytes = 1 << 37
        var variables = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": folder,
            "TMPDIR": folder, "ORT_DISABLE_TELEMETRY": "1",
        ]
        variables.merge(environment) { $1 }
        let outcome: ChildOutcome
        do throws(ChildFault) {
            outcome = try ConfinedChild.run(
                ChildCommand(
                    program: program, arguments: arguments, environment: variables, folder: folder),
                limits: bounds)
        } catch {
            throw GatewayError(.internal, error.description)
        }
        switch outcome.ending {
        case .exited(0): return outcome
        case .timedOut, .signalled(ChildOutcome.processorTimeSignal):
            throw GatewayError(
                .data,
                "\(title) took longer than \(Wording.limit(limits.time)), the limit (\(timeSetting)), "
                    + "and was stopped",
                mend: "A model that loops for ever never ends; for a large one allow more time")
        case .signalled(ChildOutcome.killSignal):
            throw GatewayError(
                .data,
                "\(title) was killed by the system, most likely because memory ran out "
                    + "(\(memorySetting) is \(Wording.limit(limits.memoryBytes)))")
        case .signalled(let number):
            throw refused("it crashed with signal \(number): \(lastLine(outcome.complaint))")
        case .exited(let status):
            throw refused("it ended with status \(status): \(lastLine(outcome.complaint))")
        }
    }

    /// A tool's own words, with the limit beside them when it ran into one.
    private func refused(_ words: String) -> GatewayError {
        guard ConfinedTool.speaksOfMemory(words) else {
            return GatewayError(.data, "\(title) failed: \(words)")
        }
        return GatewayError(
            .data,
            "\(title) needs more memory than \(Wording.limit(limits.memoryBytes)), the limit (\(memorySetting)): "
                + words)
    }

    /// How the engine, the C++ library, the system and Python say that memory could not be had.
    static func speaksOfMemory(_ words: String) -> Bool {
        let lowered = words.lowercased()
        return [
            "bad_alloc", "failed to allocate", "bad allocation", "out of memory", "memoryerror",
            "cannot allocate memory", "ran out of memory", "allocation failed",
        ].contains { lowered.contains($0) }
    }

    private func lastLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).last.map { String($0.prefix(400)) }
            ?? "it said nothing"
    }
}

/// How the workshop's programs write numbers to each other.
package enum WorkshopJSON {
    static let decoding = JSONDecoder.NonConformingFloatDecodingStrategy.convertFromString(
        positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")

    /// One line.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return [UInt8](try encoder.encode(value))
    }

    static func decode<Value: Decodable>(_: Value.Type, from bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = decoding
        return try decoder.decode(Value.self, from: Data(bytes))
    }
}
