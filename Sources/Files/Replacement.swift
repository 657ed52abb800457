// A small file that is whole or not there, whenever the process or the machine ends: written beside its place,
// synchronized, renamed, the folder synchronized.

import Glibc

extension Folder {
    /// Puts `bytes` in the place of the file `name` in one step: whoever reads it, now or after a crash, finds the old
    /// content or the new. The file is its owner's alone (mode 0600). One at a time for one name.
    ///
    /// Throws when it cannot be written, and then the old content stands; except when the last step fails, the
    /// folder's own writing to disk: then the new content stands, and may be the old one again after a power cut.
    package func replace(_ name: String, with bytes: [UInt8]) throws(FileFault) {
        let draft = name + ".new"
        try Folder.check(name)
        // SAFETY: the text lives for the call. A draft that a killed process left behind is of no use.
        _ = unsafe unlinkat(descriptor.number, draft, 0)
        let file = try opened(draft, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        do throws(FileFault) {
            try file.write(bytes, name: draft)
            guard fsync(file.number) == 0 else { throw FileFault(number: errno, name: draft) }
            // SAFETY: both texts live for the call.
            guard unsafe renameat(descriptor.number, draft, descriptor.number, name) == 0 else {
                throw FileFault(number: errno, name: name)
            }
        } catch {
            // SAFETY: as above. Nobody reads a draft: what is left of it is only untidy.
            _ = unsafe unlinkat(descriptor.number, draft, 0)
            throw error
        }
        guard fsync(descriptor.number) == 0 else {
            throw FileFault(number: errno, name: self.name)
        }
    }

    /// The content of a plain file, nil when there is none of that name. Throws EFBIG when it is longer than
    /// `byteCountMax`.
    package func content(of name: String, byteCountMax: Int) throws(FileFault) -> [UInt8]? {
        let file: OpenFile
        do throws(FileFault) {
            file = try self.file(name)
        } catch {
            guard error.isMissing else { throw error }
            return nil
        }
        guard let bytes = try file.readAll(byteCountMax: byteCountMax) else {
            throw FileFault(number: EFBIG, name: name)
        }
        return bytes
    }
}

extension Descriptor {
    borrowing func write(_ bytes: [UInt8], name: String) throws(FileFault) {
        var done = 0
        while done < bytes.count {
            let start = done
            // SAFETY: write reads at most what is left behind `start`, inside the array.
            let count = unsafe bytes.withUnsafeBytes { all in
                unsafe Glibc.write(
                    number, all.baseAddress?.advanced(by: start), all.count - start)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileFault(number: errno, name: name) }
            done += count
        }
    }
}
