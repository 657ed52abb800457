// A collector of traces as a test wants it: Tests/Fixtures/otlp/receiver.py, which reads OTLP by its own project's messages.

import Foundation

/// What came, and what it shall answer.
struct TraceCollector: Sendable {
    struct Span: Decodable, Sendable {
        var name: String
        var kind: Int
        var trace: String
        var span: String
        var parent: String
        var start: UInt64
        var end: UInt64
        var status: Int
        var message: String
        var flags: Int
        var attributes: [String: Word]
        var resource: [String: Word]
        var scope: String
    }

    /// A text, a number or a flag, as it was written; 64-bit numbers are texts in JSON.
    struct Word: Decodable, Sendable, Equatable, ExpressibleByStringLiteral {
        var text: String
        init(stringLiteral text: String) { self.text = text }
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let flag = try? container.decode(Bool.self) {
                text = "\(flag)"
            } else {
                text = try container.decode(String.self)
            }
        }
    }

    struct Request: Decodable, Sendable {
        var request: String
        var mode: String
        var fields: [String: String]
    }

    let folder: URL
    let port: Int
    let isSecure: Bool

    var url: String { "\(isSecure ? "https" : "http")://127.0.0.1:\(port)" }
    private var out: URL { folder.appending(path: "spans.jsonl") }

    /// `ok`, `slow`, `partial`, `redirect`, or a status.
    func answer(_ mode: String) throws {
        try mode.write(to: folder.appending(path: "mode"), atomically: true, encoding: .utf8)
    }

    /// Everything that came, as text.
    var said: String { (try? String(contentsOf: out, encoding: .utf8)) ?? "" }

    private func lines<Line: Decodable>(_ type: Line.Type, _ mark: String) throws -> [Line] {
        // The last line may be half written.
        try said.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .filter { $0.hasPrefix("{\"\(mark)\"") }
            .map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    func spans() throws -> [Span] { try lines(Span.self, "name") }
    func requests() throws -> [Request] { try lines(Request.self, "request") }

    /// The spans of one trace, when those of these names have come.
    func trace(_ trace: String, with names: Set<String> = ["sluice/infer"]) async throws -> [Span] {
        var found: [Span] = []
        try await eventually("spans of \(trace)") {
            found = try spans().filter { $0.trace == trace }
            return names.isSubset(of: found.map(\.name))
        }
        return found
    }

    /// Settings of a gateway that exports to it.
    func settings(_ lines: String = "") -> String {
        "traces:\n  endpoint: \(url)\n  interval: 50ms\n"
            + lines.split(separator: "\n").map { "  \($0)\n" }.joined()
    }
}

func withCollector<Outcome>(
    _ mode: String = "ok", tls authority: Authority? = nil,
    _ body: (TraceCollector) async throws -> Outcome
) async throws -> Outcome {
    try await withTemporaryFolder { folder in
        let said = folder.appending(path: "said")
        try Data().write(to: said)
        try mode.write(
            to: folder.appending(path: "mode"), atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = Paths.root.appending(path: ".venv-otlp/bin/python")
        process.arguments =
            [
                "\(Paths.fixtures)/otlp/receiver.py", folder.appending(path: "spans.jsonl").path,
                folder.appending(path: "mode").path,
            ]
            + (authority.map { [$0.path("server.crt"), $0.path("server.key")] } ?? [])
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = try FileHandle(forWritingTo: said)
        process.standardError = try FileHandle(forWritingTo: said)
        do {
            try Spawning.start(process)
        } catch {
            throw TestTrouble("the collector: \(error); scripts/setup --test makes .venv-otlp")
        }
        defer { try? input.fileHandleForWriting.close() }
        var port = 0
        try await eventually(within: 20, "the collector") {
            let text = try String(contentsOf: said, encoding: .utf8)
            guard process.isRunning else { throw TestTrouble("the collector: \(text)") }
            port = text.firstMatch(of: #/ready (\d+)/#).flatMap { Int($0.1) } ?? 0
            return port > 0
        }
        return try await body(
            TraceCollector(folder: folder, port: port, isSecure: authority != nil))
    }
}
