// A file that only grows: several processes may append to it, and no line of one comes into that of another.

import Glibc

/// A plain file opened for appending, made with mode 0600 when it is missing. Not through a link.
package struct AppendedFile: ~Copyable, Sendable {
    private let name: String
    private let descriptor: Descriptor

    package init(path: String) throws(FileFault) {
        name = path
        descriptor = try AppendedFile.opened(path)
    }

    private init(_ descriptor: consuming Descriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
    }

    /// The process's standard output, whatever that is: a pipe, a terminal, a file. The process's own stays open when this
    /// value ends.
    package static func standardOutput() throws(FileFault) -> AppendedFile {
        let number = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        guard number >= 0 else { throw FileFault(number: errno, name: "standard output") }
        return AppendedFile(Descriptor(takingOwnershipOf: number), name: "standard output")
    }

    private static func opened(_ path: String) throws(FileFault) -> Descriptor {
        // SAFETY: open reads the path as a C string that lives for the call.
        let number = unsafe open(
            path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw FileFault(number: errno, name: path) }
        let descriptor = Descriptor(takingOwnershipOf: number)
        guard try descriptor.facts(path).kind == .file else {
            throw FileFault(number: EINVAL, name: path)
        }
        return descriptor
    }

    /// Ends a line that somebody was killed, or had a full disk, in the middle of: what is appended next begins a line.
    package func endLine() throws(FileFault) {
        let byteCount = try byteCount()
        guard byteCount > 0 else { return }
        var last: UInt8 = 0
        // SAFETY: pread writes the one byte it is given.
        while unsafe pread(descriptor.number, &last, 1, off_t(byteCount - 1)) < 0 {
            guard errno == EINTR else { throw FileFault(number: errno, name: name) }
        }
        guard last != UInt8(ascii: "\n") else { return }
        let (_, fault) = appendLater([UInt8(ascii: "\n")])
        if let fault { throw fault }
    }

    /// Appends all of `bytes` and waits until they are on the disk. Returns the file's size in bytes.
    package func append(_ bytes: [UInt8]) throws(FileFault) -> UInt64 {
        let (_, fault) = appendLater(bytes[...])
        if let fault { throw fault }
        while fdatasync(descriptor.number) != 0 {
            guard errno == EINTR else { throw FileFault(number: errno, name: name) }
        }
        return try byteCount()
    }

    /// Hands `bytes` to the system, which writes them when it likes. Returns how many it took: fewer than all with a fault
    /// only. Waits while a pipe is full.
    package func appendLater(_ bytes: ArraySlice<UInt8>) -> (count: Int, fault: FileFault?) {
        var done = 0
        while done < bytes.count {
            let start = done
            // SAFETY: write reads at most the bytes behind `start`, inside the array.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe write(
                    descriptor.number, buffer.baseAddress?.advanced(by: start),
                    buffer.count - start)
            }
            if count < 0 {
                let number = errno
                if number == EINTR { continue }
                // A pipe that somebody else has made non-blocking.
                if number == EAGAIN {
                    waitForRoom()
                    continue
                }
                return (done, FileFault(number: number, name: name))
            }
            guard count > 0 else { return (done, FileFault(number: ENOSPC, name: name)) }
            done += count
        }
        return (done, nil)
    }

    private func waitForRoom() {
        var place = pollfd(fd: descriptor.number, events: Int16(POLLOUT), revents: 0)
        // SAFETY: poll writes the one structure it is given and keeps no pointer.
        _ = unsafe poll(&place, 1, 1_000)
    }

    /// The file's size in bytes.
    package func byteCount() throws(FileFault) -> UInt64 { try descriptor.facts(name).byteCount }

    /// Gives a file another name, replacing what has it. Nothing happens when there is none.
    package static func rename(_ from: String, to: String) throws(FileFault) {
        // SAFETY: both are C strings that live for the call.
        guard unsafe Glibc.rename(from, to) == 0 || errno == ENOENT else {
            throw FileFault(number: errno, name: from)
        }
    }

    /// Sets the file aside as PATH.1, that as PATH.2, and so on: `keep` of them are left, the oldest is replaced. With none to
    /// keep the file itself goes.
    package static func setAside(_ path: String, keep: Int) throws(FileFault) {
        if keep == 0 {
            // SAFETY: unlink reads the path as a C string that lives for the call.
            guard unsafe unlink(path) == 0 || errno == ENOENT else {
                throw FileFault(number: errno, name: path)
            }
        }
        for number in stride(from: keep, to: 0, by: -1) {
            let from = number == 1 ? path : "\(path).\(number - 1)"
            try rename(from, to: "\(path).\(number)")
        }
    }
}
