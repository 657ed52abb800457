// How the catalogue shows a caller's own words back: never long, never with control characters, so that
// an error can go into a log or a header.

/// Names from a request in error messages.
enum Wording {
    /// The most characters of a caller's word a message repeats.
    static let lengthMax = 128

    /// The word in single quotes, cut, with everything but visible ASCII replaced by `?`.
    static func quoted(_ word: String) -> String {
        var shown = "'"
        for byte in word.utf8.prefix(lengthMax) {
            let visible = byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "'")
            shown.unicodeScalars.append(visible ? Unicode.Scalar(byte) : "?")
        }
        return shown + (word.utf8.count > lengthMax ? "...'" : "'")
    }

    /// The names in the order they are declared in, at most 16 of them.
    static func list(_ names: [String]) -> String {
        let shown = names.prefix(16).map(quoted).joined(separator: ", ")
        return names.count > 16 ? shown + " and \(names.count - 16) more" : shown
    }
}
