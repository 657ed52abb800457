// SQLite's troubles in the house's words. The one seam where they are translated.

import Contract
import Foundation
import GRDB

enum StoreFailure {
    /// True for what another process may have caused and soon ended.
    static func mayPass(_ error: DatabaseError) -> Bool {
        [.SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_CONSTRAINT].contains(error.resultCode)
    }

    static func translate(_ error: any Error, path: String) -> GatewayError {
        switch error {
        case let error as GatewayError: return error
        case let error as DatabaseError: return translate(error, path: path)
        case is CancellationError:
            return GatewayError(.unavailable, "the work on \(path) was cancelled")
        case let error as CocoaError
        where [.fileWriteNoPermission, .fileReadNoPermission].contains(error.code)
            || error.code == .fileWriteVolumeReadOnly:
            return readOnly(path)
        default:
            return GatewayError(
                .unavailable, "\(path) cannot be opened: \(error.localizedDescription)",
                mend: "Check the state folder")
        }
    }

    /// For the caller of the gateway: no path, no statement.
    static func callFailure(_ error: any Error) -> CallFailure {
        let why =
            switch error {
            case let error as DatabaseError: "SQLite code \(error.extendedResultCode.rawValue)"
            case is CancellationError: "the look-up was cancelled"
            default: "unknown fault"
            }
        return CallFailure(
            .unavailable, .issuerUnavailable,
            "the embedded issuer cannot read its tokens (\(why))", notStarted: true,
            retryAfter: .seconds(1))
    }

    private static func translate(_ error: DatabaseError, path: String) -> GatewayError {
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            GatewayError(
                .unavailable, "\(path) is locked by another process",
                mend: "Try again; if it stays so, see who holds it: fuser -v \(path)")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH: readOnly(path)
        case .SQLITE_CANTOPEN:
            GatewayError(
                .permission, "\(path) cannot be opened",
                mend: "Let the user who runs sluice read and write the state folder")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT:
            GatewayError(
                .data, "\(path) is damaged or no token store",
                mend: "Restore it from a backup, or move it away and create the tokens anew")
        case .SQLITE_FULL:
            GatewayError(.unavailable, "no room on the disk for \(path)", mend: "Free some space")
        case .SQLITE_IOERR:
            GatewayError(
                .unavailable, "reading or writing \(path) failed", mend: "Check disk and mounts")
        default:
            GatewayError(
                .internal,
                "the token store \(path) failed (SQLite code \(error.extendedResultCode.rawValue))")
        }
    }

    private static func readOnly(_ path: String) -> GatewayError {
        GatewayError(
            .permission, "\(path) cannot be written",
            mend: "Let the user who runs sluice write the state folder and the file in it")
    }
}
