// Where the access log's lines go: a file that rotates, or standard output. Whole lines, whatever the disk does in between.

package import Files
import Synchronization

/// What is left of a line that the disk took a part of, decided in a value: it is finished before anything else is written.
package struct LineRest: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Of `lines`, whole ones, the disk took `count` bytes. Returns how many lines are lost: those it took nothing of.
    package mutating func took(_ count: Int, of lines: ArraySlice<UInt8>) -> Int {
        let rest = lines.dropFirst(count)
        guard count > 0, lines[lines.startIndex + count - 1] != UInt8(ascii: "\n"),
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
        else { return LineRest.count(rest) }
        bytes = Array(rest[...end])
        return LineRest.count(rest[(end + 1)...])
    }

    /// The disk took `count` bytes of the rest.
    package mutating func took(_ count: Int) { bytes.removeFirst(count) }

    package static func count(_ lines: ArraySlice<UInt8>) -> Int {
        lines.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    }
}

/// One opened file. Used by one thread at a time, which waits for the disk.
package final class AccessFile: Sendable {
    private struct State: ~Copyable, Sendable {
        var file: AppendedFile
        var byteCount: UInt64
        var rest = LineRest()
    }

    /// Nil: standard output.
    private let path: String?
    private let byteCountMax: UInt64
    private let keep: Int
    private let state: Mutex<State>

    /// - Parameters:
    ///   - path: nil: standard output.
    ///   - byteCountMax: from this size on the file is set aside; zero: never.
    package init(path: String?, byteCountMax: UInt64, keep: Int) throws(FileFault) {
        self.path = path
        self.byteCountMax = byteCountMax
        self.keep = keep
        if let path {
            let file = try AppendedFile(path: path)
            try file.endLine()
            let byteCount = try file.byteCount()
            state = Mutex(State(file: file, byteCount: byteCount))
        } else {
            state = Mutex(State(file: try AppendedFile.standardOutput(), byteCount: 0))
        }
    }

    /// Appends whole lines. Returns how many of them are lost, and why.
    package func append(_ lines: [UInt8]) -> (lost: Int, fault: FileFault?) {
        state.withLock { state in
            if !state.rest.bytes.isEmpty {
                let (count, fault) = state.file.appendLater(state.rest.bytes[...])
                state.rest.took(count)
                state.byteCount += UInt64(count)
                if let fault { return (LineRest.count(lines[...]), fault) }
            }
            let (count, fault) = state.file.appendLater(lines[...])
            state.byteCount += UInt64(count)
            if let fault { return (state.rest.took(count, of: lines[...]), fault) }
            return (0, rotate(&state))
        }
    }

    /// When it cannot be set aside it goes on growing: better than losing lines.
    private func rotate(_ state: inout State) -> FileFault? {
        guard let path, byteCountMax > 0, state.byteCount >= byteCountMax else { return nil }
        do throws(FileFault) {
            try AppendedFile.setAside(path, keep: keep)
            state.file = try AppendedFile(path: path)
            state.byteCount = try state.file.byteCount()
            return nil
        } catch {
            return error
        }
    }
}
