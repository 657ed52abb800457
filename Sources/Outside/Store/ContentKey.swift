// The name of a version's folder in the cache: it changes with any of the version's files and with nothing else.

import Catalogue
import TLS

enum ContentKey {
    /// Lower-case hexadecimal SHA-256 of the version's name and its manifest's list of files.
    static func key(_ manifest: Manifest) -> String {
        var text = "\(manifest.name)\n\(manifest.version)\n"
        for file in manifest.files.sorted(by: { $0.name < $1.name }) {
            text += "\(file.sha256) \(file.byteCount) \(file.name)\n"
        }
        return Cryptography.hex(Cryptography.sha256(Array(text.utf8)))
    }

    static func isKey(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }
}
