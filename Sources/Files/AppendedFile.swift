// A file that only grows: several processes may append to it, and no line of one comes into that of another.

import Glibc

/// A plain file opened for appending, made with mode 0600 when it is missing. Not through a link.
package struct AppendedFile: ~Copyable {
    private let name: String
    private let descriptor: Descriptor

    package init(path: String) throws(FileFault) {
        name = path
        descriptor = try AppendedFile.opened(path)
    }

    private static func opened(_ path: String) throws(FileFault) -> Descriptor {
        // SAFETY: open reads the path as a C string that lives for the call.
        let number = unsafe open(
            path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw FileFault(number: errno, name: path) }
        let descriptor = Descriptor(takingOwnershipOf: number)
        guard try descriptor.facts(path).kind == .file else {
            throw FileFault(number: EINVAL, name: path)
        }
        return descriptor
    }

    /// Appends all of `bytes` and waits until they are on the disk. Returns the file's size in bytes.
    package func append(_ bytes: [UInt8]) throws(FileFault) -> UInt64 {
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
                if errno == EINTR { continue }
                throw FileFault(number: errno, name: name)
            }
            guard count > 0 else { throw FileFault(number: ENOSPC, name: name) }
            done += count
        }
        while fdatasync(descriptor.number) != 0 {
            guard errno == EINTR else { throw FileFault(number: errno, name: name) }
        }
        return try descriptor.facts(name).byteCount
    }

    /// Gives a file another name, replacing what has it. Nothing happens when there is none.
    package static func rename(_ from: String, to: String) throws(FileFault) {
        // SAFETY: both are C strings that live for the call.
        guard unsafe Glibc.rename(from, to) == 0 || errno == ENOENT else {
            throw FileFault(number: errno, name: from)
        }
    }
}
