// `sluice models import|verify|remove`: versions of models in a folder or a bucket, without a gateway.

import ArgumentParser
import Contract
import Foundation
import Gateway
import Workshop

/// Limits of the children that open files nobody has vouched for.
struct LimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Memory that each child process may use.", valueName: "bytes"))
    var limitMemory = "4GiB"

    @Option(
        help: ArgumentHelp("Time that each child process may take.", valueName: "time"))
    var limitTime = "10m"

    func limits() throws -> WorkshopLimits {
        var limits = WorkshopLimits()
        guard let bytes = LimitText.bytes(limitMemory), bytes >= 64 << 20 else {
            throw ValidationError(
                "--limit-memory is '\(limitMemory)'; allowed is a size of 64MiB or more, such as 4GiB."
            )
        }
        guard let time = LimitText.time(limitTime), time >= .milliseconds(100) else {
            throw ValidationError(
                "--limit-time is '\(limitTime)'; allowed is a time of 100ms or more, such as 10m or 30s."
            )
        }
        limits.memoryBytes = bytes
        limits.time = time
        return limits
    }

    func validate() throws { _ = try limits() }
}

/// Sizes and times as the settings write them.
enum LimitText {
    private static let sizes: [(String, UInt64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1),
    ]
    private static let times: [(String, Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
    ]

    static func bytes(_ text: String) -> UInt64? {
        for (unit, size) in sizes where text.hasSuffix(unit) {
            guard let count = UInt64(text.dropLast(unit.count)) else { return nil }
            let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
            return overflow ? nil : bytes
        }
        return nil
    }

    static func time(_ text: String) -> Duration? {
        for (unit, milliseconds) in times where text.hasSuffix(unit) {
            guard let count = Int64(text.dropLast(unit.count)), count >= 0 else { return nil }
            let (total, overflow) = count.multipliedReportingOverflow(by: milliseconds)
            return overflow ? nil : .milliseconds(total)
        }
        return nil
    }
}

extension Models {
    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Convert, optimise, prove and install a trained model; needs no gateway.",
            discussion: """
                FILE is an ONNX model (.onnx), a scikit-learn, XGBoost or LightGBM pickle (.pkl, .joblib), an XGBoost \
                model (.json, .ubj) or a LightGBM model (.txt). All but ONNX need Python 3.11 or newer: the converters \
                are fetched once, into ~/.cache/sluice. A pickle runs code when it is opened: import only what you \
                would run. It is opened in a child process with limits and without network.

                Example: sluice models import wine.pkl --name wine --models ./models
                """)
        @Argument(help: "The trained model.") var file: String
        @Option(help: "The model's name.") var name: String
        @Option(help: "The version, a positive whole number; without it the next one.")
        var version: String?
        @Option(
            help: ArgumentHelp(
                "Where it goes: a folder, or s3://BUCKET/PREFIX.", valueName: "place"))
        var models = "./models"
        @Option(
            help: ArgumentHelp(
                "The gateway's settings, which say how a bucket is reached.", valueName: "file"))
        var config: String?
        @Option(
            help: ArgumentHelp(
                """
                Rows to compare with the original on: .npy or .csv; for an ONNX model the JSON of an inference \
                request. Without it rows are generated.
                """, valueName: "file"))
        var rows: String?
        @Option(
            help: ArgumentHelp(
                "The largest difference from the original, relative for numbers above 1.",
                valueName: "number"))
        var tolerance = ImportRequest.toleranceDefault
        @Option(
            help: ArgumentHelp(
                "Where the converters' Python environment is kept (SLUICE_PYTHON_ENVIRONMENT).",
                valueName: "folder"))
        var pythonEnvironment: String?
        @OptionGroup var limits: LimitOptions
        @Flag(help: "Print the report as JSON.") var json = false

        func validate() throws {
            guard tolerance > 0, tolerance <= 1 else {
                throw ValidationError(
                    "--tolerance is \(tolerance); allowed is more than 0 and at most 1.")
            }
        }

        func run() async throws {
            try await reportingFailures {
                let environment = ProcessInfo.processInfo.environment
                var request = try ImportRequest(
                    file: file, name: name, version: version, rows: rows)
                request.limits = try limits.limits()
                request.tolerance = tolerance
                request.pythonEnvironment =
                    pythonEnvironment ?? environment["SLUICE_PYTHON_ENVIRONMENT"]
                let (asked, place, config) = (request, models, config)
                let report = try await OwnThread.run { () throws(GatewayError) in
                    try ImportPlace.with(place, settings: config, environment: environment) {
                        target throws(GatewayError) in
                        let progress = ProgressLines(isTerminal: ProgressLines.isTerminal)
                        return try Importer(
                            asked, to: target, program: .current(), environment: environment,
                            tell: { progress.show($0) }
                        ).run()
                    }
                }
                if json { return try printJSON(report) }
                for line in report.lines { print(line) }
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Repeat the proof of a version: checksums, golden cases, times and memory.",
            discussion: "Exit status 65, with the reason, when the proof does not hold.")
        @Argument(help: "The model's name.") var name: String
        @Option(help: "The version; without it the highest.") var version: String?
        @Option(help: ArgumentHelp("The folder of models.", valueName: "folder"))
        var models = "./models"
        @OptionGroup var limits: LimitOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            try await reportingFailures {
                let (name, version) = try ModelsPlace.names(name, version)
                let limits = try limits.limits()
                let models = models
                let report = try await OwnThread.run { () throws(GatewayError) in
                    try Verification.run(
                        name, version: version, models: models, limits: limits,
                        program: .current())
                }
                if json { return try printJSON(report) }
                let files =
                    report.compared ? "files as in its manifest" : "no manifest to compare with"
                print(
                    "\(name) version \(report.version) holds: \(files), "
                        + "\(report.golden) golden cases right; load "
                        + "\(Wording.time(report.measured.load)); \(report.measured.cost)")
                if let why = report.notRun { print("  it was not run: \(why)") }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a version of a model, or all of them, from a folder.",
            discussion: """
                A gateway on that folder finishes the calls that use it, and forgets it at its next look at the folder.
                """)
        @Argument(help: "The model's name.") var name: String
        @Option(help: "The version; without it every version.") var version: String?
        @Option(help: ArgumentHelp("The folder of models.", valueName: "folder"))
        var models: String
        @Flag(help: "Print JSON.") var json = false

        struct Removed: Codable {
            var model: String
            var removed: [Int64]
        }

        func run() async throws {
            try await reportingFailures {
                let (name, version) = try ModelsPlace.names(name, version)
                let removed = try FolderTarget(path: models).remove(name, version: version)
                if json {
                    return try printJSON(
                        Removed(model: name.text, removed: removed.map(\.number)))
                }
                let shown = removed.map(\.description).joined(separator: ", ")
                print("\(name) version \(shown) is removed from \(models)")
            }
        }
    }
}

/// Names as the commands take them.
enum ModelsPlace {
    static func names(_ name: String, _ version: String?) throws -> (ModelName, ModelVersion?) {
        guard let checked = ModelName(name) else {
            throw CommandFailure(.data, "'\(name)' is no model name")
        }
        guard let version else { return (checked, nil) }
        guard let number = ModelVersion(version) else {
            throw CommandFailure(
                .data, "--version must be a positive whole number without leading zeros")
        }
        return (checked, number)
    }
}
