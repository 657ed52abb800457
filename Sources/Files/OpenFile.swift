// A file opened once and read at offsets. What was checked and what is read are the same file, whatever happens
// to its name meanwhile.

import Glibc

/// What the file system says of a name, without following a link.
package struct FileFacts: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case file, folder, link, other }

    package var kind: Kind
    package var byteCount: UInt64
    package var hardLinks: UInt64
    /// With ``inode`` it tells this file from every other one of the machine.
    package var device: UInt64
    package var inode: UInt64
    /// Last change of the content, in nanoseconds since 1970.
    package var modified: Int64
    /// Last change of content, name or rights, in nanoseconds since 1970.
    package var changed: Int64

    init(_ status: stat) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .file
        case S_IFDIR: kind = .folder
        case S_IFLNK: kind = .link
        default: kind = .other
        }
        byteCount = UInt64(max(0, status.st_size))
        hardLinks = UInt64(status.st_nlink)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        modified = FileFacts.nanoseconds(status.st_mtim)
        changed = FileFacts.nanoseconds(status.st_ctim)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// Owns one file descriptor and closes it.
struct Descriptor: ~Copyable {
    let number: Int32

    init(takingOwnershipOf number: Int32) { self.number = number }

    deinit {
        // A descriptor that was only read from has nothing to lose when closing fails.
        _ = close(number)
    }

    func facts(_ name: String) throws(FileFault) -> FileFacts {
        var status = stat()
        // SAFETY: fstat fills the structure it is given and keeps no pointer.
        guard unsafe fstat(number, &status) == 0 else {
            throw FileFault(number: errno, name: name)
        }
        return FileFacts(status)
    }
}

/// A plain file opened for reading. Any thread may read.
package final class OpenFile: Sendable {
    package let name: String
    /// As it was when the file was opened.
    package let facts: FileFacts
    let descriptor: Descriptor

    /// Throws when it is not a plain file.
    init(_ descriptor: consuming Descriptor, name: String) throws(FileFault) {
        let facts = try descriptor.facts(name)
        guard facts.kind == .file else { throw FileFault(number: EINVAL, name: name) }
        self.name = name
        self.facts = facts
        self.descriptor = descriptor
    }

    /// Opens a path as the operator gave it, links followed.
    package convenience init(path: String) throws(FileFault) {
        // SAFETY: the text lives for the call; O_NONBLOCK so that a pipe is refused instead of waited for.
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw FileFault(number: errno, name: path) }
        try self.init(Descriptor(takingOwnershipOf: number), name: path)
    }

    /// The file as it is now; ``facts`` are of before.
    package func currentFacts() throws(FileFault) -> FileFacts { try descriptor.facts(name) }

    /// Up to `count` bytes from `offset`; fewer only where the file ends.
    package func read(at offset: UInt64, count: Int) throws(FileFault) -> [UInt8] {
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        let done = try read(at: offset, into: &bytes)
        if done < count { bytes.removeLast(count - done) }
        return bytes
    }

    /// Fills `bytes`, which keeps its size, with what stands at `offset`. Returns how many: fewer only where
    /// the file ends. For reading a long file without an array for each part.
    package func read(at offset: UInt64, into bytes: inout [UInt8]) throws(FileFault) -> Int {
        let count = bytes.count
        guard offset <= UInt64(Int64.max) - UInt64(count) else { return 0 }
        var done = 0
        while done < count {
            let room = count - done
            let start = done
            // SAFETY: pread writes at most `room` bytes behind `start`, inside the array.
            let got = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe pread(
                    descriptor.number, buffer.baseAddress?.advanced(by: start), room,
                    off_t(offset) + off_t(start))
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw FileFault(number: errno, name: name)
            }
            if got == 0 { break }
            done += got
        }
        return done
    }

    /// The whole file, or nil when it is longer than `byteCountMax`.
    package func readAll(byteCountMax: Int) throws(FileFault) -> [UInt8]? {
        guard facts.byteCount <= UInt64(byteCountMax) else { return nil }
        return try read(at: 0, count: Int(facts.byteCount))
    }
}
