// A certification authority of a test's own, with everything it can do wrong.

import Foundation

/// An authority made by scripts/components/authority.
struct Authority: Sendable {
    let folder: URL
    var ca: String { path("ca.crt") }

    func path(_ file: String) -> String { folder.appending(path: file).path }

    func run(_ arguments: String...) async throws {
        let program = Paths.root.appending(path: "scripts/components/authority").path
        let done = try await Command.run(program: program, [folder.path] + arguments)
        guard done.status == 0 else { throw TestTrouble("authority \(arguments): \(done.error)") }
    }

    func issueServer(_ name: String, _ names: String = "DNS:localhost,IP:127.0.0.1") async throws {
        try await run("issue", name, "/CN=\(name)", names, "serverAuth")
    }

    func issueClient(_ name: String) async throws {
        try await run("issue", name, "/O=Example/CN=\(name)", "DNS:\(name)", "clientAuth")
    }

    /// What s_client prints, its input closed at once.
    func connect(_ gateway: TestGateway, _ options: [String] = []) async throws -> Command {
        try await Command.run(
            program: "/usr/bin/openssl",
            ["s_client", "-connect", gateway.endpoint, "-CAfile", ca, "-alpn", "sluice/1"]
                + options, within: 30)
    }

    /// The common name in the certificate that is shown.
    func shown(_ gateway: TestGateway, name: String? = nil) async throws -> String {
        let done = try await connect(
            gateway, name.map { ["-servername", $0] } ?? ["-noservername"])
        let match = done.output.firstMatch(of: #/subject=CN = (\S+)/#)
        return match.map { String($0.1) } ?? "nothing: \(done.error)"
    }
}

func withAuthority<Outcome>(_ body: (Authority) async throws -> Outcome) async throws -> Outcome {
    try await withTemporaryFolder { folder in
        let authority = Authority(folder: folder)
        try await authority.run("make")
        try await authority.issueServer("server")
        return try await body(authority)
    }
}
