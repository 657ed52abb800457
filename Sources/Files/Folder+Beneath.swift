// Paths of several parts, opened in one go and without following a link anywhere in them: by openat2(2) where the
// system has it (Linux 5.6), otherwise one part after the other.

import CFiles
import Glibc

/// How a path is opened without following links.
package enum LinkFreeWay: Sendable, CaseIterable {
    /// By the kernel at once; by steps where it cannot.
    case kernel
    /// Part by part, each from the folder before it.
    case steps
}

extension Folder {
    /// How deep a path may lead.
    package static let partsMax = 64

    /// Opens a folder by its absolute path, of which no part may be a symbolic link: for paths that were
    /// resolved before and must still mean the same.
    package init(linkFree path: String, way: LinkFreeWay = .kernel) throws(FileFault) {
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw FileFault(number: EINVAL, name: path)
        }
        let root = try Folder(path: "/")
        let relative = String(path.unicodeScalars.drop { $0 == "/" })
        self = relative.isEmpty ? root : try root.folder(beneath: relative, way: way)
    }

    /// Opens a folder by a path that stays beneath this one. A symbolic link anywhere in it throws.
    package func folder(
        beneath path: String, way: LinkFreeWay = .kernel
    ) throws(FileFault) -> Folder {
        Folder(try descriptor(beneath: path, O_DIRECTORY, way), name: path)
    }

    /// Opens a plain file by a path that stays beneath this folder. A symbolic link anywhere in it, a folder,
    /// a pipe or a device throws.
    package func file(
        beneath path: String, way: LinkFreeWay = .kernel
    ) throws(FileFault) -> OpenFile {
        try OpenFile(try descriptor(beneath: path, O_NONBLOCK, way), name: path)
    }

    private func descriptor(
        beneath path: String, _ flags: Int32, _ way: LinkFreeWay
    ) throws(FileFault) -> Descriptor {
        // By scalars: a mark that combines with the slash before it would hide it among characters.
        let parts = path.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false)
            .map { String($0) }
        guard parts.count <= Folder.partsMax else {
            throw FileFault(number: ENAMETOOLONG, name: path)
        }
        for part in parts { try Folder.check(part, of: path) }
        if way == .kernel, let opened = try openedAtOnce(path, flags) { return opened }
        return try openedBySteps(parts, of: path, flags)
    }

    /// Nil where the system cannot do it.
    private func openedAtOnce(_ path: String, _ flags: Int32) throws(FileFault) -> Descriptor? {
        // SAFETY: the text lives for the call.
        let number = unsafe CFiles_openat2(
            descriptor.number, path, O_RDONLY | O_CLOEXEC | flags,
            CFiles_withoutLinks | CFiles_beneath)
        if number >= 0 { return Descriptor(takingOwnershipOf: number) }
        switch errno {
        // EPERM: a container's filter that does not know the call. EAGAIN: a rename went on meanwhile.
        case ENOSYS, EPERM, EAGAIN: return nil
        default: throw FileFault(number: errno, name: path)
        }
    }

    private func openedBySteps(
        _ parts: [String], of path: String, _ flags: Int32
    ) throws(FileFault) -> Descriptor {
        // Passing through a folder needs no right to list it.
        let passing = CFiles_passThrough | O_DIRECTORY
        var last = try step(parts[0], of: path, parts.count == 1 ? flags : passing)
        for index in parts.indices.dropFirst() {
            let folder = Folder(last, name: path)
            last = try folder.step(
                parts[index], of: path, index == parts.count - 1 ? flags : passing)
        }
        return last
    }

    private func step(
        _ part: String, of path: String, _ flags: Int32
    ) throws(FileFault) -> Descriptor {
        do throws(FileFault) {
            return try opened(part, O_RDONLY | flags)
        } catch {
            // A link where a folder is wanted is ENOTDIR here and ELOOP there: say what it is.
            let isLink = error.number == ENOTDIR && isLink(part)
            throw FileFault(number: isLink ? ELOOP : error.number, name: path)
        }
    }

    private func isLink(_ part: String) -> Bool {
        do throws(FileFault) {
            return try facts(of: part).kind == .link
        } catch {
            return false
        }
    }
}

// MARK: - For those who can only open paths

extension Folder {
    /// A path that leads to this very folder, whatever happens to its name, as long as the value lives; nil
    /// where the system has no such paths.
    package var descriptorPath: String? { descriptor.path }
}

extension OpenFile {
    /// A path that leads to this very file, whatever happens to its name, as long as the value lives; nil
    /// where the system has no such paths, or would not let the file be opened by it.
    package var descriptorPath: String? { descriptor.path }
}

extension Descriptor {
    fileprivate var path: String? {
        let path = "/proc/self/fd/\(number)"
        // SAFETY: the text lives for the call.
        return unsafe access(path, R_OK) == 0 ? path : nil
    }
}
