// The source tree as text: what the tidy rules read.

import Foundation

/// One Swift file written by hand.
struct SourceFile: Sendable {
    /// Relative to the repository, for example `Sources/Wire/Frame.swift`.
    let path: String
    let lines: [String]

    /// The folder below Sources or Tests, for example `Wire`.
    var target: String { String(path.split(separator: "/")[1]) }

    /// Lines with comments and string literals cut away, numbered from 1.
    var code: [(number: Int, text: String)] {
        var result: [(Int, String)] = []
        var isInLiteral = false
        for (index, line) in lines.enumerated() {
            var text = line
            // Multi-line literals are text, not code.
            if text.components(separatedBy: "\"\"\"").count % 2 == 0 {
                isInLiteral.toggle()
                continue
            }
            if isInLiteral { continue }
            text = text.replacing(#/"(\\.|[^"\\])*"/#, with: "\"\"")
            if let comment = text.range(of: "//") { text = String(text[..<comment.lowerBound]) }
            result.append((index + 1, text))
        }
        return result
    }
}

enum Tree {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func swiftFiles(below folder: String) -> [SourceFile] {
        let base = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
        return walk.compactMap { $0 as? String }
            .filter { $0.hasSuffix(".swift") && !$0.contains("Generated/") }
            .filter { !$0.hasPrefix("SluiceMessages/") }
            .sorted()
            .compactMap { name in
                guard let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8)
                else { return nil }
                return SourceFile(
                    path: "\(folder)/\(name)", lines: text.components(separatedBy: "\n"))
            }
    }
}
