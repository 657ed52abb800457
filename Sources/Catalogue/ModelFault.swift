// Why a version cannot be served, as half a sentence that follows "cannot be served:".

/// What is wrong with a model's files. For the operator; callers of the model see it too, so it never names a
/// path outside the version's folder.
package struct ModelFault: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

extension ModelFault {
    private static let copyAgain = "copy the version again, or import the model anew"

    /// A file of the manifest is not there.
    package static func missing(_ file: ModelFile) -> ModelFault {
        ModelFault("the file '\(file.name)' of manifest.json is missing: \(copyAgain)")
    }

    /// A file has another size than its manifest says.
    package static func wrongSize(_ file: ModelFile, byteCount: UInt64) -> ModelFault {
        ModelFault(
            "'\(file.name)' has \(byteCount) bytes, manifest.json says \(file.byteCount): "
                + copyAgain)
    }

    /// A file has another content than its manifest says. `sha256` in lower-case hexadecimal.
    package static func wrongContent(_ file: ModelFile, sha256: String) -> ModelFault {
        ModelFault(
            "'\(file.name)' has SHA-256 \(sha256), manifest.json says \(file.sha256): \(copyAgain)")
    }

    /// A file has other names, by which it could be changed.
    package static func hardLinks(_ name: String, count: UInt64) -> ModelFault {
        ModelFault("'\(name)' has \(count) hard links, it must have one: copy the file")
    }

    package static func symbolicLink(_ name: String) -> ModelFault {
        ModelFault("'\(name)' is a symbolic link: copy the file")
    }

    /// Somebody wrote into a version while it was read.
    package static func changed(_ name: String) -> ModelFault {
        ModelFault(
            "'\(name)' changed while it was read: put a new version beside the old one instead of "
                + "writing into it")
    }
}

/// Checks names that come from a manifest or a model and will be joined to the version's folder.
package enum RelativePath {
    package static let byteCountMax = 1_024
    package static let partsMax = 8

    /// The parts of a path that stays inside its folder; nil for an absolute one, one with `..`, `.`, an empty
    /// part, a control character or a backslash, and for one too long or too deep.
    package static func parts(_ path: String) -> [String]? {
        guard !path.isEmpty, path.utf8.count <= byteCountMax,
            path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") })
        else { return nil }
        // By scalars: a mark that combines with the slash before it would hide it among characters.
        let parts = path.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false)
            .map { String($0) }
        guard parts.count <= partsMax,
            parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
        else { return nil }
        return parts
    }
}
