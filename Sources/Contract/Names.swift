// Names that have been checked: once inside the house a model's name cannot be a path.

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,127}` (DESIGN.md section 6).
package struct ModelName: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let lengthMax = 128
    package let text: String

    /// The name, or nil when the text is not one.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= ModelName.lengthMax,
            ModelName.isAlphanumeric(first),
            bytes.allSatisfy({
                ModelName.isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
                    || $0 == UInt8(ascii: "-")
            })
        else { return nil }
        self.text = text
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    package static func < (left: ModelName, right: ModelName) -> Bool { left.text < right.text }
    package var description: String { text }
}

/// A positive integer, as the folder of a version is named.
package struct ModelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let number: Int64

    /// The version, or nil when the text is not a positive decimal integer in its shortest form.
    package init?(_ text: String) {
        guard let first = text.utf8.first, first != UInt8(ascii: "0"), text.utf8.count <= 18,
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
            let number = Int64(text)
        else { return nil }
        self.number = number
    }

    package init?(number: Int64) {
        guard number > 0 else { return nil }
        self.number = number
    }

    package static func < (left: ModelVersion, right: ModelVersion) -> Bool {
        left.number < right.number
    }
    package var description: String { String(number) }
}
