// Handshakes: versions, suites, ALPN, SNI, time-outs, and everything that is not TLS.

import COpenSSL
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite struct HandshakeTests {
    @Test func `TLS 1_3 completes and says so before the first bytes`() throws {
        let pair = try Pair(ClientOptions(protocols: ["sluice/1"], serverName: "localhost"))
        try pair.handshake()
        let completed = try #require(pair.recorder.completed)
        #expect(completed.version == "TLSv1.3")
        #expect(completed.cipher == "TLS_AES_128_GCM_SHA256")
        #expect(completed.applicationProtocol == "sluice/1")
        #expect(completed.serverName == "localhost")
        #expect(!completed.resumed)
        #expect(completed.peerCertificateDigest.isEmpty)
        try pair.client.send([1, 2, 3])
        try pair.shuttle()
        #expect(pair.recorder.log == ["completed", "read 3"])
        #expect(pair.recorder.bytes == [1, 2, 3])
    }

    @Test func `TLS 1_2 completes with an AEAD and ECDHE suite`() throws {
        let pair = try Pair(ClientOptions(maximumVersion: TLS1_2_VERSION))
        try pair.handshake()
        #expect(pair.recorder.completed?.version == "TLSv1.2")
        #expect(pair.recorder.completed?.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(pair.recorder.completed?.serverName == nil)
    }

    @Test func `the server's order of suites decides`() throws {
        let pair = try Pair(
            ClientOptions(
                maximumVersion: TLS1_2_VERSION,
                ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"))
        try pair.handshake()
        #expect(pair.recorder.completed?.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256")
    }

    @Test func `a client's bytes behind its Finished are read`() throws {
        let pair = try Pair()
        _ = try pair.client.handshake()
        pair.toServer(pair.client.take())
        pair.client.receive(try pair.fromServer())
        #expect(try pair.client.handshake())
        try pair.client.send(Array("at once".utf8))
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["completed", "read 7"])
    }

    @Test(arguments: [TLS1_VERSION, TLS1_1_VERSION])
    func `older versions are refused with an alert`(version: Int32) throws {
        let pair = try Pair(
            ClientOptions(
                minimumVersion: version, maximumVersion: version, ciphers: "ALL:@SECLEVEL=0"))
        let failure = try #require(pair.failingHandshake())
        #expect(failure.reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
        #expect(pair.recorder.errors.map(\.code) == [.version])
        #expect(!pair.channel.isActive)
    }

    @Test func `a context for TLS 1_3 only refuses 1_2`() throws {
        var settings = try Fixtures.settings()
        settings.minimumVersion = .tls13
        let pair = try Pair(
            ClientOptions(maximumVersion: TLS1_2_VERSION), context: TLSServerContext(settings))
        #expect(pair.failingHandshake()?.reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
        #expect(pair.recorder.errors.map(\.code) == [.version])
    }

    @Test(arguments: ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"])
    func `suites without AEAD or ECDHE are refused`(cipher: String) throws {
        let pair = try Pair(ClientOptions(maximumVersion: TLS1_2_VERSION, ciphers: cipher))
        #expect(pair.failingHandshake()?.reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        #expect(pair.recorder.errors.map(\.code) == [.handshakeFailed])
    }

    // MARK: ALPN

    @Test(arguments: [
        (["sluice/1"], "sluice/1"), (["http/1.1"], "http/1.1"),
        (["http/1.1", "sluice/1"], "sluice/1"), (["h2", "http/1.1"], "http/1.1"),
    ])
    func `the server's first protocol among the client's is chosen`(
        offered: [String], chosen: String
    ) throws {
        let pair = try Pair(ClientOptions(protocols: offered))
        try pair.handshake()
        #expect(pair.recorder.completed?.applicationProtocol == chosen)
    }

    @Test func `no ALPN is no protocol`() throws {
        let pair = try Pair()
        try pair.handshake()
        #expect(pair.recorder.completed != nil)
        #expect(pair.recorder.completed?.applicationProtocol == nil)
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `an unknown ALPN is fatal`(version: Int32) throws {
        let pair = try Pair(ClientOptions(maximumVersion: version, protocols: ["h2", "sluice/2"]))
        let failure = try #require(pair.failingHandshake())
        #expect(failure.reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
        #expect(pair.recorder.errors.map(\.code) == [.applicationProtocol])
        #expect(pair.recorder.completed == nil)
    }

    // MARK: SNI

    @Test func `another name gets another certificate`() throws {
        let fixtures = try Fixtures.shared.get()
        let other = try TLSServerContext(
            TLSServerSettings(
                certificateFile: fixtures.path("other.pem"), keyFile: fixtures.path("other.key"),
                applicationProtocols: []))
        let context = try TLSServerContext(
            Fixtures.settings(), byServerName: ["other.example": other])
        for (asked, shown) in [
            ("other.example", "other.example"), ("OTHER.Example", "other.example"),
            ("else.example", "sluice"),
        ] {
            let pair = try Pair(
                ClientOptions(protocols: ["sluice/1"], serverName: asked), context: context)
            try pair.handshake()
            #expect(pair.client.serverCommonName == shown)
            #expect(pair.recorder.completed?.serverName == asked)
            #expect(pair.recorder.completed?.applicationProtocol == "sluice/1")
        }
    }

    // MARK: What is not a handshake

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /v2/models HTTP/1.1\r\n\r\n"])
    func `plain HTTP is named`(request: String) throws {
        let pair = try Pair()
        pair.toServer(Array(request.utf8))
        #expect(pair.recorder.errors.map(\.code) == [.plainHTTP])
        #expect(pair.recorder.log.last == "inactive")
        #expect(pair.recorder.errors.first?.reasons == ["SSL routines: http request"])
    }

    @Test func `garbage is named and closes the channel`() throws {
        for seed in 1...50 as ClosedRange<UInt64> {
            let pair = try Pair()
            pair.toServer(pattern(300, seed: seed))
            if pair.channel.isActive {
                // Looks like the beginning of a long record: the deadline ends it.
                pair.channel.embeddedEventLoop.advanceTime(by: .seconds(12))
            }
            #expect(pair.recorder.errors.count == 1, "seed \(seed)")
            #expect(!pair.channel.isActive, "seed \(seed)")
        }
    }

    @Test func `a silent client is gone at the deadline`() throws {
        var settings = TLSConnectionSettings()
        settings.handshakeTimeout = .seconds(10)
        let pair = try Pair(settings: settings)
        _ = try pair.client.handshake()
        pair.toServer(Array(pair.client.take().prefix(20)))
        pair.channel.embeddedEventLoop.advanceTime(by: .milliseconds(9_999))
        #expect(pair.recorder.log.isEmpty)
        pair.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(pair.recorder.log == ["error handshake_timeout", "inactive"])
    }

    @Test func `a finished handshake has no deadline`() throws {
        let pair = try Pair()
        try pair.handshake()
        pair.channel.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(pair.recorder.log == ["completed"])
        #expect(pair.channel.isActive)
    }

    @Test func `a client that leaves in the middle is reported`() throws {
        let pair = try Pair()
        _ = try pair.client.handshake()
        pair.toServer(pair.client.take())
        let write = pair.write([1])
        pair.channel.pipeline.fireChannelInactive()
        #expect(pair.recorder.log == ["error handshake_abandoned", "inactive"])
        #expect(throws: ChannelError.ioOnClosedChannel) { try write.wait() }
    }

    @Test func `a client that does not trust the certificate is reported`() throws {
        let fixtures = try Fixtures.shared.get()
        let pair = try Pair(
            ClientOptions(trust: fixtures.path("other.pem")))
        _ = pair.failingHandshake()
        try pair.shuttle()
        #expect(pair.recorder.errors.count == 1)
        let reasons = pair.recorder.errors.first?.reasons.joined() ?? ""
        #expect(reasons.contains("unknown ca") || reasons.contains("bad certificate"))
    }

    // MARK: Writes before the end

    @Test func `writes before the end of the handshake are held in order`() throws {
        let pair = try Pair()
        let first = pair.write(Array("one ".utf8))
        let second = pair.write(Array("two ".utf8), flush: false)
        pair.recorder.onCompleted = { context in
            context.writeAndFlush(NIOAny(ByteBuffer(string: "three")), promise: nil)
        }
        try pair.handshake()
        // Everything came with the server's last flight already.
        #expect(try pair.client.handshake())
        try first.wait()
        try second.wait()
        #expect(pair.recorder.log == ["completed"])
    }

    @Test func `held writes reach the client`() throws {
        let pair = try Pair()
        let sent = pattern(100_000)
        for start in stride(from: 0, to: sent.count, by: 1_000) {
            pair.write(Array(sent[start..<start + 1_000]))
        }
        var done = false
        while !done {
            done = try pair.client.handshake()
            try pair.shuttle()
        }
        #expect(try pair.read() == sent)
    }

    @Test func `no more than the limit is held`() throws {
        var settings = TLSConnectionSettings()
        settings.heldBytesMax = 1_000
        let pair = try Pair(settings: settings)
        let good = pair.write(pattern(1_000))
        let tooMuch = pair.write([1])
        let error = #expect(throws: TLSError.self) { try tooMuch.wait() }
        #expect(error?.code == .heldWrites)
        var done = false
        while !done {
            done = try pair.client.handshake()
            try pair.shuttle()
        }
        try good.wait()
        #expect(try pair.read() == pattern(1_000))
    }
}
