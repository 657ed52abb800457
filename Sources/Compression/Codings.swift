// The content codings of HTTP that the house speaks (RFC 9110 section 8.4.1), by zlib.

/// A coding of a request's or an answer's body.
package enum ContentCoding: String, Sendable, CaseIterable {
    case gzip
    /// The zlib format (RFC 1950), as HTTP calls it.
    case deflate

    /// As a field names it: in any case; `x-gzip` is gzip (RFC 9110 section 8.4.1.3).
    package init?(name: some StringProtocol) {
        switch name.lowercased() {
        case "gzip", "x-gzip": self = .gzip
        case "deflate": self = .deflate
        default: return nil
        }
    }

    /// What an answer may be written in: the coding its reader likes best, or nil when that is none.
    ///
    /// - Parameter fields: the values of all Accept-Encoding fields (RFC 9110 section 12.5.3). What is not understood in them
    ///   counts as not said.
    package static func preferred(by fields: [String]) -> ContentCoding? {
        var weights: [ContentCoding: Int] = [:]
        var plain: Int?
        var others: Int?
        for entry in fields.lazy.flatMap({ $0.split(separator: ",") }).prefix(entriesMax) {
            let parts = entry.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
            guard let weight = parts.count == 1 ? 1_000 : weight(parts[1]) else { continue }
            let name = trimmed(parts[0])
            if let coding = ContentCoding(name: name) {
                weights[coding] = weight
            } else if name == "*" {
                others = weight
            } else if name.lowercased() == "identity" {
                plain = weight
            }
        }
        var best: (coding: ContentCoding, weight: Int)?
        for coding in allCases {
            let weight = weights[coding] ?? others ?? 0
            if weight > best?.weight ?? 0 { best = (coding, weight) }
        }
        guard let best, best.weight >= plain ?? 0 else { return nil }
        return best.coding
    }

    /// More are not looked at.
    private static let entriesMax = 16

    /// `q=0.5` as thousandths, or nil when it is not one.
    private static func weight(_ parameter: Substring) -> Int? {
        let text = trimmed(parameter).lowercased()
        guard text.hasPrefix("q=") else { return nil }
        let number = text.dropFirst(2)
        let whole = number.prefix(1)
        guard whole == "0" || whole == "1" else { return nil }
        let rest = number.dropFirst()
        guard rest.isEmpty || (rest.hasPrefix(".") && rest.utf8.count <= 4) else { return nil }
        var thousandths = 0
        var unit = 100
        for byte in rest.dropFirst().utf8 {
            guard (0x30...0x39).contains(byte) else { return nil }
            thousandths += Int(byte - 0x30) * unit
            unit /= 10
        }
        let weight = (whole == "1" ? 1_000 : 0) + thousandths
        return weight <= 1_000 ? weight : nil
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
        return text
    }
}

/// Why a compressed body cannot be read.
package enum CompressionFault: Error, Sendable, Equatable {
    /// It is not of its coding, or was damaged on its way.
    case corrupt
    /// It ends too early.
    case truncated
    /// Bytes follow its end.
    case trailing
    /// It is more than this many bytes when it is inflated.
    case tooLarge(Int)
    /// zlib got no memory.
    case memory
}
