// The source tree as text: what the tidy rules read.

import Foundation

/// One Swift file written by hand.
struct SourceFile: Sendable {
    /// Relative to the repository, for example `Sources/Wire/Frame.swift`.
    let path: String
    let lines: [String]
    /// Lines with comments and string literals cut away, numbered from 1.
    let code: [(number: Int, text: String)]

    /// The folder below Sources or Tests, for example `Wire`.
    var target: String { String(path.split(separator: "/")[1]) }

    init(path: String, lines: [String]) {
        self.path = path
        self.lines = lines
        var code: [(Int, String)] = []
        var isInLiteral = false
        for (index, line) in lines.enumerated() {
            // Multi-line literals are text, not code.
            if line.components(separatedBy: "\"\"\"").count % 2 == 0 {
                isInLiteral.toggle()
            } else if !isInLiteral {
                code.append((index + 1, SourceFile.stripped(line)))
            }
        }
        self.code = code
    }

    /// The line without what stands in quotes and behind a comment's slashes.
    private static func stripped(_ line: String) -> String {
        var result: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        for byte in line.utf8 {
            if isEscaped {
                isEscaped = false
            } else if isQuoted {
                isEscaped = byte == UInt8(ascii: "\\")
                isQuoted = byte != UInt8(ascii: "\"")
            } else if byte == UInt8(ascii: "\"") {
                isQuoted = true
            } else {
                if byte == UInt8(ascii: "/"), result.last == byte {
                    result.removeLast()
                    break
                }
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
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
                guard
                    let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8)
                else { return nil }
                return SourceFile(
                    path: "\(folder)/\(name)", lines: text.components(separatedBy: "\n"))
            }
    }
}
