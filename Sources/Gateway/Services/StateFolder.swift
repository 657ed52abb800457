// The state folder: tokens and the gateway's own certificate, for its owner's eyes only.

import Contract
import Foundation

enum StateFolder {
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
}
