// What can go wrong in TLS, as one typed error. Everything OpenSSL left in its queue is in `reasons`.

private import COpenSSL

/// A failure of a certificate, a handshake or an established session.
package struct TLSError: Error, Sendable, Hashable {
    /// What kind of failure, for decisions and metrics. Codes may be added.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        package let description: String

        /// A certificate file cannot be read or used.
        package static let certificate = Code(description: "certificate")
        /// A key file cannot be read or used.
        package static let key = Code(description: "key")
        /// The key is not the certificate's.
        package static let keyMismatch = Code(description: "key_mismatch")
        /// The file of authorities for client certificates cannot be read or used.
        package static let clientAuthority = Code(description: "client_authority")
        /// The file of revocation lists cannot be read or used.
        package static let clientRevocation = Code(description: "client_revocation")
        /// A file with an OCSP answer cannot be read or used.
        package static let ocsp = Code(description: "ocsp")
        /// The file of shared ticket keys cannot be read or used.
        package static let ticketKeys = Code(description: "ticket_keys")
        /// A certificate or list is not valid yet, or no longer.
        package static let outOfDate = Code(description: "out_of_date")
        /// A setting is out of its bounds.
        package static let setting = Code(description: "setting")
        /// A file or folder could not be made or written.
        package static let file = Code(description: "file")
        /// OpenSSL failed where it should not: out of memory, no randomness.
        package static let library = Code(description: "library")

        /// The handshake failed for a reason without a code of its own.
        package static let handshakeFailed = Code(description: "handshake_failed")
        /// The handshake took longer than `handshakeTimeout`.
        package static let handshakeTimeout = Code(description: "handshake_timeout")
        /// The peer went away in the middle of the handshake.
        package static let handshakeAbandoned = Code(description: "handshake_abandoned")
        /// The peer speaks plain HTTP.
        package static let plainHTTP = Code(description: "plain_http")
        /// The peer does not speak TLS.
        package static let notTLS = Code(description: "not_tls")
        /// The peer offers only versions of TLS that are refused.
        package static let version = Code(description: "version")
        /// The peer offers only application protocols (ALPN) not served here.
        package static let applicationProtocol = Code(description: "application_protocol")
        /// The client's certificate is missing or was not accepted.
        package static let clientCertificate = Code(description: "client_certificate")

        /// The established session broke: a forged or malformed record, or the peer's fatal alert.
        package static let session = Code(description: "session")
        /// The connection ended without close_notify: what was received may be cut short.
        package static let truncated = Code(description: "truncated")
        /// Too many KeyUpdate or renegotiation messages.
        package static let controlFlood = Code(description: "control_flood")
        /// More was written before the end of the handshake than is held.
        package static let heldWrites = Code(description: "held_writes")
        /// The connection closed before the write was sent.
        package static let closed = Code(description: "closed")
    }

    package let code: Code
    /// A sentence for the operator, with what to do where something can be done.
    package let message: String
    /// OpenSSL's error queue, oldest first, for example `SSL routines: http request`.
    package let reasons: [String]

    package init(_ code: Code, _ message: String, reasons: [String] = []) {
        self.code = code
        self.message = message
        self.reasons = reasons
    }
}

extension TLSError: CustomStringConvertible {
    package var description: String {
        reasons.isEmpty
            ? "\(code): \(message)"
            : "\(code): \(message) (\(reasons.joined(separator: "; ")))"
    }
}

/// The thread's OpenSSL error queue, taken out whole.
struct LibraryErrors {
    /// The reason number (`SSL_R_*`, `X509_R_*`) of the first error, or 0 when there was none.
    private(set) var reason: Int32 = 0
    private(set) var texts: [String] = []

    /// Empties the queue of the calling thread.
    static func drain() -> LibraryErrors {
        var errors = LibraryErrors()
        while true {
            var data: UnsafePointer<CChar>?
            var flags: Int32 = 0
            let code = unsafe ERR_get_error_all(nil, nil, nil, &data, &flags)
            guard code != 0 else { return errors }
            if errors.texts.isEmpty { errors.reason = COpenSSL_error_reason(code) }
            var text = text(of: code)
            if flags & ERR_TXT_STRING != 0, let data = unsafe data, unsafe data.pointee != 0 {
                text += unsafe " [\(String(cString: data))]"
            }
            errors.texts.append(text)
        }
    }

    private static func text(of code: UInt) -> String {
        guard let reason = unsafe ERR_reason_error_string(code) else {
            return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
                guard let start = buffer.baseAddress else { return "error \(code)" }
                unsafe ERR_error_string_n(code, start, 256)
                return unsafe String(cString: start)
            }
        }
        guard let library = unsafe ERR_lib_error_string(code) else {
            return unsafe String(cString: reason)
        }
        return unsafe String(cString: library) + ": " + String(cString: reason)
    }
}

extension TLSError {
    /// Why a handshake failed. `status` is the `SSL_ERROR_*` code.
    static func handshake(_ errors: LibraryErrors, status: Int32) -> TLSError {
        let (code, message): (Code, String) =
            switch errors.reason {
            case _ where status == SSL_ERROR_ZERO_RETURN:
                (.handshakeAbandoned, "the peer closed the session during the handshake")
            case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
                (.plainHTTP, "the peer speaks plain HTTP on a TLS port; use https://")
            case SSL_R_WRONG_VERSION_NUMBER, SSL_R_BAD_RECORD_TYPE,
                SSL_R_PACKET_LENGTH_TOO_LONG:
                (.notTLS, "the peer does not speak TLS")
            case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW:
                (.version, "the peer offers only versions of TLS that are refused here")
            case SSL_R_NO_APPLICATION_PROTOCOL:
                (.applicationProtocol, "the peer offers no application protocol served here")
            case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
                (.clientCertificate, "a client certificate is required and the peer sent none")
            case SSL_R_CERTIFICATE_VERIFY_FAILED:
                (.clientCertificate, "the client's certificate was not accepted")
            default:
                (.handshakeFailed, "the TLS handshake failed")
            }
        return TLSError(code, message, reasons: errors.texts)
    }

    /// Why an established session broke.
    static func session(_ errors: LibraryErrors) -> TLSError {
        TLSError(.session, "the TLS session broke", reasons: errors.texts)
    }
}
