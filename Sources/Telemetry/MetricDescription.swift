// What a metric is, before anything was counted: its name, kind, unit, labels and what it means. The first thing a page says.

/// A family of series that have one name.
package struct MetricDescription: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Only rises while the process lives. Its name ends with `_total`.
        case counter
        case gauge
        case histogram
        /// Of somebody else's convention.
        case untyped
    }

    package enum Unit: String, Sendable {
        case none = ""
        case seconds, bytes, ratio
    }

    package let name: String
    package let kind: Kind
    package let unit: Unit
    package let labels: [String]
    /// One sentence.
    package let help: String

    /// - Parameters:
    ///   - name: of `[a-zA-Z_:][a-zA-Z0-9_:]*`; a unit is its last word, but for `_total` and `_info`.
    ///   - labels: of `[a-zA-Z_][a-zA-Z0-9_]*`, never `le`.
    package init(
        _ name: String, _ kind: Kind, unit: Unit = .none, labels: [String] = [], _ help: String
    ) {
        precondition(MetricName.isName(name), "'\(name)' is no name of a metric")
        precondition(
            labels.allSatisfy { MetricName.isLabel($0) && $0 != "le" }, "\(name): a label's name")
        precondition(
            kind != .counter || name.hasSuffix("_total"), "\(name): a counter's name ends in _total"
        )
        self.name = name
        self.kind = kind
        self.unit = unit
        self.labels = labels
        self.help = help
    }
}

/// Which names Prometheus allows.
package enum MetricName {
    package static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: ":") else {
            return false
        }
        return text.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: ":") }
    }

    package static func isLabel(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) else { return false }
        return text.utf8.allSatisfy { isLetter($0) || isDigit($0) }
    }

    /// The nearest name to a text of somebody else's: what is not allowed becomes `_`.
    package static func cleaned(_ text: String) -> String {
        let bytes = text.utf8.prefix(200).map {
            isLetter($0) || isDigit($0) ? $0 : UInt8(ascii: "_")
        }
        let name = String(decoding: bytes, as: UTF8.self)
        return isLabel(name) ? name : "_" + name
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "_")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
