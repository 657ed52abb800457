// Who the client believes to be its gateway.

import Logging
import NIOCore
import ServiceLifecycle
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

@Suite struct TrustTests {
    @Test func anUnknownCertificateIsRefusedAndNotTriedAgain() async throws {
        let gateway = try await FakeGateway.start()
        let client = try gateway.client { $0.security = .tls(.init(trust: .system)) }
        try await within("the error") {
            let error = try await failure { _ = try await call(client) }
            #expect(error.code == .failedPrecondition)
            #expect(error.reason == "TLS_FAILED")
        }
        await end(client)
        try await gateway.stop()
    }

    @Test func theNameMustMatchUnlessItIsOverridden() async throws {
        let gateway = try await FakeGateway.start()
        let files = try TestCertificate.files.get()
        for (host, name, works) in [
            ("localhost", nil, true), ("127.0.0.1", nil, true), ("127.0.0.1", "localhost", true),
            // The certificate bears 127.0.0.1, which is not what is asked for.
            ("localhost", "other.example", false), ("127.0.0.1", "other.example", false),
        ] as [(String, String?, Bool)] {
            let client = try SluiceClient(
                endpoint: .hostPort(host, gateway.port),
                configuration: .init(
                    security: .tls(.init(trust: .file(files.certificate), serverName: name))))
            try await within("\(host) \(name ?? "")") {
                if works {
                    async let connected: Void = client.connect()
                    try await gateway.accept().greet()
                    try await connected
                } else {
                    let error = try await failure { try await client.connect() }
                    #expect(error.reason == "TLS_FAILED")
                }
            }
            await end(client)
        }
        try await gateway.stop()
    }

    @Test(arguments: [
        ("gateway.example", "gateway.example", true), ("GATEWAY.example", "gateway.Example", true),
        ("gateway.example.", "gateway.example", true),
        ("a.gateway.example", "*.gateway.example", true),
        ("gateway.example", "*.gateway.example", false), ("a.b.example", "*.example", false),
        ("a.b.gateway.example", "*.gateway.example", false), ("a.example", "*.example", false),
        ("a.gateway.example", "a*.gateway.example", false), ("example", "*", false),
        ("gateway.example", "", false), ("", "", false),
        ("gateway..example", "gateway..example", false),
    ])
    func names(asked: String, borne: String, matches: Bool) {
        #expect(ServerIdentity.matches(asked, borne) == matches)
    }

    @Test func aServerThatSpeaksSomethingElse() async throws {
        for protocols in [["http/1.1"], []] {
            let gateway = try await FakeGateway.start(protocols: protocols)
            let client = try gateway.client()
            try await within("the error") {
                let error = try await failure { try await client.connect() }
                #expect(error.code == .failedPrecondition)
                #expect(["PROTOCOL_NOT_SPOKEN", "TLS_FAILED"].contains(error.reason))
            }
            await end(client)
            try await gateway.stop()
        }
    }

    @Test func clientCertificates() async throws {
        let gateway = try await FakeGateway.start(requiresClientCertificate: true)
        let files = try TestCertificate.files.get()
        let without = try gateway.client { $0.retry = .never }
        try await within("the refusal") {
            let error = try await failure { try await without.connect() }
            #expect(error.reason == "TLS_FAILED" || error.code == .unavailable)
        }
        await end(without)
        let with = try gateway.client {
            $0.security = .tls(
                .init(
                    trust: .file(files.certificate),
                    clientCertificate: .init(
                        certificateFile: files.certificate, keyFile: files.key)))
        }
        try await within("the connection") {
            async let connected: Void = with.connect()
            try await gateway.accept().greet()
            try await connected
        }
        await end(with)
        try await gateway.stop()
    }
}
