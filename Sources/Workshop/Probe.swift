// `sluice workshop probe`: the second child of an import, of `models verify` and of a first load. Loads the model as the
// gateway will, asks it what is known, and measures it.

package import Catalogue
import Contract
import Files
import NIOCore
import OnnxRuntime
import Outside

/// Cases a model is asked.
package struct ProbeCases: Codable, Sendable, Equatable {
    /// Compared and reported, within a tolerance of the importer's.
    package var parity: GoldenCase?
    /// Go into the manifest.
    package var golden: [GoldenCase] = []

    package init() {}

    private static let byteCountMax = 256 << 20

    /// Those in a file that the importer wrote.
    package static func read(_ path: String) throws -> ProbeCases {
        guard let json = try OpenFile(path: path).readAll(byteCountMax: byteCountMax) else {
            throw ModelFault("the cases have more than \(byteCountMax) bytes")
        }
        return try WorkshopJSON.decode(ProbeCases.self, from: json)
    }
}

/// What a probe found out.
package struct ProbeReport: Codable, Sendable, Equatable {
    /// For example `ONNX Runtime 1.31.1`.
    package var engine: String
    package var measures: ModelMeasures
    /// Golden cases that were asked and answered right.
    package var cases = 0
    /// Of the parity case; nil without one.
    package var distances: [OutputDistance]?
    /// What went wrong after the model was loaded; nil when it is in order.
    package var fault: String?
    /// Why the model was not run; nil when it was.
    package var notRun: String?

    package init(engine: String, measures: ModelMeasures) {
        self.engine = engine
        self.measures = measures
    }
}

/// The probe itself. For a process of its own.
package enum Probe {
    /// Runs after the first that are measured, and how long at most.
    private static let warmRunsMax = 31
    private static let warmTimeMax = Duration.seconds(2)

    /// - Parameters:
    ///   - folder: the version's folder; its manifest is believed when it has one.
    ///   - cases: what to ask; nil: the manifest's golden cases, or generated inputs.
    ///   - isMapped: whether the weights are mapped.
    ///   - isQuick: one run is enough: nobody wants times.
    package static func run(
        folder: String, cases: ProbeCases?, isMapped: Bool, isQuick: Bool
    ) throws -> ProbeReport {
        let environment = try OnnxEnvironment()
        let manifest = try VersionManifest(folder: folder)
        var options = OnnxSessionOptions()
        options.mapped = isMapped || manifest?.isMapped == true
        let proof = try ModelProof(
            folder: folder, entry: try manifest?.entry(folder: folder), options: options,
            environment: environment)
        var measures = ModelMeasures()
        measures.isMapped = options.mapped
        measures.load = proof.loadTime / .microseconds(1)
        var report = ProbeReport(
            engine: "ONNX Runtime \(environment.version)", measures: measures)
        let asked = cases ?? manifest?.cases ?? ProbeCases()
        try ask(proof, asked, warmRuns: isQuick ? 0 : warmRunsMax, &report)
        OnnxEnvironment.trimMemory()
        if let after = OnnxEnvironment.memory() {
            report.measures.note(
                proof.before, after, weightBytes: try weightBytes(in: folder))
        }
        return report
    }

    /// Bytes of the files beside the model.
    private static func weightBytes(in path: String) throws -> UInt64 {
        let folder = try Folder(path: path)
        let others = try folder.items().filter {
            $0.name != ModelEntry.modelFileName && $0.name != Manifest.fileName
        }
        return try others.reduce(0) { $0 + (try folder.facts(of: $1.name).byteCount) }
    }

    private static func ask(
        _ proof: ModelProof, _ cases: ProbeCases, warmRuns: Int, _ report: inout ProbeReport
    ) throws {
        if let first = cases.golden.first?.inputs ?? cases.parity?.inputs {
            try time(proof, first, warmRuns, &report)
        } else if let inputs = try sample(proof, &report) {
            try time(proof, inputs, warmRuns, &report)
        }
        if let parity = cases.parity {
            report.distances = parity.distances(from: try proof.run(parity.inputs))
        }
        for (index, golden) in cases.golden.enumerated() {
            if let difference = golden.difference(from: try proof.run(golden.inputs)) {
                report.fault = "golden case \(index + 1): \(difference)"
                return
            }
            report.cases += 1
        }
    }

    /// Inputs that the model takes; nil when it takes none of those that are tried.
    private static func sample(
        _ proof: ModelProof, _ report: inout ProbeReport
    ) throws -> [Tensor]? {
        var reason = "its inputs are too large to be made up"
        for size in SampleInputs.freeSizes {
            guard
                let inputs = SampleInputs.tensors(
                    for: proof.session.signature, rows: 1, freeSize: size)
            else { continue }
            do {
                _ = try proof.run(inputs)
                return inputs
            } catch {
                reason = "it takes no generated inputs: \(error)"
                // Memory that is missing is the answer, not a reason to try other sizes.
                if ConfinedTool.speaksOfMemory(reason) { throw error }
            }
        }
        report.notRun = reason
        return nil
    }

    private static func time(
        _ proof: ModelProof, _ inputs: [Tensor], _ warmRuns: Int, _ report: inout ProbeReport
    ) throws {
        let clock = ContinuousClock()
        let began = clock.now
        _ = try proof.run(inputs)
        report.measures.firstRun = (clock.now - began) / .microseconds(1)
        guard warmRuns > 0 else { return }
        var times: [Duration] = []
        let end = clock.now + warmTimeMax
        while times.isEmpty || times.count < warmRuns && clock.now < end {
            let start = clock.now
            _ = try proof.run(inputs)
            times.append(clock.now - start)
        }
        report.measures.warmRun = times.sorted()[times.count / 2] / .microseconds(1)
    }
}

extension ModelMeasures {
    fileprivate mutating func note(
        _ before: (anonymous: UInt64, mapped: UInt64, peak: UInt64),
        _ after: (anonymous: UInt64, mapped: UInt64, peak: UInt64), weightBytes: UInt64
    ) {
        residentBytes = after.anonymous - min(after.anonymous, before.anonymous)
        let files = after.mapped - min(after.mapped, before.mapped)
        let grown = after.peak - min(after.peak, before.anonymous + before.mapped)
        peakBytes = max(residentBytes, grown - min(grown, files))
        // What is not the weights' is the engine's own code.
        mappedBytes = isMapped ? min(files, weightBytes) : 0
    }
}

/// A manifest with everything a proof wants of it.
struct VersionManifest {
    let manifest: Manifest
    let cases: ProbeCases
    let isMapped: Bool

    /// Nil when the folder has none.
    init?(folder path: String) throws {
        let folder = try Folder(path: path)
        let file: OpenFile
        do throws(FileFault) {
            file = try folder.file(Manifest.fileName)
        } catch {
            if error.isMissing { return nil }
            throw error
        }
        guard let json = try file.readAll(byteCountMax: Manifest.byteCountMax) else {
            throw ModelFault("manifest.json is longer than \(Manifest.byteCountMax) bytes")
        }
        manifest = try Manifest(json: json)
        var cases = ProbeCases()
        cases.golden = try GoldenCase.all(inManifest: json)
        self.cases = cases
        isMapped = manifest.load == .mapped
    }

    func entry(folder: String) throws -> ModelEntry {
        ModelEntry(
            index: 0,
            ScannedModel(
                name: manifest.name, version: manifest.version,
                directory: try Folder.resolved(path: folder), files: manifest.files,
                signature: manifest.signature, limits: manifest.limits,
                measured: manifest.measured, load: manifest.load))
    }
}
