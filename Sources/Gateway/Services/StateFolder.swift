// The state folder: tokens and the gateway's own certificate, for its owner's eyes only.

import Contract
import Files
import Foundation

enum StateFolder {
    /// The file whose lock says that a gateway runs on the folder.
    static let lockName = "gateway.lock"

    /// Makes the folder when it is not there, and sees that it can be written to. Blocks; at start only.
    static func prepare(_ path: String) throws(GatewayError) {
        let files = FileManager.default
        do {
            try files.createDirectory(
                atPath: path, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw GatewayError(
                .configuration,
                "the state folder '\(path)' cannot be made: \(error.localizedDescription)",
                mend: "Choose another by the setting `state` (--state)")
        }
        guard files.isWritableFile(atPath: path) else {
            throw GatewayError(
                .permission, "the state folder '\(path)' cannot be written to",
                mend: "Give this user the right, or choose another by the setting `state` (--state)"
            )
        }
    }

    /// Makes this process the folder's only gateway, until the lock ends. The command line's `token` needs no
    /// lock: the issuer's file is made for several processes. Blocks; at start only.
    ///
    /// Throws CONFIGURATION when another gateway runs here, for that does not pass with time: a supervisor
    /// that starts the gateway again and again would not mend it.
    static func lock(_ path: String) throws(GatewayError) -> FileLock {
        let shown: String
        let holder: Int32?
        do throws(FileFault) {
            shown = try Folder.resolved(path: path)
            let folder = try Folder(path: path)
            if let lock = try FileLock.take(lockName, in: folder) { return lock }
            holder = try FileLock.holder(lockName, in: folder)
        } catch {
            throw GatewayError(
                error.isDenied ? .permission : .configuration,
                "the state folder '\(path)' cannot be locked: \(error)",
                mend: "Choose a folder on a file system with locks by the setting `state` (--state)"
            )
        }
        throw GatewayError(
            .configuration,
            "another gateway uses the state folder '\(shown)'"
                + (holder.map { ": process \($0)" } ?? ""),
            mend: (holder.map { "Stop it (kill \($0))" } ?? "Stop it")
                + ", or give this one a folder of its own by the setting `state` (--state)")
    }
}
