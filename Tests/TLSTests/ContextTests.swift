// Making contexts: what is wrong is said with the files and the mend; what is in force can be replaced.

import Foundation
import NIOCore
import TLS
import Testing

@Suite struct ContextTests {
    private func failure(_ settings: TLSServerSettings) -> TLSError? {
        do {
            _ = try TLSServerContext(settings)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a key of another certificate names both files and the mend`() throws {
        let fixtures = try Fixtures.shared.get()
        var settings = try Fixtures.settings()
        settings.keyFile = fixtures.path("other.key")
        let error = try #require(failure(settings))
        #expect(error.code == .keyMismatch)
        #expect(error.message.contains(settings.certificateFile))
        #expect(error.message.contains(settings.keyFile))
        #expect(error.message.contains("give the key"))
    }

    @Test func `a key of another kind is a mismatch too`() throws {
        let folder = try TemporaryFolder()
        let key = folder.path + "/rsa.key"
        try shell(["openssl", "genrsa", "-out", key, "2048"])
        var settings = try Fixtures.settings()
        settings.keyFile = key
        #expect(failure(settings)?.code == .keyMismatch)
    }

    @Test func `files that are not there are named`() throws {
        var settings = try Fixtures.settings()
        settings.certificateFile = "/nowhere/cert.pem"
        let certificate = try #require(failure(settings))
        #expect(certificate.code == .certificate)
        #expect(certificate.message.contains("/nowhere/cert.pem"))
        #expect(certificate.description.contains("No such file"))
        settings = try Fixtures.settings()
        settings.keyFile = "/nowhere/key.pem"
        #expect(failure(settings)?.code == .key)
        settings = try Fixtures.settings()
        settings.clientCertificates = .required
        #expect(failure(settings)?.code == .clientAuthority)
        settings.clientAuthorityFile = "/nowhere/ca.pem"
        #expect(failure(settings)?.code == .clientAuthority)
    }

    @Test func `a key with a passphrase fails and asks nobody`() throws {
        let folder = try TemporaryFolder()
        let key = folder.path + "/locked.key"
        var settings = try Fixtures.settings()
        try shell([
            "openssl", "ec", "-in", settings.keyFile, "-aes256", "-passout", "pass:secret",
            "-out", key,
        ])
        settings.keyFile = key
        let error = try #require(failure(settings))
        #expect(error.code == .key)
        #expect(error.message.contains("without a passphrase"))
    }

    @Test func `garbage is no certificate`() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/cert.pem"
        try Data("no certificate".utf8).write(to: URL(fileURLWithPath: file))
        var settings = try Fixtures.settings()
        settings.certificateFile = file
        #expect(failure(settings)?.code == .certificate)
    }

    @Test func `settings out of bounds are refused`() throws {
        var settings = try Fixtures.settings()
        settings.ticketLifetimeSeconds = 3_601
        #expect(failure(settings)?.code == .setting)
        settings = try Fixtures.settings()
        settings.tickets = 9
        #expect(failure(settings)?.code == .setting)
        #expect(failure(try Fixtures.settings([""]))?.code == .setting)
        let long = String(repeating: "a", count: 256)
        #expect(failure(try Fixtures.settings([long]))?.code == .setting)
    }

    @Test func `a failure leaves no error behind for the next`() throws {
        var settings = try Fixtures.settings()
        settings.certificateFile = "/nowhere/cert.pem"
        #expect(failure(settings) != nil)
        let pair = try Pair()
        try pair.handshake()
        #expect(pair.recorder.errors.isEmpty)
    }

    @Test func `the end of the certificate is known`() throws {
        let context = try TLSServerContext(Fixtures.settings())
        let left = context.certificateExpiry - TicketKeys.clock()
        #expect((824 * 86_400...825 * 86_400).contains(left))
    }

    @Test func `new contexts replace all, and open sessions keep theirs`() throws {
        let fixtures = try Fixtures.shared.get()
        let box = TLSContextBox(
            try TLSServerContext.makeContexts(Fixtures.settings(), count: 2))
        let before = try Pair(context: box.context(for: 1))
        try before.handshake()
        var settings = try Fixtures.settings()
        settings.certificateFile = fixtures.path("other.pem")
        settings.keyFile = fixtures.path("other.key")
        box.replace(with: try TLSServerContext.makeContexts(settings, count: 2))
        let after = try Pair(context: box.context(for: 3))
        try after.handshake()
        #expect(before.client.serverCommonName == "sluice")
        #expect(after.client.serverCommonName == "other.example")
        before.write([1, 2])
        #expect(try before.read() == [1, 2])
        #expect(box.certificateExpiry < TicketKeys.clock() + 3 * 86_400)
    }
}
