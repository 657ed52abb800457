// A file that is being made: written at offsets, read back, made to last, made read-only. Nobody knows its name until
// it is renamed.

import CFiles
import Glibc

/// A plain file opened for reading and writing. Any thread may use it; what two write at the same place is nobody's.
package final class WritableFile: Sendable {
    package let name: String
    private let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor, name: String) throws(FileFault) {
        guard try descriptor.facts(name).kind == .file else {
            throw FileFault(number: EINVAL, name: name)
        }
        self.name = name
        self.descriptor = descriptor
    }

    package func facts() throws(FileFault) -> FileFacts { try descriptor.facts(name) }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: [UInt8], at offset: UInt64) throws(FileFault) {
        var done = 0
        while done < bytes.count {
            let start = done
            // SAFETY: pwrite reads at most the bytes behind `start`, inside the array.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe pwrite(
                    descriptor.number, buffer.baseAddress?.advanced(by: start),
                    buffer.count - start, off_t(offset) + off_t(start))
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileFault(number: errno, name: name)
            }
            // A device that takes nothing and names no reason is full.
            guard count > 0 else { throw FileFault(number: ENOSPC, name: name) }
            done += count
        }
    }

    /// Fills `bytes`, which keeps its size, with what stands at `offset`. Returns how many: fewer only where the
    /// file ends.
    package func read(at offset: UInt64, into bytes: inout [UInt8]) throws(FileFault) -> Int {
        var done = 0
        while done < bytes.count {
            let start = done
            let room = bytes.count - done
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

    package func truncate(to byteCount: UInt64) throws(FileFault) {
        guard ftruncate(descriptor.number, off_t(byteCount)) == 0 else {
            throw FileFault(number: errno, name: name)
        }
    }

    /// Asks the system to begin writing a part to the disk: ``synchronize()`` has less to wait for. Does not wait.
    package func beginWriting(from offset: UInt64, count: UInt64) {
        CFiles_beginWriting(descriptor.number, Int64(offset), Int64(count))
    }

    /// The content survives a loss of power from here on; its name only when the folder is synchronized too.
    package func synchronize() throws(FileFault) {
        while fsync(descriptor.number) != 0 {
            guard errno == EINTR else { throw FileFault(number: errno, name: name) }
        }
    }

    /// Nobody but root opens it for writing any more.
    package func makeReadOnly() throws(FileFault) {
        guard fchmod(descriptor.number, 0o444) == 0 else {
            throw FileFault(number: errno, name: name)
        }
    }
}
