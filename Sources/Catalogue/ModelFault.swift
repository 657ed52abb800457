// Why a version cannot be served, as half a sentence that follows "cannot be served:".

/// What is wrong with a model's files. For the operator; callers of the model see it too, so it never names a
/// path outside the version's folder.
package struct ModelFault: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
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
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= partsMax,
            parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
        else { return nil }
        return parts
    }
}
