// The table of findings as a file, so that a restart does not read gigabytes again to learn what it knew. The first line
// is the SHA-256 of all that follows, which is JSON: what was cut short or changed is not believed.

import TLS

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Why a table that was kept is not believed, as half a sentence.
package struct SealBookFault: Error, Sendable, Equatable {
    package var reason: String
}

extension SealBook {
    /// The newest format this program reads; another one is not believed.
    static let format = 1
    /// The most bytes a table has as a file; the oldest findings give way.
    static let fileBytesMax = 8 << 20

    fileprivate struct Page: Codable {
        var format: Int
        var files: [Line]
    }

    /// One file: device, inode, bytes, modified, changed; SHA-256; locations of external data.
    fileprivate struct Line: Codable {
        var seal: [UInt64]
        var sha256: String?
        var external: [String]?

        /// At most so many bytes as JSON: five numbers, the hash, names and what stands between them.
        var byteCountMax: Int {
            5 * 21 + 64 + 64 + (external ?? []).reduce(0) { $0 + 6 * $1.utf8.count + 3 }
        }
    }

    /// The newest findings that find room, oldest first.
    func encoded(byteCountMax: Int = SealBook.fileBytesMax) -> [UInt8] {
        var room = byteCountMax - 128
        var lines: [Line] = []
        for seal in fromOldest.reversed() {
            guard let found = self[seal] else { continue }
            let line = Line(seal, found)
            room -= line.byteCountMax
            if room < 0 { break }
            lines.append(line)
        }
        let page = Page(format: SealBook.format, files: lines.reversed())
        let encoder = JSONEncoder()
        // The same book is the same file.
        encoder.outputFormatting = .sortedKeys
        // Numbers and texts only: there is nothing in it that JSON does not have.
        guard let json = try? encoder.encode(page) else { return [] }
        return Array((Cryptography.hex(Cryptography.sha256(Array(json))) + "\n").utf8) + json
    }

    /// Takes in what ``encoded(byteCountMax:)`` wrote. Throws and takes in nothing when it is not whole.
    mutating func take(_ bytes: [UInt8]) throws(SealBookFault) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            throw SealBookFault(reason: "it has no checksum")
        }
        let json = Array(bytes[(end + 1)...])
        guard Array(bytes[..<end]) == Array(Cryptography.hex(Cryptography.sha256(json)).utf8) else {
            throw SealBookFault(reason: "its checksum is wrong")
        }
        guard let page = try? JSONDecoder().decode(Page.self, from: Data(json)),
            page.format == SealBook.format
        else { throw SealBookFault(reason: "it is of another version of sluice") }
        for line in page.files {
            guard let seal = line.file else {
                throw SealBookFault(reason: "it holds a file without its facts")
            }
            note(FileFindings(sha256: line.sha256, externalFiles: line.external), for: seal)
        }
    }
}

extension SealBook.Line {
    fileprivate init(_ file: FileSeal, _ found: FileFindings) {
        seal = [
            file.device, file.inode, file.byteCount, UInt64(bitPattern: file.modified),
            UInt64(bitPattern: file.changed),
        ]
        sha256 = found.sha256
        external = found.externalFiles
    }

    fileprivate var file: FileSeal? {
        guard seal.count == 5 else { return nil }
        return FileSeal(
            device: seal[0], inode: seal[1], byteCount: seal[2],
            modified: Int64(bitPattern: seal[3]), changed: Int64(bitPattern: seal[4]))
    }
}
