// A folder opened once; everything in it is reached from there, one name at a time, and no symbolic link is
// followed: a name cannot lead out of the folder, and cannot be swapped for one that does.

import Glibc

/// One name in a folder.
package struct FolderItem: Sendable, Hashable {
    package var name: String
    /// Nil when the file system does not say; then ask for the facts.
    package var kind: FileFacts.Kind?
}

/// An open folder. Any thread may use it.
package struct Folder: ~Copyable, Sendable {
    /// The most names ``items(countMax:)`` reads before it gives up.
    package static let itemsMax = 1_000_000

    /// The path or name it was opened by.
    package let name: String
    let descriptor: Descriptor

    /// Opens a path as the operator gave it: only here links are followed.
    package init(path: String) throws(FileFault) {
        // SAFETY: the text lives for the call.
        let number = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw FileFault(number: errno, name: path) }
        name = path
        descriptor = Descriptor(takingOwnershipOf: number)
    }

    init(_ descriptor: consuming Descriptor, name: String) {
        self.name = name
        self.descriptor = descriptor
    }

    /// The absolute path behind a path, links resolved.
    package static func resolved(path: String) throws(FileFault) -> String {
        // SAFETY: realpath answers memory of its own, copied and freed here.
        guard let text = unsafe realpath(path, nil) else {
            throw FileFault(number: errno, name: path)
        }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    /// The folder itself.
    package func facts() throws(FileFault) -> FileFacts { try descriptor.facts(name) }

    /// What a name in this folder is; a link is not followed.
    package func facts(of name: String) throws(FileFault) -> FileFacts {
        try Folder.check(name)
        var status = stat()
        // SAFETY: fstatat fills the structure it is given and keeps no pointer.
        guard unsafe fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw FileFault(number: errno, name: name)
        }
        return FileFacts(status)
    }

    /// Opens a folder inside this one. A symbolic link throws.
    package func folder(_ name: String) throws(FileFault) -> Folder {
        Folder(try opened(name, O_RDONLY | O_DIRECTORY), name: name)
    }

    /// Opens a plain file inside this folder. A symbolic link, a folder, a pipe or a device throws.
    package func file(_ name: String) throws(FileFault) -> OpenFile {
        try OpenFile(try opened(name, O_RDONLY | O_NONBLOCK), name: name)
    }

    /// `mode`: the rights of a file that is made.
    func opened(
        _ name: String, _ flags: Int32, mode: mode_t = 0
    ) throws(FileFault) -> Descriptor {
        try Folder.check(name)
        // SAFETY: the text lives for the call.
        let number = unsafe openat(
            descriptor.number, name, O_NOFOLLOW | O_CLOEXEC | flags, mode)
        guard number >= 0 else { throw FileFault(number: errno, name: name) }
        return Descriptor(takingOwnershipOf: number)
    }

    /// A name is one part of a path.
    static func check(_ name: String, of path: String? = nil) throws(FileFault) {
        guard !name.isEmpty, name != ".", name != "..",
            name.utf8.allSatisfy({ $0 != UInt8(ascii: "/") && $0 != 0 })
        else { throw FileFault(number: EINVAL, name: path ?? name) }
    }
}

extension Folder {
    /// Every name, sorted. Names that are not UTF-8 come back with `?` in them and cannot be opened. Throws
    /// E2BIG when there are more than `countMax`.
    package func items(countMax: Int = Folder.itemsMax) throws(FileFault) -> [FolderItem] {
        // A stream of its own, so that it starts at the beginning and its closing leaves ours open.
        // SAFETY: the text lives for the call.
        let number = unsafe openat(descriptor.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw FileFault(number: errno, name: name) }
        // SAFETY: fdopendir takes the descriptor over; it is closed by closedir, or here when that failed.
        guard let stream = unsafe fdopendir(number) else {
            let reason = errno
            _ = close(number)
            throw FileFault(number: reason, name: name)
        }
        defer { unsafe closedir(stream) }
        var items: [FolderItem] = []
        while true {
            errno = 0
            // SAFETY: the entry is valid until the next call on this stream, and copied before that.
            guard let entry = unsafe readdir(stream) else { break }
            let item = unsafe Folder.item(entry)
            if item.name == "." || item.name == ".." { continue }
            guard items.count < countMax else { throw FileFault(number: E2BIG, name: name) }
            items.append(item)
        }
        let reason = errno
        guard reason == 0 else { throw FileFault(number: reason, name: name) }
        return items.sorted { $0.name < $1.name }
    }

    private static func item(_ entry: UnsafeMutablePointer<dirent>) -> FolderItem {
        // SAFETY: d_name is a terminated text inside the entry.
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            unsafe tuple.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { text in
                unsafe String(cString: text)
            }
        }
        let kind: FileFacts.Kind? =
            switch unsafe Int(entry.pointee.d_type) {
            case Int(DT_REG): .file
            case Int(DT_DIR): .folder
            case Int(DT_LNK): .link
            case Int(DT_UNKNOWN): nil
            default: .other
            }
        return FolderItem(name: name, kind: kind)
    }
}
