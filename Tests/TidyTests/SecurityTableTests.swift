// docs/security.md names the test of each row. A name that nothing bears any more is a promise nobody checks.

import Foundation
import Testing

@Suite struct SecurityTableTests {
    /// One row: what is threatened, and the names in backticks of the column of tests.
    struct Row: Sendable {
        var threat: String
        var names: [String]
    }

    /// What the files below Tests declare.
    struct Declared: Sendable {
        /// Suites of each target; a type with a `@Test` in it is one.
        var suites: [String: Set<String>] = [:]
        /// Functions marked `@Test` of each suite, whatever its target.
        var tests: [String: Set<String>] = [:]

        init(_ files: [SourceFile]) {
            for file in files { read(file) }
        }

        private mutating func read(_ file: SourceFile) {
            var suite: String?
            var isMarked = false
            for line in file.lines {
                // Indented ones stand in an #if; other indented types are helpers inside a suite.
                if !line.hasPrefix("        "), line.contains(" {"),
                    let match = line.firstMatch(
                        of:
                            #/^(?: *@Suite.*? | *(?=extension )|)(?:[a-z]+ )*(?:struct|class|enum|extension) (\w+)/#
                    )
                {
                    suite = String(match.1)
                }
                if line.contains("@Test") { isMarked = true }
                guard isMarked, line.contains("func "),
                    let match = line.firstMatch(of: #/\bfunc (\w+|`[^`]+`)/#)
                else {
                    continue
                }
                isMarked = false
                guard let suite else { continue }
                suites[file.target, default: []].insert(suite)
                tests[suite, default: []].insert(String(match.1))
            }
        }

        /// Whether there is what is meant: `Target`, `Target/Suite`, `Suite`, `Suite.test`, or `.test` of the suite before.
        func holds(_ name: String, suiteBefore: inout String) -> Bool {
            let halves = name.split(separator: ".", omittingEmptySubsequences: false).map(
                String.init)
            let parts = halves[0].split(separator: "/").map(String.init)
            if let last = parts.last { suiteBefore = last }
            guard halves.count < 3, parts.count < 3,
                parts.count < 2 || suites[parts[0]]?.contains(parts[1]) == true
            else { return false }
            if halves.count == 2 { return tests[suiteBefore]?.contains(halves[1]) == true }
            return suites[name] != nil || tests[suiteBefore] != nil
        }
    }

    static func rows(of text: String) -> [Row] {
        text.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("|") else { return nil }
            let cells = line.split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 3, cells[0] != "threat", !cells[0].allSatisfy({ $0 == "-" })
            else { return nil }
            return Row(
                threat: cells[0], names: cells[2].matches(of: #/`([^`]+)`/#).map { String($0.1) })
        }
    }

    static let declared = Declared(TidyTests.tests)

    @Test func everyRowNamesATestThatThereIs() throws {
        let file = Tree.root.appending(path: "docs/security.md")
        let rows = Self.rows(of: try String(contentsOf: file, encoding: .utf8))
        #expect(rows.count > 60)
        for row in rows {
            #expect(!row.names.isEmpty, "\(row.threat): no test")
            var suite = ""
            for name in row.names {
                #expect(
                    Self.declared.holds(name, suiteBefore: &suite),
                    "\(row.threat): there is no test `\(name)`")
            }
        }
    }

    /// The reader finds what is there and nothing else: it would be a poor witness otherwise.
    @Test func namesAreFoundAndMissed() {
        var suite = ""
        for name in [
            "TidyTests", "TidyTests/SecurityTableTests", "SecurityTableTests",
            "SecurityTableTests.namesAreFoundAndMissed", ".everyRowNamesATestThatThereIs",
            "TLSTests/TicketTests", "TidyTests/TidyTests.theTreeIsThere",
        ] {
            #expect(Self.declared.holds(name, suiteBefore: &suite), "\(name)")
        }
        suite = ""
        for name in [
            "NoTests", "TLSTests/SecurityTableTests", "SecurityTableTests.rows", ".nothing",
            "TidyTests.everyRowNamesATestThatThereIs", "SecurityTableTests.", ".", "a/b/c", "",
            "TLSTests/SecurityTableTests.namesAreFoundAndMissed",
        ] {
            #expect(!Self.declared.holds(name, suiteBefore: &suite), "\(name)")
        }
        let rows = Self.rows(
            of: "| threat | what we do | test |\n|---|---|---|\n| a | b | `C`, `D.e` |\n| x | y |\n"
        )
        #expect(rows.count == 1 && rows.first?.names == ["C", "D.e"])
    }
}
