// How something appears in a folder that others read: made under a name nobody looks at, on the disk, then moved to a
// name that is free.

import CFiles
import Glibc

extension Folder {
    /// Makes a folder that everybody may read. Throws EEXIST when the name is taken.
    package func makeFolder(_ name: String) throws(FileFault) -> Folder {
        try Folder.check(name)
        // SAFETY: the text lives for the call.
        guard unsafe mkdirat(descriptor.number, name, 0o755) == 0 else {
            throw FileFault(number: errno, name: name)
        }
        return try folder(name)
    }

    /// Writes a new file. Throws EEXIST when the name is taken.
    package func writeNew(_ name: String, _ bytes: [UInt8]) throws(FileFault) {
        try newFile(name).write(bytes, at: 0)
    }

    /// A new, empty file. Throws EEXIST when the name is taken.
    package func newFile(_ name: String) throws(FileFault) -> WritableFile {
        try WritableFile(try opened(name, O_RDWR | O_CREAT | O_EXCL, mode: 0o644), name: name)
    }

    /// Copies a file into a new one of this folder. `part` is told how many bytes are done.
    package func copy(
        _ source: OpenFile, to name: String, part: (UInt64) -> Void = { _ in }
    ) throws(FileFault) {
        let file = try newFile(name)
        var offset: UInt64 = 0
        while true {
            let window = try source.read(at: offset, count: 1 << 20)
            guard !window.isEmpty else { break }
            try file.write(window, at: offset)
            offset += UInt64(window.count)
            part(offset)
        }
    }

    /// Makes a file read-only and its content last over a loss of power.
    package func seal(_ name: String) throws(FileFault) {
        let file = try opened(name, O_RDONLY | O_NONBLOCK)
        guard fchmod(file.number, 0o444) == 0, fsync(file.number) == 0 else {
            throw FileFault(number: errno, name: name)
        }
    }

    /// Moves a name into another folder of the same file system. Throws EEXIST when the new name is taken.
    package func move(
        _ name: String, to other: borrowing Folder, as newName: String
    ) throws(FileFault) {
        try Folder.check(name)
        try Folder.check(newName)
        // SAFETY: the texts live for the call.
        guard
            unsafe CFiles_moveWithoutReplacing(
                descriptor.number, name, other.descriptor.number, newName) == 0
        else { throw FileFault(number: errno, name: newName) }
    }
}
