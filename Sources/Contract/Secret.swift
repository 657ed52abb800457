// A value that must never be seen: tokens, keys, client secrets.

/// Holds a secret's bytes and prints as bullets everywhere.
package struct Secret: Sendable {
    private let bytes: [UInt8]

    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(bytes: [UInt8]) { self.bytes = bytes }

    package var isEmpty: Bool { bytes.isEmpty }
    package var count: Int { bytes.count }

    /// The only way to the bytes, so that each use can be found by name.
    package func reveal<Result>(_ use: ([UInt8]) throws -> Result) rethrows -> Result {
        try use(bytes)
    }

    /// Compares in time that depends on the lengths only.
    package func matches(_ other: Secret) -> Bool {
        guard bytes.count == other.bytes.count else { return false }
        var difference: UInt8 = 0
        for index in bytes.indices { difference |= bytes[index] ^ other.bytes[index] }
        return difference == 0
    }

    /// The same for bytes that were received, without a copy of them.
    package func matches(_ other: Substring.UTF8View) -> Bool {
        guard bytes.count == other.count else { return false }
        var difference: UInt8 = 0
        for (mine, theirs) in zip(bytes, other) { difference |= mine ^ theirs }
        return difference == 0
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "•••" }
    package var debugDescription: String { "•••" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
