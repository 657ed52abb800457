import Foundation
import Testing

@Suite struct GettingStartedTests {
    /// The lines of a text without the indentation they share.
    static func unindented(_ lines: [Substring]) -> [String] {
        let indent =
            lines.filter { !$0.allSatisfy(\.isWhitespace) }
            .map { $0.prefix(while: { $0 == " " }).count }.min() ?? 0
        return lines.map { String($0.dropFirst(indent)) }
    }

    static func swiftBlocks(of article: String) -> [[Substring]] {
        var blocks: [[Substring]] = []
        var block: [Substring]?
        for line in article.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```swift" {
                block = []
            } else if line == "```", let done = block {
                blocks.append(done)
                block = nil
            } else {
                block?.append(line)
            }
        }
        return blocks
    }

    @Test func everyBlockOfTheArticleIsCompiled() throws {
        let here = URL(filePath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let article = try String(
            contentsOf: root.appending(
                path: "Sources/SluiceClient/SluiceClient.docc/GettingStarted.md"), encoding: .utf8)
        let source = try String(
            contentsOf: here.deletingLastPathComponent().appending(path: "GettingStarted.swift"),
            encoding: .utf8
        ).split(separator: "\n", omittingEmptySubsequences: false)
        let blocks = Self.swiftBlocks(of: article)
        #expect(blocks.count >= 10)
        for block in blocks {
            let wanted = Self.unindented(block)
            let found = (0...(source.count - block.count)).contains { start in
                Self.unindented(Array(source[start..<(start + block.count)])) == wanted
            }
            #expect(found, "GettingStarted.swift lacks: \(block.joined(separator: "\n"))")
        }
    }
}
