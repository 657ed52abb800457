// `sluice workshop optimise`: the first child of an import with the engine in it. Runs the model as it is written, keeps
// its answers, and writes it anew: optimised once, its weights in a file of their own that can be mapped.

import Catalogue
package import Contract
import Files
import NIOCore
import OnnxRuntime

/// What became of the model.
package struct OptimisationReport: Codable, Sendable {
    package var engine: String
    /// Whether the folder holds the optimised model; otherwise it holds nothing and `note` says why.
    package var isOptimised = false
    package var note: String?
    /// Tensors in the weights file; none for a small model, which stays one file.
    package var tensors = 0
    package var weightBytes: UInt64 = 0
    /// The unoptimised model's own answers to rows that were generated or given; nil when it takes none of them.
    package var cases: ProbeCases?
    /// Why there are none.
    package var notRun: String?

    package init(engine: String) { self.engine = engine }
}

/// The optimisation itself. For a process of its own.
package enum Optimisation {
    /// The weights' file.
    package static let weightsName = "model.weights"
    /// Models with fewer bytes of weights stay one file.
    static let externalBytesMin: UInt64 = 1 << 20
    /// Smaller tensors stay in the model: each one outside is a mapping of its own.
    static let tensorBytesMin = 4 << 10

    private static let draftModel = "draft.onnx"
    private static let draftWeights = "draft.weights"
    /// Rows of the two golden cases.
    private static let rows: [Int64] = [1, 8]

    /// - Parameters:
    ///   - source: a folder with `model.onnx` and its external data.
    ///   - destination: an empty folder.
    ///   - inputs: rows to keep the answers to; nil: generated ones.
    ///   - answers: whether the model's own answers are wanted.
    package static func run(
        source: String, destination: String, inputs: [Tensor]?, answers: Bool
    ) throws -> OptimisationReport {
        let environment = try OnnxEnvironment()
        var report = OptimisationReport(engine: "ONNX Runtime \(environment.version)")
        var plain = OnnxSessionOptions()
        plain.plain = true
        do {
            let proof = try ModelProof(
                folder: source, entry: nil, options: plain, environment: environment)
            if answers { try answer(proof, inputs, &report) }
        }
        OnnxEnvironment.trimMemory()
        do {
            try write(source + "/" + ModelEntry.modelFileName, destination, environment, &report)
            report.isOptimised = true
        } catch {
            let folder = try Folder(path: destination)
            for item in try folder.items() { try folder.removeAll(item.name) }
            report.tensors = 0
            report.weightBytes = 0
            report.note = "the model is kept as it is: \(error)"
        }
        return report
    }

    // MARK: - Its own answers

    private static func answer(
        _ proof: ModelProof, _ inputs: [Tensor]?, _ report: inout OptimisationReport
    ) throws {
        if let inputs {
            var cases = ProbeCases()
            cases.golden = [GoldenCase(inputs: inputs, outputs: try proof.run(inputs))]
            report.cases = cases
            return
        }
        var reason = "its inputs are too large to be made up"
        for size in SampleInputs.freeSizes {
            var cases = ProbeCases()
            for rows in rows {
                guard
                    let inputs = SampleInputs.tensors(
                        for: proof.session.signature, rows: rows, freeSize: size)
                else { break }
                do {
                    let golden = GoldenCase(inputs: inputs, outputs: try proof.run(inputs))
                    // A model without a free batch is asked once.
                    if cases.golden.last != golden { cases.golden.append(golden) }
                } catch {
                    if ConfinedTool.speaksOfMemory("\(error)") { throw error }
                    reason = "it takes no generated rows (\(error)): give some by --rows FILE"
                    break
                }
            }
            if !cases.golden.isEmpty {
                report.cases = cases
                return
            }
        }
        report.notRun = reason
    }

    // MARK: - Writing it anew

    private static func write(
        _ source: String, _ destination: String, _ environment: OnnxEnvironment,
        _ report: inout OptimisationReport
    ) throws {
        let folder = try Folder(path: destination)
        let draft = destination + "/" + draftModel
        try OnnxOptimiser.save(
            source, to: draft, weights: draftWeights, externalBytesMin: tensorBytesMin,
            environment: environment)
        let weightBytes =
            try folder.items().contains { $0.name == draftWeights }
            ? folder.facts(of: draftWeights).byteCount : 0
        if weightBytes < externalBytesMin {
            let path = destination + "/" + ModelEntry.modelFileName
            try OnnxOptimiser.save(
                source, to: path, weights: nil, externalBytesMin: 0, environment: environment)
            // What was outside before, the engine leaves there: then it gets a weights file all the same.
            if try ExternalData.locations(in: folder.file(ModelEntry.modelFileName)).isEmpty {
                try folder.removeFile(draftWeights)
                return try folder.removeFile(draftModel)
            }
            try folder.removeFile(ModelEntry.modelFileName)
        }
        guard let model = try folder.file(draftModel).readAll(byteCountMax: 2 << 30) else {
            throw ModelFault("the optimised graph has more than 2 GiB")
        }
        let (rewritten, outcome) = try AlignedWeights.rewrite(
            model, source: draftWeights, weights: weightsName, in: folder)
        try folder.writeNew(ModelEntry.modelFileName, rewritten)
        try folder.removeFile(draftModel)
        try folder.removeFile(draftWeights)
        report.tensors = outcome.tensors
        report.weightBytes = outcome.bytes
    }
}
