// Several certificates, revocation, OCSP: what the files must be, and what follows for a handshake.

import COpenSSL
import Foundation
import NIOCore
import TLS
import Testing

@Suite struct MaterialTests {
    private func contexts(
        _ settings: TLSServerSettings, _ keys: TicketKeys = TicketKeys()
    ) throws -> (contexts: [TLSServerContext], inventory: TLSInventory) {
        try TLSMaterial(reading: settings).makeContexts(count: 1, ticketKeys: keys)
    }

    private func failure(_ settings: TLSServerSettings) -> TLSError? {
        do {
            _ = try contexts(settings)
            return nil
        } catch { return error as? TLSError }
    }

    private func write(_ text: String, _ authority: TestAuthority, _ file: String) throws {
        try text.write(toFile: authority.path(file), atomically: true, encoding: .utf8)
    }

    private func read(_ authority: TestAuthority, _ file: String) throws -> String {
        try String(contentsOfFile: authority.path(file), encoding: .utf8)
    }

    // MARK: Several certificates

    @Test func `the name asked for chooses the certificate`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost", "api.example.com")
        try authority.issueServer("wild", "*.example.com", "api.example.com")
        try authority.issueServer("other", "other.example")
        var settings = authority.settings()
        settings.more = ["wild", "other"].map {
            .init(
                certificateFile: authority.path("\($0).crt"), keyFile: authority.path("\($0).key"))
        }
        let context = try contexts(settings).contexts[0]
        for (asked, shown) in [
            ("localhost", "server"), ("api.example.com", "server"), ("b.example.com", "wild"),
            ("B.EXAMPLE.COM", "wild"), ("a.b.example.com", "server"), ("other.example", "other"),
            ("unknown", "server"), (nil, "server"),
        ] as [(String?, String)] {
            let pair = try Pair(
                ClientOptions(protocols: ["sluice/1"], serverName: asked), context: context)
            try pair.handshake()
            #expect(pair.client.serverCommonName == shown, "\(asked ?? "no name")")
        }
    }

    @Test func `the chain is in order`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        let leaf = try read(authority, "server.crt")
        let issuer = try read(authority, "ca.crt")
        var settings = authority.settings()
        settings.certificateFile = authority.path("chain.pem")
        try write(leaf + issuer, authority, "chain.pem")
        #expect(failure(settings) == nil)
        try write(leaf + leaf, authority, "chain.pem")
        let error = try #require(failure(settings))
        #expect(error.code == .certificate)
        #expect(error.message.contains("the 2. certificate has not issued the 1."))
        // The issuer first: the key is not its own.
        try write(issuer + leaf, authority, "chain.pem")
        #expect(failure(settings) != nil)
        try write(leaf + "-----BEGIN CERTIFICATE-----\nAAAA\n", authority, "chain.pem")
        #expect(failure(settings)?.code == .certificate)
    }

    @Test func `what is new must not have ended, what is in force may`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        let before = try contexts(authority.settings()).inventory
        #expect(before.items.map(\.kind) == [.certificate])
        #expect(before.items[0].name == "CN=server")
        #expect(before.items[0].serial.count == 16)
        try authority.issueServer("server", "localhost", days: "-1")
        let after = try contexts(authority.settings()).inventory
        let now = TicketKeys.clock()
        let error = #expect(throws: TLSError.self) {
            try after.check(now: now, replacing: before)
        }
        #expect(error?.code == .outOfDate)
        #expect(error?.message.contains("server.crt") == true)
        try after.check(now: now, replacing: after)
        let early = #expect(throws: TLSError.self) {
            try before.check(now: now - 86_400, replacing: TLSInventory())
        }
        #expect(early?.message.contains("not valid yet") == true)
    }

    // MARK: Revocation

    private func connect(
        _ context: TLSServerContext, _ authority: TestAuthority, _ client: String,
        resuming: Pair? = nil, version: Int32 = TLS1_3_VERSION
    ) throws -> (pair: Pair, failure: ClientFailure?) {
        let pair = try Pair(
            ClientOptions(
                maximumVersion: version, protocols: ["sluice/1"],
                certificate: (authority.path("\(client).crt"), authority.path("\(client).key")),
                resuming: resuming?.client),
            context: context)
        do {
            try pair.handshake()
            return (pair, nil)
        } catch { return (pair, error as? ClientFailure) }
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a revoked certificate is refused, resumed or not`(version: Int32) throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.issueClient("app1")
        try authority.issueClient("app2")
        // One set of keys all the while, as processes share them.
        let keys = TicketKeys()
        let settings = authority.settings(.required, lists: true)
        let before = try contexts(settings, keys)
        let first = try connect(before.contexts[0], authority, "app1", version: version).pair
        let other = try connect(before.contexts[0], authority, "app2", version: version).pair
        let again = try connect(
            before.contexts[0], authority, "app1", resuming: first, version: version)
        #expect(again.pair.client.isResumed)
        #expect(again.pair.recorder.completed?.peerCertificateSubject == "CN=app1,O=Example")

        try authority.run("revoke", "app1")
        let after = try contexts(settings, keys)
        #expect(after.inventory.trustDigest != before.inventory.trustDigest)
        for resuming in [nil, first] {
            let refused = try connect(
                after.contexts[0], authority, "app1", resuming: resuming, version: version)
            #expect(refused.pair.recorder.completed == nil)
            #expect(refused.pair.recorder.errors.map(\.code) == [.clientCertificate])
        }
        // Nobody's ticket outlives a new list: the others show their certificates again.
        let kept = try connect(
            after.contexts[0], authority, "app2", resuming: other, version: version)
        #expect(kept.failure == nil && !kept.pair.client.isResumed)
        #expect(kept.pair.recorder.completed?.peerCertificateSubject == "CN=app2,O=Example")
    }

    @Test func `a list that is out of date lets nobody in`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.issueClient("app1")
        try authority.run("crl", "-60")
        let made = try contexts(authority.settings(.optional, lists: true))
        let error = #expect(throws: TLSError.self) {
            try made.inventory.check(now: TicketKeys.clock(), replacing: TLSInventory())
        }
        #expect(error?.message.contains("revocation list") == true)
        let refused = try connect(made.contexts[0], authority, "app1").pair
        #expect(refused.recorder.errors.map(\.code) == [.clientCertificate])
        let without = try Pair(ClientOptions(protocols: ["sluice/1"]), context: made.contexts[0])
        try without.handshake()
        #expect(without.recorder.completed?.peerCertificateSubject == "")
    }

    @Test func `lists must be of the authorities, whole and there`() throws {
        let authority = try TestAuthority()
        let stranger = try TestAuthority("Sluice test authority")
        try authority.issueServer("server", "localhost")
        var settings = authority.settings(.required, lists: true)
        #expect(failure(settings) == nil)
        // The same name and another key.
        settings.clientRevocationFile = stranger.path("crl.pem")
        #expect(failure(settings)?.code == .clientRevocation)
        settings.clientRevocationFile = authority.path("ca.crt")
        #expect(failure(settings)?.code == .clientRevocation)
        settings.clientRevocationFile = "/nowhere/crl.pem"
        #expect(failure(settings)?.message.contains("/nowhere/crl.pem") == true)
        try write("", authority, "empty.pem")
        settings.clientRevocationFile = authority.path("empty.pem")
        #expect(failure(settings)?.code == .clientRevocation)
    }

    @Test func `a ticket does not outlive the client's certificate`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.issueClient("brief", days: "4s")
        let context = try contexts(authority.settings(.required)).contexts[0]
        let first = try connect(context, authority, "brief").pair
        try #require(first.recorder.completed != nil)
        #expect(try connect(context, authority, "brief", resuming: first).pair.client.isResumed)
        let end = ContinuousClock.now + .seconds(20)
        var last = first
        repeat {
            try #require(ContinuousClock.now < end)
            // Embedded channels stay on their thread: nothing is awaited here.
            Thread.sleep(forTimeInterval: 0.05)
            last = try connect(context, authority, "brief", resuming: first).pair
        } while last.recorder.errors.isEmpty
        #expect(last.recorder.errors.map(\.code) == [.clientCertificate])
        #expect(!last.client.isResumed)
    }

    // MARK: OCSP

    /// What the server stapled, for a client that wants it.
    private func stapled(_ context: TLSServerContext, _ name: String? = nil) throws -> [UInt8] {
        let pair = try Pair(
            ClientOptions(protocols: ["sluice/1"], serverName: name), context: context)
        _ = unsafe SSL_ctrl(
            pair.client.ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE, Int(TLSEXT_STATUSTYPE_ocsp), nil)
        try pair.handshake()
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe SSL_ctrl(
            pair.client.ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP, 0, &start)
        guard count > 0 else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    @Test func `the answer of the certificate that is shown is stapled`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.issueServer("other", "other.example")
        for name in ["server", "other"] { try authority.run("ocsp", name) }
        var settings = authority.settings()
        settings.ocspFile = authority.path("server.ocsp")
        settings.more = [
            .init(
                certificateFile: authority.path("other.crt"), keyFile: authority.path("other.key"),
                ocspFile: authority.path("other.ocsp"))
        ]
        let made = try contexts(settings)
        #expect(made.inventory.items.filter { $0.kind == .ocsp }.count == 2)
        let (own, other) = try (
            [UInt8](Data(contentsOf: URL(filePath: authority.path("server.ocsp")))),
            [UInt8](Data(contentsOf: URL(filePath: authority.path("other.ocsp"))))
        )
        #expect(try stapled(made.contexts[0]) == own)
        #expect(try stapled(made.contexts[0], "localhost") == own)
        #expect(try stapled(made.contexts[0], "other.example") == other)
        settings.more[0].ocspFile = nil
        #expect(try stapled(contexts(settings).contexts[0], "other.example") == [])
    }

    @Test func `an answer that is out of date is not stapled`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.run("ocsp", "server")
        let url = URL(filePath: authority.path("server.ocsp"))
        var text = try #require(String(data: Data(contentsOf: url), encoding: .isoLatin1))
        // The times in the answer, made ten years old: nobody but clients looks at the signature.
        for year in ["2025", "2026", "2027", "2028", "2029", "2030"] {
            text = text.replacingOccurrences(of: "\u{18}\u{0F}" + year, with: "\u{18}\u{0F}2016")
        }
        try #require(text.data(using: .isoLatin1)).write(to: url)
        var settings = authority.settings()
        settings.ocspFile = url.path
        let made = try contexts(settings)
        let item = try #require(made.inventory.items.last)
        #expect(item.kind == .ocsp && item.ends < TicketKeys.clock())
        // Taken all the same: it harms nobody.
        try made.inventory.check(now: TicketKeys.clock(), replacing: TLSInventory())
        #expect(try stapled(made.contexts[0]) == [])
    }

    @Test func `answers for others, of the revoked, and garbage are refused`() throws {
        let authority = try TestAuthority()
        try authority.issueServer("server", "localhost")
        try authority.issueServer("other", "other.example")
        try authority.run("ocsp", "other")
        var settings = authority.settings()
        settings.ocspFile = authority.path("other.ocsp")
        #expect(failure(settings)?.message.contains("is for another certificate") == true)
        settings.ocspFile = authority.path("ca.crt")
        #expect(failure(settings)?.code == .ocsp)
        try authority.run("revoke", "server")
        try authority.run("ocsp", "server")
        settings.ocspFile = authority.path("server.ocsp")
        #expect(failure(settings)?.message.contains("says revoked") == true)
        // Cut anywhere, and with something behind.
        try authority.issueServer("fresh", "localhost")
        try authority.run("ocsp", "fresh")
        settings.certificateFile = authority.path("fresh.crt")
        settings.keyFile = authority.path("fresh.key")
        settings.ocspFile = authority.path("cut.ocsp")
        let whole = try Data(contentsOf: URL(filePath: authority.path("fresh.ocsp")))
        for bytes in [whole.prefix(whole.count - 1), whole.prefix(20), whole + [0], Data()] {
            try bytes.write(to: URL(filePath: authority.path("cut.ocsp")))
            #expect(failure(settings)?.code == .ocsp, "\(bytes.count)")
        }
        try whole.write(to: URL(filePath: authority.path("cut.ocsp")))
        #expect(failure(settings) == nil)
    }
}
