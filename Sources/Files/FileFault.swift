// What can go wrong between the program and the file system.

import Glibc

/// A failed file operation.
package struct FileFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The system's `errno`.
    package var number: Int32
    /// The name that was asked for, as it was given.
    package var name: String

    package init(number: Int32, name: String) {
        self.number = number
        self.name = name
    }

    package var isMissing: Bool { number == ENOENT || number == ENOTDIR }
    /// True for a symbolic link where none is followed.
    package var isLink: Bool { number == ELOOP }

    /// The disk, the user's share of it, or what one file may have is used up.
    package var isFull: Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }

    /// The name that was to be made is there already.
    package var isTaken: Bool { number == EEXIST || number == ENOTEMPTY }

    package var isDenied: Bool { number == EACCES || number == EPERM || number == EROFS }

    /// The system's words, for example `Permission denied`.
    package var reason: String {
        if isLink { return "it is a symbolic link" }
        // SAFETY: strerror answers a terminated text which is copied before anything else runs on this thread.
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }

    package var description: String { "'\(name)': \(reason)" }
}
