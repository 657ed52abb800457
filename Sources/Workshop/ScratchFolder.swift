// A hidden folder in which something is made before it gets its name. It is locked as long as its process lives, so that
// what a killed process left behind can be told from what another one is making.

import Contract
import Files

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Hidden folders of processes that are at work.
struct ScratchFolder: ~Copyable {
    private static let lockName = "lock"
    /// A folder without a lock belongs to a process that is just making it, or to one that was killed there.
    private static let graceNanoseconds: Int64 = 60_000_000_000

    /// Absolute.
    let path: String
    let folder: Folder
    private let parent: Folder
    private let name: String
    private let lock: FileLock

    private init(
        path: String, folder: consuming Folder, parent: consuming Folder, name: String,
        lock: consuming FileLock
    ) {
        self.path = path
        self.folder = folder
        self.parent = parent
        self.name = name
        self.lock = lock
    }

    /// Makes one in `parent`, whose left-overs are removed first, and removes it after `body`.
    ///
    /// - Parameter prefix: how its name begins; a dot hides it from the scan of a repository.
    static func use<Outcome>(
        in parentPath: String, prefix: String,
        _ body: (borrowing ScratchFolder) throws(GatewayError) -> Outcome
    ) throws(GatewayError) -> Outcome {
        let scratch = try FileTrouble.translating("'\(parentPath)' cannot be written to") {
            () throws(FileFault) in
            let absolute = try Folder.resolved(path: parentPath)
            let parent = try Folder(path: absolute)
            try sweep(parent, prefix: prefix)
            let name = prefix + String(UInt64.random(in: 0 ... .max), radix: 36)
            let folder = try parent.makeFolder(name)
            guard let lock = try FileLock.take(lockName, in: folder) else {
                throw FileFault(number: 11, name: name)
            }
            return ScratchFolder(
                path: absolute + "/" + name, folder: folder, parent: parent, name: name, lock: lock)
        }
        let outcome: Result<Outcome, GatewayError>
        do throws(GatewayError) {
            outcome = .success(try body(scratch))
        } catch {
            outcome = .failure(error)
        }
        try FileTrouble.translating("'\(scratch.path)' cannot be removed") {
            () throws(FileFault) in try scratch.parent.removeAll(scratch.name)
        }
        return try outcome.get()
    }

    /// Removes what processes that are gone left behind.
    private static func sweep(_ parent: borrowing Folder, prefix: String) throws(FileFault) {
        for item in try parent.items() where item.name.hasPrefix(prefix) {
            guard try isAbandoned(item.name, in: parent) else { continue }
            try parent.removeAll(item.name)
        }
    }

    private static func isAbandoned(
        _ name: String, in parent: borrowing Folder
    ) throws(FileFault) -> Bool {
        do throws(FileFault) {
            let folder = try parent.folder(name)
            if try folder.items().contains(where: { $0.name == lockName }) {
                return try FileLock.take(lockName, in: folder) != nil
            }
            let now = Int64(Date().timeIntervalSince1970 * 1e9)
            return now - (try folder.facts().changed) > graceNanoseconds
        } catch {
            // Another process removed it meanwhile.
            if error.isMissing { return false }
            throw error
        }
    }
}

/// The file system's troubles as the operator's.
enum FileTrouble {
    static func translating<Value: ~Copyable>(
        _ what: String, _ body: () throws(FileFault) -> Value
    ) throws(GatewayError) -> Value {
        do throws(FileFault) {
            return try body()
        } catch {
            throw GatewayError(
                error.isDenied ? .permission : .unavailable, "\(what): \(error)")
        }
    }
}
