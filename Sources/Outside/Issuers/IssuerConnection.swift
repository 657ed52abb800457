// How issuers are connected to: TLS 1.2 or newer, no redirects, no decompression, and only addresses that are safe
// to send secrets to and to take keys from.

import AsyncHTTPClient
import Contract
import Foundation
import NIOCore
import NIOSSL

/// A client certificate and its key, as the settings name them (PEM files).
package struct ClientCertificate: Sendable, Equatable {
    package var chain: String
    package var key: String

    package init(chain: String, key: String) {
        self.chain = chain
        self.key = key
    }
}

enum IssuerConnection {
    /// The HTTP client of one issuer. Reads the files that are named: call at start. Throws CONFIGURATION.
    /// - Parameter setting: For messages, like `auth.issuers.main`.
    static func client(
        setting: String, authority: String?, certificate: ClientCertificate?,
        timeout: Nanoseconds, connectionsMax: Int, group: any EventLoopGroup
    ) throws(GatewayError) -> HTTPClient {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = authority {
            tls.trustRoots = .certificates(
                try certificates(file, "\(setting).ca", "certificates"))
        }
        if let certificate {
            let chain = try certificates(
                certificate.chain, "\(setting).client_certificate", "certificate")
            let key = try privateKey(certificate.key, "\(setting).client_key")
            tls.certificateChain = chain.map { .certificate($0) }
            tls.privateKey = .privateKey(key)
            do {
                // Better now than at the first token.
                _ = try NIOSSLContext(configuration: tls)
            } catch {
                throw GatewayError(
                    .configuration,
                    "\(setting).client_key is not the key of the client_certificate")
            }
        }
        let time = TimeAmount.nanoseconds(Int64(clamping: timeout.count))
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: time, read: time), decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: connectionsMax)
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }

    /// Why nothing may be sent to, or taken from, an address; nil when it is safe.
    static func fault(of url: String, allowsPlaintextOnLoopback: Bool) -> String? {
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty else {
            return "is no URL"
        }
        let loopback = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host)
        guard
            parts.scheme == "https"
                || (parts.scheme == "http" && loopback && allowsPlaintextOnLoopback)
        else { return "must begin with https://" }
        guard parts.user == nil, parts.password == nil, parts.fragment == nil else {
            return "must hold neither credentials nor a fragment"
        }
        return nil
    }

    private static func certificates(
        _ file: String, _ setting: String, _ what: String
    ) throws(GatewayError) -> [NIOSSLCertificate] {
        do {
            return try NIOSSLCertificate.fromPEMFile(file)
        } catch {
            throw GatewayError(
                .configuration, "\(setting): no \(what) can be read from \(file)",
                mend: "It must be a PEM file that the gateway may read")
        }
    }

    private static func privateKey(
        _ file: String, _ setting: String
    ) throws(GatewayError) -> NIOSSLPrivateKey {
        do {
            return try NIOSSLPrivateKey(file: file, format: .pem)
        } catch {
            throw GatewayError(
                .configuration, "\(setting): no private key can be read from \(file)",
                mend: "It must be a PEM file without a passphrase that the gateway may read")
        }
    }
}
