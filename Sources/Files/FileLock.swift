// A lock that one process holds on a file, so that two do not work on one folder. It goes with the process,
// however that ends: whether the file exists means nothing.

import Glibc

/// An exclusive advisory lock (flock(2)) on a file. Held until the value ends.
///
/// The lock belongs to the open file, not to the process: a second taking fails in the same process too, and
/// closing another descriptor of the file does not lose it, as it would with fcntl's record locks. The
/// descriptor is closed in a child that runs another program.
package struct FileLock: ~Copyable, Sendable {
    private let descriptor: Descriptor

    private init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    deinit {
        // Nobody holds it any more: the note would name a process that is gone. The file stays, for a name
        // that is removed and made again could be locked twice.
        _ = ftruncate(descriptor.number, 0)
    }

    /// Takes the lock on the file `name`, which is made when missing (mode 0600) and holds this process's
    /// number as text, for people. Nil when somebody else holds it; never waits.
    ///
    /// Throws when the file cannot be opened, is a symbolic link or no plain file, or when the file system
    /// has no locks.
    package static func take(
        _ name: String, in folder: borrowing Folder
    ) throws(FileFault) -> FileLock? {
        let descriptor = try folder.opened(name, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o600)
        guard try descriptor.facts(name).kind == .file else {
            throw FileFault(number: EINVAL, name: name)
        }
        while flock(descriptor.number, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK: return nil
            default: throw FileFault(number: errno, name: name)
            }
        }
        let lock = FileLock(descriptor)
        try lock.note("\(getpid())\n", name)
        return lock
    }

    /// The process that says in the file that it holds the lock; nil when the file says nothing, or names a
    /// process that is not there: it may be one of another machine or container, or have just taken the lock.
    package static func holder(
        _ name: String, in folder: borrowing Folder
    ) throws(FileFault) -> Int32? {
        let text = try folder.file(name).read(at: 0, count: 32)
        let digits = text.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard let number = Int32(String(decoding: digits, as: UTF8.self)), number > 0 else {
            return nil
        }
        // Signal 0 asks only whether there is such a process; EPERM means that it is another user's.
        return kill(number, 0) == 0 || errno == EPERM ? number : nil
    }

    /// Writes the file anew. A full disk leaves it empty, which is no reason not to start.
    private func note(_ text: String, _ name: String) throws(FileFault) {
        guard ftruncate(descriptor.number, 0) == 0 else {
            throw FileFault(number: errno, name: name)
        }
        // SAFETY: pwrite reads as many bytes as the array has.
        let written = unsafe Array(text.utf8).withUnsafeBytes { bytes in
            unsafe pwrite(descriptor.number, bytes.baseAddress, bytes.count, 0)
        }
        guard written >= 0 || errno == ENOSPC || errno == EDQUOT else {
            throw FileFault(number: errno, name: name)
        }
    }
}
