// Session tickets and client certificates: who may come back, and as whom.

import COpenSSL
import Foundation
import NIOCore
import TLS
import Testing

@Suite struct TicketTests {
    private func connect(
        _ context: TLSServerContext, resuming: Pair? = nil, version: Int32 = TLS1_3_VERSION
    ) throws -> Pair {
        let pair = try Pair(
            ClientOptions(
                maximumVersion: version, protocols: ["sluice/1"], resuming: resuming?.client),
            context: context)
        try pair.handshake()
        #expect(pair.recorder.completed?.resumed == pair.client.isResumed)
        return pair
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a ticket resumes, at every context of the listener`(version: Int32) throws {
        let contexts = try TLSServerContext.makeContexts(Fixtures.settings(), count: 3)
        let first = try connect(contexts[0], version: version)
        #expect(!first.client.isResumed)
        for context in contexts {
            let again = try connect(context, resuming: first, version: version)
            #expect(again.client.isResumed)
            #expect(again.recorder.completed?.applicationProtocol == "sluice/1")
        }
    }

    /// A client of TLS 1.3 uses each ticket once (RFC 8446 appendix C.4).
    @Test func `a resumed connection brings a new ticket`() throws {
        func ticket(_ pair: Pair) -> [UInt8] {
            let session = unsafe SSL_get1_session(pair.client.ssl)
            defer { unsafe SSL_SESSION_free(session) }
            var ticket: UnsafePointer<UInt8>?
            var count = 0
            unsafe SSL_SESSION_get0_ticket(session, &ticket, &count)
            return unsafe [UInt8](UnsafeBufferPointer(start: ticket, count: count))
        }
        let context = try TLSServerContext(Fixtures.settings())
        var last = try connect(context)
        var seen: Set<[UInt8]> = [ticket(last)]
        for _ in 0..<3 {
            let next = try connect(context, resuming: last)
            #expect(next.client.isResumed)
            #expect(seen.insert(ticket(next)).inserted)
            last = next
        }
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `new ticket keys forget every ticket`(version: Int32) throws {
        let first = try connect(TLSServerContext(Fixtures.settings()), version: version)
        let again = try connect(
            TLSServerContext(Fixtures.settings()), resuming: first, version: version)
        #expect(!again.client.isResumed)
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `no tickets, no resumption`(version: Int32) throws {
        var settings = try Fixtures.settings()
        settings.tickets = 0
        let context = try TLSServerContext(settings)
        let first = try connect(context, version: version)
        #expect(try !connect(context, resuming: first, version: version).client.isResumed)
    }

    @Test func `early data is never offered`() throws {
        let pair = try connect(TLSServerContext(Fixtures.settings()))
        let session = unsafe SSL_get1_session(pair.client.ssl)
        defer { unsafe SSL_SESSION_free(session) }
        #expect(unsafe SSL_SESSION_get_max_early_data(session) == 0)
        #expect(unsafe SSL_SESSION_has_ticket(session) == 1)
        #expect(unsafe (1...3_600).contains(SSL_SESSION_get_ticket_lifetime_hint(session)))
    }

    @Test func `a key that has become old opens for one more lifetime`() {
        let keys = TicketKeys(lifetimeSeconds: 100, now: 1_000)
        let first = keys.sealing(now: 1_099).name
        #expect(keys.opening(name: first, now: 1_099)?.renew == false)
        let second = keys.sealing(now: 1_100).name
        #expect(second != first)
        #expect(keys.opening(name: first, now: 1_199)?.renew == true)
        #expect(keys.opening(name: second, now: 1_199)?.renew == false)
        #expect(keys.opening(name: first, now: 1_200) == nil)
        #expect(keys.opening(name: second, now: 1_200)?.renew == true)
        // Nothing is left after a long silence, or when the clock was set back.
        #expect(keys.opening(name: second, now: 9_000) == nil)
        let third = keys.sealing(now: 9_000).name
        #expect(keys.opening(name: third, now: 8_000) == nil)
    }

    // MARK: Client certificates

    private func settings(
        _ mode: TLSServerSettings.ClientCertificates
    ) throws -> TLSServerSettings {
        var settings = try Fixtures.settings()
        settings.clientCertificates = mode
        settings.clientAuthorityFile = try Fixtures.shared.get().path("authority.pem")
        return settings
    }

    private func options(_ name: String?, version: Int32) throws -> ClientOptions {
        let fixtures = try Fixtures.shared.get()
        return ClientOptions(
            maximumVersion: version,
            certificate: name.map { (fixtures.path("\($0).pem"), fixtures.path("\($0).key")) })
    }

    private func digest(of name: String) throws -> [UInt8] {
        let file = try Fixtures.shared.get().path("\(name).pem")
        let text = try shell(["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"])
        return text.output.split(separator: "=")[1].split(separator: ":").compactMap {
            UInt8($0.trimmingCharacters(in: .newlines), radix: 16)
        }
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a required certificate is digested, also on resumption`(version: Int32) throws {
        let context = try TLSServerContext(settings(.required))
        let first = try Pair(options("client", version: version), context: context)
        try first.handshake()
        let expected = try digest(of: "client")
        #expect(expected.count == 32)
        #expect(first.recorder.completed?.peerCertificateDigest == expected)
        #expect(first.recorder.completed?.peerCertificateSubject == "CN=client")
        var again = try options("client", version: version)
        again.resuming = first.client
        let second = try Pair(again, context: context)
        try second.handshake()
        #expect(second.recorder.completed?.resumed == true)
        #expect(second.recorder.completed?.peerCertificateDigest == expected)
        #expect(second.recorder.completed?.peerCertificateSubject == "CN=client")
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a missing required certificate is refused with an alert`(version: Int32) throws {
        let pair = try Pair(
            options(nil, version: version), context: TLSServerContext(settings(.required)))
        #expect(pair.failingHandshake() != nil)
        #expect(pair.recorder.errors.map(\.code) == [.clientCertificate])
        #expect(pair.recorder.completed == nil)
    }

    @Test func `an optional certificate may be missing`() throws {
        let pair = try Pair(
            options(nil, version: TLS1_3_VERSION), context: TLSServerContext(settings(.optional)))
        try pair.handshake()
        #expect(pair.recorder.completed?.peerCertificateDigest == [])
        #expect(pair.recorder.completed?.peerCertificateSubject == "")
    }

    @Test(arguments: [
        TLSServerSettings.ClientCertificates.optional, .required,
    ])
    func `a stranger's certificate is refused`(
        mode: TLSServerSettings.ClientCertificates
    ) throws {
        let pair = try Pair(
            options("intruder", version: TLS1_3_VERSION), context: TLSServerContext(settings(mode)))
        #expect(pair.failingHandshake() != nil)
        #expect(pair.recorder.errors.map(\.code) == [.clientCertificate])
    }

    @Test func `a certificate that nobody asked for is not shown`() throws {
        let pair = try Pair(options("client", version: TLS1_3_VERSION))
        try pair.handshake()
        #expect(pair.recorder.completed?.peerCertificateDigest == [])
    }
}
