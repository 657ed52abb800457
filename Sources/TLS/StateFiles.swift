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

    /// The whole of a plain file. The text of the error is the system's reason alone.
    static func content(of path: String, bytesMax: Int) throws(FileReason) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw FileReason(errno) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw FileReason(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileReason("no plain file") }
        guard status.st_size <= bytesMax else {
            throw FileReason("\(status.st_size) bytes; at most \(bytesMax) are read")
        }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe read(file, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileReason(errno) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: part[..<count])
            guard bytes.count <= bytesMax else { throw FileReason("it grows") }
        }
    }

    /// Who may read or write a file besides its owner; nil when that is nobody and the owner is this process's user.
    static func exposure(of path: String) -> String? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return FileReason(errno).text }
        if status.st_mode & S_IFMT != S_IFREG { return "it is no plain file" }
        if status.st_uid != geteuid() { return "it belongs to another user" }
        return status.st_mode & 0o077 == 0 ? nil : "others than its owner may open it"
    }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

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

/// Why a file could not be read, as the system says it.
struct FileReason: Error {
    let text: String

    init(_ number: Int32) { text = unsafe String(cString: strerror(number)) }
    init(_ text: String) { self.text = text }
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
