// What an import found out: for people on standard error, as one JSON on standard output.

package import Catalogue
import Contract

/// The whole of an import that succeeded.
package struct ImportReport: Codable, Sendable {
    package struct Source: Codable, Sendable {
        package var file: String
        package var kind: String
        package var bytes: UInt64
        package var sha256: String
    }
    package struct File: Codable, Sendable {
        package var name: String
        package var bytes: UInt64
        package var sha256: String
    }
    /// The weights' file; nil for a model in one file.
    package struct Weights: Codable, Sendable {
        package var file: String
        package var bytes: UInt64
        package var tensors: Int
        package var alignment: UInt64
    }
    package struct Parity: Codable, Sendable {
        /// What the answers are compared with.
        package var original: String
        package var rows: Int
        /// Whether the rows were the operator's.
        package var given: Bool
        package var tolerance: Double
        package var outputs: [OutputDistance]
    }

    package var name: String
    package var version: Int64
    /// Where it is now.
    package var place: String
    package var source: Source
    package var origin: [String: String]
    package var optimised: Bool
    package var files: [File]
    package var weights: Weights?
    package var parity: Parity?
    /// Golden cases in the manifest.
    package var golden: Int
    package var measured: ModelMeasures
    /// Whether the children were without network.
    package var alone: Bool
    package var notes: [String]

    /// Lines for people.
    package var lines: [String] {
        let after = files.reduce(0) { $0 + $1.bytes }
        var lines = [
            "\(name) version \(version) is in \(place)",
            "  size    \(Wording.bytes(source.bytes)) as \(source.kind), \(Wording.bytes(after)) now"
                + (weights.map {
                    ", \($0.tensors) tensors of it mapped from \($0.file) (large ones at multiples of "
                        + "\($0.alignment >> 10) KiB)"
                } ?? (files.count == 1 ? ", in one file" : ", in \(files.count) files")),
        ]
        let times = [
            measured.firstRun.map { "first run \(Wording.time($0))" },
            measured.warmRun.map { "warm run \(Wording.time($0))" },
        ].compactMap { $0 }
        lines.append(
            "  times   " + (["load \(Wording.time(measured.load))"] + times).joined(separator: ", ")
        )
        if let parity {
            let worst = parity.outputs.compactMap(\.relative).max() ?? 0
            lines.append(
                "  parity  \(parity.rows) \(parity.given ? "given" : "generated") rows against \(parity.original): "
                    + "largest difference \(Wording.difference(worst))")
        }
        lines.append("  cost    \(measured.cost)")
        return lines + notes.map { "  note    \($0)" }
    }

    private enum CodingKeys: String, CodingKey {
        case name, version, place, source, origin, optimised, files, weights, parity, golden
        case measured, alone, notes
    }
}
