// What the house decides about TLS: files, versions, protocols, tickets, client certificates, times.

package import NIOCore

/// What a context is made from. Times are in seconds, files are PEM.
package struct TLSServerSettings: Sendable {
    /// The oldest version of TLS that is spoken.
    package enum Version: Sendable, Hashable {
        /// TLS 1.2 (RFC 5246) with AEAD and ECDHE only, and TLS 1.3.
        case tls12
        /// TLS 1.3 only (RFC 8446).
        case tls13
    }

    /// Whether clients show certificates.
    package enum ClientCertificates: Sendable, Hashable {
        /// None is asked for.
        case off
        /// One is asked for; when there is one it must be good.
        case optional
        /// No handshake without a good one.
        case required
    }

    /// One more certificate, shown to clients that ask (SNI) for one of its names.
    package struct Certificate: Sendable, Hashable {
        /// As ``TLSServerSettings/certificateFile``, ``TLSServerSettings/keyFile``, ``TLSServerSettings/ocspFile``.
        package var certificateFile: String
        package var keyFile: String
        package var ocspFile: String?

        package init(certificateFile: String, keyFile: String, ocspFile: String? = nil) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.ocspFile = ocspFile
        }
    }

    /// The server's certificate, followed by its issuers up to but without the root.
    package var certificateFile: String
    /// The private key of the certificate, without a passphrase.
    package var keyFile: String
    /// An OCSP answer for the certificate (RFC 6960, DER), or nil.
    package var ocspFile: String?
    /// More certificates; at most ``certificatesMax``.
    package var more: [Certificate] = []
    /// ALPN names, the server's preference first (RFC 7301). Empty: the extension is ignored.
    package var applicationProtocols: [String]
    package var minimumVersion = Version.tls12
    /// How many session tickets a TLS 1.3 handshake gives out; 0 forbids resumption. At most 8.
    package var tickets = 1
    /// How long a ticket is good for, in seconds; at most 3,600.
    package var ticketLifetimeSeconds = 3_600
    package var clientCertificates = ClientCertificates.off
    /// Who may sign client certificates. Needed unless `clientCertificates` is off.
    package var clientAuthorityFile: String?
    /// Revocation lists (RFC 5280 section 5), one of every authority in a client's chain; nil: nobody is revoked.
    package var clientRevocationFile: String?

    package static let certificatesMax = 256

    package init(certificateFile: String, keyFile: String, applicationProtocols: [String]) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.applicationProtocols = applicationProtocols
    }
}

/// What one connection's handler obeys.
package struct TLSConnectionSettings: Sendable {
    /// From the first byte's wait to the end of the handshake.
    package var handshakeTimeout = TimeAmount.seconds(10)
    /// How long a closed connection may take to send its last bytes and see the peer go.
    package var lingerTimeout = TimeAmount.seconds(1)
    /// How much may be written before the handshake has ended, in bytes.
    package var heldBytesMax = 256 * 1_024
    /// When the peer sends close_notify: false answers it and closes, true lets the pipeline write on.
    package var allowHalfClosure = false

    package init() {}
}
