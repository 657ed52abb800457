// What `sluice doctor` says: a line for each thing looked at, with a verdict and a mend.

/// One thing that was looked at.
package struct Finding: Sendable, Equatable, Codable {
    package enum Verdict: String, Sendable, Codable, CaseIterable {
        case ok
        /// It works, and will not always.
        case warn
        /// A gateway would not start, or would not serve.
        case fail
    }

    /// For example `certificate`.
    package var check: String
    package var verdict: Verdict
    /// What is so.
    package var found: String
    /// What would be right.
    package var wanted: String
    /// A sentence or a command; empty when nothing is to be done.
    package var mend: String

    package init(
        _ check: String, _ verdict: Verdict, found: String, wanted: String, mend: String = ""
    ) {
        self.check = check
        self.verdict = verdict
        self.found = Self.shown(found)
        self.wanted = Self.shown(wanted)
        self.mend = verdict == .ok ? "" : Self.shown(mend)
    }

    /// The longest of its texts, in characters.
    private static let lengthMax = 600

    /// One line, whatever a file or a server says: no control characters, and not without end.
    static func shown(_ text: String) -> String {
        let line = String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(lengthMax).map { scalar in
                    switch scalar.value {
                    case 0x0A: " "
                    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: "?"
                    default: scalar
                    }
                }))
        return line.isEmpty ? "nothing" : line
    }

    /// For people.
    package var lines: [String] {
        let name = check + String(repeating: " ", count: max(0, 18 - check.count))
        var lines = ["\(verdict.rawValue)\(verdict == .ok ? "  " : "")  \(name)  \(found)"]
        guard verdict != .ok else { return lines }
        lines.append("      wanted: \(wanted)")
        if !mend.isEmpty { lines.append("      mend:   \(mend)") }
        return lines
    }
}

/// Why a look brought nothing; a check makes a finding of it.
package struct CheckTrouble: Error, Sendable, Equatable {
    package var why: String
    package var mend: String

    package init(_ why: String, mend: String = "") {
        self.why = why
        self.mend = mend
    }
}
