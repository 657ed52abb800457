// An introspection endpoint that says what a test wants: plain HTTP on the loopback, by Python's own server.

import Foundation

/// The endpoint, running.
struct IntrospectionEndpoint {
    let url: String
    fileprivate let process: Process

    /// Ends it: from now on nobody listens there.
    func takeDown() async throws {
        kill(process.processIdentifier, SIGKILL)
        try await eventually(within: 20, "the endpoint has ended") { !process.isRunning }
    }
}

/// Answers every POST with the same JSON. It ends with its standard input.
func withIntrospectionEndpoint<Outcome>(
    answering json: String, _ body: (IntrospectionEndpoint) async throws -> Outcome
) async throws -> Outcome {
    let script = """
        import http.server, os, sys, threading
        answer = sys.argv[1].encode()
        class Endpoint(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            def log_message(self, *_): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        print("ready", server.server_port, flush=True)
        server.serve_forever()
        """
    return try await withTemporaryFolder { folder in
        let said = folder.appending(path: "said")
        try Data().write(to: said)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, json]
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = try FileHandle(forWritingTo: said)
        process.standardError = try FileHandle(forWritingTo: said)
        try Spawning.start(process)
        defer { try? input.fileHandleForWriting.close() }
        var port = ""
        try await eventually(within: 20, "the introspection endpoint") {
            let text = try String(contentsOf: said, encoding: .utf8)
            guard process.isRunning else { throw TestTrouble("the endpoint: \(text)") }
            port = text.firstMatch(of: #/ready (\d+)/#).map { String($0.1) } ?? ""
            return !port.isEmpty
        }
        return try await body(
            IntrospectionEndpoint(url: "http://127.0.0.1:\(port)/introspect", process: process))
    }
}

/// The same for those who need its address only.
func withIntrospection<Outcome>(
    answering json: String, _ body: (_ url: String) async throws -> Outcome
) async throws -> Outcome {
    try await withIntrospectionEndpoint(answering: json) { try await body($0.url) }
}
