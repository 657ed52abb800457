// `sluice models verify`: repeats the proof of a version from its folder, as the import made it.

package import Contract
import Files

/// What a proof of a version showed.
package struct VerificationReport: Codable, Sendable {
    package var name: String
    package var version: Int64
    /// Whether its files were compared with a manifest.
    package var compared: Bool
    package var engine: String
    /// Golden cases that were answered right.
    package var golden: Int
    package var measured: ModelMeasures
    /// Whether the child was without network.
    package var alone: Bool
    /// Why the model was not run; nil when it was.
    package var notRun: String?

    private enum CodingKeys: String, CodingKey {
        case name, version, compared, engine, golden, measured, alone
        case notRun = "not_run"
    }
}

/// The proof of a version in a folder. Blocks: on a thread of its own.
package enum Verification {
    /// Proves a version; nil: the highest. Throws DATA with the reason when it does not hold.
    package static func run(
        _ name: ModelName, version: ModelVersion?, models: String, limits: WorkshopLimits,
        program: WorkshopProgram
    ) throws(GatewayError) -> VerificationReport {
        let there = try FolderTarget.versions(of: name, in: models)
        guard let version = version ?? there.last, there.contains(version) else {
            throw GatewayError(
                .data,
                "there is no model '\(name)'" + (version.map { " version \($0)" } ?? "")
                    + " in '\(models)'")
        }
        let path = try FileTrouble.translating("'\(models)' cannot be read") {
            () throws(FileFault) in try Folder.resolved(path: "\(models)/\(name)/\(version)")
        }
        return try prove(name, version, folder: path, limits: limits, program: program)
    }

    /// Proves the version in `folder`.
    package static func prove(
        _ name: ModelName, _ version: ModelVersion, folder: String, limits: WorkshopLimits,
        program: WorkshopProgram
    ) throws(GatewayError) -> VerificationReport {
        var (bytes, compared): (UInt64, Bool) = (0, false)
        do throws(FileFault) {
            for item in try Folder(path: folder).items() {
                bytes += try Folder(path: folder).facts(of: item.name).byteCount
                compared = compared || item.name == "manifest.json"
            }
        } catch {
            throw GatewayError(
                error.isDenied ? .permission : .data, "model '\(name)' cannot be read: \(error)")
        }
        let tool = ConfinedTool.workshop(
            program, "the proof of '\(name)' version \(version)", ["probe", folder], folder: "/",
            limits: limits, mappedBytes: bytes)
        let answer = try tool.answer(ProbeReport.self)
        if let fault = answer.value.fault {
            throw GatewayError(
                .data, "model '\(name)' version \(version) is not what its manifest says: \(fault)")
        }
        return VerificationReport(
            name: name.text, version: version.number, compared: compared,
            engine: answer.value.engine, golden: answer.value.cases,
            measured: answer.value.measures, alone: answer.isAlone, notRun: answer.value.notRun)
    }
}
