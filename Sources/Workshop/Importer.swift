// An import from its first to its last step: source -> ONNX -> optimised -> proved -> in its place. Everything happens in
// a hidden folder; the last thing is that it gets its name. Read from top to bottom; it is the walk of this room.

import Catalogue
package import Contract
import Files

/// Imports one file. Blocks for seconds to minutes: on a thread of its own.
package struct Importer {
    private let request: ImportRequest
    private let target: any ImportTarget
    private let program: WorkshopProgram
    private let environment: [String: String]
    private let tell: (ImportEvent) -> Void

    /// - Parameters:
    ///   - environment: the operator's; only the making of the Python environment sees it.
    ///   - tell: hears how it goes on, on the same thread.
    package init(
        _ request: ImportRequest, to target: any ImportTarget, program: WorkshopProgram,
        environment: [String: String], tell: @escaping (ImportEvent) -> Void
    ) {
        self.request = request
        self.target = target
        self.program = program
        self.environment = environment
        self.tell = tell
    }

    package func run() throws(GatewayError) -> ImportReport {
        let version = try target.version(of: request.name, wanted: request.version)
        let python = try preparePython()
        return try ScratchFolder.use(
            in: try target.scratchPath(), prefix: target.scratchPrefix
        ) { scratch throws(GatewayError) in
            var work = Work(version: version)
            try convert(python, scratch, &work)
            try optimise(scratch, &work)
            try verify(scratch, &work)
            return try write(scratch, &work)
        }
    }

    /// What the steps hand on.
    private struct Work {
        let version: ModelVersion
        var source = SourceFiles(sha256: "", byteCount: 0)
        /// The folder in the scratch that holds the model as it is to be served.
        var chosen = ""
        var isMapped = false
        var optimisation = OptimisationReport(engine: "")
        var cases = ProbeCases()
        /// Whose answers the cases hold.
        var original = ""
        var rows = 0
        var isGiven = false
        var origin: [String: String] = [:]
        /// Of classes, by output.
        var labels: [String: [String]] = [:]
        var probe = ProbeReport(engine: "", measures: ModelMeasures())
        var isAlone = true
        var notes: [String] = []

        init(version: ModelVersion) { self.version = version }
    }

    // MARK: - Environment

    /// Nil when no Python is needed.
    private func preparePython() throws(GatewayError) -> PythonEnvironment? {
        guard request.kind.isConverted else { return nil }
        tell(.began(.environment))
        let python = try PythonEnvironment.prepare(
            at: request.pythonEnvironment, environment: environment
        ) { tell(.progress(.environment, $0)) }
        tell(.ended(.environment, python.isNew ? "made, \(python.python)" : python.python))
        return python
    }

    // MARK: - Convert

    private func convert(
        _ python: PythonEnvironment?, _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) {
        tell(.began(.convert))
        let folder = try making("original", in: scratch)
        let isModel = request.kind == .onnx
        let name = isModel ? ModelEntry.modelFileName : "source." + fileEnding
        work.source = try SourceFiles.copy(
            request.file, isModel: isModel, to: name, in: folder
        ) { tell(.progress(.convert, $0 * 0.5)) }
        work.origin["source"] = request.fileName
        work.origin["source_sha256"] = work.source.sha256
        guard let python else {
            return tell(.ended(.convert, "not needed: it is ONNX"))
        }
        var rows: String?
        if let given = request.rows {
            let rowsName = "rows." + (given.split(separator: ".").last.map(String.init) ?? "")
            _ = try SourceFiles.copy(given, isModel: false, to: rowsName, in: folder) { _ in }
            rows = folderPath("original", scratch) + "/" + rowsName
        }
        let converted = try Conversion.run(
            request, source: folderPath("original", scratch) + "/" + name, rows: rows,
            python: python, in: folder, path: folderPath("original", scratch))
        note(converted.value, isAlone: converted.isAlone, &work)
        tell(
            .ended(
                .convert,
                "\(converted.value.estimator ?? "") by \(converted.value.converter ?? "")"))
    }

    private func note(_ conversion: Conversion, isAlone: Bool, _ work: inout Work) {
        work.isAlone = work.isAlone && isAlone
        work.origin["framework"] = conversion.framework
        work.origin["converter"] = conversion.converter
        work.origin["estimator"] = conversion.estimator
        if let features = conversion.features, !features.isEmpty {
            work.origin["features"] = String(features.joined(separator: ", ").prefix(2_000))
        }
        work.labels = conversion.labels ?? [:]
        work.original = conversion.framework ?? "the original"
        work.rows = conversion.rows ?? 0
        work.isGiven = conversion.isGiven ?? false
        work.cases.parity = conversion.parity
        work.cases.golden = conversion.golden ?? []
        for text in conversion.notes ?? [] { add(text, &work) }
    }

    private var fileEnding: String {
        request.fileName.split(separator: ".").last.map(String.init) ?? "bin"
    }

    // MARK: - Optimise

    private func optimise(
        _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) {
        tell(.began(.optimise))
        _ = try making("optimised", in: scratch)
        var arguments = [
            "optimise", folderPath("original", scratch), folderPath("optimised", scratch),
        ]
        if request.kind == .onnx {
            arguments.append("--answers")
            if let rows = request.rows { arguments += ["--rows", try absolute(rows)] }
        }
        let tool = ConfinedTool.workshop(
            program, "the first run of '\(request.fileName)'", arguments, folder: scratch.path,
            limits: request.limits, mappedBytes: work.source.byteCount)
        let answer = try tool.answer(OptimisationReport.self)
        work.isAlone = work.isAlone && answer.isAlone
        work.optimisation = answer.value
        if let cases = answer.value.cases {
            work.original = "the model as it was"
            work.cases.golden = cases.golden
            work.cases.parity = cases.golden.last
            work.rows = cases.golden.last?.rows ?? 0
            work.isGiven = request.rows != nil
        }
        if let note = answer.value.note { add(note, &work) }
        if let why = answer.value.notRun { add("it was not run: \(why)", &work) }
        tighten(&work)
        if answer.value.isOptimised {
            work.chosen = "optimised"
            work.isMapped = answer.value.tensors > 0
        } else {
            try keepOriginal(scratch, &work)
        }
        let weights =
            answer.value.tensors > 0
            ? "\(answer.value.tensors) tensors, \(Wording.bytes(answer.value.weightBytes)), to be mapped"
            : "one file"
        tell(.ended(.optimise, answer.value.isOptimised ? weights : "kept as it is"))
    }

    /// Golden cases get the tolerance that the parity has, for numbers of their size.
    private func tighten(_ work: inout Work) {
        work.cases.golden = work.cases.golden.filter { $0.elementCount <= goldenElementsMax }
        for index in work.cases.golden.indices {
            work.cases.golden[index].tolerance =
                request.tolerance * work.cases.golden[index].scale
        }
    }

    private var goldenElementsMax: Int { 20_000 }

    /// The model as it came is what will be served.
    private func keepOriginal(
        _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) {
        try FileTrouble.translating("the model cannot be kept") { () throws(FileFault) in
            let original = try scratch.folder.folder("original")
            try scratch.folder.removeAll("optimised")
            let kept = try scratch.folder.makeFolder("optimised")
            let roots = Set(
                [ModelEntry.modelFileName]
                    + work.source.externalFiles.compactMap {
                        $0.split(separator: "/").first.map(String.init)
                    })
            for root in roots.sorted() { try original.move(root, to: kept, as: root) }
        }
        work.chosen = "optimised"
        work.isMapped = false
        work.optimisation.isOptimised = false
        work.optimisation.tensors = 0
    }

    // MARK: - Verify

    private func verify(
        _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) {
        tell(.began(.verify))
        try probe(scratch, &work)
        if let fault = fault(of: work), work.optimisation.isOptimised {
            // The engine's own optimisation may be what is wrong: then the model is served without it.
            try keepOriginal(scratch, &work)
            add("the optimised model is not used: \(fault)", &work)
            try probe(scratch, &work)
        }
        if let fault = fault(of: work) {
            throw GatewayError(
                .data, "'\(request.fileName)' cannot be imported: \(fault)",
                mend: work.probe.distances == nil
                    ? "" : "Try rows of your own data by --rows FILE, or allow more by --tolerance")
        }
        if let why = work.probe.notRun { add("it was not run: \(why)", &work) }
        let worst = (work.probe.distances ?? []).compactMap(\.relative).max()
        tell(
            .ended(
                .verify,
                "\(work.probe.cases) golden cases right"
                    + (worst.map { ", largest difference \(Wording.difference($0))" } ?? "")))
    }

    private func probe(
        _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) {
        let file = "cases-\(work.optimisation.isOptimised).json"
        try writing("cases", file, work.cases, in: scratch)
        let tool = ConfinedTool.workshop(
            program, "the proof of '\(request.fileName)'",
            [
                "probe", folderPath(work.chosen, scratch), "--cases", scratch.path + "/" + file,
            ] + (work.isMapped ? ["--mapped"] : []), folder: scratch.path, limits: request.limits,
            mappedBytes: work.optimisation.weightBytes + work.source.byteCount)
        let answer = try tool.answer(ProbeReport.self)
        work.isAlone = work.isAlone && answer.isAlone
        work.probe = answer.value
    }

    /// Why the model is not what it was; nil when it is.
    private func fault(of work: Work) -> String? {
        if let far = (work.probe.distances ?? []).filter({ !$0.isWithin(request.tolerance) })
            .max(by: { ($0.relative ?? .infinity) < ($1.relative ?? .infinity) })
        {
            let what =
                far.trouble.map { "output '\(far.output)' \($0)" }
                ?? "output '\(far.output)' is off by \(Wording.difference(far.relative ?? 0)), allowed is "
                + Wording.difference(request.tolerance)
            return
                "the converted model does not answer as the original on \(work.rows) rows: \(what)"
        }
        return work.probe.fault
    }

    // MARK: - Write

    private func write(
        _ scratch: borrowing ScratchFolder, _ work: inout Work
    ) throws(GatewayError) -> ImportReport {
        tell(.began(.write))
        let path = folderPath("version", scratch)
        let files = try FileTrouble.translating("the version cannot be written") {
            () throws(FileFault) in
            try scratch.folder.move(work.chosen, to: scratch.folder, as: "version")
            return try SourceFiles.seal(try scratch.folder.folder("version"))
        }
        tell(.progress(.write, 0.4))
        let draft = try manifest(files, path: path, work)
        do {
            let folder = try scratch.folder.folder("version")
            try folder.writeNew(Manifest.fileName, try draft.json())
            try folder.seal(Manifest.fileName)
            try folder.synchronize()
        } catch {
            throw GatewayError(.data, "the manifest cannot be written: \(error)")
        }
        let place = try target.publish(
            request.name, work.version, files: files, in: scratch.path
        ) { tell(.progress(.write, 0.4 + $0 * 0.6)) }
        tell(.ended(.write, place))
        return report(draft, place: place, work)
    }

    private func manifest(
        _ files: [ModelFile], path: String, _ work: Work
    ) throws(GatewayError) -> ManifestDraft {
        let signature: Signature
        do {
            signature = try ModelProof.entry(folder: path).signature
        } catch {
            throw GatewayError(.data, "the model's signature cannot be read: \(error)")
        }
        var draft = ManifestDraft(
            name: request.name, version: work.version, files: files, signature: signature)
        // A name too many is no reason to refuse a model: what does not fit is left out.
        for output in signature.outputs {
            guard let labels = work.labels[output.name],
                Manifest.fault(ofLabels: labels, for: output) == nil
            else { continue }
            draft.labels[output.name] = labels
        }
        draft.golden = work.cases.golden
        draft.load = work.isMapped ? .mapped : .plain
        draft.origin = work.origin
        draft.origin["engine"] = work.probe.engine
        draft.origin["optimised"] = work.optimisation.isOptimised ? "level 2" : "no"
        let measures = work.probe.measures
        func time(_ microseconds: Double) -> Nanoseconds {
            Nanoseconds(UInt64(microseconds * 1_000))
        }
        draft.measured = Measurements(
            residentBytes: measures.residentBytes, peakBytes: measures.peakBytes,
            load: time(measures.load), firstRun: measures.firstRun.map(time),
            warmRun: measures.warmRun.map(time))
        return draft
    }

    private func report(_ draft: ManifestDraft, place: String, _ work: Work) -> ImportReport {
        let outputs = work.probe.distances ?? []
        return ImportReport(
            name: draft.name.text, version: draft.version.number, place: place,
            source: .init(
                file: request.fileName, kind: request.kind.title, bytes: work.source.byteCount,
                sha256: work.source.sha256),
            origin: draft.origin, optimised: work.optimisation.isOptimised,
            files: draft.files.map {
                .init(name: $0.name, bytes: $0.byteCount, sha256: $0.sha256)
            },
            weights: work.isMapped
                ? .init(
                    file: Optimisation.weightsName, bytes: work.optimisation.weightBytes,
                    tensors: work.optimisation.tensors, alignment: AlignedWeights.alignment)
                : nil,
            parity: work.rows == 0
                ? nil
                : .init(
                    original: work.original, rows: work.rows, given: work.isGiven,
                    tolerance: request.tolerance, outputs: outputs),
            golden: draft.golden.count, measured: work.probe.measures, alone: work.isAlone,
            notes: work.notes
                + (work.isAlone ? [] : ["the system would not take the network from the children"]))
    }

    // MARK: - Small things

    private func add(_ note: String, _ work: inout Work) {
        work.notes.append(note)
        tell(.note(note))
    }

    private func folderPath(_ name: String, _ scratch: borrowing ScratchFolder) -> String {
        scratch.path + "/" + name
    }

    private func making(
        _ name: String, in scratch: borrowing ScratchFolder
    ) throws(GatewayError) -> Folder {
        try FileTrouble.translating("'\(scratch.path)' cannot be written to") {
            () throws(FileFault) in try scratch.folder.makeFolder(name)
        }
    }

    private func writing(
        _ what: String, _ name: String, _ value: some Encodable, in scratch: borrowing ScratchFolder
    ) throws(GatewayError) {
        do {
            try scratch.folder.removeFile(name)
            try scratch.folder.writeNew(name, try WorkshopJSON.encode(value))
        } catch {
            throw GatewayError(.internal, "the \(what) cannot be written: \(error)")
        }
    }

    private func absolute(_ path: String) throws(GatewayError) -> String {
        try FileTrouble.translating("'\(path)' cannot be read") { () throws(FileFault) in
            try Folder.resolved(path: path)
        }
    }
}

extension GoldenCase {
    /// Rows of its first input.
    fileprivate var rows: Int {
        guard let shape = inputs.first?.shape, shape.rank > 0 else { return 1 }
        return Int(shape[0])
    }
}
