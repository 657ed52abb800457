// The trial of a model nobody has vouched for: before the gateway's own process opens a version without a manifest for the
// first time, a confined child loads and runs it. Stands before the engine, on the loader's thread.

package import Catalogue
import Contract
import Files
private import Synchronization
import TLS

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Looks at files as another inspector does, and sends versions without a manifest through a trial.
///
/// What passed is remembered in the state folder by the files' device, inode, size and times of change: the next start
/// does not try it again. What failed is remembered as long as the gateway runs and the files are the same.
///
/// The loader's thread waits for the child, at most ``WorkshopLimits/time``: other loads on that thread wait with it.
package final class TrialInspector: ModelInspector {
    /// The most trials that are remembered; the oldest give way.
    package static let rememberedMax = 10_000
    /// The file of the state folder that remembers them.
    package static let fileName = "trials"

    private static let keyBytes = 64
    /// A file that changed so shortly ago may change again and keep its times.
    private static let settlingNanoseconds: Int64 = 2_500_000_000

    private struct State {
        var passed: [String]
        var failed: [String: ModelFault] = [:]
    }

    private let inspector: any ModelInspector
    private let limits: WorkshopLimits
    private let program: WorkshopProgram
    private let statePath: String
    private let note: @Sendable (String) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - state: the gateway's state folder.
    ///   - note: told what the operator should know: a trial that ends, a memory that cannot be kept.
    package init(
        before inspector: any ModelInspector, limits: WorkshopLimits, program: WorkshopProgram,
        state statePath: String, note: @escaping @Sendable (String) -> Void
    ) {
        self.inspector = inspector
        self.limits = limits
        self.program = program
        self.statePath = statePath
        self.note = note
        state = Mutex(State(passed: TrialInspector.read(statePath)))
    }

    package func inspect(_ entry: ModelEntry) throws(ModelFault) -> any InspectedModel {
        // The files stay sealed until the engine has read them: what is tried is what is loaded.
        let files = try inspector.inspect(entry)
        guard entry.files.allSatisfy(\.sha256.isEmpty) else { return files }
        try pass(entry)
        return files
    }

    private func pass(_ entry: ModelEntry) throws(ModelFault) {
        let seal = TrialInspector.seal(of: entry)
        let known = state.withLock { state -> ModelFault?? in
            guard let seal else { return nil }
            if state.passed.contains(seal) { return .some(nil) }
            return state.failed[seal].map { .some($0) }
        }
        if let known {
            if let fault = known { throw fault }
            return
        }
        let clock = ContinuousClock()
        let began = clock.now
        do throws(ModelFault) {
            try run(entry)
        } catch {
            if let seal { remember(failure: error, seal) }
            throw error
        }
        note(
            "model '\(entry.name)' version \(entry.version) has no manifest; it passed its trial in "
                + Wording.time(clock.now - began))
        if let seal { remember(success: seal) }
    }

    private func run(_ entry: ModelEntry) throws(ModelFault) {
        var tool = ConfinedTool.workshop(
            program, "the trial of this model, which has no manifest,",
            ["probe", entry.directory, "--quick"], folder: "/", limits: limits,
            mappedBytes: entry.fileBytes)
        tool.timeSetting = "models.trial.time"
        tool.memorySetting = "models.trial.memory"
        do throws(GatewayError) {
            let report = try tool.answer(ProbeReport.self).value
            guard let fault = report.fault else { return }
            throw GatewayError(.data, "its trial failed: \(fault)")
        } catch {
            // Callers see this: where the files are is not theirs to know.
            throw ModelFault(
                error.message.replacing(entry.directory + "/", with: "")
                    .replacing(entry.directory, with: "its folder"))
        }
    }

    // MARK: - Memory

    private func remember(failure: ModelFault, _ seal: String) {
        state.withLock { state in
            if state.failed.count >= TrialInspector.rememberedMax { state.failed = [:] }
            state.failed[seal] = failure
        }
    }

    private func remember(success seal: String) {
        let passed = state.withLock { state in
            state.passed.append(seal)
            if state.passed.count > TrialInspector.rememberedMax { state.passed.removeFirst() }
            return state.passed
        }
        do throws(FileFault) {
            let text = passed.joined(separator: "\n") + "\n"
            try Folder(path: statePath).replaceFile(
                TrialInspector.fileName, with: Array(text.utf8))
        } catch {
            note("what passed its trial cannot be kept in the state folder: \(error)")
        }
    }

    private static func read(_ statePath: String) -> [String] {
        do throws(FileFault) {
            let file = try Folder(path: statePath).file(fileName)
            let bytes = try file.readAll(byteCountMax: (keyBytes + 1) * rememberedMax) ?? []
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
                .map { String($0) }.filter { $0.utf8.count == keyBytes }
        } catch {
            // The first start has none, and one that cannot be read only means trials anew.
            return []
        }
    }

    /// What tells this state of these files from every other; nil when they changed just now, or cannot be looked at.
    private static func seal(of entry: ModelEntry) -> String? {
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        var words: [String] = []
        do throws(FileFault) {
            let folder = try Folder(linkFree: entry.directory)
            for file in entry.files {
                let facts = try folder.file(beneath: file.name).facts
                guard now - facts.changed >= settlingNanoseconds else { return nil }
                words.append(
                    "\(file.name) \(facts.device) \(facts.inode) \(facts.byteCount) "
                        + "\(facts.modified) \(facts.changed)")
            }
        } catch {
            return nil
        }
        return Cryptography.hex(
            Cryptography.sha256(Array(words.sorted().joined(separator: "\n").utf8)))
    }
}
