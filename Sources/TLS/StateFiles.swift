// Files that must be whole or not there: written beside their place, synchronized, renamed. For start-up only.

#if canImport(Glibc)
    private import Glibc
#elseif canImport(Musl)
    private import Musl
#else
    private import Darwin
#endif

enum StateFiles {
    /// Makes a folder, only its owner's, and its parents.
    static func makeFolder(_ path: String) throws(TLSError) {
        var made = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/" + part
            if unsafe mkdir(made, 0o700) != 0, errno != EEXIST {
                throw failure("the folder \(made) cannot be made")
            }
        }
    }

    /// Puts `bytes` in the place of `path` in one step.
    static func replace(_ path: String, with bytes: [UInt8], mode: UInt32) throws(TLSError) {
        let draft = path + ".new"
        _ = unsafe unlink(draft)
        let file = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(mode))
        guard file >= 0 else { throw failure("\(draft) cannot be made") }
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { all in
                unsafe write(file, all.baseAddress.map { unsafe $0 + sent }, all.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("\(draft) cannot be written")
                close(file)
                throw error
            }
            sent += count
        }
        guard fsync(file) == 0, close(file) == 0 else {
            throw failure("\(draft) cannot be written to disk")
        }
        guard unsafe rename(draft, path) == 0 else {
            throw failure("\(draft) cannot be renamed to \(path)")
        }
    }

    /// Makes the renames in a folder last.
    static func synchronize(_ folder: String) throws(TLSError) {
        let file = unsafe open(folder, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("the folder \(folder) cannot be opened") }
        let result = fsync(file)
        let error = failure("the folder \(folder) cannot be written to disk")
        close(file)
        guard result == 0 else { throw error }
    }

    static func hostName() -> String? {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            guard let start = text.baseAddress, unsafe gethostname(start, 255) == 0 else {
                return nil
            }
            unsafe text[255] = 0
            return unsafe String(cString: start)
        }
    }

    static func failure(_ message: String) -> TLSError {
        let reason = errno
        return unsafe TLSError(.file, "\(message): \(String(cString: strerror(reason)))")
    }
}

/// A lock that one process at a time holds, and that ends with the process.
struct FolderLock {
    private let file: Int32

    /// Waits for the lock.
    init(_ path: String) throws(TLSError) {
        file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw StateFiles.failure("\(path) cannot be opened") }
        while flock(file, LOCK_EX) != 0 {
            guard errno == EINTR else {
                let error = StateFiles.failure("\(path) cannot be locked")
                close(file)
                throw error
            }
        }
    }

    func release() { close(file) }
}
