// The Python environment of the converters: pinned packages, made once in the user's cache under a temporary name, then
// renamed. Only this step reaches the network.

import Confinement
package import Contract
import Files
import TLS

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Where the converters live.
package struct PythonEnvironment: Sendable, Equatable {
    /// Absolute path of its Python.
    package var python: String
    /// Whether it was made now.
    package var isNew: Bool

    static let oldestMinor = 11
    private static let prefix = ".python-"
    private static let patience = Duration.seconds(1_800)

    static var requirements: String {
        String(decoding: PackageResources.requirements_txt, as: UTF8.self)
    }
    static var converter: [UInt8] { PackageResources.convert_py }

    /// The folder's name says what is in it: another list of packages is another environment.
    static var folderName: String {
        let hash = Cryptography.hex(Cryptography.sha256(Array(requirements.utf8)))
        return "python-" + hash.prefix(12)
    }

    /// `~/.cache/sluice`, or what the environment says (XDG Base Directory).
    static func cacheFolder(_ environment: [String: String]) throws(GatewayError) -> String {
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") {
            return cache + "/sluice"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw GatewayError(
                .configuration, "there is no HOME to keep the Python environment in",
                mend: "Name a folder by --python-environment")
        }
        return home + "/.cache/sluice"
    }

    /// The environment, made when it is not there.
    ///
    /// - Parameters:
    ///   - place: the folder the operator names for it; nil: the cache.
    ///   - progress: told how much is done.
    package static func prepare(
        at place: String?, environment: [String: String], progress: @escaping (Double) -> Void
    ) throws(GatewayError) -> PythonEnvironment {
        let path: String
        if let place {
            path = place
        } else {
            path = try cacheFolder(environment) + "/" + folderName
        }
        if let ready = try existing(path, environment) { return ready }
        let parts = path.split(separator: "/")
        guard let name = parts.last.map(String.init) else {
            throw GatewayError(.configuration, "'\(path)' is no place for a Python environment")
        }
        let parent = (path.hasPrefix("/") ? "/" : "./") + parts.dropLast().joined(separator: "/")
        try FileTrouble.translating("'\(parent)' cannot be made") { () throws(FileFault) in
            try Folder.make(path: parent)
        }
        let base = try basePython(environment)
        try ScratchFolder.use(in: parent, prefix: prefix) { scratch throws(GatewayError) in
            let draft = scratch.path + "/environment"
            try run(
                base, ["-m", "venv", draft], "making a Python environment", environment,
                mend: "Install Python's venv module (Debian: apt-get install python3-venv)")
            try install(draft, in: scratch, environment, progress)
            try publish(draft: scratch, name: name, parent: parent)
        }
        guard let ready = try existing(path, environment) else {
            throw GatewayError(
                .internal, "the Python environment '\(path)' was made and is not there")
        }
        return PythonEnvironment(python: ready.python, isNew: true)
    }

    /// Nil when it is not there. One with other packages than the pinned ones is refused.
    private static func existing(
        _ path: String, _ environment: [String: String]
    ) throws(GatewayError) -> PythonEnvironment? {
        let stamp = path + "/" + stampName
        guard FileManager.default.fileExists(atPath: stamp) else {
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            throw GatewayError(
                .configuration, "'\(path)' is no Python environment of this program",
                mend: "Remove it, or name another folder by --python-environment")
        }
        guard let content = FileManager.default.contents(atPath: stamp),
            content == Data(requirements.utf8)
        else {
            throw GatewayError(
                .configuration, "'\(path)' holds other packages than this program wants",
                mend: "Remove it: it is made anew")
        }
        return PythonEnvironment(python: path + "/bin/python", isNew: false)
    }

    private static let stampName = "requirements.installed"

    /// A Python that is new enough.
    private static func basePython(
        _ environment: [String: String]
    ) throws(GatewayError) -> String {
        let mend = "Install Python 3.\(oldestMinor) or newer (Debian: apt-get install python3-venv)"
        let folders = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        let names = ["python3", "python3.13", "python3.12", "python3.11"]
        var found: String?
        for name in names {
            for folder in folders {
                let path = "\(folder)/\(name)"
                guard FileManager.default.isExecutableFile(atPath: path) else { continue }
                let outcome = try child(
                    path,
                    ["-c", "import sys; print(sys.version_info[0] * 100 + sys.version_info[1])"],
                    environment)
                let version = Int(
                    String(decoding: outcome.output, as: UTF8.self)
                        .split(whereSeparator: \.isWhitespace).first ?? "")
                guard let version else { continue }
                if version >= 300 + oldestMinor { return path }
                found = "\(path) is Python \(version / 100).\(version % 100)"
            }
        }
        throw GatewayError(
            .unavailable,
            found.map { "\($0), too old for the converters" } ?? "there is no python3 in PATH",
            mend: mend)
    }

    /// Fetches the packages.
    private static func install(
        _ draft: String, in scratch: borrowing ScratchFolder, _ environment: [String: String],
        _ progress: @escaping (Double) -> Void
    ) throws(GatewayError) {
        try FileTrouble.translating("the requirements cannot be written") { () throws(FileFault) in
            try scratch.folder.writeNew("requirements.txt", Array(requirements.utf8))
        }
        // pip names each package it collects, those that the pinned ones need among them.
        let expected = 2.5 * Double(requirements.split(separator: "\n").count)
        var collected = 0.0
        try run(
            draft + "/bin/python",
            [
                "-m", "pip", "install", "--no-input", "--progress-bar", "off",
                "--disable-pip-version-check", "-r", scratch.path + "/requirements.txt",
            ], "fetching the converters", environment,
            mend: "Check that pip reaches a package index (its own configuration is used)"
        ) { line in
            if line.hasPrefix("Collecting") || line.contains("Downloading") { collected += 1 }
            progress(
                line.hasPrefix("Installing collected") ? 0.9 : min(0.85, collected / expected))
        }
        try FileTrouble.translating("the environment cannot be finished") { () throws(FileFault) in
            let folder = try scratch.folder.folder("environment")
            try folder.writeNew(stampName, Array(requirements.utf8))
        }
    }

    /// Another process may have been faster: its environment is as good.
    private static func publish(
        draft scratch: borrowing ScratchFolder, name: String, parent: String
    ) throws(GatewayError) {
        try FileTrouble.translating("'\(parent)' cannot be written to") { () throws(FileFault) in
            let folder = try Folder(path: parent)
            do throws(FileFault) {
                try scratch.folder.move("environment", to: folder, as: name)
            } catch {
                guard error.isTaken else { throw error }
            }
        }
    }

    private static func run(
        _ program: String, _ arguments: [String], _ title: String,
        _ environment: [String: String], mend: String, line: ((String) -> Void)? = nil
    ) throws(GatewayError) {
        let outcome = try child(program, arguments, environment, line: line)
        guard outcome.ending == .exited(0) else {
            let last = outcome.complaint.split(whereSeparator: \.isNewline).suffix(3)
                .joined(separator: " ")
            throw GatewayError(.unavailable, "\(title) failed: \(last)", mend: mend)
        }
    }

    /// With the operator's own environment: pip's mirrors and certificates are configured there.
    private static func child(
        _ program: String, _ arguments: [String], _ environment: [String: String],
        line: ((String) -> Void)? = nil
    ) throws(GatewayError) -> ChildOutcome {
        var limits = ChildLimits(time: patience)
        limits.reachesNetwork = true
        limits.joinsOutput = line != nil
        do throws(ChildFault) {
            return try ConfinedChild.run(
                ChildCommand(
                    program: program, arguments: arguments, environment: environment, folder: "/"),
                limits: limits, line: line)
        } catch {
            throw GatewayError(.unavailable, error.description)
        }
    }
}
