// The real surroundings of a house, for `sluice doctor`: what the system, the files and this gateway's own process say. Those
// that are asked over the network are in HouseSurroundings+Network.swift. Nothing is written and nothing is changed.

import Catalogue
package import Checkup
import Compression
import Contract
import Files
import Foundation
package import NIOCore
import NIOPosix
import OnnxRuntime
import Outside
import TLS
import Usage

package struct HouseSurroundings: Surroundings {
    let settings: Settings
    let environment: [String: String]
    let group: any EventLoopGroup

    package init(
        _ settings: Settings, environment: [String: String], group: any EventLoopGroup
    ) {
        self.settings = settings
        self.environment = environment
        self.group = group
    }

    // MARK: - The machine

    package func version(of library: Library) async throws -> String {
        let file = settings.engine.library
        return try await BlockingLook.run {
            switch library {
            case .openSSL: return TLSLibrary.version
            case .zlib: return CompressionLibrary.version
            case .sqlite: return try UsageLibrary.version()
            case .onnxRuntime:
                var environment = OnnxEnvironmentSettings()
                environment.library = file
                do throws(EngineFailure) {
                    return try OnnxEnvironment(environment).version
                } catch {
                    throw CheckTrouble(
                        error.description,
                        mend: "scripts/setup, or name the library by engine.library")
                }
            }
        }
    }

    package func openFilesLimit() async throws -> OpenFilesLimit {
        guard let limit = try await Self.limit(of: "self") else {
            throw CheckTrouble("the system does not say (/proc/self/limits)", mend: "Mount /proc")
        }
        return limit
    }

    private static func limit(of process: String) async throws -> OpenFilesLimit? {
        try await BlockingLook.run {
            text("/proc/\(process)/limits").flatMap { OpenFilesLimit(limits: $0) }
        }
    }

    package func gateway() async throws -> RunningGateway? {
        let state = settings.state
        let holder = try await BlockingLook.run { () throws -> Int32? in
            do throws(FileFault) {
                return try FileLock.holder(StateFolder.lockName, in: Folder(path: state))
            } catch {
                guard !error.isMissing else { return nil }
                throw CheckTrouble(
                    "\(state): \(error.reason)",
                    mend: "Give the gateway's user the right, or choose another by `state`")
            }
        }
        guard let holder else { return nil }
        let count = try await BlockingLook.run {
            try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(holder)/fd").count
        }
        return RunningGateway(
            process: holder, descriptors: count, limit: try await Self.limit(of: "\(holder)"))
    }

    package func memoryAllowed() async throws -> UInt64? {
        try await BlockingLook.run { MachineMemory.allowed() }
    }

    package func timekeeping() async throws -> Timekeeping? {
        SystemClock.current().map {
            Timekeeping(isSynchronised: $0.isSynchronised, estimatedError: $0.estimatedError)
        }
    }

    package func processors() async throws -> Processors {
        try await BlockingLook.run {
            Processors(
                count: ProcessInfo.processInfo.activeProcessorCount,
                quota: Processors.quota(
                    Self.quotas(text("/proc/self/cgroup") ?? "") { text("/sys/fs/cgroup" + $0) }))
        }
    }

    /// The limits of the process's control group and the groups around it, as `cpu.max` has them; of version 1 too.
    static func quotas(_ cgroup: String, read: (String) -> String?) -> [String] {
        cgroup.split(separator: "\n").flatMap { line -> [String] in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            let names = parts[2].split(separator: "/")
            let groups = (0...names.count).map { names.prefix($0).reduce("") { $0 + "/" + $1 } }
            if parts[0] == "0" { return groups.compactMap { read($0 + "/cpu.max") } }
            guard parts[1].split(separator: ",").contains("cpu") else { return [] }
            return groups.compactMap { group in
                guard let time = read("/cpu\(group)/cpu.cfs_quota_us"),
                    let period = read("/cpu\(group)/cpu.cfs_period_us")
                else { return nil }
                return time.filter { !$0.isWhitespace } + " " + period
            }
        }
    }

    // MARK: - Files

    package func certificates() async throws -> [CertificateFact] {
        var transport = settings.tls
        let own = OwnCertificate(settings.state)
        if transport.certificate == nil {
            // Looking must not make one.
            guard FileManager.default.fileExists(atPath: own.certificate) else { return [] }
            (transport.certificate, transport.key) = (own.certificate, own.key)
        }
        let (state, wanted) = (settings.state, transport)
        return try await BlockingLook.run {
            let now = Int64(Date().timeIntervalSince1970)
            do throws(TLSError) {
                let made = try TLSMaterial(reading: try wanted.contextSettings(state: state))
                    .makeContexts(count: 1, ticketKeys: TicketKeys(now: now))
                let names = made.contexts.first?.certificateNames ?? []
                return made.inventory.items.map { item in
                    let isShown = item.kind == .certificate && item.path == wanted.certificate
                    return CertificateFact(
                        path: item.path, kind: item.kind.rawValue,
                        subject: isShown && !names.isEmpty
                            ? "\(item.name), for \(names.prefix(5).joined(separator: " "))"
                            : item.name, begins: item.begins, ends: item.ends, now: now)
                }
            } catch {
                throw CheckTrouble(
                    error.description,
                    mend: "Put whole PEM files in their place: the certificate first, then those "
                        + "that signed it, and the key that belongs to it")
            }
        }
    }

    package func secretFile(at path: String) async throws -> SecretFileFact {
        try await BlockingLook.run {
            let files = FileManager.default
            guard let facts = try? files.attributesOfItem(atPath: path) else {
                return SecretFileFact(isThere: false, isReadable: false, mode: 0, isOurs: true)
            }
            let owner = (facts[.ownerAccountID] as? NSNumber)?.uint32Value
            return SecretFileFact(
                isThere: true, isReadable: files.isReadableFile(atPath: path),
                mode: (facts[.posixPermissions] as? NSNumber)?.intValue ?? 0,
                isOurs: owner == geteuid() || owner == 0)
        }
    }

    package func models() async throws -> ModelsFact {
        let models = settings.models
        return try await BlockingLook.run {
            let scan: RepositoryScan
            do throws(GatewayError) {
                scan = try FolderRepository(
                    path: models.repository, requiresManifest: models.requiresManifest
                ).scan()
            } catch {
                throw CheckTrouble(error.message, mend: error.mend)
            }
            return ModelsFact(
                versions: scan.models.count,
                broken: scan.models.compactMap { model in
                    model.fault.map { "\(model.name)/\(model.version): \($0)" }
                }, notes: scan.notes)
        }
    }

    package func space(at path: String) async throws -> SpaceFact {
        try await BlockingLook.run {
            let files = FileManager.default
            var place = URL(filePath: path).standardizedFileURL
            // What is not there yet is made in what is.
            while !files.fileExists(atPath: place.path), place.path != "/" {
                place.deleteLastPathComponent()
            }
            let facts = try files.attributesOfFileSystem(forPath: place.path)
            return SpaceFact(
                place: place.path, isWritable: files.isWritableFile(atPath: place.path),
                free: (facts[.systemFreeSize] as? NSNumber)?.uint64Value ?? 0)
        }
    }
}

private func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
