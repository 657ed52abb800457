// The Accept field (RFC 9110 section 12.5.1): which media types an answer may have.

/// Media ranges with their qualities, 0...1000; the first 32 count.
package struct AcceptedTypes: Sendable, Equatable {
    private struct Range: Sendable, Equatable {
        /// `*/*`, `text/*` or `text/html`, in lower case.
        var type: String
        var quality: Int
    }

    private static let rangesMax = 32
    private var ranges: [Range] = []

    package init(_ text: String) {
        for part in text.utf8.split(
            separator: UInt8(ascii: ","), maxSplits: AcceptedTypes.rangesMax)
        {
            guard ranges.count < AcceptedTypes.rangesMax else { break }
            let words = part.split(separator: UInt8(ascii: ";")).map {
                String(Substring($0)).lowercased().filter { $0 != " " && $0 != "\t" }
            }
            guard let type = words.first, type.contains("/") else { continue }
            let quality = words.dropFirst().first { $0.hasPrefix("q=") }.map {
                AcceptedTypes.quality($0.dropFirst(2))
            }
            ranges.append(Range(type: type, quality: quality ?? 1_000))
        }
    }

    /// Whether an answer of this type may be given: the most specific range that covers it decides.
    package func allows(_ type: String) -> Bool {
        // A field in which nothing can be read asks for nothing.
        guard !ranges.isEmpty else { return true }
        if let quality = named(type) { return quality > 0 }
        let family = type.prefix { $0 != "/" } + "/*"
        for wide in [String(family), "*/*"] {
            if let quality = named(wide) { return quality > 0 }
        }
        return false
    }

    /// The quality the type itself is given; nil when it is not named.
    package func named(_ type: String) -> Int? { ranges.first { $0.type == type }?.quality }

    /// `0.5` as 500; what is no quality is taken as the highest.
    private static func quality(_ text: Substring) -> Int {
        let digits = text.utf8.filter { $0 != UInt8(ascii: ".") }
        guard let first = digits.first, digits.count <= 4, first == UInt8(ascii: "0"),
            digits.allSatisfy({ (0x30...0x39).contains($0) })
        else { return 1_000 }
        var value = 0
        for place in 1..<4 {
            value = value * 10 + (place < digits.count ? Int(digits[place]) - 0x30 : 0)
        }
        return value
    }
}
