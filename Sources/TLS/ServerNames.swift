// Which of several certificates is shown for a name that a client asks for: a table made from the certificates' own names.

/// Names and one-label wildcards (RFC 6125 section 6.4.3) to whatever stands behind them. The first that claims a name
/// has it; an exact name counts before a wildcard.
package struct ServerNames<Place: Sendable>: Sendable {
    private var exact: [String: Place] = [:]
    /// By what follows `*.`.
    private var wildcards: [String: Place] = [:]

    package init() {}

    package var isEmpty: Bool { exact.isEmpty && wildcards.isEmpty }

    /// Adds a certificate's DNS name. False when it is taken, or is none that a client could ask for.
    @discardableResult
    package mutating func add(_ name: String, _ place: Place) -> Bool {
        guard let name = ServerNames.normal(name) else { return false }
        if name.hasPrefix("*.") {
            let rest = String(name.dropFirst(2))
            guard !rest.contains("*"), !rest.isEmpty, wildcards[rest] == nil else { return false }
            wildcards[rest] = place
            return true
        }
        guard !name.contains("*"), exact[name] == nil else { return false }
        exact[name] = place
        return true
    }

    /// What stands behind a name as a client sent it; nil when nobody claims it.
    package func find(_ name: String) -> Place? {
        guard let name = ServerNames.normal(name), !name.contains("*") else { return nil }
        if let place = exact[name] { return place }
        guard let dot = name.firstIndex(of: "."), dot > name.startIndex else { return nil }
        return wildcards[String(name[name.index(after: dot)...])]
    }

    /// Lower case without the root's dot; nil when it is no host name.
    private static func normal(_ name: String) -> String? {
        var bytes = Array(name.utf8)
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard (1...253).contains(bytes.count) else { return nil }
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): bytes[index] += 0x20
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "*"):
                break
            default: return nil
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
