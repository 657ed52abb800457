// Turns a pickle, an XGBoost or a LightGBM model into ONNX: in Python, in a confined child without network, because a
// pickle runs code when it is opened.

import Catalogue
import Confinement
import Contract
import Files

/// What the converter says (Resources/convert.py).
struct Conversion: Decodable {
    struct Failure: Decodable {
        var kind: String
        var message: String
    }

    var failure: Failure?
    var framework: String?
    var converter: String?
    /// For example `StandardScaler > LogisticRegression`.
    var estimator: String?
    var notes: [String]?
    /// Names of the columns of the one input, when the original knew them.
    var features: [String]?
    /// Names of the classes, by output, when the original knew them.
    var labels: [String: [String]]?
    var rows: Int?
    var isGiven: Bool?
    var parity: GoldenCase?
    var golden: [GoldenCase]?

    private enum CodingKeys: String, CodingKey {
        case failure, framework, converter, estimator, notes, features, labels, rows, parity, golden
        case isGiven = "rows_given"
    }

    private static let byteCountMax = 256 << 20

    /// Runs the converter in `folder`, which then has `model.onnx`.
    static func run(
        _ request: ImportRequest, source: String, rows: String?, python: PythonEnvironment,
        in folder: borrowing Folder, path: String
    ) throws(GatewayError) -> Confined<Conversion> {
        try FileTrouble.translating("the converter cannot be written") { () throws(FileFault) in
            try folder.writeNew("convert.py", PythonEnvironment.converter)
        }
        let tool = ConfinedTool(
            title: "the conversion of '\(request.fileName)'", program: python.python,
            arguments: ["-I", "-B", path + "/convert.py", source, request.kind.rawValue, path]
                + (rows.map { [$0] } ?? []),
            environment: ["OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"],
            folder: path, limits: request.limits)
        let outcome = try tool.run()
        let conversion: Conversion
        do {
            guard let json = try folder.file("result.json").readAll(byteCountMax: byteCountMax)
            else { throw ModelFault("the converter says more than \(byteCountMax) bytes") }
            conversion = try WorkshopJSON.decode(Conversion.self, from: json)
        } catch {
            throw GatewayError(
                .internal, "the converter gave no answer: \(error) \(outcome.complaint)")
        }
        if let failure = conversion.failure {
            if failure.kind == "memory" {
                throw GatewayError(
                    .data,
                    "the conversion of '\(request.fileName)' needs more memory than "
                        + "\(Wording.limit(request.limits.memoryBytes)), the limit (--limit-memory)"
                )
            }
            throw GatewayError(
                .data, "'\(request.fileName)' cannot be imported: \(failure.message)")
        }
        return Confined(value: conversion, isAlone: outcome.isAlone)
    }
}
