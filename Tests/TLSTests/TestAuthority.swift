// An authority that issues, revokes and answers, by scripts/components/authority.

import Foundation
import TLS
import Testing

struct TestAuthority {
    let folder: TemporaryFolder

    init(_ name: String = "Sluice test authority") throws {
        folder = try TemporaryFolder()
        try run("make", name)
    }

    func path(_ file: String) -> String { folder.path + "/" + file }

    func run(_ arguments: String...) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let program = root.appending(path: "scripts/components/authority").path
        let done = try shell([program, folder.path] + arguments)
        try #require(done.status == 0, "\(done.output)")
    }

    func issueServer(_ name: String, _ names: String..., days: String = "7") throws {
        try run(
            "issue", name, "/CN=\(name)", names.map { "DNS:" + $0 }.joined(separator: ","),
            "serverAuth", days)
    }

    func issueClient(_ name: String, days: String = "7") throws {
        try run("issue", name, "/O=Example/CN=\(name)", "DNS:\(name)", "clientAuth", days)
    }

    /// A server with the certificate `server`, and clients of this authority.
    func settings(
        _ mode: TLSServerSettings.ClientCertificates = .off, lists: Bool = false
    ) -> TLSServerSettings {
        var settings = TLSServerSettings(
            certificateFile: path("server.crt"), keyFile: path("server.key"),
            applicationProtocols: ["sluice/1"])
        settings.clientCertificates = mode
        if mode != .off { settings.clientAuthorityFile = path("ca.crt") }
        if lists { settings.clientRevocationFile = path("crl.pem") }
        return settings
    }
}
