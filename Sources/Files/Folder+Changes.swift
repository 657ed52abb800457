// What is made, renamed and removed in a folder. Names are single ones, or paths that stay beneath the folder; links are
// never followed.

import Glibc

extension Folder {
    /// Makes a folder by its path, and its parents, for this user only; nothing happens when it is there.
    package static func make(path: String) throws(FileFault) {
        var made = path.utf8.first == UInt8(ascii: "/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/" + part
            // SAFETY: the text lives for the call.
            if unsafe mkdir(made, 0o700) != 0, errno != EEXIST {
                // A folder that is there may answer so before EEXIST on a file system that cannot be written to.
                let reason = errno
                do throws(FileFault) {
                    _ = try Folder(path: made)
                } catch {
                    throw FileFault(number: reason, name: made)
                }
            }
        }
    }

    /// The folder `name`, made when it is not there.
    package func madeFolder(_ name: String) throws(FileFault) -> Folder {
        try Folder.check(name)
        // SAFETY: the text lives for the call.
        if unsafe mkdirat(descriptor.number, name, 0o700) != 0, errno != EEXIST {
            let reason = errno
            do throws(FileFault) {
                return try folder(name)
            } catch {
                throw FileFault(number: reason, name: name)
            }
        }
        return try folder(name)
    }

    /// The file `name` for writing, made (mode 0600) when it is not there; what it holds stays.
    package func writableFile(_ name: String) throws(FileFault) -> WritableFile {
        try WritableFile(
            try opened(name, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o600), name: name)
    }

    /// Renames within this folder, or into another one of the same file system. What bears the new name goes.
    package func rename(
        _ name: String, to newName: String, in other: borrowing Folder
    ) throws(FileFault) {
        try Folder.check(name)
        try Folder.check(newName)
        // SAFETY: the texts live for the call.
        guard
            unsafe renameat(descriptor.number, name, other.descriptor.number, newName) == 0
        else { throw FileFault(number: errno, name: name) }
    }

    package func rename(_ name: String, to newName: String) throws(FileFault) {
        try Folder.check(name)
        try Folder.check(newName)
        // SAFETY: the texts live for the call.
        guard unsafe renameat(descriptor.number, name, descriptor.number, newName) == 0 else {
            throw FileFault(number: errno, name: name)
        }
    }

    /// Removes a file or a link; nothing happens when it is not there.
    package func removeFile(_ name: String) throws(FileFault) {
        try Folder.check(name)
        // SAFETY: the text lives for the call.
        guard unsafe unlinkat(descriptor.number, name, 0) == 0 || errno == ENOENT else {
            throw FileFault(number: errno, name: name)
        }
    }

    /// How deep ``removeAll(_:)`` goes.
    package static let removeDepthMax = 64

    /// Removes a file, or a folder and all that is in it; nothing happens when it is not there.
    package func removeAll(_ name: String) throws(FileFault) { try removeAll(name, depth: 0) }

    private func removeAll(_ name: String, depth: Int) throws(FileFault) {
        guard depth < Folder.removeDepthMax else { throw FileFault(number: ELOOP, name: name) }
        do throws(FileFault) {
            guard try facts(of: name).kind == .folder else { return try removeFile(name) }
            let inner = try folder(name)
            for item in try inner.items() { try inner.removeAll(item.name, depth: depth + 1) }
        } catch {
            if error.number == ENOENT { return }
            throw error
        }
        // SAFETY: the text lives for the call.
        guard unsafe unlinkat(descriptor.number, name, AT_REMOVEDIR) == 0 || errno == ENOENT
        else { throw FileFault(number: errno, name: name) }
    }

    /// Renames and removals in this folder survive a loss of power from here on.
    package func synchronize() throws(FileFault) {
        while fsync(descriptor.number) != 0 {
            guard errno == EINTR else { throw FileFault(number: errno, name: name) }
        }
    }

    /// Sets the folder's time of change to now.
    package func touch() throws(FileFault) {
        guard futimens(descriptor.number, nil) == 0 else {
            throw FileFault(number: errno, name: name)
        }
    }

    /// Puts `bytes` in the place of the file `name` in one step. `isLasting`: also over a loss of power.
    package func replaceFile(
        _ name: String, with bytes: [UInt8], isLasting: Bool = true
    ) throws(FileFault) {
        let draft = name + Folder.draftSuffix
        try removeFile(draft)
        do throws(FileFault) {
            let file = try writableFile(draft)
            try file.write(bytes, at: 0)
            if isLasting { try file.synchronize() }
            try rename(draft, to: name)
        } catch {
            // The first trouble is the one to tell; a draft that stays is removed by whoever comes next.
            _ = unsafe unlinkat(descriptor.number, draft, 0)
            throw error
        }
        if isLasting { try synchronize() }
    }

    /// What ends the name of a file that ``replaceFile(_:with:isLasting:)`` has not finished.
    package static let draftSuffix = ".new"
}
